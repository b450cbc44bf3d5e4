"""What has come of an event waits for the rest of it."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from understudies.dialects.sse import EventBoundaryBuffer

EVENTS = st.lists(
    st.sampled_from([b"data: x\n\n", b"data: y\r\n\r\n", b"event: a\ndata: b\n\n", b": ping\n\n", b"data: z\r\r"])
)
HALF = st.sampled_from([b"", b"data: ha", b"data: half\n"])


@given(EVENTS, HALF, st.lists(st.integers(0, 60)))
def test_all_bytes_pass_in_their_order_and_only_whole_events(events: list[bytes], half: bytes, cuts: list[int]) -> None:
    stream = b"".join(events)
    places = sorted({0, *(cut for cut in cuts if cut < len(stream + half)), len(stream + half)})
    whole = EventBoundaryBuffer()
    shown = [whole.feed((stream + half)[start:end]) for start, end in pairwise(places)]
    assert b"".join(shown) == stream
    assert all(piece == b"" or piece.endswith((b"\n\n", b"\n\r\n", b"\r\r")) for piece in shown)
    assert whole.flush() == half


def test_half_an_event_is_dropped_where_the_stream_breaks_off() -> None:
    whole = EventBoundaryBuffer()
    assert whole.feed(b"data: 1\n\ndata: {") == b"data: 1\n\n"
    assert whole.abort() == b""
    assert whole.flush() == b""


def test_a_long_event_is_not_waited_for_and_ended_where_it_breaks_off() -> None:
    whole = EventBoundaryBuffer()
    long = b"data: " + b"x" * 20_000
    assert whole.feed(long) == long
    assert whole.feed(b"yyy") == b"yyy"
    assert whole.abort() == b"\n\n"
    assert whole.feed(b"\n\ndata: z") == b"\n\n"
    assert whole.abort() == b""
