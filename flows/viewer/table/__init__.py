"""The table of all runs in a folder."""
