"""Configure the log output of long-running services on stderr."""

import logging
from collections import OrderedDict
from typing import Final

from understudies.runtime.throttle import Throttle

_NOISY_LOGGERS = ("aiokafka", "asyncio", "faststream", "uvicorn")
_STORE_LOGGERS = ("clickhouse_connect", "urllib3")
"""They warn of what the store raises too, with the URL of the request, which carries parameters of queries."""
_THROTTLED_LOGGER: Final = "aiokafka"
_MAX_REMEMBERED: Final = 1000


class RepeatedMessageFilter(logging.Filter):
    """Limit each Kafka client message to once a minute: it logs 40 a second while a broker is unavailable."""

    def __init__(self) -> None:
        super().__init__(_THROTTLED_LOGGER)
        self._throttles: OrderedDict[tuple[str, str], Throttle] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be logged."""
        if not super().filter(record):
            return True
        message = (record.name, str(record.msg))
        throttle = self._throttles.setdefault(message, Throttle())
        if len(self._throttles) > _MAX_REMEMBERED:
            self._throttles.popitem(last=False)
        return throttle()


def configure_logging() -> None:
    """Log the product's own messages from INFO on, those of libraries from WARNING or ERROR on."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in _NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _STORE_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    for handler in logging.getLogger().handlers:
        handler.addFilter(RepeatedMessageFilter())
