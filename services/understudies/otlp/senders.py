"""Admit senders of spans: by their keys, and without one on a loopback address only."""

from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import Scope

from understudies.router.endpoints.admission import Admission
from understudies.router.endpoints.auth import Tenant
from understudies.router.endpoints.errors import HttpError
from understudies.router.endpoints.request_context import headers_by_name
from understudies.runtime.addresses import hostname_of, is_loopback


@dataclass(frozen=True, slots=True)
class Sender:
    """An admitted sender, with the head of its request."""

    tenant: Tenant
    content_encoding: str
    content_length: str | None
    max_body_bytes: int
    resolve_task: Callable[[str], str] = field(repr=False)
    """Returns the qualified name of a task; raises HttpError or BadRequest if the tenant may not call it."""


class Senders:
    """Admits senders to a receiver that listens on `host`, by the rules that the router admits callers by.

    Without a key only this machine may send, and only under a loopback name: a page of another site, whose name was
    made to lead here, cannot.
    """

    def __init__(self, admission: Admission, host: str) -> None:
        self._admission = admission
        self._host = host

    def admit(self, scope: Scope) -> Sender:
        """Return the sender of a request; raises HttpError (401, 403) if it may not send."""
        headers = headers_by_name(scope)
        tenant = self._admission.find_tenant(headers)
        if tenant is None:
            tenant = self._admission.admit(scope).principal.tenant
            if not (is_loopback(self._host) and is_loopback(hostname_of(headers.get("host", "")))):
                raise HttpError(
                    403,
                    "spans are taken without a key on a loopback address only: give a tenant a key in the rules "
                    "(`understudies keys`), and send it as Authorization: Bearer KEY",
                )
        return Sender(
            tenant,
            headers.get("content-encoding", ""),
            headers.get("content-length"),
            self._admission.max_body_bytes,
            lambda task: self._admission.resolve_task(tenant, task),
        )
