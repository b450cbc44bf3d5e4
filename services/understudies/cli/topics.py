"""Implement `understudies topics`: create the topics once, before any service starts."""

import asyncio

from understudies.cli.options import BootstrapOption
from understudies.cli.process import print_line, report_errors
from understudies.cli.single_service import load_bus_settings
from understudies.runtime.logs import configure_logging

EPILOG = """
Examples:

  understudies topics --bootstrap kafka:9092

  UNDERSTUDIES_BUS_REPLICATION_FACTOR=3 understudies topics --bootstrap kafka:9092
"""


def topics(bootstrap: BootstrapOption = None) -> None:
    """Create the topics that are missing, and leave the others as they are.

    Services do so too, unless UNDERSTUDIES_BUS_CREATE_TOPICS is false because they may not.
    """
    configure_logging()
    with report_errors():
        settings = load_bus_settings("topics", bootstrap).model_copy(update={"create_topics": True})

        async def create() -> list[str]:
            from understudies.runtime.bus.admin import ensure_topics

            return await ensure_topics(settings)

        created = asyncio.run(create())
        print_line(f"created {', '.join(created)}" if created else "all topics are there")
