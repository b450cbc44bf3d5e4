"""Where events go."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

from understudies.events import BY_NAME, Event
from understudies.runtime import Message, message_of

Deliver = Callable[..., Awaitable[None]]
"""Publishes the events given; raises where they were not all taken."""


@runtime_checkable
class Outlet(Protocol):
    """The part of the bus that the recorder uses."""

    def message(self, event: Event) -> Message: ...
    async def publish_encoded(self, messages: Sequence[Message]) -> None: ...


class Decoding:
    """An outlet to what takes events as they are."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver

    def message(self, event: Event) -> Message:
        """The event, encoded."""
        return message_of(event, "router")

    async def publish_encoded(self, messages: Sequence[Message]) -> None:
        """Hand over the events."""
        await self._deliver(*(BY_NAME[message.topic].decode(message.value) for message in messages))
