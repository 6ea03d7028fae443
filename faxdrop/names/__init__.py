"""File names: as people read them, as Macs write them, and which are passed over."""
