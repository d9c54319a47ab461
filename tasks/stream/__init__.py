"""Walk over the patterns block by block; predict the memory and time of a run."""
