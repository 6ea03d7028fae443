"""Names of hosts: which of them are this machine."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine: by ``localhost``, or by an address for that.

    Not ``x.localhost``: an old resolver asks the network for it.
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
