"""Reach what judges need beyond pure functions: an encoder, a sandbox, an endpoint.

This room does no I/O. Processes that judge install the backends at their start (`understudies.judge_backends`);
where none is installed a judge that needs one gives no verdict.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from understudies.judges.judge_health import JudgeHealth
from understudies.judges.materials import JudgeUnavailableError


@dataclass(frozen=True, slots=True)
class RubricAnswer:
    """What a language model said of two answers, in both orders, and what it cost.

    None for a reply that names neither verdict. One that `is_remembered` was not asked for again.
    """

    in_order: bool | None
    reversed: bool | None
    cost_usd: Decimal = field(default=Decimal(0))
    is_remembered: bool = False


@dataclass(slots=True)
class JudgeBackends:
    """The installed backends; None for those that are not."""

    similarity: Callable[[str, str], float] | None = None
    """Cosine of the vectors of two texts."""
    code_tests: Callable[[str, str], str | None] | None = None
    """Run the tests of a digest on code; return the first failure, None if all pass."""
    rubric: Callable[[str, str, str, bool], RubricAnswer] | None = None
    """Ask the model of a digest whether two texts agree, in both orders; True for an audit of a student in service."""
    health: JudgeHealth = field(default_factory=JudgeHealth)
    """Which of the judges that ask a model give no verdict."""


BACKENDS = JudgeBackends()


def text_similarity(one: str, other: str) -> float:
    """Return the cosine of the sentence vectors of two texts; raises JudgeUnavailableError without an encoder."""
    if BACKENDS.similarity is None:
        raise JudgeUnavailableError("this process has no sentence encoder to judge by")
    return BACKENDS.similarity(one, other)


def run_code_tests(spec: str, code: str) -> str | None:
    """Run the tests of a digest on code; return the first failure, None if all pass; raises JudgeUnavailableError."""
    if BACKENDS.code_tests is None:
        raise JudgeUnavailableError("this process runs no tests of code")
    return BACKENDS.code_tests(spec, code)


def ask_rubric(spec: str, teacher: str, student: str, *, is_audit: bool = False) -> RubricAnswer:
    """Ask the model of a digest whether two texts agree, in both orders; raises JudgeUnavailableError.

    An audit of a student in service may spend what is kept of the budget for audits.
    """
    if BACKENDS.rubric is None:
        raise JudgeUnavailableError("this process asks no model to judge")
    return BACKENDS.rubric(spec, teacher, student, is_audit)
