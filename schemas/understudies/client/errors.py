"""Exceptions of the SDK."""


class PublishError(Exception):
    """An event will never be delivered: it was dropped or refused, or the client was closed."""


class NotRecorded(Exception):  # noqa: N818 - not an error of the agent: a call is skipped, for a reason
    """A call is not recorded; `reason` is the label under which the loss is counted."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


def describe_error(error: BaseException) -> str:
    """Return the kind of an error and its text, of at most 2,000 characters."""
    try:
        return f"{type(error).__name__}: {error}"[:2000]
    except Exception:  # noqa: BLE001 - an exception may fail to describe itself
        return type(error).__name__
