"""The evidence for and against each number of components."""
