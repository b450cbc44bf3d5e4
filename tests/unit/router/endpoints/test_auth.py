import itertools
from collections.abc import Mapping
from decimal import Decimal

import pytest
from starlette.datastructures import Headers

from understudies.router.endpoints.auth import CREDENTIALS, Authenticator, AuthError, Principal, Tenant
from understudies.runtime.rules.api_keys import generate_key, key_hash
from understudies.runtime.rules.router import RouterRules
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.tenant import TenantRules

ACME, OTHER, LOST = generate_key(), generate_key(), generate_key()
TENANTS = {
    "acme": TenantRules(
        keys=(key_hash(ACME), key_hash(generate_key())), daily_budget_usd=Decimal(5), over_budget="refuse"
    ),
    "other": TenantRules(keys=(key_hash(OTHER),), tasks=("support-*", "triage"), own_teacher_key=True),
}
KEYED = Authenticator.from_rules(Rules(tenants=TENANTS))
OPEN = Authenticator.from_rules(Rules())
EITHER = Authenticator.from_rules(Rules(tenants=TENANTS, router=RouterRules(require_key=False)))


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def admitted(access: Authenticator, headers: Mapping[str, str]) -> Principal:
    found = access.authenticate(headers)
    assert isinstance(found, Principal), found
    return found


def denied(access: Authenticator, headers: Mapping[str, str]) -> AuthError:
    found = access.authenticate(headers)
    assert isinstance(found, AuthError)
    return found


@pytest.mark.parametrize(
    "headers",
    [bearer(ACME), {"authorization": f"bearer   {ACME} "}, {"x-api-key": ACME}, {"api-key": ACME}, {
        "authorization": "Bearer sk-of-a-client-that-must-have-one", "x-api-key": ACME}],
)  # fmt: skip
def test_a_key_is_known_in_every_header_that_clients_use(headers: dict[str, str]) -> None:
    found = admitted(KEYED, headers)
    assert (found.tenant.name, found.tenant.daily_budget_usd, found.tenant.over_budget) == (
        "acme",
        Decimal(5),
        "refuse",
    )
    assert found.credentials == {}


def test_headers_of_the_server_will_do() -> None:
    assert admitted(KEYED, Headers({"Authorization": f"Bearer {OTHER}"})).tenant.name == "other"


@pytest.mark.parametrize("headers", [{}, bearer(""), {"authorization": "Basic YTpi"}, {"x-api-key": " "}])
def test_without_a_key_nobody_calls(headers: dict[str, str]) -> None:
    found = denied(KEYED, headers)
    assert (found.status, found.code) == (401, "missing_api_key")
    assert found.headers == {"www-authenticate": 'Bearer realm="understudies"'}


@pytest.mark.parametrize(
    "key",
    [LOST, ACME[:-1], ACME + "x", ACME.lower(), "sk-proj-x", "\x80\xff", "\ud800", "k" * 10_000],
    ids=["lost", "shorter", "longer", "lower", "foreign", "latin", "surrogate", "huge"],
)
def test_a_wrong_key_is_refused_and_not_shown(key: str) -> None:
    found = denied(KEYED, bearer(key))
    assert (found.status, found.code) == (401, "invalid_api_key")
    assert key not in repr(found)


def test_hashes_are_no_keys() -> None:
    assert denied(KEYED, bearer(key_hash(ACME))).code == "invalid_api_key"


def test_every_key_of_many_is_its_tenants() -> None:
    keys = {f"t{number}": [generate_key(), generate_key()] for number in range(50)}
    access = Authenticator.from_rules(
        Rules(tenants={n: TenantRules(keys=tuple(map(key_hash, ks))) for n, ks in keys.items()})
    )
    for name, key in itertools.chain.from_iterable(((name, key) for key in own) for name, own in keys.items()):
        assert admitted(access, bearer(key)).tenant.name == name


