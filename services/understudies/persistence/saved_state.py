"""Give a class its snapshot by the annotations of its attributes, read and written by pydantic."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Final, Self, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, GetCoreSchemaHandler, PlainSerializer, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema

from understudies.persistence.fields import As, AsArray


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """Annotates an attribute with its JSON key, if that is not the attribute's name without its leading underscore.

    `default` makes the value for snapshots of versions that did not write the key; without one the key is required.
    """

    name: str | None = None
    default: Callable[[], Any] | None = None


class _Mark:
    pass


ROOT: Final = _Mark()
"""Annotates the only saved attribute of a class whose snapshot is that attribute's value, without a key."""
IN_PLACE: Final = _Mark()
"""Annotates a nested state that is restored in the object that is there, as it also holds connections or settings."""

_ROOT_KEY: Final = "root"


class UnfitSnapshot(ValueError):  # noqa: N818 - named by what is wrong
    """Report a snapshot that does not fit the state; names the place and the reason, and quotes no value."""


class SavedState:
    """State that is written to a snapshot and read back: `state` and `from_state`, by the annotations of a class.

    Each attribute that a class body annotates is saved, under the key that `Key` gives, and read back as its type by
    pydantic; not so a `ClassVar`, and attributes without an annotation, which `_on_restored` computes. Values that are
    states themselves are nested. A key that is missing takes the default of its `Key` or of the dataclass field;
    `_migrate` converts what older versions wrote otherwise.

    Keys are persisted, so they stay when an attribute is renamed.

    Examples
    --------
    >>> class Tally(SavedState):
    ...     _labels: Annotated[set[str], Key("names")]
    ...     calls: Annotated[int, Key(default=int)]
    ...     def __init__(self) -> None:
    ...         self._labels, self.calls = {"refund"}, 3
    >>> Tally().state()
    {'names': ['refund'], 'calls': 3}
    >>> Tally.from_state({"names": ["refund", "cancel"]}).calls
    0
    """

    __slots__ = ()

    def state(self) -> Any:
        """Return a JSON-serialisable snapshot: an object, unless an attribute is its `ROOT`."""
        layout = _layout_of(self)
        values = {key: getattr(self, attribute) for key, attribute in layout.attributes.items()}
        nested = {key: _write_nested(values[key]) for key in layout.nesting if _is_nested(values[key])}
        plain = layout.adapter.dump_python(layout.schema(**values), mode="json", exclude=set(nested))
        written = {key: nested[key] if key in nested else plain[key] for key in values}
        return written[_ROOT_KEY] if _ROOT_KEY in layout.attributes else written

    @classmethod
    def from_state(cls, state: Any) -> Self:
        """Restore the object from whose `state` the snapshot was taken.

        Raises
        ------
        ValueError
            When a key is missing or a value is not of its type.
        """
        restored = cls.__new__(cls)
        restored.restore_state(state)
        return restored

    def restore_state(self, state: Any) -> None:
        """Replace the saved attributes by those of a snapshot; raise ValueError as `from_state` does."""
        layout = _layout_of(self)
        try:
            migrated = self._migrate(state)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise UnfitSnapshot(f"it cannot be migrated: {error!r}") from error
        try:
            saved = layout.adapter.validate_python(
                {_ROOT_KEY: migrated} if _ROOT_KEY in layout.attributes else migrated
            )
        except ValidationError as error:
            raise UnfitSnapshot(_describe(error)) from error
        for key, attribute in layout.attributes.items():
            value = getattr(saved, key)
            if key not in layout.in_place:
                # The only way to set an attribute of a frozen dataclass.
                object.__setattr__(self, attribute, value)
            elif value is not None:
                getattr(self, attribute).restore_state(value)
        self._on_restored()

    @classmethod
    def _migrate(cls, state: Any) -> Any:
        """Convert a snapshot of an older version to the keys and values of this one."""
        return state

    def _on_restored(self) -> None:
        """Compute the attributes that are not saved, and check those that are."""
        if dataclasses.is_dataclass(self):
            getattr(self, "__post_init__", _do_nothing)()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any) -> SavedState:
            return value if isinstance(value, cls) else cls.from_state(value)

        return core_schema.no_info_plain_validator_function(
            read, serialization=core_schema.plain_serializer_function_ser_schema(_write)
        )


