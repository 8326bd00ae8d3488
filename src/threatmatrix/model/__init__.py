"""The nouns of threatmatrix, as frozen dataclasses, and the errors. Standard library only."""
