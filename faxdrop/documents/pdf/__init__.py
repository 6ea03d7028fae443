"""PDFs: read, judged, repaired and flattened. The only users of pikepdf, in processes apart."""