def _describe(error: ValidationError) -> str:
    return "; ".join(
        ": ".join([*_place(problem["loc"]), problem["msg"].removeprefix("Value error, ")])
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    )


def _place(location: tuple[int | str, ...]) -> list[str]:
    """Return the way to a value; the keys of a dict inside of an attribute, which may be answers, are left out."""
    return [str(step) if depth == 0 or isinstance(step, int) else "*" for depth, step in enumerate(location)]


def _do_nothing() -> None:
    pass


def _write(value: SavedState) -> Any:
    return value.state()


def _is_nested(value: Any) -> bool:
    """Return whether a value is a state, or a dict of states."""
    if isinstance(value, dict):
        return bool(value) and all(isinstance(one, SavedState) for one in value.values())
    return isinstance(value, SavedState)


def _write_nested(value: Any) -> Any:
    """Return what pydantic would write, which passes through all of it once more for each level of nesting."""
    return [one.state() for one in value.values()] if isinstance(value, dict) else value.state()


@dataclasses.dataclass(frozen=True, slots=True)
class _Layout:
    """The saved attributes of a class by their keys, and the dataclass of the snapshot, which pydantic reads."""

    attributes: Mapping[str, str]
    nesting: tuple[str, ...]
    """Keys whose values are written as they are if they are states, or arrays of them."""
    in_place: frozenset[str]
    schema: type[Any]
    adapter: TypeAdapter[Any]


def _layout_of(state: SavedState) -> _Layout:
    # Typed as Any, for mypy holds classes with an `__eq__` for unhashable.
    cls: Any = type(state)
    return _layout(cls)


@cache
def _layout(cls: type[Any]) -> _Layout:
    attributes: dict[str, str] = {}
    in_place: set[str] = set()
    nesting: list[str] = []
    # Typed as Any, for `dataclasses.field` claims to return the value of the field.
    fields: list[tuple[str, Any, Any]] = []
    own_fields = {field.name: field for field in _fields_of(cls)}
    for attribute, annotation in get_type_hints(cls, include_extras=True).items():
        marks = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
        if get_origin(annotation) is ClassVar:
            continue
        declared = next((mark for mark in marks if isinstance(mark, Key)), Key())
        key = _ROOT_KEY if ROOT in marks else declared.name or attribute.removeprefix("_")
        attributes[key] = attribute
        if _may_nest(annotation, marks):
            nesting.append(key)
        if IN_PLACE in marks:
            in_place.add(key)
            # Read by the object that is there, which keeps its state where an older version did not write the key.
            fields.append((key, _IN_PLACE_TYPE, _schema_field(declared, None)))
        else:
            fields.append((key, annotation, _schema_field(declared, own_fields.get(attribute))))
    schema = dataclasses.make_dataclass(
        f"{cls.__name__}State",
        fields,
        kw_only=True,
        namespace={"__pydantic_config__": ConfigDict(arbitrary_types_allowed=True)},
    )
    return _Layout(attributes, tuple(nesting), frozenset(in_place), schema, TypeAdapter(schema))


def _may_nest(annotation: Any, marks: tuple[Any, ...]) -> bool:
    """Return whether values of an attribute are written as `_write_nested` does, if they are states or dicts of them.

    A dict is, where it is written as the array of its values.
    """
    origin = get_origin(get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation)
    if isinstance(origin, type) and issubclass(origin, dict):
        return any(isinstance(mark, AsArray) for mark in marks)
    return not any(isinstance(mark, As | AsArray | PlainSerializer) for mark in marks)


_IN_PLACE_TYPE = Annotated[Any, PlainSerializer(_write)]


def _fields_of(cls: type[Any]) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()


def _schema_field(declared: Key, own: dataclasses.Field[Any] | None) -> Any:
    if declared.default is not None:
        return dataclasses.field(default_factory=declared.default)
    if own is not None and own.default_factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=own.default_factory)
    if own is not None and own.default is not dataclasses.MISSING:
        value = own.default
        # A factory, for dataclasses refuse mutable values as defaults.
        return dataclasses.field(default_factory=lambda: value)
    return dataclasses.field()
