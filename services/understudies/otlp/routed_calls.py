"""Tell spans of calls to the router, which records those itself, so that no call is recorded twice."""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from understudies.importers.fields import as_number, as_text
from understudies.importers.otlp import read_attributes
from understudies.router.settings import RouterSettings
from understudies.runtime.addresses import is_loopback

_URLS: Final = ("url.full", "http.url", "gen_ai.openai.api_base", "llm.openai.api_base", "openai.api_base")
_PORTS: Final = {"http": 80, "https": 443}
_LOOPBACK: Final = "localhost"

Address = tuple[str, int | None]
"""A host in lower case, the loopback hosts as one, and a port; without one, any."""


class RoutedCalls:
    """Knows the addresses under which agents reach the router."""

    def __init__(self, addresses: Iterable[Address]) -> None:
        self._addresses = frozenset(addresses)

    @classmethod
    def from_settings(cls, settings: RouterSettings) -> "RoutedCalls":
        """Return those of a router with these settings: where it listens, and what it is named."""
        named = [address for name in settings.addresses if (address := _parse(f"//{name}")) is not None]
        if settings.port:
            named.append((_host(settings.host), settings.port))
            if settings.host in ("0.0.0.0", "::"):
                named.append((_LOOPBACK, settings.port))
        return cls(named)

    def has(self, span: Mapping[str, Any]) -> bool:
        """Return whether a span is of a call to the router."""
        if not self._addresses:
            return False
        called = _called_address(read_attributes(span.get("attributes")))
        return called is not None and (called in self._addresses or (called[0], None) in self._addresses)


def _called_address(attributes: Mapping[str, Any]) -> Address | None:
    """Return the address that a span's call went to, by the attributes of OpenTelemetry and of instrumentations."""
    host, port = as_text(attributes.get("server.address")), as_number(attributes.get("server.port"))
    if host is not None and "/" not in host:
        return _host(host), None if port is None else int(port)
    urls = (as_text(attributes.get(name)) for name in (*_URLS, "server.address"))
    return next((address for url in urls if url and (address := _parse(url)) is not None), None)


def _parse(url: str) -> Address | None:
    try:
        parts = urlsplit(url)
        return (_host(parts.hostname), parts.port or _PORTS.get(parts.scheme)) if parts.hostname else None
    except ValueError:
        return None


def _host(host: str) -> str:
    return _LOOPBACK if is_loopback(host.lower()) else host.lower()
