"""A look-alike of sipgate's fax API on loopback: see `faxdrop.simulator.simulator`."""

from faxdrop.simulator.simulator import MAGIC, Magic, Response, Simulator, TakenFax

__all__ = ["MAGIC", "Magic", "Response", "Simulator", "TakenFax"]
