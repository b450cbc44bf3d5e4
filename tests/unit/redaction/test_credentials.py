"""Credentials that come in the body beside what was asked."""

import json
from typing import Any

import pytest
from tests.support.event_samples import ANSWERED

from understudies.client import redacted
from understudies.events import Request
from understudies.redaction.credentials import has_credentials, mask_credentials
from understudies.redaction.json_credentials import mask_json_credentials
from understudies.redaction.redactor import redact_request

ASKED = [{"role": "user", "content": "hello"}]


def left(**body: Any) -> Request:
    """The request of a body as it is recorded."""
    return redact_request(Request.model_validate({"messages": ASKED, **body}))


def test_the_token_of_an_mcp_server_is_masked() -> None:
    server = {"type": "url", "url": "https://mcp.example/sse", "name": "files", "authorization_token": "hunter2"}
    found = left(parameters={"mcp_servers": [server], "max_tokens": 9}).parameters
    assert found == {"mcp_servers": [{**server, "authorization_token": "[KEY]"}], "max_tokens": 9}


@pytest.mark.parametrize(
    "name",
    [
        "dbPassword",
        "OPENAI_API_KEY",
        "accessToken",
        "github_token",
        "AWS_SECRET_ACCESS_KEY",
        "passphrase",
        "passcode",
        "PWD",
        "pass",
        "auth",
        "senha",
        "contraseña",
        "contrasena",
        "kennwort",
        "Passwort",
        "jwt",
        "credential",
        "credentials",
        "webhook_secret",
    ],
)
def test_every_name_that_is_known_is_found_by_the_quick_search_too(name: str) -> None:
    fields = {name: "a1b2c3d4e5"}
    assert mask_credentials(fields) == {name: "[KEY]"}
    assert has_credentials(json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode())
    text = json.dumps(fields, ensure_ascii=False)
    assert mask_json_credentials(text) == text.replace("a1b2c3d4e5", "[KEY]")


def test_all_headers_of_a_tool_at_a_server_are_masked() -> None:
    tool = {"type": "mcp", "server_url": "https://mcp.example", "authorization": "hunter2"}
    [found] = left(tools=[{**tool, "headers": {"X-Api-Key": "abc", "X-Tenant": "blue"}}]).tools or ()
    assert found == {**tool, "authorization": "[KEY]", "headers": {"X-Api-Key": "[KEY]", "X-Tenant": "[KEY]"}}


@pytest.mark.parametrize(
    "name",
    ["authorization", "Authorization", "X-Api-Key", "api_key", "apiKey", "password", "client-secret", "REFRESH_TOKEN"],
)
def test_a_text_under_the_name_of_a_credential_is_masked_at_any_depth(name: str) -> None:
    found = left(parameters={"a": [{"b": {name: "hunter2", "other": "x"}}]}).parameters
    assert found == {"a": [{"b": {name: "[KEY]", "other": "x"}}]}


def test_a_schema_with_properties_of_such_names_stays_as_it_is() -> None:
    properties = {
        "password": {"type": "string", "description": "at least 8 letters"},
        "headers": {"type": "object", "description": "sent along"},
        "url": {"type": "string"},
    }
    schema = {"type": "object", "properties": properties, "required": ["password", "headers"]}
    request = Request.model_validate(
        {"messages": ASKED, "tools": [{"type": "function", "function": {"parameters": schema}}]}
    )
    assert redact_request(request) is request


def test_what_is_no_text_or_no_name_of_a_credential_stays() -> None:
    kept = {"password": "", "secret": None, "api_key": 5, "max_token": "x", "passwords": "many", "headers": {"a": "b"}}
    assert left(parameters=kept).parameters == kept


def test_json_in_a_text_is_masked_by_the_names_of_its_fields_too() -> None:
    said = '{"password": "hunter2", "mail": "ada@example.org", "password_policy": "long"}'
    [message] = left(messages=[{"role": "user", "content": said}]).messages
    assert message.content == '{"password": "[KEY]", "mail": "[EMAIL]", "password_policy": "long"}'


def test_prose_keeps_what_it_says_of_passwords() -> None:
    said = "My password: hunter2"
    request = Request.model_validate({"messages": [{"role": "user", "content": said}]})
    assert redact_request(request) is request


def test_an_episode_with_personal_data_has_one_other_name_for_all_its_calls() -> None:
    first, second, again = (
        redacted(ANSWERED.model_copy(update={"episode": f"{name}@example.org"})).episode
        for name in ("ada", "bob", "ada")
    )
    assert first is not None
    assert first.startswith("[EMAIL]-")
    assert first == again != second
    assert redacted(ANSWERED).episode == ANSWERED.episode


def test_tags_are_redacted_by_name_and_value() -> None:
    tagged = ANSWERED.model_copy(update={"tags": {"ada@example.org": "bob@example.org", "team": "field"}})
    assert redacted(tagged).tags == {"[EMAIL]": "[EMAIL]", "team": "field"}
