"""Types of attributes that look otherwise in a snapshot than in memory."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import GetCoreSchemaHandler, PlainSerializer, SerializerFunctionWrapHandler
from pydantic_core import CoreSchema, core_schema

SORTED: Final = PlainSerializer(sorted)
"""Annotates a set of plain values that is written sorted, so that equal states give equal snapshots."""


@dataclass(frozen=True, slots=True)
class As:
    """Annotates a value that is written as one of another type: `read` converts from that type, `write` to it."""

    saved_type: Any
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler.generate_schema(self.saved_type)
        written = core_schema.plain_serializer_function_ser_schema(self.write, return_schema=schema)
        return core_schema.no_info_after_validator_function(self.read, schema, serialization=written)


@dataclass(frozen=True, slots=True)
class AsArray:
    """Annotates a dict that is written as the array of its values; the key is what a written value has at a path."""

    path: tuple[str | int, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        written = core_schema.wrap_serializer_function_ser_schema(_write_values, schema=schema)
        return core_schema.no_info_before_validator_function(self._read, schema, serialization=written)

    def _read(self, values: Any) -> Any:
        # The default for a missing key is a dict already.
        try:
            return values if isinstance(values, dict) else {self._key(value): value for value in values}
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError("Input should be an array of objects with their names") from error

    def _key(self, value: Any) -> Any:
        for step in self.path:
            value = value[step]
        return value


def _write_values(values: dict[str, Any], write: SerializerFunctionWrapHandler) -> list[Any]:
    return list(write(values).values())


def _negate(values: Iterable[float]) -> list[float]:
    return [-value for value in values]


NegatedList = Annotated[list[float], As(list[float], read=_negate, write=_negate)]
"""Numbers that are negated in memory alone, for bisection in descending order."""

OrderedNames = Annotated[dict[str, None], As(list[str], read=dict.fromkeys, write=list)]
"""Distinct names in order of arrival, written as an array: sorting many for each snapshot would take too long."""

OrderedKeys = Annotated[dict[int, None], As(list[int], read=dict.fromkeys, write=list)]
"""Distinct integers in order of arrival, written as an array."""

Seconds = Annotated[timedelta, PlainSerializer(timedelta.total_seconds)]
"""A duration, written as a number of seconds."""
