"""Implement `understudies judge`: measure a judge that errs on pairs of answers that people marked."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudies.cli.process import report_errors
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.rules.parsing import read_rules
from understudies.runtime.rules.rules import Rules

if TYPE_CHECKING:
    from understudies.judge_backends.measurement import JudgeMeasurement

EPILOG = """
Examples:

  understudies judge marks.jsonl --judge semantic

  understudies judge marks.jsonl --judge "llm[tone]" --rules understudies.toml

Each line of the file is {"teacher": "...", "student": "...", "agree": true}. Mark pairs that are drawn at random;
`GET /marks?task=NAME` of `understudies up` gives what people marked in the console.
"""


def judge(
    marks: Annotated[Path, typer.Argument(help="Pairs of answers that people marked, as JSON lines.")],
    judge_name: Annotated[str, typer.Option("--judge", help="semantic, json.FIELD=semantic, or llm[NAME].")],
    rules: Annotated[Path | None, typer.Option(help="Rules with the table [judges.NAME].")] = None,
    min_agreement: Annotated[
        float, typer.Option(help="Agreement to promise, as in the rules.", min=0.5, max=0.999)
    ] = 0.95,
    alpha: Annotated[
        float, typer.Option(help="As UNDERSTUDIES_EVALUATOR_ALPHA of the evaluator.", min=1e-6, max=0.5)
    ] = 0.05,
) -> None:
    """Measure a judge that errs against people, and print its name for the rules."""
    with report_errors():
        # Imported here so that `--help` responds at once.
        from understudies.judge_backends.install import install_judge_backends
        from understudies.judge_backends.measurement import measure_judge, read_marks
        from understudies.judges.registry import parse_judge
        from understudies.runtime.rules.judge import check_judge_name, resolve_judge_name

        tables = (read_rules(rules) if rules else Rules()).judges
        try:
            parsed = parse_judge(resolve_judge_name(check_judge_name(judge_name), tables))
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
        pairs = read_marks(marks)
        install_judge_backends()
        measured = measure_judge(parsed, pairs)
        for line in describe_measurement(measured, min_agreement, alpha):
            typer.echo(line)


def describe_measurement(measured: "JudgeMeasurement", p0: float, alpha: float) -> Iterator[str]:
    """Describe what was measured, what it takes from the promise, and what to write into the rules."""
    from understudies.judges.fallible import demanded_agreement, judge_error, marks_needed

    name = measured.judge.name.partition("[")[0]
    if not measured.judged:
        yield f"{name}: no pair was judged, {measured.failed} failed; see the log, and mark more pairs"
        return
    low, high = measured.interval
    yield (
        f"{name} and people say the same of {measured.alike} of {measured.judged} pairs: "
        f"{measured.alike / measured.judged:.1%} ({low:.1%} to {high:.1%})"
    )
    yield f"agreements: {measured.marks.of}, of which people see {measured.marks.false} as none"
    yield f"disagreements: {measured.disagreements}, of which people see {measured.missed} as agreements"
    if measured.failed:
        yield f"without a verdict: {measured.failed}"
    if measured.bias is not None and measured.bias.asked:
        bias = measured.bias
        yield (
            f"position: yes {bias.yes_in_order / bias.asked:.1%} with the teacher's answer first, "
            f"{bias.yes_reversed / bias.asked:.1%} with it second; the replies differ on "
            f"{bias.differed / bias.asked:.1%} of {bias.asked} pairs, {bias.without_verdict} without a verdict"
        )
        yield f"cost: {measured.cost_usd:.6f} USD, {measured.cost_usd / bias.asked:.6f} a pair"
    error, demanded = judge_error(measured.judge, alpha), demanded_agreement(measured.judge, p0, alpha)
    if demanded is None:
        yield (
            f"its error is at most {error:.1%} of its agreements: too much, or too little known, to prove {p0:.0%}; "
            f"that takes at least {marks_needed(p0, alpha)} of its agreements marked, all confirmed"
        )
        return
    yield f"its error is at most {error:.1%} of its agreements: {p0:.0%} is proven by {demanded:.1%} by this judge"
    yield f'judge = "{measured.judge.name}"'
