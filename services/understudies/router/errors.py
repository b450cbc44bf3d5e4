"""What callers are told where the router itself cannot serve them, in the shape of the API that they speak."""

import asyncio
from collections.abc import Mapping

import orjson
from starlette.types import Send

from understudies.router.call import TeacherError
from understudies.router.dialects import Dialect, dialect_of
from understudies.router.headers import BadRequest
from understudies.router.incoming import TooLarge
from understudies.router.replies import reply


class Problem(Exception):  # noqa: N818 - it is told, not only raised
    """A request that the router answers with an error of its own."""

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


def too_slow(seconds: float) -> Problem:
    """What to tell of a body that did not come in time; the connection is of no use any more."""
    message = f"the body did not come within {seconds:g} s"
    return Problem(408, message, code="request_timeout", headers={"connection": "close"})


def problem_of(error: Exception) -> Problem:
    """What to tell of an error; one that nobody expected is told without its text, which may quote a prompt."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, BadRequest):
        return Problem(400, str(error), code="invalid_request", param=error.param)
    if isinstance(error, TooLarge):
        return Problem(413, str(error), code="request_too_large")
    if isinstance(error, TeacherError):
        return Problem(error.status, error.message, code=error.code, headers=error.headers)
    if isinstance(error, asyncio.TimeoutError):
        return Problem(504, "the router's time-out passed", code="timeout")
    return Problem(500, "the router failed; its log says why", code="router_failed")


async def send_problem(send: Send, problem: Problem, api: Dialect | None) -> None:
    """Answer with an error."""
    dialect = api or dialect_of("chat")
    body = dialect.error(problem.status, problem.message, code=problem.code, param=problem.param)
    await reply(send, problem.status, problem.headers, orjson.dumps(body))
