"""What the figures of a data set draw, as tables: each is the CSV beside its figure, and nothing else is drawn."""
