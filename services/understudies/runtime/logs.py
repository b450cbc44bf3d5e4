"""What a service that runs for long writes to stderr."""

import logging
from collections import OrderedDict
from typing import Final

from understudies.runtime.throttle import Throttle

_NOISY_LOGGERS = ("aiokafka", "asyncio", "clickhouse_connect", "faststream", "uvicorn")
_THROTTLED_LOGGER: Final = "aiokafka"
_MAX_REMEMBERED: Final = 1000


class RepeatedMessageFilter(logging.Filter):
    """Lets the Kafka client say the same once a minute: while a broker is away, it says it forty times a second."""

    def __init__(self) -> None:
        super().__init__(_THROTTLED_LOGGER)
        self._throttles: OrderedDict[tuple[str, str], Throttle] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if not super().filter(record):
            return True
        what = (record.name, str(record.msg))
        said = self._throttles.setdefault(what, Throttle())
        if len(self._throttles) > _MAX_REMEMBERED:
            self._throttles.popitem(last=False)
        return said()


def configure_logging() -> None:
    """Our own events from INFO on, those of libraries from WARNING on."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in _NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.addFilter(RepeatedMessageFilter())
