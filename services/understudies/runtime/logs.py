"""What a service that runs for long writes to stderr."""

import logging
from collections import OrderedDict
from typing import Final

from understudies.runtime.seldom import Seldom

_TALKATIVE = ("aiokafka", "asyncio", "clickhouse_connect", "faststream", "uvicorn")
_REPETITIVE: Final = "aiokafka"
_REMEMBERED: Final = 1000


class Repetitions(logging.Filter):
    """Lets the Kafka client say the same once a minute: while a broker is away, it says it forty times a second."""

    def __init__(self) -> None:
        super().__init__(_REPETITIVE)
        self._said: OrderedDict[tuple[str, str], Seldom] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if not super().filter(record):
            return True
        what = (record.name, str(record.msg))
        said = self._said.setdefault(what, Seldom())
        if len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)
        return said()


def log_to_stderr() -> None:
    """Our own events from INFO on, those of libraries from WARNING on."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.addFilter(Repetitions())
