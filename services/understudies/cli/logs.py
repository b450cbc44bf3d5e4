"""What a service that runs for long writes to stderr."""

import logging

_TALKATIVE = ("aiokafka", "asyncio", "clickhouse_connect", "faststream", "uvicorn")


def log_to_stderr() -> None:
    """Our own events from INFO on, those of libraries from WARNING on."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
