"""Dask clusters of computers: open and close their clients, as threads, processes or batch jobs."""
