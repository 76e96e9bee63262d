"""How far simulations are from replays that were recorded, and how far they may be: a budget of errors."""
