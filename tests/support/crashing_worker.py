"""`python -m tests.support.crashing_worker SOCKET`: a recorder process that dies of an event that speaks of poison."""

import os

from understudies.events import Invocation
from understudies.redaction.redactor import Redactor
from understudies.router.recording.process import worker


def _invocation_or_crash(data: bytes, redact: Redactor | None) -> Invocation:
    if b"poison" in data:
        os._exit(3)
    return _unharmed(data, redact)


if __name__ == "__main__":
    _unharmed = worker._invocation
    worker._invocation = _invocation_or_crash
    worker.main()
