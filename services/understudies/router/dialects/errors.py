"""Errors in OpenAI's shape, which chat completions and responses share."""

from typing import Any, Final

_OPENAI_ERROR_TYPES: Final = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def openai_error(status: int, message: str, code: str | None, param: str | None) -> dict[str, Any]:
    """The body of an error with an HTTP status."""
    kind = _OPENAI_ERROR_TYPES.get(status) or ("invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
