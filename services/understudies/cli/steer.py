"""Implement `understudies steer`: a person's decisions about tasks and students."""

import asyncio
import getpass
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from understudies.cli.options import DEFAULT_DATA_DIR, running_process
from understudies.cli.process import print_line, report_errors
from understudies.events import STUDENT_ACTIONS, SteeringAction
from understudies.runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from understudies.status.decision import DecisionRequest

steer = typer.Typer(
    help="Pause, resume, demote, retire, pin, approve, retrain or mark critical; kept with who, when and why.",
    no_args_is_help=True,
)

EPILOG = """
Examples:

  understudies steer pause ticket-triage --why "wrong answers for desk global"

  understudies steer approve ticket-triage --why "looked at 50 disagreements" --by ada
"""
_HELP: Final[dict[SteeringAction, str]] = {
    "pause": "Let the teacher answer every call of a task until it is resumed; recording and trials go on.",
    "resume": "Let the students of a paused task serve again, as they did before.",
    "demote": "Put a serving student out of service, and learn anew from the teacher's answers from now on.",
    "retire": "End a student; its task's examples stay, so a successor may learn from them.",
    "pin": "Keep a serving student from being succeeded; drift still demotes it.",
    "unpin": "Let the pinned student of a task be succeeded.",
    "approve": 'Let a proven student serve, where the rules say promotion = "manual".',
    "retrain": "Ask for a new student without waiting for more examples or time; its gates are the same.",
    "mark_critical": "Keep a task from being served by any student.",
    "unmark_critical": "Undo mark-critical; a task that the rules call critical stays so.",
}
_TaskArgument = Annotated[str, typer.Argument(help="Task that is decided about.", show_default=False)]
_WhyOption = Annotated[str, typer.Option(help="Why; shown in the status and kept.", show_default=False)]
_ByOption = Annotated[str | None, typer.Option(help="Who decides.", show_default="the user of this machine")]
_DataOption = Annotated[Path, typer.Option(help="Data folder of the running `understudies up`.")]
_UrlOption = Annotated[
    str | None,
    typer.Option(
        help="Base URL of a running `understudies up`; its key: UNDERSTUDIES_STATUS_KEY.",
        show_default="found by the data folder",
    ),
]
_BootstrapOption = Annotated[
    str | None, typer.Option(help="Kafka broker of single services, HOST:PORT; nothing checks the names then.")
]
_StudentOption = Annotated[
    str | None, typer.Option(help="The student, such as triage@3.", show_default="the one that it can be about")
]


def _add_command(action: SteeringAction) -> None:
    def decide(
        task: str, why: str, by: str | None, student: str | None, data: Path, url: str | None, bootstrap: str | None
    ) -> None:
        with report_errors():
            _decide(action, task, why, by, student, _sender(data, url, bootstrap))

    def without_student(
        task: _TaskArgument,
        why: _WhyOption,
        by: _ByOption = None,
        data: _DataOption = DEFAULT_DATA_DIR,
        url: _UrlOption = None,
        bootstrap: _BootstrapOption = None,
    ) -> None:
        decide(task, why, by, None, data, url, bootstrap)

    def with_student(
        task: _TaskArgument,
        why: _WhyOption,
        by: _ByOption = None,
        student: _StudentOption = None,
        data: _DataOption = DEFAULT_DATA_DIR,
        url: _UrlOption = None,
        bootstrap: _BootstrapOption = None,
    ) -> None:
        decide(task, why, by, student, data, url, bootstrap)

    command = steer.command(action.replace("_", "-"), help=_HELP[action], epilog=EPILOG)
    command(with_student if action in STUDENT_ACTIONS else without_student)


for _action in _HELP:
    _add_command(_action)


_Sender = Callable[["DecisionRequest"], str | None]
"""Publishes a decision; returns the student that it is about."""


def _decide(action: SteeringAction, task: str, why: str, by: str | None, student: str | None, send: _Sender) -> None:
    from pydantic import ValidationError

    from understudies.status.decision import DecisionRequest

    try:
        request = DecisionRequest(task=task, action=action, by=by or getpass.getuser(), why=why, student=student)
    except ValidationError as error:
        problems = (f"{one['loc'][0]}: {one['msg']}" for one in error.errors(include_url=False))
        raise ConfigurationError("; ".join(problems)) from None
    about = send(request)
    print_line(f"{action.replace('_', '-')} {task}{f', {about}' if about else ''}: published for {request.by}")


def _sender(data: Path, url: str | None, bootstrap: str | None) -> _Sender:
    if bootstrap is not None:
        if url is not None:
            raise ConfigurationError("give --url or --bootstrap, not both")
        return lambda request: asyncio.run(_publish(request, bootstrap))
    return _url_sender(url) if url is not None else _folder_sender(data.resolve())


def _url_sender(url: str) -> _Sender:
    process = running_process(url)
    return lambda request: process.decide(request).student


def _folder_sender(folder: Path) -> _Sender:
    from understudies.runtime.process import is_locked
    from understudies.status.running import read_announcement

    if not is_locked(folder, "up"):
        raise ConfigurationError(
            f"no `understudies up` runs on {str(folder)!r}: start it, name its folder with --data, or its --url; "
            "for single services, give --bootstrap"
        )
    return lambda request: read_announcement(folder).decide(request).student


async def _publish(request: "DecisionRequest", bootstrap: str) -> str | None:
    """Publish a decision without anybody who knows the task."""
    from datetime import UTC, datetime

    from understudies.events import new_id
    from understudies.runtime.bus.kafka_bus import KafkaBus
    from understudies.runtime.settings import BusSettings, settings_from

    if request.action in STUDENT_ACTIONS and request.student is None:
        raise ConfigurationError("name the --student, such as triage@3: a broker does not know which it is about")
    bus = KafkaBus(settings_from(BusSettings, bootstrap=bootstrap), "steering")
    await bus.start()
    try:
        await bus.publish(request.to_event(request.student, datetime.now(UTC), new_id))
    finally:
        await bus.stop()
    return request.student
