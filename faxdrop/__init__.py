"""faxdrop: fax from a folder, never twice, never lost, always answered."""

__version__ = "0.1.0"
