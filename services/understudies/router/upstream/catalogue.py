"""Which teacher has a model, and who is asked where that one fails."""

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
"""Model names are the callers': what was looked up for them is not kept for ever."""


class UnknownModel(LookupError):  # noqa: N818 - what is the matter
    """No teacher has the model."""


@dataclass(frozen=True, slots=True)
class UpstreamCandidate:
    """A teacher to ask, and the model's name there."""

    spec: TeacherSpec
    model: str


@dataclass(frozen=True, slots=True)
class _Entry:
    pattern: re.Pattern[str]
    spec: TeacherSpec


class TeacherCatalogue:
    """All teachers, by the models they have; raises ConfigurationError where there is no teacher."""

    def __init__(self, teachers: Mapping[str, TeacherSpec]) -> None:
        if not teachers:
            raise ConfigurationError("the router needs a teacher; name one in understudies.toml, [teachers.NAME]")
        self._teachers = dict(teachers)
        named = [(model, spec) for spec in teachers.values() for model in spec.models]
        named.sort(key=lambda one: _specificity(one[0]), reverse=True)
        self._entries = [_Entry(_compile_pattern(model), spec) for model, spec in named]
        self._known = ", ".join(f"{model} ({spec.name})" for model, spec in named)
        self._chains: dict[tuple[str, Api, str | None], tuple[UpstreamCandidate, ...]] = {}

    @property
    def teachers(self) -> Mapping[str, TeacherSpec]:
        """The teachers by name."""
        return self._teachers

    def find(self, model: str, api: Api | None = None) -> TeacherSpec:
        """The teacher whose model or glob is the most specific, among those that speak the API.

        An exact name beats a glob, a glob with more letters one with fewer, and the first named wins where two are
        the same. Raises UnknownModel, which names the models that there are.
        """
        for entry in self._entries:
            if (api is None or api in entry.spec.apis) and entry.pattern.match(model):
                return entry.spec
        over = "" if api is None else f" over the {api} API"
        raise UnknownModel(f"no teacher has model {model!r}{over}; there are {self._known}")

    def chain(self, model: str, api: Api, teacher: str | None = None) -> tuple[UpstreamCandidate, ...]:
        """The teacher of a model and then its fallbacks that speak the API, in order.

        A teacher that is named is asked whatever the model. Raises UnknownModel.
        """
        found = self._chains.get((model, api, teacher))
        if found is None:
            found = self._chain(self.find(model, api) if teacher is None else self._named(teacher), model, api)
            if len(self._chains) >= _MAX_CACHED_CHAINS:
                self._chains.clear()
            self._chains[model, api, teacher] = found
        return found

    def default(self, api: Api | None = None) -> TeacherSpec:
        """The teacher of what names no model: one that takes any, else the first, among those that speak the API."""
        able = [spec for spec in self._teachers.values() if api is None or api in spec.apis]
        return next((spec for spec in able if "*" in spec.models), (able or list(self._teachers.values()))[0])

    def _named(self, teacher: str) -> TeacherSpec:
        spec = self._teachers.get(teacher)
        if spec is None:
            raise UnknownModel(f"no teacher is named {teacher!r}; there are {', '.join(self._teachers)}")
        return spec

    def _chain(self, spec: TeacherSpec, model: str, api: Api) -> tuple[UpstreamCandidate, ...]:
        others = [(self._teachers[one.teacher], one.model or model) for one in spec.fallback]
        able = [UpstreamCandidate(other, name) for other, name in others if api in other.apis]
        return (UpstreamCandidate(spec, model), *able)


def _specificity(model: str) -> tuple[bool, int]:
    return _GLOB.search(model) is None, len(_GLOB.sub("", model))


def _compile_pattern(model: str) -> re.Pattern[str]:
    # An exact name may hold what a glob cannot; `translate` also anchors the end.
    return re.compile(translate(model) if _GLOB.search(model) else re.escape(model) + r"\Z")
