"""Implement `understudies students`: what is done with a trained student's files."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from understudies.cli.options import DEFAULT_DATA_DIR, ArtifactsOption, settings_from
from understudies.cli.process import print_line, report_errors
from understudies.runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from understudies.trainer.lora.merge import MergedManifest

students = typer.Typer(help="Trained students: merge one into its base model.", no_args_is_help=True)

EPILOG = """
Examples:

  understudies students merge triage --output ./triage-merged

  understudies students merge 3f9a41c07b1e --output ./triage-merged --base ./SmolLM2-135M-Instruct --artifacts s3://…
"""
_SAMPLE: Final = 200
_LABELS: Final = {"safetensors": "safetensors", "gguf": "GGUF file"}


@students.callback()
def _students() -> None:
    """Trained students: merge one into its base model."""


@students.command(epilog=EPILOG)
def merge(
    student: Annotated[
        str,
        typer.Argument(
            help="LoRA student: its task, its name such as triage@3, or how its artifact's digest begins.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder to make.", show_default=False)],
    base: Annotated[
        str | None,
        typer.Option(
            help="Its base model: a folder, a GGUF file, or a hub id.",
            show_default="UNDERSTUDIES_LORA_BASE, else as it was named in training",
        ),
    ] = None,
    data: Annotated[Path, typer.Option(help="Data folder of `understudies up`, running or not.")] = DEFAULT_DATA_DIR,
    artifacts: ArtifactsOption = None,
    sample: Annotated[int, typer.Option(help="Most validation calls to check it on.", min=20, max=10_000)] = _SAMPLE,
) -> None:
    """Merge a LoRA student's adapter into its base model, for an engine that serves this task alone.

    Writes safetensors with the tokenizer, for vLLM, a GGUF file of 16-bit numbers for llama.cpp where the base has one,
    and understudies.json with where all that comes from. Both are asked the student's validation calls first; a model
    that agrees with the teacher less often than the student is not written. The base is held in memory in 32 bits.
    """
    with report_errors():
        manifest = _merge(student, output.absolute(), base, artifacts or f"file://{_artifacts_in(data)}", sample)
        for what, check in manifest.checks.items():
            print_line(
                f"{_LABELS[what]}: the same text as the student's for {check['same']} of {check['calls']} validation "
                f"calls; it agrees with the teacher on {check['merged_agreed']}, that on {check['student_agreed']}"
            )
        print_line(f"wrote {output}: {manifest.student}, merged into {manifest.base}")


def _merge(student: str, output: Path, base: str | None, root: str, sample: int) -> "MergedManifest":
    from understudies.datasets.errors import ArtifactError
    from understudies.datasets.object_store import ObjectStore
    from understudies.students.artifact import find_artifact
    from understudies.students.lora.settings import LoraServingSettings

    try:
        from understudies.trainer.lora.merge import LoraMerge

        store = ObjectStore(root)
        chosen = base or settings_from(LoraServingSettings).base
        found = LoraMerge(store, find_artifact(store, student, "lora"), chosen, print_line)
        return found.run(output, sample, datetime.now(UTC))
    except ArtifactError as error:
        raise ConfigurationError(str(error)) from error
    except ImportError as error:
        raise ConfigurationError(
            f"merging needs the module {error.name!r}: pip install 'understudies[lora]'"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"the merged model could not be written: {error}") from error


def _artifacts_in(data: Path) -> Path:
    """Return the root of the artifacts in a data folder; raises ConfigurationError if it has none."""
    root = data.resolve() / "artifacts"
    if not root.is_dir():
        raise ConfigurationError(
            f"there are no artifacts in {str(data)!r}: name the data folder with --data, or --artifacts"
        )
    return root
