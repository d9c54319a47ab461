"""Copy the patterns into patterns.zarr, verify the copy, sum it up, find defective pixels."""
