"""Where events go."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

from understudies.events import BY_NAME, Event
from understudies.runtime import BusMessage, encode_message

PublishEvents = Callable[..., Awaitable[None]]
"""Publishes the events given; raises where they were not all taken."""


@runtime_checkable
class EventSink(Protocol):
    """The part of the bus that the recorder uses."""

    def to_message(self, event: Event) -> BusMessage: ...
    async def publish_encoded(self, messages: Sequence[BusMessage]) -> None: ...


class DecodingSink:
    """An outlet to what takes events as they are."""

    def __init__(self, deliver: PublishEvents) -> None:
        self._deliver = deliver

    def to_message(self, event: Event) -> BusMessage:
        """The event, encoded."""
        return encode_message(event, "router")

    async def publish_encoded(self, messages: Sequence[BusMessage]) -> None:
        """Hand over the events."""
        await self._deliver(*(BY_NAME[message.topic].decode(message.value) for message in messages))
