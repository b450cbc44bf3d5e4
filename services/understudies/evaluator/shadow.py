"""Ask a student for answers in shadow."""

import logging
from collections.abc import Sequence

from understudies.events import Request
from understudies.students.base import Answer, Student, StudentError

_log = logging.getLogger(__name__)


async def ask_student(student: Student, requests: Sequence[Request]) -> list[Answer | None]:
    """Return one answer for each request; None where the student failed.

    The teacher would have served such a request.
    """
    try:
        return list(await student.answer(requests))
    except StudentError as error:
        if len(requests) == 1:
            _log.warning("student gave no answer in shadow: %s", error)
            return [None]
    return [answer for request in requests for answer in await ask_student(student, [request])]
