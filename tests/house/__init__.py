"""The plan of the house: which modules make a room, on which floor it stands, and who imports whom.

``python -m tests.house`` draws it into docs/design/house.svg and prints it.
"""
