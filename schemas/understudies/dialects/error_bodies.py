"""Build error bodies in the shapes of OpenAI's and Anthropic's APIs."""

from typing import Any, Final

_OPENAI_ERROR_TYPES: Final = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def openai_error(status: int, message: str, code: str | None, param: str | None) -> dict[str, Any]:
    """Build OpenAI's body of an error with an HTTP status."""
    kind = _OPENAI_ERROR_TYPES.get(status) or ("invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


_ANTHROPIC_ERROR_TYPES: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def anthropic_error(status: int, message: str, code: str | None = None) -> dict[str, Any]:
    """Build Anthropic's body of an error with an HTTP status; the router's own code, if any, precedes the message."""
    kind = _ANTHROPIC_ERROR_TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")
    text = f"{code}: {message}" if code else message
    return {"type": "error", "error": {"type": kind, "message": text}, "request_id": None}
