"""Find the teacher of a model and its fallbacks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import translate
from typing import Final

from understudies.dialects.base import Api
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.rules.teacher import TeacherSpec

_GLOB: Final = re.compile(r"[*?\[]")
_MAX_CACHED_CHAINS: Final = 10_000
"""Callers choose the model names, so the cache of look-ups is bounded."""


class UnknownModel(LookupError):  # noqa: N818 - names the condition
    """Raised when no teacher has the model."""


@dataclass(frozen=True, slots=True)
class UpstreamCandidate:
    """A teacher to call, and the model's name there."""

    spec: TeacherSpec
    model: str


@dataclass(frozen=True, slots=True)
class _Entry:
    pattern: re.Pattern[str]
    spec: TeacherSpec


class TeacherCatalogue:
    """All teachers, by the models they have; raises ConfigurationError if there are none."""

    def __init__(self, teachers: Mapping[str, TeacherSpec]) -> None:
        if not teachers:
            raise ConfigurationError("the router needs a teacher; name one in understudies.toml, [teachers.NAME]")
        self._teachers = dict(teachers)
        named = [(model, spec) for spec in teachers.values() for model in spec.models]
        named.sort(key=lambda entry: _specificity(entry[0]), reverse=True)
        self._entries = [_Entry(_compile_pattern(model), spec) for model, spec in named]
        self._known = ", ".join(f"{model} ({spec.name})" for model, spec in named)
        self._chains: dict[tuple[str, Api, str | None], tuple[UpstreamCandidate, ...]] = {}

    @property
    def teachers(self) -> Mapping[str, TeacherSpec]:
        """The teachers by name."""
        return self._teachers

    def find(self, model: str, api: Api | None = None) -> TeacherSpec:
        """Return the teacher with the most specific model or glob that matches, among those that support the API.

        An exact name beats a glob, a glob with more letters one with fewer, and of two equal ones the first configured
        wins. Raises UnknownModel, which lists the known models.
        """
        for entry in self._entries:
            if (api is None or api in entry.spec.apis) and entry.pattern.match(model):
                return entry.spec
        by_api = "" if api is None else f" over the {api} API"
        raise UnknownModel(f"no teacher has model {model!r}{by_api}; known models: {self._known}")

    def chain(self, model: str, api: Api, teacher: str | None = None) -> tuple[UpstreamCandidate, ...]:
        """Return the teacher of a model and then its fallbacks that support the API, in order.

        If `teacher` is given, that one comes first whatever the model. Raises UnknownModel.
        """
        chain = self._chains.get((model, api, teacher))
        if chain is None:
            chain = self._chain(self.find(model, api) if teacher is None else self._named(teacher), model, api)
            if len(self._chains) >= _MAX_CACHED_CHAINS:
                self._chains.clear()
            self._chains[model, api, teacher] = chain
        return chain

    def default(self, api: Api | None = None) -> TeacherSpec:
        """Return the teacher for requests without a model, among those that support the API.

        It is one that takes any model, else the first.
        """
        candidates = [spec for spec in self._teachers.values() if api is None or api in spec.apis]
        return next(
            (spec for spec in candidates if "*" in spec.models), (candidates or list(self._teachers.values()))[0]
        )

    def _named(self, teacher: str) -> TeacherSpec:
        spec = self._teachers.get(teacher)
        if spec is None:
            raise UnknownModel(f"no teacher is named {teacher!r}; known teachers: {', '.join(self._teachers)}")
        return spec

    def _chain(self, spec: TeacherSpec, model: str, api: Api) -> tuple[UpstreamCandidate, ...]:
        others = [(self._teachers[entry.teacher], entry.model or model) for entry in spec.fallback]
        candidates = [UpstreamCandidate(other, name) for other, name in others if api in other.apis]
        return (UpstreamCandidate(spec, model), *candidates)


def _specificity(model: str) -> tuple[bool, int]:
    return _GLOB.search(model) is None, len(_GLOB.sub("", model))


def _compile_pattern(model: str) -> re.Pattern[str]:
    # An exact name may contain characters that a glob cannot; `translate` also anchors the end.
    return re.compile(translate(model) if _GLOB.search(model) else re.escape(model) + r"\Z")
