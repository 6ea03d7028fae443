"""A look-alike of sipgate's fax API on loopback: see `faxdrop.simulator.simulator`."""

from faxdrop.simulator.simulator import MAGIC, Answer, Magic, Simulator, Taken

__all__ = ["MAGIC", "Answer", "Magic", "Simulator", "Taken"]
