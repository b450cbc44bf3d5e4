"""Tell addresses of this machine alone from others."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def hostname_of(authority: str) -> str:
    """Return the host of an authority, as a request's header `host` has it; empty if it is none.

    >>> hostname_of("[::1]:8080"), hostname_of("localhost"), hostname_of("[")
    ('::1', 'localhost', '')
    """
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""
