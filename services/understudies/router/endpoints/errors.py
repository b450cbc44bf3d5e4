"""Map what the router cannot serve to HTTP errors in the shape of the client's API."""

import asyncio
from collections.abc import Mapping

import orjson
from starlette.types import Send

from understudies.dialects.base import Dialect
from understudies.dialects.registry import dialect_of
from understudies.router.call import TeacherError
from understudies.router.endpoints.responses import send_response


class HttpError(Exception):
    """Raised for a request that the router itself answers with an error."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = dict(headers or {})


def request_timeout(seconds: float) -> HttpError:
    """Return the error for a body that did not arrive in time; it closes the connection, which is unusable by then."""
    message = f"the body did not come within {seconds:g} s"
    return HttpError(408, message, code="request_timeout", headers={"connection": "close"})


def to_http_error(error: Exception) -> HttpError:
    """Map an error to an HTTP error; an unexpected one without its text, which may quote a prompt."""
    if isinstance(error, HttpError):
        return error
    if isinstance(error, BadRequest):
        return HttpError(400, str(error), code="invalid_request", param=error.param)
    if isinstance(error, PayloadTooLarge):
        return HttpError(413, str(error), code="request_too_large")
    if isinstance(error, TeacherError):
        return HttpError(error.status, error.message, code=error.code, headers=error.headers)
    if isinstance(error, asyncio.TimeoutError):
        return HttpError(504, "the router's time-out passed", code="timeout")
    return HttpError(500, "the router failed; its log says why", code="router_failed")


async def send_error(send: Send, error: HttpError, api: Dialect | None) -> None:
    """Send an error response in the format of an API, by default OpenAI's."""
    dialect = api or dialect_of("chat")
    body = dialect.encode_error(error.status, error.message, code=error.code, param=error.param)
    await send_response(send, error.status, error.headers, orjson.dumps(body))


class BadRequest(Exception):  # noqa: N818 - the name of the status
    """Raised for an invalid request, which the caller has to change; `param` names the field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class PayloadTooLarge(Exception):  # noqa: N818 - the name of the status
    """Raised when a body exceeds its limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")


class ClientDisconnected(Exception):  # noqa: N818 - the name of the event
    """Raised when the client has disconnected."""
