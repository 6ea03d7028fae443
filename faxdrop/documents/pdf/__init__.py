"""PDFs: read, judged, repaired, flattened, in separate processes. Only this room uses pikepdf."""
