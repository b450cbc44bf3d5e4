"""Redaction looks for cheap signs first, and finds what it found without them, letter by letter."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support import reference_redaction as plain
from tests.support.event_samples import ANSWERED

from understudies.events import Invocation, Request
from understudies.redaction.patterns import default_redactor
from understudies.redaction.redactor import Redactor, redact_request, redacted

SECRETS = [
    "sk-proj-abc123def456ghi789jkl",
    "sk-abcdefghijklmnopqrstuvwx",
    "sk_live_0123456789abcdefghij",
    "rk_test_abcdefghij0123456",
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNNAEXAMPLE",
    "ghp_0123456789abcdefghij0123",
    "gho_abcdefghijklmnopqrstuvw",
    "github_pat_11ABCDEFG0abcdefghijkl",
    "glpat-abcdefghij0123456789",
    "xoxb-123456789012-abcdefghijkl",
    "AIzaSyA-1234567890abcdefghijklmnopqrstu",
    "hf_abcdefghijklmnopqrst0123",
    "npm_abcdefghijklmnopqrstuvwxyz01234",
    "pypi-AgEIcHlwaS5vcmcCJDAwMDAwMDAwLTAwMDAtMDAwMC0wMDAw",
    "eyJhbGciOiJI.eyJzdWIiOiIx.dozjgNryP4",
    "eyJhbGciOi.eyJzdWI.",
    "Bearer abcdef1234567890xyz",
    "BEARER\t0123456789abcdefg",
    "bearer  internationalisation-of",
    "ada.l+x@mail.example.co.uk",
    "jürgen@müller.de",
    "a@b.cc",
    "a@b",
    "react@18.0.0",
    "DE89 3704 0044 0532 0130 00",
    "DE89 3704 0044 0532 0130 01",
    "gb29nwbk60161331926819",
    "NO9386011117947",
    "4111 1111 1111 1111",
    "4111111111111111",
    "4111-1111-1111-1111",
    "4111 1111 1111 1112",
    "3782 822463 10005",
    "4222222222222",
    "1234 4111 1111 1111 1111",
    "+49 (0)30 1234567",
    "+14155552671",
    "+1٢٣٤٥٦٧٨٩",
    "+12345678.50",
    "(555) 123-4567",
    "555-123-4567",
    "555.123.4567",
    "٥٥٥-123-4567",
    "5٥٥-1٢3-4567",
    "555-1234",
    "192.168.100.200:8080",
    "2024-01-15T10:30:00.123456789+00:00",
    "1,299.00",
    "4111111111111111.0",
    "٣٣٣٣ 4111 1111 1111 1111",
    "²sk-aaaaaaaaaaaaaaaa²",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nMII",
    "-----",
]
GLUE = [
    "",
    " ",
    "\n",
    "-",
    ".",
    ",",
    "_",
    "é",
    "1",
    "a",
    "A",
    "+",
    "@",
    "[",
    "]",
    "(",
    ")",
    "\t",
    "\r\n",
    "\ud800",
    "J",
]
NOISE = "aAeJyszkx0149+-._@ ()[]\n/=:é٣²DEGBsk-BearerghpAKI"

texts = st.one_of(
    st.lists(st.one_of(st.sampled_from(SECRETS), st.sampled_from(GLUE)), max_size=12).map("".join),
    st.lists(st.sampled_from([piece[:size] for piece in SECRETS for size in (1, 3, 5, 9, 14)]), max_size=20).map(
        "".join
    ),
    st.text(alphabet=NOISE, max_size=80),
    st.text(max_size=40),
)
numbers = st.one_of(st.integers(-(10**20), 10**20), st.floats(allow_nan=False, allow_infinity=False))
fields = st.one_of(
    texts,
    st.sampled_from(
        ["authorization", "X-Api-Key", "Client_Secret", "password", "headers", "url", "pass", "jwt", "auth"]
    ),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(fields, inner, max_size=3)),
    max_leaves=6,
)
documents = values.map(lambda value: json.dumps(value))
calls = st.fixed_dictionaries({"id": texts, "function": st.fixed_dictionaries({"name": texts, "arguments": documents})})
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool"])},
    optional={
        "content": st.one_of(texts, documents, st.lists(st.dictionaries(st.sampled_from(["text", "type"]), values))),
        "name": texts,
        "tool_calls": st.lists(calls, max_size=2),
        "tool_call_id": texts,
    },
)
objects = st.dictionaries(fields, values, max_size=3)
requests = st.fixed_dictionaries(
    {"messages": st.lists(messages, min_size=1, max_size=3)},
    optional={
        "tools": st.lists(objects, max_size=2),
        "tool_choice": values,
        "response_format": objects,
        "temperature": st.floats(0, 2),
        "parameters": objects,
    },
).map(Request.model_validate)


def shout(text: str) -> str:
    """Somebody's own redactor, which changes almost everything that it may."""
    return text if text in ("function", "user", "system", "developer", "assistant", "tool") else text.upper()


