"""Patterns that lie in one row: which of them make the scan, and in which rows and columns."""
