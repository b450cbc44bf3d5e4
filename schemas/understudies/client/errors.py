"""Exceptions of the SDK."""


class PublishError(Exception):
    """An event will never be delivered: it was dropped or refused, or the client was closed."""


class NotRecorded(Exception):  # noqa: N818 - not an error of the agent: a call is skipped, for a reason
    """A call is not recorded; `reason` is the label under which the loss is counted."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason
