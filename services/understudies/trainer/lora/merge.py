"""Merge a LoRA student into its base, as a model of its own, and check that it answers as the student does."""

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from understudies.datasets.dataset import Dataset, Example, read_dataset
from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore
from understudies.events import Message, Utc
from understudies.judges.base import Judge
from understudies.judges.choice import choose_judge
from understudies.runtime.errors import ConfigurationError
from understudies.students.artifact import Consent, Manifest, read_artifact
from understudies.students.base import StudentError
from understudies.students.lora.adapter import CONFIG_FILE, WEIGHTS_FILE, LoraAdapter, read_adapter
from understudies.students.lora.base_model import LoraBase, find_base
from understudies.students.lora.llama_cpp_process import ServerOptions
from understudies.students.lora.llama_cpp_server import LlamaCppServer, ServerNotStarted
from understudies.students.lora.merged_gguf import merge_gguf
from understudies.students.lora.prompt import Turn, to_turns
from understudies.students.lora.settings import LoraServingSettings
from understudies.students.lora.student import MANIFEST_FILE, LoraManifest
from understudies.trainer.lora.parity import Parity, compare_messages, read_text
from understudies.trainer.lora.trainer import to_text
from understudies.trainer.validation import held_out_examples

MERGED_FILE: Final = "understudies.json"
"""Beside the merged model: where it comes from."""
GGUF_NAME: Final = "merged-f16.gguf"
_DIGEST_SHOWN: Final = 12


class MergedManifest(BaseModel):
    """Origin of a merged model: the student's artifact with what it was made of, the files, and the check of each."""

    model_config = ConfigDict(frozen=True)

    student: str
    task: str
    artifact: str
    dataset_digest: str
    teachers: tuple[str, ...]
    consent: Consent
    base: str
    base_digest: str
    base_licence: str
    base_revision: str
    merged: Utc
    answer_tokens: int
    """The most tokens that an answer needs."""
    files: dict[str, str]
    """SHA-256 of each file by its name."""
    checks: dict[str, dict[str, int]]
    """For the safetensors and for the GGUF file: validation calls, those answered with the same text as by the student
    unmerged, and the agreements with the teacher of the student and of the merged model."""


