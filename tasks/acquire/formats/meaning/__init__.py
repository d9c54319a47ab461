"""What the numbers of a data set mean: which axes are which, and how values are stored."""
