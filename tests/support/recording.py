"""Events, messages and buses for tests of the recording."""

import asyncio
from collections.abc import Sequence

from tests.support.chat_messages import user_request
from tests.support.router_fixtures import NOON

from understudies.events import Event, Invocation, fingerprint
from understudies.runtime.bus.messages import BusMessage, encode_message


def event(number: int, task: str = "triage", text: str = "call") -> Invocation:
    """A failed call, named `call-NUMBER`."""
    request = user_request(f"{text} {number}")
    return Invocation(
        id=f"call-{number}", at=NOON, task=task, request=request, error="none", fingerprint=fingerprint(request)
    )


def message(number: int, size: int = 0) -> BusMessage:
    """The message of that event, or one with a value of some size."""
    made = encode_message(event(number), "router")
    return made._replace(value=b"%d:" % number + b"x" * size) if size else made


def name(one: BusMessage) -> str:
    """The id of the event in a message."""
    return dict(one.headers)["ce_id"].decode()


class FakeBus:
    """Takes messages, fails with the next of its errors, or does not answer."""

    def __init__(self, *errors: Exception) -> None:
        self.taken: list[str] = []
        self.batches: list[int] = []
        self.errors = list(errors)
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self._grew = asyncio.Condition()

    def to_message(self, one: Event) -> BusMessage:
        return encode_message(one, "router")

    async def publish_encoded(self, messages: Sequence[BusMessage]) -> None:
        self.asked.set()
        await self.open.wait()
        if self.errors:
            raise self.errors.pop(0)
        async with self._grew:
            self.taken += [name(one) for one in messages]
            self.batches.append(len(messages))
            self._grew.notify_all()

    async def got(self, count: int) -> list[str]:
        """Everything taken, once it is so much."""
        async with asyncio.timeout(20), self._grew:
            await self._grew.wait_for(lambda: len(self.taken) >= count)
        return self.taken
