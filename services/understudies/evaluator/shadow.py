"""Ask a student for answers in shadow."""

import logging
from collections.abc import Sequence

from understudies.datasets.errors import ArtifactError
from understudies.events import Request
from understudies.runtime.errors import SERVICE_ERRORS
from understudies.students.answer_validation import validation_error
from understudies.students.base import Answer, Student, StudentError

_log = logging.getLogger(__name__)


async def ask_student(student: Student, requests: Sequence[Request]) -> list[Answer | None]:
    """Return one answer for each request; None where the student failed, or the router would refuse its answer.

    The teacher would have served such a request. An answer that is refused, such as one with a placeholder that
    redaction left in both answers, must not speak for those that are served.
    """
    try:
        answers = await student.answer(requests)
        return [
            answer if _could_serve(request, answer) else None for request, answer in zip(requests, answers, strict=True)
        ]
    except (*SERVICE_ERRORS, ArtifactError):
        raise
    except Exception as error:  # noqa: BLE001 - one student must not hold up the audits of all others
        if len(requests) == 1:
            # Another error than a StudentError may quote the request.
            why = error if isinstance(error, StudentError) else type(error).__name__
            _log.warning("student gave no answer in shadow: %s", why)
            return [None]
    return [answer for request in requests for answer in await ask_student(student, [request])]


def _could_serve(request: Request, answer: Answer) -> bool:
    """Return whether the router would serve the answer if its confidence reached the threshold."""
    return 0.0 <= answer.confidence <= 1.0 and validation_error(request, answer.message) is None
