"""`python -m tests.support.fragile SOCKET`: a process that records, and ends over an event that speaks of poison."""

import os

from understudies.client.redaction import Redactor
from understudies.events import Invocation
from understudies.router import apart


def _invocation_or_crash(data: bytes, redact: Redactor | None) -> Invocation:
    if b"poison" in data:
        os._exit(3)
    return _unharmed(data, redact)


if __name__ == "__main__":
    _unharmed = apart._invocation
    apart._invocation = _invocation_or_crash
    apart.main()
