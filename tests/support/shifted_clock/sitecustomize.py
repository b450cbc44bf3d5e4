"""Let the services' clock be wrong by as many hours as a file says; on the path of a process, Python runs it at start.

No test may set the clock of the machine, which others use too.
"""

import os
from datetime import datetime, timedelta
from pathlib import Path

from understudies.runtime.clock import SystemClock

_FILE = Path(os.environ["TEST_CLOCK_FILE"])
_now = SystemClock.now


def _shifted_now(self: SystemClock) -> datetime:
    try:
        hours = float(_FILE.read_text() or 0)
    except FileNotFoundError:
        hours = 0.0
    return _now(self) + timedelta(hours=hours)


SystemClock.now = _shifted_now  # type: ignore[method-assign]
