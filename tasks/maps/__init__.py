"""Maps of clusters (labels and overlap), their uncertainty, and the patterns of each cluster."""
