"""Whether a call may train a student, as its tenant's rule and the call itself say it, through a whole router."""

from collections.abc import AsyncIterator

import pytest
from tests.support.fake_teacher_responses import Api
from tests.support.router_harness import APIS, BuildHarness, router_harnesses

from understudies.runtime.rules.api_keys import generate_key, key_hash

KEY = generate_key()


@pytest.fixture
async def build() -> AsyncIterator[BuildHarness]:
    async with router_harnesses() as build:
        yield build


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    ("rule", "header", "tags"),
    [
        (None, None, {}),
        (None, "true", {"consent": "yes"}),
        (True, None, {"consent": "yes"}),
        (True, "no", {"consent": "no"}),
        (False, "yes", {"consent": "no"}),
    ],
)
async def test_the_event_of_a_call_carries_it(
    build: BuildHarness, api: Api, rule: bool | None, header: str | None, tags: dict[str, str]
) -> None:
    tenant = {"keys": [key_hash(KEY)], **({} if rule is None else {"consent": rule})}
    house = await build(rules={"tenants": {"shop": tenant}}, teachers={"teacher": {"auth": "none"}})
    got = await house.ask(api, key=KEY, headers={} if header is None else {"X-Understudies-Consent": header})
    assert got.status == 200
    assert (await house.event()).tags == tags
    assert "x-understudies-consent" not in house.teacher.headers[0]


async def test_a_misspelt_word_is_refused(build: BuildHarness) -> None:
    house = await build()
    got = await house.ask("chat", headers={"X-Understudies-Consent": "nope"})
    assert (got.status, b"X-Understudies-Consent" in got.body) == (400, True)
