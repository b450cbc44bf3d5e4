from hypothesis import given
from hypothesis import strategies as st
from tests.support.recording import message

from understudies.router.recording.spool.segment import decode_frames, encode_frame, frame_size
from understudies.runtime.bus.messages import BusMessage

texts = st.text(st.characters(codec="utf-8"), max_size=20)
messages = st.builds(
    BusMessage,
    texts,
    st.binary(max_size=200),
    st.none() | st.binary(max_size=20),
    st.lists(st.tuples(texts, st.binary(max_size=20)), max_size=4).map(tuple),
)


def read(data: bytes) -> list[BusMessage | None]:
    return [frame.message for frame in decode_frames(data)]


@given(st.lists(messages, max_size=5))
def test_messages_come_back_as_they_were(sent: list[BusMessage]) -> None:
    assert read(b"".join(map(encode_frame, sent))) == sent


@given(st.lists(messages, min_size=1, max_size=4), st.data())
def test_whatever_is_cut_off_the_frames_before_are_read(sent: list[BusMessage], data: st.DataObject) -> None:
    whole = b"".join(map(encode_frame, sent[:-1]))
    last = encode_frame(sent[-1])
    cut = data.draw(st.integers(0, len(last) - 1))
    assert read(whole + last[:cut]) == sent[:-1]


@given(st.lists(messages, min_size=1, max_size=4), st.data())
def test_a_spoilt_byte_is_told_and_never_becomes_another_message(sent: list[BusMessage], data: st.DataObject) -> None:
    good = b"".join(map(encode_frame, sent))
    place = data.draw(st.integers(0, len(good) - 1))
    flipped = data.draw(st.integers(1, 255))
    bad = good[:place] + bytes([good[place] ^ flipped]) + good[place + 1 :]
    found = read(bad)
    assert [one for one in found if one is not None] != sent
    assert all(one is None or one in sent for one in found)


def test_a_spoilt_body_costs_one_message_alone() -> None:
    first, second, third = (encode_frame(message(number)) for number in range(3))
    spoilt = second[:-1] + bytes([second[-1] ^ 1])
    assert read(first + spoilt + third) == [message(0), None, message(2)]


def test_zeros_where_a_machine_ended_are_no_frames() -> None:
    assert read(encode_frame(message(0)) + bytes(4096)) == [message(0)]
    assert frame_size(bytes(100)) == 0


def test_the_length_of_a_frame_is_known_from_its_beginning() -> None:
    frame = encode_frame(message(0))
    assert frame_size(frame[:8]) == len(frame)
    assert frame_size(frame[:7]) == 0
