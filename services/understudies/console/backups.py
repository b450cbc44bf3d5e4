"""Stage a backup for `understudies backup`, which then copies it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.types import Receive, Scope, Send

from understudies.router.endpoints.errors import HttpError
from understudies.router.endpoints.responses import send_json
from understudies.runtime.errors import RetryLater
from understudies.status.access import StatusAccess

StageBackup = Callable[[], Awaitable[Path]]
"""Stages the data folder; returns the folder below it that holds what was staged."""


class BackupEndpoint:
    """ASGI handler of `/backup`: answer once the backup is staged."""

    def __init__(self, stage: StageBackup, access: StatusAccess) -> None:
        self._stage = stage
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        self._access.check_change(scope)
        try:
            staging = await self._stage()
        except RetryLater as error:
            raise HttpError(503, str(error), code="not_staged") from error
        await send_json(send, 200, {"staging": staging.name})
