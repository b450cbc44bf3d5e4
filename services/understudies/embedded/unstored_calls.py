"""Keep on disk the calls that a stopped process has not stored, for its next start."""

import logging
from pathlib import Path

from understudies.events import INVOCATIONS
from understudies.router.recording.spool.async_spool import AsyncSpool
from understudies.runtime.bus.memory_bus import MemoryBus
from understudies.runtime.bus.messages import BusMessage

_log = logging.getLogger(__name__)


async def keep_unstored_calls(bus: MemoryBus, spool: Path, limit_bytes: int) -> None:
    """Write the calls that the observer's bus still holds to the router's spool, which the next start delivers.

    Decisions come back from the snapshots of those who made them. Where the disk fails or `limit_bytes` are used up the
    calls are lost, and counted in the log.
    """
    calls = [one for one in bus.unhandled if one.topic == INVOCATIONS.name]
    if not calls:
        return
    disk, kept = AsyncSpool(spool, limit_bytes=limit_bytes), 0
    try:
        kept = await disk.append([BusMessage(one.topic, one.value, one.key, one.headers) for one in calls])
        await disk.close()
    except OSError as error:
        _log.error("the spool cannot be used: %s", error)
    if kept < len(calls):
        _log.error("%d events lost, as the store took too long and the spool has no room", len(calls) - kept)
    else:
        _log.warning("%d calls are not stored yet; the next start stores them", kept)
