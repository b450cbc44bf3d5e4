"""The page of the services: how far behind each is, and what the store holds."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from understudies.backtest.report.formatting import format_count
from understudies.console.page import SERVICES_PATH, render_facts, render_page, render_section, render_table
from understudies.runtime.health import ServiceHealth


class StoreHealth(NamedTuple):
    """The rows of each table, and the milliseconds that a query took."""

    rows: Mapping[str, int]
    query_ms: float


def render_services(services: Sequence[ServiceHealth], store: StoreHealth) -> str:
    """Return the page of the services of this process and of its store."""
    troubled = [service.name for service in services if service.problem]
    headline = f"Something is wrong with {', '.join(troubled)}" if troubled else "All services run"
    rows = (
        [
            escape(service.name),
            "not known" if service.lag is None else format_count(service.lag),
            escape(service.problem) or "none",
        ]
        for service in services
    )
    table = render_table("Lag of each service", ("Service", "Lag: events to read", "Problem"), rows)
    facts = [(name, format_count(count), "rows") for name, count in store.rows.items()]
    facts.append(("Query", f"{store.query_ms:,.1f} ms", "counting these rows"))
    body = render_section("services", "Services", table) + render_section("store", "Store", render_facts(facts))
    lead = "Lag is the number of events on its topics that a service has not read yet."
    footer = "Rows of events that were delivered twice are counted until they are merged."
    return render_page("Services · Understudies", headline, lead, body, footer, here=SERVICES_PATH)
