"""Install the backends of judges in this process."""

from functools import cache
from typing import TYPE_CHECKING

from understudies.datasets.errors import ArtifactError
from understudies.judges.backends import BACKENDS, RubricAnswer
from understudies.judges.materials import JudgeUnavailableError

if TYPE_CHECKING:
    from understudies.judge_backends.rubric_client import RubricClient


def install_judge_backends() -> None:
    """Let the judges of this process reach encoder, tests and endpoints; nothing is imported before its first use."""
    BACKENDS.similarity = BACKENDS.similarity or _similarity
    BACKENDS.code_tests = BACKENDS.code_tests or _run_tests
    BACKENDS.rubric = BACKENDS.rubric or _ask_rubric


def _similarity(one: str, other: str) -> float:
    """Return the cosine of two texts; of texts longer than the encoder reads, that of the parts that differ most."""
    from understudies.students.encoder.sentence_encoder import sentence_encoder

    # Of a text from a model: the encoder takes no half of a surrogate pair.
    texts = [text.encode("utf-8", "replace").decode() for text in (one, other)]
    try:
        encoder = sentence_encoder()
        parts = max(encoder.count_parts(text) for text in texts)
        left, right = (encoder.vectors(encoder.split(text, parts)) for text in texts)
    except ArtifactError as error:
        raise JudgeUnavailableError(str(error)) from error
    return float((left * right).sum(1).min())


def _run_tests(spec: str, code: str) -> str | None:
    from understudies.judge_backends.code_tests import run_tests

    return run_tests(spec, code)


def _ask_rubric(spec: str, teacher: str, student: str, is_audit: bool) -> RubricAnswer:
    return _rubric_client()(spec, teacher, student, is_audit)


@cache
def _rubric_client() -> "RubricClient":
    from understudies.judge_backends.rubric_client import RubricClient

    return RubricClient()
