"""What an HDF5 or Zarr file holds, and what it only has room for."""
