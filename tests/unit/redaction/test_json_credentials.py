"""Credentials in JSON that a text is or holds are masked by the names of their fields, and nothing else changes."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.event_samples import ANSWERED

from understudies.client import redacted
from understudies.events import FunctionCall, Message, Request, Response, ToolCall
from understudies.redaction.credential_names import credential_certainty, is_credential
from understudies.redaction.json_credentials import has_json_credentials, mask_json_credentials
from understudies.redaction.redactor import redact_request
from understudies.students.answer_validation import validation_error

NAMES = ["password", "dbPassword", "api_key", "X-Api-Key", "secret", "token", "next_page_token", "city", "ID", "clé"]
VALUES = [
    "hunter2",
    "required",
    'qu"ote',
    "back\\",
    "\\",
    "",
    "line\nbreak",
    "a1b2c3d4e5",
    "The one of the user",
    "[KEY]",
]

fields = st.sampled_from(NAMES)
documents = st.recursive(
    st.one_of(st.sampled_from(VALUES), st.integers(0, 10**8), st.booleans(), st.none(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(fields, inner, max_size=4),
        inner.map(lambda value: json.dumps(value)),
    ),
    max_leaves=12,
)


def expected(value: Any, depth: int = 0) -> Any:
    """The document with its credentials masked, by a walk through what was parsed."""
    if isinstance(value, dict):
        return {name: masked(name, item, depth) for name, item in value.items()}
    if isinstance(value, list):
        return [expected(item, depth) for item in value]
    if isinstance(value, str) and depth < 3:
        try:
            return json.dumps(expected(json.loads(value), depth + 1))
        except ValueError:
            return value
    return value


def masked(name: str, item: Any, depth: int) -> Any:
    certainty = credential_certainty(name)
    if certainty is None:
        return expected(item, depth)
    if isinstance(item, list):
        return [masked(name, one, depth) if isinstance(one, str) else expected(one, depth) for one in item]
    if isinstance(item, str) and is_credential(certainty, json.dumps(item)[1:-1]):
        return "[KEY]"
    if certainty == "password" and type(item) is int and item > 999:
        return "[KEY]"
    return expected(item, depth)


@given(documents)
@settings(max_examples=500, deadline=None)
def test_json_stays_json_and_only_credentials_go(document: Any) -> None:
    text = json.dumps(document)
    found = mask_json_credentials(text)
    if text.count("\\") == 0:  # a string of JSON is masked too; its own strings are compared by the next test
        assert json.loads(found) == expected(document)
    json.loads(found)
    assert mask_json_credentials(found) == found
    assert found == text or has_json_credentials(json.dumps(text).encode())


@given(st.dictionaries(fields, st.sampled_from(VALUES), max_size=5), st.integers(0, 3), st.sampled_from([None, 2]))
@settings(max_examples=300, deadline=None)
def test_json_in_strings_of_json_is_masked_up_to_three_levels_in(
    document: dict[str, str], levels: int, indent: int | None
) -> None:
    text = json.dumps(document, indent=indent)
    for _ in range(levels):
        text = json.dumps({"body": text, "more": 1})
    found = mask_json_credentials(text)
    for _ in range(levels):
        outer = json.loads(found)
        assert outer["more"] == 1
        found = outer["body"]
    got = json.loads(found)
    assert got.keys() == document.keys()
    for name, value in document.items():
        certainty = credential_certainty(name)
        raw = json.dumps(value)[1:-1]
        assert got[name] == ("[KEY]" if certainty is not None and is_credential(certainty, raw) else value)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            'Call it with {"api_key": "k-1", "q": "Rome"} please',
            'Call it with {"api_key": "[KEY]", "q": "Rome"} please',
        ),
        ('```json\n{\n  "password" : "hunter2"\n}\n```', '```json\n{\n  "password" : "[KEY]"\n}\n```'),
        ('{"password": "hunt', '{"password": "[KEY]'),
        ('{"env": [{"name": "DB_PASSWORD", "value": "x1"}]}', '{"env": [{"name": "DB_PASSWORD", "value": "[KEY]"}]}'),
        ('{"api_keys": ["a1", "b2"], "n": 1e5}', '{"api_keys": ["[KEY]", "[KEY]"], "n": 1e5}'),
        ('{"password": 483920, "order": 483920}', '{"password": "[KEY]", "order": 483920}'),
        ('{"authorization": "Bearer abcdef"}', '{"authorization": "[KEY]"}'),
        ('{"github_token": "a1b2c3d4", "PWD": "$ecret"}', '{"github_token": "[KEY]", "PWD": "[KEY]"}'),
    ],
)
def test_wherever_it_stands_the_credential_alone_goes(text: str, left: str) -> None:
    assert mask_json_credentials(text) == left


@pytest.mark.parametrize(
    "text",
    [
        '{"password": "required", "token": "approved", "secret": "yes"}',
        '{"properties": {"password": {"type": "string"}}, "required": ["password"]}',
        '{"password": "<the password>", "api_key": "$API_KEY", "token": "****"}',
        '{"next_page_token": "aB3dE5gH7", "max_tokens": 900, "primary_key": "id", "key": "a1b2c3d4"}',
        '{"authorization": "pre-approved by the insurer", "token": "the", "secret_ingredient": "nutmeg"}',
        'the "password": it is',
        '{"intent": "change_password", "keyboard": "qwerty12345"}',
        '{"PWD": "/home/ada7", "pass": "boarding pass A12", "auth": "oauth2"}',
    ],
)
def test_what_is_no_credential_stays_letter_by_letter(text: str) -> None:
    assert mask_json_credentials(text) is text


def test_arguments_of_tools_are_masked_in_requests_and_answers() -> None:
    arguments = '{"user":"ada","password":"hunter2","tries":3}'
    left = '{"user":"ada","password":"[KEY]","tries":3}'
    call = ToolCall(id="c-1", function=FunctionCall(name="log_in", arguments=arguments))
    asked = Message(role="assistant", tool_calls=(call,))
    told = Message(role="tool", tool_call_id="c-1", content='{"access_token":"a1b2","expires":60}')
    event = ANSWERED.model_copy(
        update={"request": Request(messages=(asked, told)), "response": Response(message=asked), "error": arguments}
    )
    clean = redacted(event)
    first, second = clean.request.messages
    assert first.tool_calls is not None
    assert first.tool_calls[0].function.arguments == left
    assert second.content == '{"access_token":"[KEY]","expires":60}'
    assert clean.response is not None
    assert clean.response.message.tool_calls is not None
    assert clean.response.message.tool_calls[0].function.arguments == left
    assert clean.error == left


def test_a_student_never_serves_what_it_learned_in_the_place_of_a_credential() -> None:
    request = Request(messages=(Message(role="user", content='log in with {"password": "hunter2"}'),))
    assert redact_request(request).messages[0].content == 'log in with {"password": "[KEY]"}'
    learned = Message(role="assistant", content='{"user": "ada", "password": "[KEY]"}')
    assert "[KEY]" in (validation_error(request, learned) or "")


@pytest.mark.parametrize(
    "evil",
    [
        '"password":"' * 20_000,
        '"password":[' * 20_000,
        "\\" * 200_000 + '"password":',
        '"password": "' + '\\"' * 100_000,
        '"name":"password",' * 20_000,
        '":' + '"key' * 50_000,
    ],
)
def test_whatever_the_text_it_takes_linear_time(evil: str) -> None:
    began = time.process_time()
    mask_json_credentials(evil)
    assert time.process_time() - began < 10
