"""Maps of clusters, overlaps and uncertainty, and the patterns of each cluster."""
