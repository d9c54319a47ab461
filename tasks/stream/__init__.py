"""Walk over the patterns block by block, within known memory and time."""
