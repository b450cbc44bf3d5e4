"""Who may read the status."""

from base64 import b64encode

import pytest

from understudies.router.endpoints.errors import HttpError
from understudies.runtime.addresses import is_loopback
from understudies.status.access import StatusAccess

LOCAL = "127.0.0.1:8080"


def allows(access: StatusAccess, host: str = LOCAL, authorization: str = "") -> bool:
    headers = [(b"host", host.encode("latin-1")), (b"authorization", authorization.encode("latin-1"))]
    return access.allows({"type": "http", "headers": headers})


@pytest.mark.parametrize("host", [LOCAL, "localhost:8080", "[::1]:8080", "localhost"])
def test_without_a_key_it_is_open_on_this_machine(host: str) -> None:
    assert allows(StatusAccess("127.0.0.1", "token"), host)


@pytest.mark.parametrize("host", ["rebound.example:8080", "127.0.0.1.example", "", "[", "10.0.0.1:80"])
def test_another_name_that_leads_to_this_machine_is_refused(host: str) -> None:
    assert not allows(StatusAccess("127.0.0.1", "token"), host)


@pytest.mark.parametrize("listens", ["0.0.0.0", "::", "10.0.0.1", "router.example"])
def test_on_other_addresses_it_is_closed_but_for_whoever_has_the_token_of_the_folder(listens: str) -> None:
    access = StatusAccess(listens, "token")
    assert not allows(access)
    assert not allows(access, authorization="Bearer other")
    assert allows(access, "router.example", "Bearer token")


def test_with_a_key_nobody_reads_it_without() -> None:
    access = StatusAccess("127.0.0.1", "token", "clé")
    assert not allows(access)
    assert not allows(access, authorization="clé")
    assert not allows(access, authorization="Basic clé")
    assert not allows(access, authorization=f"Basic {b64encode('clé:other'.encode()).decode()}")
    assert allows(access, authorization=f"Basic {b64encode('anyone:clé'.encode()).decode()}")
    assert not allows(access, authorization="Bearer ")
    assert allows(access, authorization="bearer clé")
    assert allows(access, authorization="Bearer token")


def test_loopback_addresses_are_known() -> None:
    assert [host for host in ("127.1.2.3", "::1", "localhost", "0.0.0.0", "example") if is_loopback(host)] == [
        "127.1.2.3",
        "::1",
        "localhost",
    ]


def change_status(method: str = "POST", **headers: str) -> int:
    """The status of the refusal of a request that changes something; 0 if it is allowed."""
    known = {"host": LOCAL, **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in known.items()]
    scope = {"type": "http", "method": method, "path": "/steering", "headers": raw}
    try:
        StatusAccess("127.0.0.1", "token").check_change(scope)
    except HttpError as error:
        return error.status
    return 0


def test_a_change_comes_from_a_command_or_from_a_page_of_its_own() -> None:
    assert change_status() == 0
    assert change_status(origin=f"http://{LOCAL}", sec_fetch_site="same-origin") == 0
    assert change_status("GET") == 405
    assert change_status(host="rebound.example") == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://127.0.0.1:9999", "http://[", "file://"])
def test_a_change_from_a_page_of_another_site_is_refused(origin: str) -> None:
    assert change_status(origin=origin) == 403


def test_a_browser_that_says_that_it_is_another_site_is_believed() -> None:
    assert change_status(sec_fetch_site="cross-site") == 403
    assert change_status(sec_fetch_site="same-site", origin=f"http://{LOCAL}") == 403


def test_with_a_key_for_steering_the_other_key_only_reads() -> None:
    access = StatusAccess("0.0.0.0", "token", key="reader", steering_key="writer")
    scope = {"type": "http", "method": "POST", "path": "/steering"}
    for key, refusal in (("reader", "steering_closed"), ("writer", None), ("token", None), ("other", "status_closed")):
        headers = [(b"host", LOCAL.encode()), (b"authorization", f"Bearer {key}".encode())]
        assert access.allows({**scope, "headers": headers}) == (key != "other")
        if refusal is None:
            access.check_change({**scope, "headers": headers})
        else:
            with pytest.raises(HttpError) as caught:
                access.check_change({**scope, "headers": headers})
            assert (caught.value.status, caught.value.code) == (401, refusal)


def test_with_a_key_for_steering_alone_this_machine_still_reads_without_one() -> None:
    access = StatusAccess("127.0.0.1", "token", steering_key="writer")
    scope = {"type": "http", "method": "POST", "path": "/steering", "headers": [(b"host", LOCAL.encode())]}
    assert access.allows(scope)
    with pytest.raises(HttpError, match="UNDERSTUDIES_STATUS_STEERING_KEY"):
        access.check_change(scope)
