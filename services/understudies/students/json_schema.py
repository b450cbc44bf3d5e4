"""Validate values against callers' JSON Schemas, which are compiled once and cached.

A schema comes from a caller, so it must cost little whatever it contains. Patterns run on an engine without
backtracking and with bounded size, nothing is fetched, and a schema that would expand too far is refused: then no value
can be checked against it. The result is only yes or no, because explaining an error can take exponential time.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs
import orjson

_MAX_BYTES: Final = 65_536
_MAX_STEPS: Final = 20_000
_MAX_PATTERNS: Final = 16
_MAX_DEPTH: Final = 64
_MAX_CACHED: Final = 512
_PATTERN_OPTIONS: Final = jsonschema_rs.RegexOptions(size_limit=40_000, dfa_size_limit=200_000)


def is_supported(schema: object) -> bool:
    """Return whether values can be checked against a schema; None allows every value."""
    return schema is None or _find_validator(schema) is not None


def is_valid(value: object, schema: object) -> bool:
    """Return whether a value conforms to a schema; False if the schema is not supported."""
    if schema is None:
        return True
    validator = _find_validator(schema)
    return validator is not None and validator.is_valid(value)


def _find_validator(schema: object) -> jsonschema_rs.Validator | None:
    try:
        text = orjson.dumps(schema)
    except TypeError:
        return None
    return _compile(text) if len(text) <= _MAX_BYTES else None


# The text itself is the cache key: hashing it is faster than a digest, and its length is bounded.
@lru_cache(maxsize=_MAX_CACHED)
def _compile(text: bytes) -> jsonschema_rs.Validator | None:
    schema = orjson.loads(text)
    try:
        _SchemaCost(schema).count_steps(schema)
        return jsonschema_rs.validator_for(
            schema, pattern_options=_PATTERN_OPTIONS, offline=True, validate_formats=True
        )
    except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError):
        return None


class _SchemaCost:
    """Count the size of a schema with every reference expanded; raises ValueError if it is too large.

    A reference back to a part that is being expanded counts once, because the validator caches the results of those.
    """

    def __init__(self, root: object) -> None:
        self._root = root
        self._sizes: dict[int, int] = {}
        self._patterns: set[str] = set()

    def count_steps(self, node: object, depth: int = 0) -> int:
        """Return the number of steps that checking one value against this node can take."""
        if not isinstance(node, dict | list):
            return 0
        if (known := self._sizes.get(id(node))) is not None:
            return known
        self._sizes[id(node)] = 1
        steps = 1 + sum(self.count_steps(part, depth + 1) for part in self._parts(node))
        if steps > _MAX_STEPS or depth > _MAX_DEPTH:
            raise ValueError("the schema unfolds into too much")
        self._sizes[id(node)] = steps
        return steps

    def _parts(self, node: dict[str, Any] | list[Any]) -> Iterator[object]:
        if isinstance(node, list):
            yield from node
            return
        self._count_patterns(node)
        if isinstance(node.get("$id"), str) and node is not self._root:
            raise ValueError("a schema inside the schema has an address of its own")
        for name, part in node.items():
            yield self._target(part) if name in _REFERENCES and isinstance(part, str) else part

    def _count_patterns(self, node: Mapping[str, Any]) -> None:
        several = node.get("patternProperties")
        self._patterns.update(several if isinstance(several, dict) else ())
        if isinstance(pattern := node.get("pattern"), str):
            self._patterns.add(pattern)
        if len(self._patterns) > _MAX_PATTERNS:
            raise ValueError("the schema has too many patterns")

    def _target(self, reference: str) -> object:
        if reference != "#" and not reference.startswith("#/"):
            raise ValueError("the schema refers to what is no place inside it")
        found = self._root
        for step in reference.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                raise ValueError("the schema refers to a place that it has not")
        return found


_REFERENCES: Final = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