@given(texts)
@example("a\nDE89 3704 0044 0532 0130 00")
@settings(max_examples=1500, deadline=None)
def test_a_text_is_redacted_as_by_the_patterns_alone(text: str) -> None:
    assert default_redactor(text) == plain.default_redactor(text)


@pytest.mark.parametrize("before", GLUE)
@pytest.mark.parametrize("after", GLUE)
def test_every_secret_is_found_whatever_is_around_it(before: str, after: str) -> None:
    for secret in SECRETS:
        text = f"{before}{secret}{after}"
        assert default_redactor(text) == plain.default_redactor(text)


@pytest.mark.parametrize("secret", SECRETS)
def test_two_secrets_side_by_side_are_told_apart_as_before(secret: str) -> None:
    for other in SECRETS:
        for glue in ("", " ", "-", ".", "\n"):
            text = f"{secret}{glue}{other}"
            assert default_redactor(text) == plain.default_redactor(text)


@pytest.mark.parametrize(("redact", "reference"), [(default_redactor, plain.default_redactor), (shout, shout)])
@given(request=requests)
@settings(max_examples=400, deadline=None)
def test_a_request_is_redacted_as_text_by_text(redact: Redactor, reference: Redactor, request: Request) -> None:
    assert redact_request(request, redact) == plain.redacted_request(request, reference)


@pytest.mark.parametrize(("redact", "reference"), [(default_redactor, plain.default_redactor), (shout, shout)])
@given(
    request=requests,
    message=messages,
    error=st.none() | texts,
    tags=st.dictionaries(texts, texts, max_size=2),
    episode=st.none() | texts,
)
@settings(max_examples=300, deadline=None)
def test_an_invocation_is_redacted_as_text_by_text(
    redact: Redactor,
    reference: Redactor,
    request: Request,
    message: dict[str, Any],
    error: str | None,
    tags: dict[str, str],
    episode: str | None,
) -> None:
    told = {"request": request, "response": {"message": message}, "error": error, "tags": tags, "episode": episode}
    event = Invocation.model_validate({**ANSWERED.model_dump(), **told})
    assert redacted(event, redact) == plain.redacted(event, reference)
    clean = plain.redacted_request(request, reference)
    assert redacted(event, redact, request=clean) == plain.redacted(event, reference, request=clean)


def test_what_has_nothing_to_hide_is_not_copied() -> None:
    assert redacted(ANSWERED) is ANSWERED
    assert redact_request(ANSWERED.request) is ANSWERED.request


def test_a_redactor_is_called_once_for_each_text() -> None:
    seen: list[str] = []

    def number(text: str) -> str:
        seen.append(text)
        return f"{text}{len(seen)}" if text.startswith("who") else text

    body = {"messages": [{"role": "user", "content": "who a"}, {"role": "user", "content": "who b"}]}
    clean = redact_request(Request.model_validate(body), number)
    assert [message.content for message in clean.messages] == ["who a2", "who b4"]
    assert seen == ["user", "who a", "user", "who b"]
