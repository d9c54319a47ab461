"""The page that compares the filters of one scan, from their stored results."""