class LoraMerge:
    """Merge of one student's artifact; `report` takes a line of progress before each step."""

    def __init__(self, object_store: ObjectStore, uri: str, base: str | None, report: Callable[[str], None]) -> None:
        """Read the artifact, its base and its validation calls.

        Raises ArtifactError for another kind of student, a damaged one, or one whose validation calls are gone, and
        ConfigurationError if the base is missing or another one.
        """
        self._report = report
        self._uri = uri
        self._manifest, self._files = read_artifact(object_store, uri)
        self._lora = _read_lora(self._manifest, self._files)
        self._adapter = _checked_adapter(self._files, self._lora)
        self._base = find_base(base or self._lora.base)
        _check_base(self._base, self._lora)
        dataset = _read_dataset(object_store, self._manifest)
        self._judge = choose_judge([one.answer for one in dataset.in_split("train")])
        held_out = [one for one in held_out_examples(dataset.in_split("validation")) if to_text(one) is not None]
        if not held_out:
            raise ArtifactError(f"the dataset of {self._manifest.student} has no validation calls to check a merge by")
        self._held_out = held_out

    def run(self, output: Path, sample: int, at: datetime) -> MergedManifest:
        """Write the merged model into a new folder, checked on at most `sample` validation calls; whole or not at all.

        Raises ConfigurationError if the folder exists, and ArtifactError if the merged model agrees with the teacher
        less often than the student, by more than 2% of the calls and more than chance explains.
        """
        if output.exists() or output.is_symlink():
            raise ConfigurationError(f"{str(output)!r} exists: remove it, or name another folder")
        if not output.parent.is_dir():
            raise ConfigurationError(f"the folder {str(output.parent)!r} does not exist")
        partial = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
        try:
            checks = self._write(partial, self._held_out[:: max(1, -(-len(self._held_out) // sample))])
            manifest = self._describe(partial, checks, at)
            (partial / MERGED_FILE).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
            # Made for this user alone, and a server may run as another.
            for path in partial.iterdir():
                path.chmod(0o644)
            partial.chmod(0o755)
            partial.rename(output)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return manifest

    def _write(self, folder: Path, examples: Sequence[Example]) -> dict[str, Parity]:
        # Imported here: it loads torch.
        from understudies.trainer.lora.merged_weights import AdaptedBase, answer_by_merged

        chats = [to_turns(one.request) or [] for one in examples]
        tokens = self._lora.answer_tokens
        self._report(f"the student answers {len(chats)} validation calls")
        with tempfile.TemporaryDirectory(prefix="understudies-merge-") as adapter:
            for name in (CONFIG_FILE, WEIGHTS_FILE):
                (Path(adapter) / name).write_bytes(self._files[name])
            model = AdaptedBase(self._base.weights, Path(adapter))
            expected = [read_text(text) for text in model.answer(chats, tokens)]
            self._report("base and adapter are merged")
            model.merge(folder)
        # Freed before the merged one is loaded.
        del model
        self._report("the merged model answers them")
        answers = [read_text(text) for text in answer_by_merged(folder, chats, tokens)]
        checks = {"safetensors": _checked("merged weights", examples, expected, answers, self._judge)}
        if self._base.gguf is not None:
            self._report("the GGUF file is merged, and llama.cpp answers them")
            target = folder / GGUF_NAME
            merge_gguf(self._base.gguf, self._adapter, self._base.shape, target, self._manifest.student)
            served = asyncio.run(_answer_by_llama_cpp(target, chats, tokens))
            checks["gguf"] = _checked("merged GGUF file", examples, expected, served, self._judge)
        return checks

    def _describe(self, folder: Path, checks: dict[str, Parity], at: datetime) -> MergedManifest:
        digests = {}
        for path in sorted(folder.iterdir()):
            with path.open("rb") as file:
                digests[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
        return MergedManifest(
            student=self._manifest.student,
            task=self._manifest.task,
            artifact=self._uri,
            dataset_digest=self._manifest.dataset_digest,
            teachers=self._manifest.teachers,
            consent=self._manifest.consent,
            base=self._base.source,
            base_digest=self._lora.base_digest,
            base_licence=self._base.licence,
            base_revision=self._base.revision,
            merged=at,
            answer_tokens=self._lora.answer_tokens,
            files=digests,
            checks={
                name: {
                    "calls": one.calls,
                    "same": one.same,
                    "student_agreed": one.trained_agreed,
                    "merged_agreed": one.served_agreed,
                }
                for name, one in checks.items()
            },
        )


def _read_lora(manifest: Manifest, files: dict[str, bytes]) -> LoraManifest:
    if manifest.kind != "lora":
        raise ArtifactError(f"{manifest.student} is a {manifest.kind} student; only a lora student has an adapter")
    try:
        return LoraManifest.model_validate_json(files[MANIFEST_FILE])
    except KeyError:
        raise ArtifactError(f"{manifest.student} has no file {MANIFEST_FILE!r}") from None
    except ValidationError as error:
        raise ArtifactError(f"the LoRA manifest of {manifest.student} is invalid: {error}") from error


def _read_dataset(object_store: ObjectStore, manifest: Manifest) -> Dataset:
    try:
        return read_dataset(object_store, f"datasets/{manifest.dataset_digest}.jsonl", manifest.task)
    except ArtifactError as error:
        raise ArtifactError(
            f"the dataset of {manifest.student}, by which a merge is checked, is gone: "
            f"train the student again ({error})"
        ) from error


def _checked_adapter(files: dict[str, bytes], lora: LoraManifest) -> LoraAdapter:
    adapter = read_adapter(files)
    adapter.check_shape(lora.shape)
    return adapter


def _check_base(base: LoraBase, lora: LoraManifest) -> None:
    """Raise ConfigurationError unless the base is the one that the student was validated on."""
    digest = base.weights_digest if lora.engine == "vllm" else base.digest
    if digest != lora.base_digest:
        raise ConfigurationError(
            f"the student was trained on {lora.base!r} with digest {lora.base_digest[:_DIGEST_SHOWN]}, and "
            f"{base.source!r} is {digest[:_DIGEST_SHOWN]}: name the base it was trained on by --base"
        )


def _checked(
    what: str,
    examples: Sequence[Example],
    expected: Sequence[Message | None],
    answers: Sequence[Message | None],
    judge: Judge,
) -> Parity:
    parity = compare_messages(examples, expected, answers, judge)
    if parity.is_broken:
        raise ArtifactError(
            f"the {what} do not answer as the student does: of {parity.calls} validation calls the student agrees with "
            f"the teacher on {parity.trained_agreed}, and they on {parity.served_agreed}; nothing was written"
        )
    return parity


async def _answer_by_llama_cpp(gguf: Path, chats: Sequence[list[Turn]], tokens: int) -> list[Message | None]:
    settings = LoraServingSettings(answer_timeout_s=600.0)
    options = ServerOptions(
        base=gguf, adapters=(), slots=settings.slots, slot_tokens=settings.slot_tokens, threads=settings.threads
    )
    try:
        server = await LlamaCppServer.start(
            options, (), start_timeout_s=settings.start_timeout_s, answer_timeout_s=settings.answer_timeout_s
        )
    except (ServerNotStarted, StudentError) as error:
        raise ArtifactError(f"llama.cpp does not serve the merged GGUF file: {error}") from error
    try:
        return list(await asyncio.gather(*(_ask(server, chat, tokens) for chat in chats)))
    finally:
        await server.stop()


async def _ask(server: LlamaCppServer, chat: list[Turn], tokens: int) -> Message | None:
    try:
        generation = await server.chat.complete({"messages": chat, "temperature": 0, "max_tokens": tokens})
        message = generation.message()
    except (StudentError, ValueError):
        return None
    return message if message.tool_calls else read_text(message.text)
