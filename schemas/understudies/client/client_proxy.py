"""Record all model calls of an official client, `OpenAI()` or `Anthropic()`, that is shadowed as a whole."""

from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any

_LIBRARIES = ("openai", "anthropic")
_RECORDED_RESOURCES = ("Completions", "Responses", "Messages", "Decisions")
_NOT_MODELS = "openai.resources.beta.threads"
"""The resources of OpenAI's Assistants: what they create are stored messages, which no model has written."""
_RECORDED_METHODS = frozenset({"create", "parse", "stream"})
_RUNNING_METHODS = frozenset({"tool_runner"})
"""Methods that call the model themselves, through the client of their resource."""
_COPYING_METHODS = frozenset({"copy", "with_options"})
_WRAPPER_SUFFIXES = ("WithRawResponse", "WithStreamingResponse", "WithStreamedResponse")

Wrap = Callable[[Any], Any]
"""Returns a function that records the calls of another."""


def is_official_client(teacher: Any) -> bool:
    """Return whether the teacher is a whole client of OpenAI or Anthropic."""
    return _library_of(teacher) in _LIBRARIES and any(hasattr(type(teacher), name) for name in _COPYING_METHODS)


def is_of_official_client(value: Any) -> bool:
    """Return whether a value is of a type of OpenAI's or Anthropic's client, or a method of one."""
    return _library_of(getattr(value, "__self__", value)) in _LIBRARIES


def is_own_name(name: str) -> bool:
    """Return whether an attribute is a proxy's own, and not that of what it stands for."""
    return name.startswith("_understudies_")


class ClientProxy:
    """A proxy for a client, or for a part of it; all but the model calls is delegated to the client itself."""

    def __init__(self, part: Any, wrap: Wrap) -> None:
        self._understudies_part = part
        self._understudies_wrap = wrap

    @property  # type: ignore[misc]  # read-only
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # read-only
        # so that isinstance() gives the same result as for the client itself
        return type(self._understudies_part)

    def __setattr__(self, name: str, value: Any) -> None:
        if is_own_name(name):
            object.__setattr__(self, name, value)
        else:
            setattr(self._understudies_part, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._understudies_part, name)

    def __getattr__(self, name: str) -> Any:
        if is_own_name(name):
            raise AttributeError(name)  # of a copy in the making
        part = self._understudies_part
        value = getattr(part, name)
        if callable(value) and not _is_part(value):
            if name in _RECORDED_METHODS and _is_recorded(part):
                return self._understudies_wrap(value)
            if name in _RUNNING_METHODS and _is_recorded(part) and isinstance(value, MethodType):
                return partial(value.__func__, self)  # so that it calls the model through this proxy
            if name in _COPYING_METHODS and is_official_client(part):
                return lambda *args, **kwargs: ClientProxy(value(*args, **kwargs), self._understudies_wrap)
            return value
        return ClientProxy(value, self._understudies_wrap) if _is_part(value) else value

    def __enter__(self) -> Any:
        self._understudies_part.__enter__()
        return self

    def __exit__(self, *exc_info: Any) -> Any:
        return self._understudies_part.__exit__(*exc_info)

    async def __aenter__(self) -> Any:
        await self._understudies_part.__aenter__()
        return self

    async def __aexit__(self, *exc_info: Any) -> Any:
        return await self._understudies_part.__aexit__(*exc_info)


def _library_of(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def _is_part(value: Any) -> bool:
    """Return whether a value leads to model calls: a client, one of its resources, or a wrapper of all of these."""
    if _library_of(value) not in _LIBRARIES:
        return False
    kind = type(value)
    return ".resources" in kind.__module__ or kind.__name__.endswith(_WRAPPER_SUFFIXES) or is_official_client(value)


def _is_recorded(resource: Any) -> bool:
    if type(resource).__module__.startswith(_NOT_MODELS):
        return False
    name = type(resource).__name__.removeprefix("Async")
    for suffix in _WRAPPER_SUFFIXES:
        name = name.removesuffix(suffix)
    return name in _RECORDED_RESOURCES
