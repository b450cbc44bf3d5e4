"""`python -m tests.support.killed_router BOOTSTRAP SPOOL`: a process that records calls, and is killed at once."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.integration.test_recorder_process import event, scribe


async def _main(bootstrap: str, spool: str) -> None:
    made = scribe(bootstrap, Path(spool))
    await made.start()
    made.record(event("sent"))
    await made.deliver()
    for number in range(50):
        made.record(event(f"call-{number}"))
        if number == 20:
            # A batch is sent, and may be on its way.
            made._send()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
