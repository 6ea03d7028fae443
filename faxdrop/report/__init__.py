"""The transmission report: a page for people beside each document, made behind the fax's life."""
