"""Index the patterns of clusters: which crystal, which orientation, how sure."""
