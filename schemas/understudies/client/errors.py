"""What can go wrong for an agent."""


class PublishError(Exception):
    """An event did not reach the bus and will not: it was dropped, refused, or the client was closed."""


class NotRecorded(Exception):  # noqa: N818 - not an error of the agent: a call that is left out, and why
    """A call is left out of the record; `reason` is the name that it is counted under."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason
