"""Ask a student for answers in shadow."""

import logging
from collections.abc import Sequence

from understudies.events import Request
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
            None if validation_error(request, answer.message) else answer
            for request, answer in zip(requests, answers, strict=True)
        ]
    except StudentError as error:
        if len(requests) == 1:
            _log.warning("student gave no answer in shadow: %s", error)
            return [None]
    return [answer for request in requests for answer in await ask_student(student, [request])]
