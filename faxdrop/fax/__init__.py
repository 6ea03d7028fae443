"""The life of a fax, pure: no files, no network, no clock."""
