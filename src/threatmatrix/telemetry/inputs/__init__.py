"""What stands for an input: its bodies read as rows, keyed hashes and projections, and the keys. NumPy only."""
