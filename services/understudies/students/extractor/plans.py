"""Define how the fields of an answer are produced, and put the produced values together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from pydantic import JsonValue

from understudies.students.extractor.fields import Fields, Leaf, Path, format_path, prefixes, to_leaf
from understudies.students.extractor.relations import Relation

FieldKind = Literal["copied", "chosen", "multi_label", "constant", "derived", "items"]
Nothing = tuple[JsonValue, ...]
"""What stands where there is no value: null, an empty string, list or object, or a placeholder; empty if the field is
left out."""

ALMOST_ALWAYS = 0.99
"""Share of the answers with a value from which a field is never left out."""


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """How one field is answered.

    `copied`: spans of the text, read by `reader`. `chosen`: one of `choices`. `multi_label`: a list of those of
    `choices` that apply, in their order. `constant`: always `choices[0]`. `derived`: by a `relation` to other fields; a
    copied number is only checked by one. `items`: a list of objects, each answered by the plan `items`, and parted by
    `boundary`. `several` says whether several values are a list, and `always_list` whether one is, too. `nothing` is
    what stands where nothing is found.
    """

    path: Path
    kind: FieldKind
    reader: str = ""
    choices: tuple[JsonValue, ...] = ()
    several: bool = False
    always_list: bool = False
    nothing: Nothing = ()
    presence: float = 1.0
    """The share of the objects that hold the field in which it has a value."""
    relation: Relation | None = None
    items: "AnswerPlan | None" = None
    boundary: str = ""

    @property
    def name(self) -> str:
        """The name of the field."""
        return format_path(self.path)

    @property
    def description(self) -> str:
        """How the field is answered, in words."""
        text = f"copied as {self.reader}" if self.kind == "copied" else self.kind.replace("_", "-")
        if self.relation is None:
            return text
        return f"{text}{', checked' if self.kind == 'copied' else ''}: {self.relation.description}"


@dataclass(frozen=True, slots=True)
class ObjectPlan:
    """What stands in place of an object none of whose fields has a value; `nothing` is empty if it is left out."""

    path: Path
    nothing: Nothing = ()


class Section(NamedTuple):
    """The plan of the answer or of the objects of one of its lists, with the number of its first field."""

    first: int
    plan: "AnswerPlan"


@dataclass(frozen=True)
class AnswerPlan:
    """How the fields of an answer, or of an object of a list, are answered.

    Fields are numbered in their order; those of lists' objects follow those of the answer.
    """

    fields: tuple[FieldPlan, ...]
    objects: tuple[ObjectPlan, ...] = ()
    """The innermost first."""

    @cached_property
    def sections(self) -> dict[int, Section]:
        """The sections inside of lists by the number of the list's field."""
        sections: dict[int, Section] = {}
        first = len(self.fields)
        for number, field in enumerate(self.fields):
            if field.items is not None:
                sections[number] = Section(first, field.items)
                first += len(field.items.fields)
        return sections

    @cached_property
    def numbered(self) -> tuple[FieldPlan, ...]:
        """All fields by their numbers."""
        return (*self.fields, *(field for section in self.sections.values() for field in section.plan.fields))

    @property
    def description(self) -> dict[str, str]:
        """How each field is answered, in words, by its name."""
        described: dict[str, str] = {}
        for field in self.fields:
            described[field.name] = field.description
            if field.items is not None:
                inner = field.items.description
                described |= {f"{field.name}[].{name}": text for name, text in inner.items()}
        return described

    def assemble(self, values: Mapping[Path, Leaf]) -> Fields:
        """Return the fields with these values; what stands for nothing takes the place of those without one."""
        fields: Fields = {}
        for field in self.fields:
            if field.path in values:
                fields[field.path] = values[field.path]
            elif field.nothing:
                fields[field.path] = to_leaf(field.nothing[0])
        for one in self.objects:
            if not self._is_given(one.path, values):
                fields = {path: value for path, value in fields.items() if path[: len(one.path)] != one.path}
                if one.nothing:
                    fields[one.path] = to_leaf(one.nothing[0])
        return fields

    def lacks_value(self, values: Mapping[Path, Leaf]) -> bool:
        """Return whether a field without a value has one in almost all answers, or in objects that are given here."""
        return any(
            field.path not in values
            and field.kind != "constant"
            and field.presence >= ALMOST_ALWAYS
            and all(self._is_given(around, values) for around in self._optional_objects(field.path))
            for field in self.fields
        )

    def _optional_objects(self, path: Path) -> Iterator[Path]:
        optional = {one.path for one in self.objects}
        return (around for around in prefixes(path) if around in optional)

    def _is_given(self, path: Path, values: Mapping[Path, Leaf]) -> bool:
        return any(
            field.path in values and field.kind != "constant" and field.path[: len(path)] == path
            for field in self.fields
        )
