"""How far an attempt came, for what a teacher has taken it may charge."""


class AttemptProgress:
    """Whether a request was sent, and whether a status of success has come."""

    __slots__ = ("head", "sent")

    def __init__(self) -> None:
        self.sent = False
        self.head = False

    def mark_sent(self) -> None:
        """From here on the teacher may be at work."""
        self.sent = True

    def is_billable(self, error: Exception) -> bool:
        """Whether a teacher that ends in such trouble is likely to charge for it.

        It has taken the call, or was still at work when the patience ended.
        """
        return self.head or (self.sent and isinstance(error, TimeoutError))
