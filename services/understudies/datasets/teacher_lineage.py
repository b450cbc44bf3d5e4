"""What is known of a teacher beyond its answers: whether they may train a model, and when it is retired.

Tables as of the dates they name, by what is public of the documents they name, and not legal advice: an operator's
declaration (`UNDERSTUDIES_TRAINER_CONSENT`, `[teachers.NAME] retires`) has precedence. What no entry matches is
unknown, and is said to be.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, Literal

MayTrain = Literal["yes", "no competing model", "with approval", "unknown"]
"""Whether answers may train a model: freely, unless it competes with the provider, or if the provider agrees."""


@dataclass(frozen=True, slots=True)
class TeacherTerms:
    """Whether a teacher's answers may train a model, by which document, as of which day."""

    may_train: MayTrain
    provider: str = ""
    document: str = ""
    as_of: date | None = None

    @property
    def sentence(self) -> str:
        """The terms in words, with their source."""
        if self.as_of is None:
            return "unknown: read the provider's terms, and declare them in UNDERSTUDIES_TRAINER_CONSENT"
        return f"{self.may_train} ({self.provider}, {self.document}, as of {self.as_of.isoformat()})"


@dataclass(frozen=True, slots=True)
class Retirement:
    """The first day (UTC) on which a model no longer answers."""

    model: str
    on: date
    source: str

    @property
    def at(self) -> datetime:
        """The beginning of that day."""
        return datetime.combine(self.on, time(), UTC)


UNKNOWN_TERMS: Final = TeacherTerms("unknown")
_AS_OF: Final = date(2026, 11, 30)
_TERMS: Final[tuple[tuple[tuple[str, ...], TeacherTerms], ...]] = (
    (
        ("gpt-oss*", "openai/gpt-oss*"),
        TeacherTerms("yes", "OpenAI", "Apache License 2.0 of the weights", _AS_OF),
    ),
    (
        ("gpt-*", "chatgpt-*", "o1*", "o3*", "o4-*", "openai/*"),
        TeacherTerms("no competing model", "OpenAI", "Terms of Use, what you cannot do", _AS_OF),
    ),
    (
        ("claude-*", "anthropic.claude-*", "anthropic/claude-*"),
        TeacherTerms("with approval", "Anthropic", "Usage Policy and Commercial Terms of Service", _AS_OF),
    ),
    (
        ("deepseek-r1*", "deepseek-ai/deepseek-r1*"),
        TeacherTerms("yes", "DeepSeek", "licence section of the DeepSeek-R1 model card (MIT)", _AS_OF),
    ),
    (
        ("smollm2*", "huggingfacetb/smollm2*"),
        TeacherTerms("yes", "Hugging Face", "Apache License 2.0 of the weights", _AS_OF),
    ),
)
_DATE_FIELDS: Final = ("shutdown_date", "retirement_date", "deprecation")
_OPENAI: Final = "OpenAI, Deprecations, as of 2026-05-14"
_ANTHROPIC: Final = "Anthropic, Model deprecations and release notes, as of 2026-08-05"
_RETIREMENTS: Final[Mapping[str, Retirement]] = {
    model: Retirement(model, on, source)
    for source, on, models in (
        (_OPENAI, date(2026, 2, 17), ("chatgpt-4o-latest",)),
        (_OPENAI, date(2026, 7, 23), ("gpt-5-chat-latest", "gpt-5.1-chat-latest", "gpt-5-codex", "gpt-5.1-codex")),
        (_OPENAI, date(2026, 8, 10), ("gpt-5.2-chat-latest", "gpt-5.3-chat-latest")),
        (_OPENAI, date(2026, 10, 23), ("gpt-3.5-turbo-0125", "gpt-3.5-turbo", "gpt-4-0613", "gpt-4")),
        (_ANTHROPIC, date(2025, 7, 21), ("claude-2.0", "claude-2.1", "claude-3-sonnet-20240229")),
        (_ANTHROPIC, date(2026, 1, 5), ("claude-3-opus-20240229",)),
        (_ANTHROPIC, date(2026, 6, 15), ("claude-sonnet-4-20250514", "claude-opus-4-20250514")),
        (_ANTHROPIC, date(2026, 8, 5), ("claude-opus-4-1-20250805",)),
    )
    for model in models
}


@lru_cache(maxsize=1_000)
def terms_of(model: str) -> TeacherTerms:
    """Return the terms of a teacher by the name of its model.

    >>> terms_of("deepseek-r1").may_train, terms_of("gpt-5-mini").may_train, terms_of("own-model").may_train
    ('yes', 'no competing model', 'unknown')
    """
    name = model.casefold()
    return next((terms for patterns, terms in _TERMS if any(fnmatchcase(name, one) for one in patterns)), UNKNOWN_TERMS)


def retirement_of(model: str, declared: Mapping[str, date | None] | None = None) -> Retirement | None:
    """Return when a model is retired: as declared, None of which means never, else by the table; None if unknown."""
    if declared is not None and model in declared:
        on = declared[model]
        return None if on is None else Retirement(model, on, "declared in the rules")
    return _RETIREMENTS.get(model)


def read_model_list(body: bytes) -> dict[str, date]:
    """Return the day of retirement of each model of a `/v1/models` answer that states one.

    Providers name it `shutdown_date`, `retirement_date` or `deprecation`, as a day, a time or seconds since 1970; what
    is no date is passed over. Raises ValueError if the answer is no list of models.
    """
    try:
        models = json.loads(body)["data"]
        return {
            str(model["id"]): day
            for model in models
            if (day := next(filter(None, (_read_day(model.get(name)) for name in _DATE_FIELDS)), None)) is not None
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("it is no list of models") from error


def _read_day(value: object) -> date | None:
    try:
        if isinstance(value, str):
            return datetime.fromisoformat(value).date()
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).date()
    except (ValueError, OverflowError, OSError):
        return None
    return None