def test_digests_that_begin_alike_are_told_apart() -> None:
    alike = bytes(range(8))
    first, second = Tenant("first"), Tenant("second")
    access = Authenticator([(alike + bytes(24), first), (alike + bytes([1] * 24), second)], require_key=True)
    assert denied(access, bearer(ACME)).status == 401


# Without tenants, and with both kinds of callers


def test_without_tenants_anybody_calls_and_their_key_is_for_the_teacher() -> None:
    found = admitted(OPEN, {**bearer("sk-openai"), "x-api-key": "sk-ant", "accept": "*/*"})
    assert found.tenant == Tenant("default")
    assert found.credentials == {**bearer("sk-openai"), "x-api-key": "sk-ant"}
    assert admitted(OPEN, {}).credentials == {}


def test_where_no_key_is_required_tenants_are_known_all_the_same() -> None:
    assert admitted(EITHER, bearer(ACME)).tenant.name == "acme"
    assert admitted(EITHER, bearer(ACME)).credentials == {}
    assert admitted(EITHER, bearer("sk-openai")).tenant.name == "default"
    assert admitted(EITHER, bearer("sk-openai")).credentials == bearer("sk-openai")


@pytest.mark.parametrize("access", [OPEN, EITHER])
def test_a_key_of_a_router_that_is_not_known_is_never_passed_on(access: Authenticator) -> None:
    assert denied(access, bearer(LOST)).code == "invalid_api_key"


def test_what_holds_for_callers_without_a_key_is_said_by_the_tenant_default() -> None:
    rules = Rules(
        tenants={**TENANTS, "default": TenantRules(keys=(), tasks=("triage",))}, router=RouterRules(require_key=False)
    )
    tenant = admitted(Authenticator.from_rules(rules), {}).tenant
    assert (tenant.name, tenant.can_call("triage"), tenant.can_call("refunds")) == ("default", True, False)


# A teacher's key brought along


def test_a_tenant_that_may_brings_the_teachers_key() -> None:
    brought = {"x-understudies-teacher-key": "sk-openai"}
    assert admitted(KEYED, {**bearer(OTHER), **brought}).credentials == bearer("sk-openai")
    assert admitted(KEYED, {"x-api-key": OTHER, **brought}).credentials == {"x-api-key": "sk-openai"}
    assert admitted(KEYED, {"api-key": OTHER, **brought}).credentials == bearer("sk-openai")


def test_a_tenant_that_may_not_is_told_so() -> None:
    found = denied(KEYED, {**bearer(ACME), "x-understudies-teacher-key": "sk-openai"})
    assert (found.status, found.code, found.headers) == (403, "teacher_key_not_allowed", {})


def test_all_headers_that_hold_keys_are_named() -> None:
    assert {"authorization", "x-api-key", "api-key", "x-understudies-teacher-key"} == CREDENTIALS


# Nothing shows a key


def test_nothing_shows_a_key_or_its_hash() -> None:
    found = admitted(KEYED, {**bearer(OTHER), "x-understudies-teacher-key": "sk-openai"})
    shown = f"{found!r} {found} {KEYED!r} {EITHER!r} {admitted(OPEN, bearer('sk-openai'))!r}"
    assert not [secret for secret in ("sk-openai", OTHER, key_hash(OTHER)[7:]) if secret in shown]


# Tasks


def test_a_tenant_calls_the_tasks_that_its_globs_name() -> None:
    tenant = admitted(KEYED, bearer(OTHER)).tenant
    assert tenant.is_restricted
    asked = {"support-refunds", "support-", "triage", "triage-2", "Triage", "x\ntriage", ""}
    assert {task for task in asked if tenant.can_call(task)} == {"support-refunds", "support-", "triage"}


def test_a_tenant_without_tasks_named_calls_all_and_with_none_named_nothing() -> None:
    everything = admitted(KEYED, bearer(ACME)).tenant
    assert not everything.is_restricted
    assert everything.can_call("anything")
    assert not Tenant.from_rules("t", TenantRules(keys=(), tasks=())).can_call("anything")
