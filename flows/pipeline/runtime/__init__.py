"""What every step works with: the run, how steps are called, measured and given workers."""
