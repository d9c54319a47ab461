"""Copy the patterns into patterns.zarr, verify the copy, compute sums, find defective pixels."""
