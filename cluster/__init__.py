"""Opens and closes Dask clients; nothing else."""
