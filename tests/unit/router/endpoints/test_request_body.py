"""What a request's body may hold, and who stops working for a caller."""

import asyncio
import json
from collections.abc import AsyncIterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.router.endpoints.cancel_scope import CancelScope
from understudies.router.endpoints.errors import BadRequest, ClientDisconnected
from understudies.router.endpoints.request_body import exceeds_values, parse_json_object
from understudies.router.http1.deadlines import DeadlineTimer
from understudies.router.http1.disconnect import ClientConnectionState
from understudies.router.serving.call_lifecycle import CLIENT_DISCONNECTED, DEADLINE_EXCEEDED

TINY = {"role": "user", "content": "x"}
DENSE = {
    "messages": b'{"role":"user","content":"x"}',
    "objects": b"{}",
    "arrays": b"[]",
    "numbers": b"1",
    "texts": b'""',
    "texts_that_end_in_a_backslash": rb'"\\"',
}


@pytest.mark.parametrize("kind", DENSE)
def test_a_body_of_very_many_values_is_refused_before_it_is_read(kind: str) -> None:
    raw = b'{"model":"m","messages":[' + b",".join([DENSE[kind]] * 200_000) + b"]}"
    with pytest.raises(BadRequest, match=r"more than 50000 values; send fewer messages"):
        parse_json_object(raw + b"not JSON: nobody looks")


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([{"level": "info", "path": "C:\\logs\\"}] * 40_000),
        'if (a[i]) { b[i] = {x, y}; } // \\" ' * 40_000,
        "well, yes, " * 100_000,
    ],
)
def test_what_stands_in_long_texts_does_not_count(text: str) -> None:
    body = {"model": "m", "messages": [TINY, {"role": "user", "content": text}]}
    assert parse_json_object(orjson.dumps(body)) == body


def test_a_long_conversation_is_read() -> None:
    body = {"model": "m", "messages": [TINY] * 10_000}
    assert parse_json_object(orjson.dumps(body)) == body


VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet='a\\"{[,'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='k\\"{[,', max_size=3), inner),
    max_leaves=30,
)


@given(VALUES, st.integers(0, 40))
def test_values_are_counted_as_they_are(value: object, limit: int) -> None:
    raw = json.dumps(value).encode() + b" " * (2 * limit + 1)
    assert exceeds_values(raw, limit) is (marks(value) > limit)


def marks(value: object) -> int:
    """Brackets and commas of JSON without its texts."""
    if not isinstance(value, list | dict):
        return 0
    inner = list(value.values()) if isinstance(value, dict) else value
    return 1 + max(0, len(inner) - 1) + sum(marks(one) for one in inner)


@pytest.fixture
async def caller() -> AsyncIterator[ClientConnectionState]:
    alarm = DeadlineTimer(asyncio.get_running_loop())
    yield ClientConnectionState(alarm)
    alarm.close()


class Work:
    """Works in a task for a caller who never gets an answer."""

    def __init__(self, caller: ClientConnectionState, seconds: float = 60, *, reading: bool = False) -> None:
        self.watch = CancelScope(caller, seconds, is_reading_body=reading)
        self.told: tuple[object, ...] | None = None
        self.cancelling = -1
        self.task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        try:
            with self.watch:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError as cancelled:
                    self.told = cancelled.args
                    raise
        finally:
            task = asyncio.current_task()
            self.cancelling = task.cancelling() if task else -1


async def test_who_works_for_a_caller_that_hangs_up_is_stopped(caller: ClientConnectionState) -> None:
    works = [Work(caller), Work(caller, float("inf"))]
    await asyncio.sleep(0)
    caller.disconnect()
    caller.disconnect()
    for work in works:
        with pytest.raises(ClientDisconnected):
            await work.task
        assert (work.told, work.watch.client_disconnected, work.cancelling) == ((CLIENT_DISCONNECTED,), True, 0)


async def test_who_works_too_long_is_stopped(caller: ClientConnectionState) -> None:
    work, other = Work(caller, 0.05), Work(caller)
    with pytest.raises(TimeoutError):
        await work.task
    assert (work.told, work.watch.client_disconnected, work.cancelling) == ((DEADLINE_EXCEEDED,), False, 0)
    assert not other.task.done()
    caller.disconnect()
    with pytest.raises(ClientDisconnected):
        await other.task


async def test_a_hang_up_is_left_to_who_reads_the_body_until_that_has_come(caller: ClientConnectionState) -> None:
    work = Work(caller, reading=True)
    await asyncio.sleep(0)
    caller.disconnect()
    await asyncio.sleep(0.01)
    assert not work.task.done()
    work.watch.body_received()
    with pytest.raises(ClientDisconnected):
        await work.task


async def test_time_passes_while_the_body_is_read(caller: ClientConnectionState) -> None:
    work = Work(caller, 0.05, reading=True)
    with pytest.raises(TimeoutError):
        await work.task
    assert work.watch.is_reading_body


async def test_nobody_begins_to_work_for_who_is_gone(caller: ClientConnectionState) -> None:
    caller.disconnect()
    work = Work(caller)
    with pytest.raises(ClientDisconnected):
        await work.task
    assert work.told == (CLIENT_DISCONNECTED,)


async def test_what_waits_for_nothing_is_not_stopped_nor_what_follows(caller: ClientConnectionState) -> None:
    caller.disconnect()
    with CancelScope(caller) as watch:
        watch.body_received()
    await asyncio.sleep(0.01)
    with CancelScope(caller, 0.0, is_reading_body=True):
        pass
    await asyncio.sleep(0.01)
    assert not watch.client_disconnected


@pytest.mark.parametrize("hangs_up", [False, True])
async def test_who_is_cancelled_by_others_as_well_stays_cancelled(
    caller: ClientConnectionState, hangs_up: bool
) -> None:
    work = Work(caller, 60 if hangs_up else 0.01)
    await asyncio.sleep(0)
    work.task.cancel("others")
    if hangs_up:
        caller.disconnect()
    else:
        work.watch.on_deadline()
    with pytest.raises(ClientDisconnected if hangs_up else asyncio.CancelledError):
        await work.task
    assert work.cancelling == 1


async def test_an_error_of_the_work_s_own_is_told_where_only_time_is_over(caller: ClientConnectionState) -> None:
    async def fails() -> None:
        with CancelScope(caller, 0.01):
            try:
                await asyncio.Event().wait()
            finally:
                raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        await fails()


async def test_the_time_of_a_part_of_the_work_is_its_own(caller: ClientConnectionState) -> None:
    with CancelScope(caller, 0.2) as watch, pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()
    assert not watch.client_disconnected
