"""What the teacher is sent."""

import json
from typing import Any

import pytest

from understudies.dialects.base import Api
from understudies.dialects.registry import DIALECTS, dialect_of

EVERY = pytest.mark.parametrize("api", DIALECTS)


def sent(api: Api, body: dict[str, Any], *, model: str = "m", usage: bool = False) -> Any:
    raw = json.dumps(body, indent=1).encode()
    given = dialect_of(api).encode_upstream_request(raw, body, model=model, usage=usage)
    return "as it came" if given is raw else json.loads(given)


@EVERY
def test_bytes_go_on_as_they_came(api: Api) -> None:
    assert sent(api, {"model": "m", "metadata": {"a": "b"}, "odd": [1.0]}) == "as it came"


@EVERY
def test_another_model_is_named(api: Api) -> None:
    assert sent(api, {"odd": 1, "model": "understudies/t"}) == {"odd": 1, "model": "m"}


@EVERY
def test_a_task_is_the_routers_business(api: Api) -> None:
    assert sent(api, {"model": "m", "metadata": {"task": "t"}}) == {"model": "m"}
    assert sent(api, {"model": "m", "metadata": {"task": "t", "a": "b"}}) == {"model": "m", "metadata": {"a": "b"}}


@pytest.mark.parametrize("options", [None, {"include_usage": False, "include_obfuscation": False}])
def test_a_chats_stream_is_asked_for_its_usage(options: Any) -> None:
    body = {"model": "m", "stream": True, "stream_options": options}
    expected = {**body, "stream_options": {**(options or {}), "include_usage": True}}
    assert sent("chat", body, usage=True) == expected
    assert sent("chat", body) == "as it came"


@pytest.mark.parametrize(
    ("api", "body"),
    [
        ("chat", {"model": "m", "stream": True, "stream_options": {"include_usage": True}}),
        ("chat", {"model": "m", "stream": False}),
        ("responses", {"model": "m", "stream": True}),
        ("messages", {"model": "m", "stream": True}),
    ],
)
def test_what_reports_its_usage_anyway_is_not_asked(api: Api, body: dict[str, Any]) -> None:
    assert sent(api, body, usage=True) == "as it came"


def test_what_is_asked_in_addition_leaves_all_other_bytes_as_they_are() -> None:
    raw = b' { "model":"m", "stream" : true, "seed": 12345678901234567890123, "odd": [1.0, 1e2] } '
    sent_body = dialect_of("chat").encode_upstream_request(raw, json.loads(raw), model="m", usage=True)
    assert sent_body == b' {"stream_options":{"include_usage":true},' + raw[2:]


@EVERY
def test_integers_of_any_size_keep_their_digits(api: Api) -> None:
    raw = b'{"model":"alias","n":12345678901234567890123,"m":[-9223372036854775809],"metadata":{"task":"t"}}'
    rounded = {"model": "alias", "n": 1.2345678901234568e22, "m": [-9.223372036854776e18], "metadata": {"task": "t"}}
    given = dialect_of(api).encode_upstream_request(raw, rounded, model="m")
    assert json.loads(given) == {"model": "m", "n": 12345678901234567890123, "m": [-9223372036854775809]}


@EVERY
def test_what_cannot_be_written_again_is_refused(api: Api) -> None:
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    with pytest.raises(ValueError, match=r"not to be written"):
        dialect_of(api).encode_upstream_request(b"", {"model": "m", "deep": deep}, model="other")
