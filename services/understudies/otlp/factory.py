"""Compose the receiver of spans from its settings and rules."""

from understudies.otlp.endpoint import EventPublisher, TraceEndpoint
from understudies.otlp.routed_calls import RoutedCalls
from understudies.otlp.senders import Senders
from understudies.router.endpoints.admission import Admission
from understudies.router.http1.server import HttpServer
from understudies.router.settings import RouterSettings
from understudies.runtime.clock import Clock
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.rules.source import RulesSource


def create_endpoint(
    settings: RouterSettings,
    *,
    host: str,
    rules: RulesSource,
    bus: EventPublisher,
    clock: Clock,
    redacts: bool = True,
) -> TraceEndpoint:
    """Build the receiver for a server that listens on `host`; its senders and limits are those of the router."""
    senders, routed = Senders(Admission(rules, settings), host), RoutedCalls.from_settings(settings)
    return TraceEndpoint(senders, rules, routed, bus=bus, clock=clock, redacts=redacts)


async def start_server(endpoint: TraceEndpoint, host: str, port: int) -> HttpServer:
    """Start a server of its own for the receiver; raises ConfigurationError if it cannot listen."""
    server = HttpServer(endpoint, host, port)
    try:
        await server.start()
    except OSError as error:
        raise ConfigurationError(
            f"cannot take spans on {host}:{port}: {error.strerror}; set UNDERSTUDIES_OBSERVER_OTLP_HOST and "
            "UNDERSTUDIES_OBSERVER_OTLP_PORT to an address that is free"
        ) from error
    return server
