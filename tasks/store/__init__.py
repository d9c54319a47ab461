"""Zarr stores: variables, groups and their fingerprints, locks, sparse patterns."""
