"""Read records of a form of one's own, by a map of the fields of a call to paths in the record."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from understudies.importers.bodies import read_body
from understudies.importers.fields import as_mapping
from understudies.importers.json_parsing import NotARecordedCall, parse_embedded_json
from understudies.importers.native import read_common_fields
from understudies.importers.partial_call import PartialCall

_FIELDS: Final = (
    *("messages", "answer", "system", "tools", "model", "task", "time", "episode", "cost", "latency_ms", "tags"),
    *("usage", "prompt_tokens", "completion_tokens", "cached_tokens", "error", "status"),
)
_STEP: Final = re.compile(r"""\.([^.\[\]"']+)|\[(-?\d+)\]|\[["']([^"']+)["']\]""")
_COMMON: Final = {"time": "created"}


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Paths by the field of a call that they lead to."""

    paths: Mapping[str, tuple[str | int, ...]]

    @classmethod
    def parse(cls, written: Iterable[str]) -> "FieldMap | None":
        """Parse options such as `messages=$.input`; returns None for none, raises ValueError with the remedy."""
        paths = dict(_parse_option(option) for option in written)
        if not paths:
            return None
        if "messages" not in paths:
            raise ValueError("a map must say where the messages are, as in messages=$.input")
        return cls(paths)

    def read(self, record: Mapping[str, Any]) -> PartialCall:
        """Read a record; raises NotARecordedCall if it has no messages at their path."""
        found = {name: _follow(record, path) for name, path in self.paths.items()}
        messages = parse_embedded_json(found.pop("messages"))
        if messages is None:
            raise NotARecordedCall(f"nothing at {_write_path(self.paths['messages'])}, where the messages are to be")
        fields: Mapping[str, Any] = {}
        if isinstance(messages, dict) and "role" not in messages:
            messages, fields = read_body(messages)
        system = found.pop("system", None)
        turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        if system and isinstance(turns, list):
            turns = [{"role": "system", "content": system}, *turns]
        answer = found.pop("answer", None)
        common = {_COMMON.get(name, name): value for name, value in found.items() if value is not None}
        call = read_common_fields(common)
        call.messages, call.answer = turns, answer
        call.request = {**fields, **{name: common[name] for name in ("tools",) if name in common}}
        call.answer_in_messages = "answer" not in self.paths
        call.evidence = (
            {"error": found.get("error"), "status": found.get("status")},
            as_mapping(answer_failure(answer)),
        )
        return call


def answer_failure(answer: object) -> Mapping[str, Any]:
    """Return what tells in an answer that the call failed."""
    body = as_mapping(answer)
    return {"error": body["error"]} if "choices" in body and "error" in body else {}


def _parse_option(option: str) -> tuple[str, tuple[str | int, ...]]:
    name, equals, path = option.partition("=")
    name, path = name.strip(), path.strip()
    if not equals or name not in _FIELDS:
        raise ValueError(f"--map takes one of {', '.join(_FIELDS)} and a path, as in messages=$.input, got {option!r}")
    rest = path.removeprefix("$")
    rest = rest if rest[:1] in (".", "[", "") else f".{rest}"
    steps = [*_STEP.finditer(rest)]
    if "".join(step.group() for step in steps) != rest or not steps:
        raise ValueError(f"--map {name}: a path such as $.request.messages or $.outputs[0].text, got {path!r}")
    return name, tuple(int(step[2]) if step[2] else step[1] or step[3] for step in steps)


def _follow(record: Mapping[str, Any], path: tuple[str | int, ...]) -> Any:
    value: Any = record
    for step in path:
        value = parse_embedded_json(value)
        if isinstance(step, int) and isinstance(value, list) and -len(value) <= step < len(value):
            value = value[step]
        elif isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        else:
            return None
    return value


def _write_path(path: tuple[str | int, ...]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
