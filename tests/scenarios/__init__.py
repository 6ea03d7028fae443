"""Tests of whole lives of documents: parts together, or the real processes."""
