"""Implement `understudies export`: write the examples of a task in the formats in which others train."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from understudies.cli.options import DEFAULT_DATA_DIR, external_store_url, running_process, settings_from
from understudies.cli.process import print_line, report_errors
from understudies.runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from understudies.datasets.dataset import Example
    from understudies.datasets.export import ExportFormat
    from understudies.runtime.store import Store

EPILOG = """
Examples:

  understudies export ticket-triage                                  ./ticket-triage.train.jsonl, .validation.jsonl

  understudies export ticket-triage --format alpaca --out /tmp/corpus --data ./understudies-data

  understudies export ticket-triage --format parquet --evidence --url http://127.0.0.1:8080

  UNDERSTUDIES_STORE_URL=clickhouse://… understudies export ticket-triage        the store of single services
"""
_TRAINED_ON: Final = ("train", "validation")


def export(
    task: Annotated[str, typer.Argument(help="Task whose examples to write.", show_default=False)],
    form: Annotated[
        str,
        typer.Option("--format", help="openai, together, fireworks, bedrock, alpaca, sharegpt or parquet."),
    ] = "openai",
    out: Annotated[Path, typer.Option(help="Folder for the files, one for each split.")] = Path(),
    evidence: Annotated[
        bool,
        typer.Option("--evidence", help="Write the split that students are proven on too. Never train on it."),
    ] = False,
    require_consent: Annotated[
        bool, typer.Option("--require-consent", help="Only examples whose calls are all marked with consent.")
    ] = False,
    data: Annotated[Path, typer.Option(help="Data folder of `understudies up`, running or not.")] = DEFAULT_DATA_DIR,
    url: Annotated[
        str | None,
        typer.Option(
            help="Base URL of a running `understudies up`; its key: UNDERSTUDIES_STATUS_STEERING_KEY.",
            show_default="found by the data folder",
        ),
    ] = None,
) -> None:
    """Write a task's examples, the last answer of its teacher to each input, split as its students are trained.

    One file for each split, TASK.SPLIT.jsonl; those that a format cannot hold are counted with the reason. Beside it
    TASK.SPLIT.lineage.jsonl says of each example, in the same order, which teacher answered, whether its terms let the
    answer train a model, by which document, and its consent and tenant; Parquet has columns for it. The files
    hold the calls as they were recorded. The evidence split is left out: a student trained on it would prove nothing.
    Examples of which a call is marked as refused are left out: they may not train.
    """
    from understudies.datasets.consent import may_train

    with report_errors():
        chosen = _check_format(form)
        examples = asyncio.run(_read(task, data.resolve(), url))
        if not examples:
            raise ConfigurationError(
                f"no answered call of a task {task!r} is stored; `understudies status` names the tasks"
            )
        permitted = [one for one in examples if may_train(one, required=require_consent)]
        for line in _write(task, permitted, chosen, out, evidence=evidence):
            print_line(line)
        if left_out := len(examples) - len(permitted):
            print_line(f"left out {left_out:,}: they may not train, as a call of theirs says or none does")


def _check_format(form: str) -> "ExportFormat":
    from understudies.datasets.export import EXPORT_FORMATS

    for known in EXPORT_FORMATS:
        if form == known:
            return known
    raise ConfigurationError(f"--format must be one of {', '.join(EXPORT_FORMATS)}, got {form!r}")


async def _read(task: str, folder: Path, url: str | None) -> "Sequence[Example]":
    from understudies.runtime.process import is_locked, lock_data_dir
    from understudies.runtime.store import Store
    from understudies.status.running import read_announcement

    if url is not None:
        return await asyncio.to_thread(running_process(url).examples, task)
    external = external_store_url()
    if external is not None:
        return await _read_store(await Store.open(external), task)
    if is_locked(folder, "up"):
        return await asyncio.to_thread(read_announcement(folder).examples, task)
    if not (folder / "store").is_dir():
        raise ConfigurationError(
            f"there is no store in {str(folder)!r}: name the data folder with --data, or give --url"
        )
    with lock_data_dir(folder, "up"):
        return await _read_store(await Store.open(f"chdb://{folder / 'store'}"), task)


async def _read_store(store: "Store", task: str) -> "Sequence[Example]":
    from understudies.observer.corpus import read_task_corpus
    from understudies.observer.settings import ObserverSettings

    try:
        await store.migrate()
        most = settings_from(ObserverSettings).max_examples
        return (await read_task_corpus(store, task, until=datetime.now(UTC), since=None, max_inputs=most)).examples
    finally:
        await store.close()


def _write(task: str, examples: "Sequence[Example]", form: "ExportFormat", out: Path, *, evidence: bool) -> list[str]:
    """Write a file for each split and return what was written, line by line; raises ConfigurationError."""
    from understudies.datasets.errors import ArtifactError
    from understudies.datasets.export import export_examples, extension

    lines: list[str] = []
    for split in (*_TRAINED_ON, *(("evidence",) if evidence else ())):
        path = out / f"{task.replace('/', '_').replace(':', '_')}.{split}.{extension(form)}"
        try:
            found = export_examples([one for one in examples if one.split == split], form)
            out.mkdir(parents=True, exist_ok=True)
            path.write_bytes(found.content)
            if found.lineage:
                path.with_suffix(".lineage.jsonl").write_bytes(found.lineage)
        except ArtifactError as error:
            raise ConfigurationError(str(error)) from error
        except OSError as error:
            raise ConfigurationError(
                f"cannot write {str(path)!r}: {error.strerror}; name another folder with --out"
            ) from error
        lines.append(f"{found.examples:,} examples in {path}")
        lines += [f"left out {count:,}: {reason}" for reason, count in found.left_out.items()]
    if not evidence:
        held = sum(one.split == "evidence" for one in examples)
        lines.append(f"{held:,} examples are kept for evidence: do not train on them")
    return lines
