"""Write and read artifacts: a student's files and manifest, in a folder named by their content."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore
from understudies.events import CANONICAL_FORM, Usd, Utc, usd

MANIFEST = "manifest.json"
# Fields that differ between two trainings of the same student; excluded from the name, so that a repeat reuses it.
_INCIDENTAL = frozenset({"created", "seconds"})
_FIRST_CANONICAL_FORM = 1


class Consent(BaseModel):
    """Consent of the teacher's terms and the data's owners, as declared by the operator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    distillation: bool | None = Field(
        default=None, description="whether the teacher's terms allow training on its answers"
    )
    personal_data: bool | None = Field(default=None, description="whether the examples may contain personal data")


class Manifest(BaseModel):
    """Kind and origin of an artifact, and the SHA-256 of each of its files."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str
    task: str
    student: str
    created: Utc
    dataset_digest: str
    splits: dict[str, int] = Field(default_factory=dict, description="number of the dataset's examples by split")
    teachers: tuple[str, ...] = ()
    base_model: str | None = None
    hyper_parameters: dict[str, JsonValue] = Field(default_factory=dict)
    metrics: dict[str, JsonValue] = Field(default_factory=dict)
    cost_usd: Usd = usd(Decimal(0))
    seconds: float = Field(default=0.0, ge=0, description="measured; no decision depends on it")
    licence: str = Field(default="", description="licence of the base model, if there is one")
    consent: Consent = Consent()
    terms: dict[str, str] = Field(
        default_factory=dict, description="whether each teacher's answers may train a model, with the source"
    )
    consents: dict[str, int] = Field(
        default_factory=dict,
        description="examples trained on by what their owners said of it; empty if nothing was said of any",
    )
    files: dict[str, str] = Field(default_factory=dict)
    canonical_form: int = Field(
        default=_FIRST_CANONICAL_FORM, description="form of the requests whose fingerprints it was trained on"
    )

    @property
    def address(self) -> str:
        """SHA-256 over all that the student is: the manifest, and through it the files."""
        # The first form was not written down, and the names of its artifacts stay what they are.
        unwritten = {"canonical_form"} if self.canonical_form == _FIRST_CANONICAL_FORM else set()
        # Nor were the teachers' terms at first.
        unwritten |= {name for name in ("terms", "consents") if not getattr(self, name)}
        known = self.model_dump(mode="json", exclude={*_INCIDENTAL, *unwritten})
        text = json.dumps(known, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def write_artifact(object_store: ObjectStore, content: Mapping[str, bytes], manifest: Manifest) -> str:
    """Write the files, then the manifest that names them; returns the reference to their folder.

    Raises ArtifactError for a file name that is outside the folder or the manifest's own.
    """
    digests = {_inside(name): hashlib.sha256(data).hexdigest() for name, data in sorted(content.items())}
    manifest = manifest.model_copy(update={"files": digests})
    folder = f"artifacts/{manifest.address}"
    for name, data in content.items():
        object_store.write(f"{folder}/{name}", data)
    object_store.write(f"{folder}/{MANIFEST}", manifest.model_dump_json(indent=1).encode())
    return folder


def read_manifest(object_store: ObjectStore, uri: str) -> Manifest:
    """Read the manifest of an artifact.

    Raises ArtifactError if it is missing, does not match its folder's name, or is of a later canonical form.
    """
    text = object_store.read(f"{uri.rstrip('/')}/{MANIFEST}")
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        raise ArtifactError(f"the manifest of {uri!r} is invalid: {error}") from error
    if manifest.address != uri.rstrip("/").rsplit("/", 1)[-1]:
        raise ArtifactError(f"the manifest of {uri!r} was changed after it was written; train the student again")
    if manifest.canonical_form > CANONICAL_FORM:
        raise ArtifactError(
            f"artifact {uri!r} was trained on requests of canonical form {manifest.canonical_form}, and this version "
            f"knows form {CANONICAL_FORM}: run the version that wrote it, or train the student again"
        )
    return manifest


def read_artifact(object_store: ObjectStore, uri: str) -> tuple[Manifest, dict[str, bytes]]:
    """Read an artifact's manifest and files.

    Raises ArtifactError if a digest does not match, RetryLater while the object store is unavailable.
    """
    manifest = read_manifest(object_store, uri)
    content: dict[str, bytes] = {}
    for name, digest in manifest.files.items():
        data = object_store.read(f"{uri.rstrip('/')}/{_inside(name)}")
        if hashlib.sha256(data).hexdigest() != digest:
            raise ArtifactError(f"{name!r} of {uri!r} was changed after it was written; train the student again")
        content[name] = data
    return manifest, content


def find_artifact(object_store: ObjectStore, wanted: str, kind: str) -> str:
    """Return the reference to the one artifact of a kind that `wanted` names.

    `wanted` is a task, a student such as `triage@3`, or the beginning of the artifact's digest, of at least eight
    digits. Raises ArtifactError, which names those to choose from, if there is none or more than one.
    """
    known = dict(_of_kind(object_store, kind))
    is_digest = re.fullmatch(r"[0-9a-f]{8,64}", wanted) is not None
    found = [
        uri
        for uri, one in known.items()
        if wanted in (one.task, one.student) or (is_digest and one.address.startswith(wanted))
    ]
    if len(found) == 1:
        return found[0]
    choices = "; ".join(
        f"{one.student} {one.address[:12]} of {one.created:%Y-%m-%d %H:%M}"
        for uri, one in sorted(known.items(), key=lambda item: (item[1].created, item[1].student))
        if not found or uri in found
    )
    if found:
        raise ArtifactError(f"{wanted!r} names several {kind} students, choose one by its digest: {choices}")
    raise ArtifactError(
        f"there is no {kind} student {wanted!r} in {object_store.root!r}"
        + (f"; there are {choices}" if choices else "")
    )


def _of_kind(object_store: ObjectStore, kind: str) -> Iterator[tuple[str, Manifest]]:
    for name in object_store.names("artifacts"):
        # A damaged one is nobody's choice, and its own reader says what is wrong.
        with suppress(ArtifactError):
            manifest = read_manifest(object_store, f"artifacts/{name}")
            if manifest.kind == kind:
                yield f"artifacts/{name}", manifest


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if name == MANIFEST or path.is_absolute() or ".." in path.parts or str(path) != name or "\\" in name:
        raise ArtifactError(f"{name!r} is not a valid name of a file in an artifact")
    return name
