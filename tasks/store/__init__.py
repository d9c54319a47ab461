"""Zarr stores: variables, groups, sparse patterns; the folder of a run and its publication."""
