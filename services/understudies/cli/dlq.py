"""Implement `understudies dlq`: look into the dead letters, and publish again those that can be decoded by now."""

import asyncio
import json
import sys
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from understudies.cli.options import BootstrapOption, settings_from
from understudies.cli.process import report_errors
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.settings import BusSettings

if TYPE_CHECKING:
    from understudies.runtime.bus.dead_letter_box import DeadLetter, DeadLetterBox

dlq = typer.Typer(
    help="Look into the records that no service could decode (Kafka's topic dead-letters), and replay them.",
    no_args_is_help=True,
)

EPILOG = """
Examples:

  understudies dlq list --bootstrap kafka:9092                  what is there, by reason, the latest last

  understudies dlq show 0:17 --bootstrap kafka:9092             one record: where it was, why, and its bytes

  understudies dlq replay 0:17 0:18 --bootstrap kafka:9092      once a version that can decode them runs

  understudies dlq replay --all --topic verdicts --dry-run      what would be published again

Security settings of the broker are those of the services: UNDERSTUDIES_BUS_*.
"""
_LINE: Final = "{id:>8}  {at}  {topic} {place}  {bytes} bytes  {reason}"
_MAX_SHOWN: Final = 2000
_MAX_REASON: Final = 120
_REPLAY_BATCH: Final = 100

TopicOption = Annotated[str | None, typer.Option(help="Only records of this topic.", show_default="all topics")]


@dlq.command("list", epilog=EPILOG)
def list_letters(
    bootstrap: BootstrapOption = None,
    topic: TopicOption = None,
    limit: Annotated[int, typer.Option(help="The most records to list, the latest of them.", min=1)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """List the dead letters: name, time, where each was, its size, and why it could not be decoded."""
    with report_errors():
        latest: deque[dict[str, Any]] = deque(maxlen=limit)
        reasons: Counter[str] = Counter()

        def add(letter: "DeadLetter") -> None:
            reasons[f"{letter.topic}: {letter.reason[:_MAX_REASON]}"] += 1
            latest.append(_describe(letter))

        asyncio.run(_for_each(_open_box(bootstrap), topic, add))
        for one in latest:
            typer.echo(json.dumps(one) if as_json else _LINE.format(**one))
        if not as_json:
            typer.echo(f"{reasons.total()} dead letters" + (":" if reasons else ""))
            for reason, count in reasons.most_common(10):
                typer.echo(f"  {count:>6}  {reason}")


@dlq.command(epilog=EPILOG)
def show(
    letter: Annotated[str, typer.Argument(help="Its name in the list, such as 0:17.", show_default=False)],
    bootstrap: BootstrapOption = None,
    raw: Annotated[bool, typer.Option("--raw", help="Print the original bytes and nothing else.")] = False,
) -> None:
    """Show one dead letter: where it was, why it could not be decoded then and now, and its bytes."""
    with report_errors():
        (found,) = asyncio.run(_find(_open_box(bootstrap), [letter]))
        if raw:
            sys.stdout.buffer.write(found.value)
            return
        for name, value in _describe(found, whole=True).items():
            typer.echo(f"{name + ':':8} {value}")
        typer.echo(f"now:     {_problem(found) or 'can be decoded: replay it'}")
        text = found.value.decode("utf-8", "backslashreplace")
        left = len(text) - _MAX_SHOWN
        typer.echo(f"\n{text[:_MAX_SHOWN]}" + (f"\n... {left} more characters: --raw prints all" if left > 0 else ""))


@dlq.command(epilog=EPILOG)
def replay(
    letters: Annotated[
        list[str] | None, typer.Argument(help="Names in the list, such as 0:17.", show_default=False)
    ] = None,
    bootstrap: BootstrapOption = None,
    every: Annotated[bool, typer.Option("--all", help="All of them, or all of a --topic.")] = False,
    topic: TopicOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Publish nothing; say what would be.")] = False,
) -> None:
    """Publish dead letters to their topics again, bytes unchanged, if this version can decode them.

    Services know an event by its id, so one that is replayed twice counts once. It comes late: those of promotions and
    drift are better looked at first. The exit status is 1 if some could not be replayed.
    """
    with report_errors():
        if bool(letters) == every:
            raise ConfigurationError("name the records to replay, as `understudies dlq list` does, or give --all")
        box = _open_box(bootstrap)
        published, refused = asyncio.run(_replay(box, letters or [], topic, dry_run=dry_run))
        for name, reason in refused.items():
            typer.echo(f"{name}: still cannot be decoded: {reason[:_MAX_REASON]}")
        typer.echo(f"{'would replay' if dry_run else 'replayed'} {published}, left {len(refused)}")
    if refused:
        raise typer.Exit(1)


def _open_box(bootstrap: str | None) -> "DeadLetterBox":
    from understudies.runtime.bus.dead_letter_box import DeadLetterBox

    settings = settings_from(BusSettings, bootstrap=bootstrap)
    if not settings.bootstrap:
        raise ConfigurationError(
            "no broker: give --bootstrap HOST:PORT or set UNDERSTUDIES_BUS_BOOTSTRAP; without a broker "
            "`understudies up` keeps dead letters in memory, and its log has the reasons"
        )
    return DeadLetterBox(settings)


async def _for_each(box: "DeadLetterBox", topic: str | None, add: Callable[["DeadLetter"], None]) -> None:
    async for letter in box.read():
        if topic in (None, letter.topic):
            add(letter)


async def _find(box: "DeadLetterBox", names: Sequence[str]) -> "list[DeadLetter]":
    wanted = dict.fromkeys(names)
    found = {letter.id: letter async for letter in box.read() if letter.id in wanted}
    if missing := [name for name in wanted if name not in found]:
        raise ConfigurationError(f"no dead letter {missing[0]!r}: `understudies dlq list` names those that are there")
    return [found[name] for name in wanted]


async def _replay(
    box: "DeadLetterBox", names: Sequence[str], topic: str | None, *, dry_run: bool
) -> tuple[int, dict[str, str]]:
    """Replay in batches, so that few records are in memory at once."""
    refused: dict[str, str] = {}
    published = 0
    batch: list[DeadLetter] = []

    async def publish() -> int:
        left = _problems(batch) if dry_run else await box.replay(batch)
        refused.update(left)
        count = len(batch) - len(left)
        batch.clear()
        return count

    if names:
        batch += await _find(box, names)
        return await publish(), refused
    async for letter in box.read():
        if topic in (None, letter.topic):
            batch.append(letter)
        if len(batch) >= _REPLAY_BATCH:
            published += await publish()
    return published + (await publish() if batch else 0), refused


def _problems(letters: "Sequence[DeadLetter]") -> dict[str, str]:
    return {letter.id: problem for letter in letters if (problem := _problem(letter)) is not None}


def _problem(letter: "DeadLetter") -> str | None:
    try:
        letter.to_message()
    except ValueError as error:
        return str(error)
    return None


def _describe(letter: "DeadLetter", *, whole: bool = False) -> dict[str, Any]:
    return {
        "id": letter.id,
        "at": letter.at.isoformat(timespec="seconds"),
        "topic": letter.topic,
        "place": letter.place,
        "bytes": len(letter.value),
        "reason": letter.reason if whole else letter.reason[:_MAX_REASON],
    }
