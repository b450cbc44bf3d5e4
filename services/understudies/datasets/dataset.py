"""Write and read datasets: immutable, content-addressed snapshots of a task's answered calls."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore
from understudies.datasets.shared_parts import SharedParts
from understudies.datasets.teacher_lineage import TeacherTerms, terms_of
from understudies.events import Message, Request, Split, Utc


class Example(BaseModel):
    """Input and the teacher's last answer; `split` follows from the fingerprint of its conversation's first call.

    `calls` is the number of calls with this input, and `repeats` are some of the earlier answers to it, at most twenty.
    `synthetic` if it was written to train on, else absent.
    `training_only` if all its unbiased calls were imported from a log that is too old to be evidence, else absent.
    `teacher` is the model that answered, by the name that it gave itself; `tenant` who asked last, absent for calls
    without tenants. `consent` says whether it may train a model: true if all its calls were marked so, false if one of
    them was refused, else absent. `terms` say whether the teacher's answers may train a model, by which document, as
    they were known when the dataset was written; absent in older ones.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    at: Utc
    fingerprint: str
    split: Split
    teacher: str
    request: Request
    answer: Message
    unbiased: bool = True
    episode: str | None = None
    calls: int = 1
    repeats: tuple[Message, ...] = ()
    training_only: bool | None = None
    synthetic: bool | None = None
    tenant: str | None = None
    consent: bool | None = None
    terms: TeacherTerms | None = None

    @property
    def known_terms(self) -> TeacherTerms:
        """The terms of the teacher when the dataset was written, else those known now."""
        return terms_of(self.teacher) if self.terms is None else self.terms

    def with_parts_of(self, parts: SharedParts) -> Self:
        """Return an equal example that shares with earlier ones what it has in common with them."""
        shared: dict[str, object] = {"request": parts.request(self.request), "answer": parts.message(self.answer)}
        if self.repeats:
            shared["repeats"] = parts.messages(self.repeats)
        if self.terms is not None:
            shared["terms"] = parts.terms(self.terms)
        return self.model_copy(update=shared)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Examples of one task, oldest first."""

    task: str
    examples: tuple[Example, ...]

    def in_split(self, split: Split) -> list[Example]:
        return [example for example in self.examples if example.split == split]

    @property
    def counts(self) -> dict[str, int]:
        """The number of examples in each split."""
        return dict(sorted(Counter(example.split for example in self.examples).items()))

    @property
    def teachers(self) -> list[str]:
        """The names of the models that answered, sorted."""
        return sorted({example.teacher for example in self.examples})

    @property
    def terms(self) -> dict[str, str]:
        """Whether the answers of each model may train a model, in words, as the latest of its examples says."""
        return dict(sorted({example.teacher: example.known_terms.sentence for example in self.examples}.items()))


def write_dataset(object_store: ObjectStore, task: str, examples: Sequence[Example]) -> tuple[str, str]:
    """Write the examples as JSON lines under their SHA-256; returns (reference, digest)."""
    lines = BytesIO()
    for example in examples:
        lines.write(example.model_dump_json(exclude_none=True).encode() + b"\n")
    digest = hashlib.sha256(lines.getbuffer()).hexdigest()
    return object_store.write(f"datasets/{digest}.jsonl", lines.getvalue()), digest


def read_dataset(object_store: ObjectStore, uri: str, task: str) -> Dataset:
    """Read a dataset.

    Raises ArtifactError if it is missing or does not match its name, RetryLater while the object store is unavailable.
    """
    lines = object_store.read(uri)
    named = uri.rsplit("/", 1)[-1].removesuffix(".jsonl")
    if hashlib.sha256(lines).hexdigest() != named:
        raise ArtifactError(f"dataset {uri!r} was changed after it was written; collect it again")
    parts = SharedParts()
    try:
        # One line at a time: all of them would take as much memory again.
        examples = tuple(Example.model_validate_json(line).with_parts_of(parts) for line in BytesIO(lines))
    except ValidationError as error:
        raise ArtifactError(f"dataset {uri!r} contains a line that is not an example: {error}") from error
    return Dataset(task, examples)
