"""How things stand: the facts behind ``faxdrop status``, read from the disk alone."""
