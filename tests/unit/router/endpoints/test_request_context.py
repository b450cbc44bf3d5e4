"""What the head of a request says."""

from typing import Any

import pytest

from understudies.router.endpoints.request_context import headers_by_name


def _scope(*headers: tuple[str, str]) -> dict[str, Any]:
    return {"headers": [(name.encode(), value.encode()) for name, value in headers]}


def test_a_repeated_list_is_one_list() -> None:
    scope = _scope(
        ("anthropic-beta", "a-1"), ("accept", "x/y"), ("Anthropic-Beta", " b-2, c-3"), ("anthropic-beta", "")
    )
    assert headers_by_name(scope) == {"anthropic-beta": "a-1, b-2, c-3", "accept": "x/y"}


@pytest.mark.parametrize("name", ["authorization", "content-type", "anthropic-version", "x-understudies-task"])
def test_of_a_repeated_header_that_is_no_list_the_last_counts(name: str) -> None:
    assert headers_by_name(_scope((name, "first"), ("openai-beta", "b"), (name, "last"))) == {
        name: "last",
        "openai-beta": "b",
    }
