"""Train a student by optimising the task's prompt, and leave the prompt where a person can read and edit it."""

import asyncio
import json
import logging
from collections.abc import Sequence
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import quote

from pydantic import JsonValue

from understudies.datasets.dataset import Example
from understudies.students.base import close_student
from understudies.students.endpoint.client import ChatClient
from understudies.students.endpoint.connection_pool import EndpointPools
from understudies.students.endpoint.settings import EndpointSettings
from understudies.students.few_shot.student import FewShotStudent
from understudies.trainer.calibration import calibrate
from understudies.trainer.costs import counting_lost
from understudies.trainer.prompts.candidate import NO_SCHEMA, SCHEMA, PromptCandidate, TaskForm, own_instructions
from understudies.trainer.prompts.search import Search, SearchResult
from understudies.trainer.prompts.settings import PromptSettings
from understudies.trainer.prompts.trial import Outcome, Purse, Reflection, Trials
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import NotApplicable, TrainedStudent, TrainingData, evenly_spread
from understudies.trainer.validation import held_out_examples

_PROMPT: Final = "prompt.md"
_OPTIONS: Final = "prompt.json"
_HISTORY: Final = "history.json"
_MAX_TRIED: Final = 400

_log = logging.getLogger(__name__)


def train_prompt(data: TrainingData, settings: TrainerSettings) -> TrainedStudent | NotApplicable:
    """Search for a prompt on training examples, and calibrate the best one on those of validation.

    Synthetic examples are left out: what they are worth is measured by a second training, at a second price.
    """
    chosen = settings.prompts
    assert chosen.endpoint is not None
    endpoints = EndpointSettings()
    endpoint = endpoints.get(chosen.endpoint)
    if endpoint.api != "chat":
        return NotApplicable(f"the endpoint {chosen.endpoint!r} answers decisions, not chat completions")
    if find_spec("gepa") is None:
        return NotApplicable("gepa is not installed: pip install understudies[prompts]")
    train = [example for example in data.dataset.in_split("train") if not example.synthetic]
    if len(train) < chosen.min_examples:
        return NotApplicable(f"{len(train)} training examples, and {chosen.min_examples} are needed")
    with asyncio.Runner() as runner:
        pools = EndpointPools()
        try:
            optimisation = _Optimisation(data, chosen, endpoints, pools, runner)
            with counting_lost(data.unreported, lambda: optimisation.charged_usd):
                return optimisation.run(train)
        finally:
            runner.run(pools.close())


class _Optimisation:
    """One optimisation with its inputs."""

    def __init__(
        self,
        data: TrainingData,
        chosen: PromptSettings,
        endpoints: EndpointSettings,
        pools: EndpointPools,
        runner: asyncio.Runner,
    ) -> None:
        assert chosen.endpoint is not None
        self._data = data
        self._chosen = chosen
        self._endpoints = endpoints
        self._name = chosen.endpoint
        self._pools = pools
        self._runner = runner
        validation = held_out_examples(data.dataset.in_split("validation"))
        self._validation = evenly_spread(validation, chosen.validation)
        # The prompt that was found and the task's own are both validated.
        self._purse = Purse(chosen.max_usd, chosen.max_calls, 2 * len(self._validation), data.counted)

    @property
    def charged_usd(self) -> Decimal:
        """What was charged so far and is not counted elsewhere."""
        return self._purse.charged_usd

    def run(self, train: Sequence[Example]) -> TrainedStudent | NotApplicable:
        """Return the student with the best prompt."""
        form = TaskForm.learn(train, self._data.judge)
        # Calls that a student chose are no measure of the traffic.
        drawn = [example for example in train if example.unbiased]
        compared = evenly_spread(drawn if len(drawn) >= self._chosen.min_examples else train, self._chosen.compared)
        taken = {example.id for example in compared}
        rest = [example for example in train if example.id not in taken]
        tried = evenly_spread(rest, min(_MAX_TRIED, max(self._chosen.batch, len(rest) // 3)))
        # What candidates are judged on is never among the examples that they are shown.
        taken |= {example.id for example in tried}
        base = self._student([example for example in rest if example.id not in taken] or rest)
        trials = Trials(base, form, self._data.judge, self._data.journal, self._purse, self._runner)
        own = PromptCandidate(own_instructions(train, self._data.system))
        seed = self._edited(own)
        search = Search(
            trials,
            form,
            self._chosen.shots,
            self._reflection(),
            self._data.teacher_cost_usd,
            self._data.seed,
            self._data.report,
        )
        found = search.run(seed, tried, compared, self._chosen.batch)
        if found is None:
            return NotApplicable(
                f"the prompt as it is cannot be tried within UNDERSTUDIES_PROMPTS_MAX_USD, ${self._chosen.max_usd}",
                charged_usd=self._purse.charged_usd,
            )
        return self._validated(train, form, own, found, search)

    def _student(self, pool: Sequence[Example]) -> FewShotStudent:
        return FewShotStudent.fit(
            pool,
            self._data.judge,
            endpoint_name=self._name,
            endpoint=self._endpoints.get(self._name),
            shots=0,
            pool=self._chosen.pool,
            system=self._data.system,
            pools=self._pools,
            kind="prompt_optimised",
        )

    def _reflection(self) -> Reflection | None:
        if self._chosen.reflection_endpoint is None:
            return None
        endpoint = self._endpoints.get(self._chosen.reflection_endpoint)
        chat = ChatClient(endpoint, self._pools.get(endpoint))
        return Reflection(chat, self._data.journal, self._purse, self._runner)

    def _validated(
        self, train: Sequence[Example], form: TaskForm, own: PromptCandidate, found: SearchResult, search: Search
    ) -> TrainedStudent | NotApplicable:
        # Shown from now on: all training examples.
        trials = Trials(self._student(train), form, self._data.judge, self._data.journal, self._purse, self._runner)
        outcomes = trials.ask(found.best, self._validation, is_validation=True)
        if outcomes is None:
            return NotApplicable(
                f"the cap of ${self._chosen.max_usd} was spent before validation: raise UNDERSTUDIES_PROMPTS_MAX_USD",
                charged_usd=self._purse.charged_usd,
            )
        before = trials.ask(own, self._validation, is_validation=True)
        best = found.best
        if before is not None and _total(search, before) > _total(search, outcomes):
            best, outcomes = own, before
        result = calibrate([outcome.call for outcome in outcomes])
        student = trials.student(best).with_calibration(result.calibration)
        history = _history(found, own, best, before, outcomes)
        self._write_down(best, history)
        self._runner.run(close_student(student))
        return TrainedStudent(
            student,
            {
                **student.to_files(),
                _HISTORY: _to_text(history).encode("utf-8", "replace"),
            },
            result.validation_calls,
            {"shots": best.shots, "nearest": best.nearest, "schema": best.schema is not None, "seed": self._data.seed},
            base_model=self._endpoints.get(self._name).model,
            metrics={**result.metrics, "optimisation": self._summary(found, before, outcomes)},
            charged_usd=self._purse.charged_usd,
        )

    def _summary(
        self, found: SearchResult, before: Sequence[Outcome] | None, after: Sequence[Outcome]
    ) -> dict[str, JsonValue]:
        summary: dict[str, JsonValue] = {
            "prompts": len(found.steps),
            "calls": self._purse.calls,
            "spent_usd": format(self._purse.spent_usd, "f"),
            "agreement": _agreement(after),
            "tokens": _mean_tokens(after),
        }
        if before is not None:
            summary |= {"agreement_before": _agreement(before), "tokens_before": _mean_tokens(before)}
        return summary

    def _folder(self) -> Path | None:
        # No two tasks share a folder: a tenant's instructions must not begin another's prompt.
        name = quote(self._data.dataset.task, safe=" @", errors="surrogatepass")
        name = f"%2E{name[1:]}" if name.startswith(".") else name
        return self._chosen.folder / name if self._chosen.folder is not None and name else None

    def _edited(self, own: PromptCandidate) -> PromptCandidate:
        """Return the prompt that the folder holds, as a person may have changed it; else the task's own."""
        folder = self._folder()
        if folder is None or not (folder / _PROMPT).is_file():
            return own
        try:
            options = json.loads((folder / _OPTIONS).read_text()) if (folder / _OPTIONS).is_file() else {}
            schema = options.get("schema")
            return PromptCandidate(
                (folder / _PROMPT).read_text().strip(),
                min(int(options.get("shots", 0)), self._chosen.pool),
                bool(options.get("nearest", False)),
                schema if isinstance(schema, dict) else None,
            )
        except (OSError, ValueError, AttributeError, TypeError) as error:
            _log.warning("the prompt in %s cannot be read, and the task's own is taken: %s", folder, error)
            return own

    def _write_down(self, best: PromptCandidate, history: dict[str, JsonValue]) -> None:
        """Write the prompt for people; a folder that cannot be written loses no student."""
        if (folder := self._folder()) is None:
            return
        options = {"shots": best.shots, "nearest": best.nearest, "schema": best.schema}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _PROMPT).write_text(best.instructions + "\n")
            (folder / _OPTIONS).write_text(_to_text(options))
            (folder / _HISTORY).write_text(_to_text(history))
        except (OSError, ValueError) as error:
            _log.warning("the prompt could not be written to %s: %s", folder, error)


def _history(
    found: SearchResult,
    own: PromptCandidate,
    best: PromptCandidate,
    before: Sequence[Outcome] | None,
    after: Sequence[Outcome],
) -> dict[str, JsonValue]:
    steps: list[JsonValue] = [
        {
            "number": number,
            "parent": step.parent,
            "score": round(step.score, 6),
            "instructions": step.candidate.instructions,
            "shots": step.candidate.shots,
            "nearest": step.candidate.nearest,
            "schema": step.candidate.to_texts()[SCHEMA] != NO_SCHEMA,
        }
        for number, step in enumerate(found.steps)
    ]
    validated: dict[str, JsonValue] = {"agreement": _agreement(after), "tokens": _mean_tokens(after)}
    if before is not None:
        validated |= {"agreement_before": _agreement(before), "tokens_before": _mean_tokens(before)}
    kept = next((number for number, step in enumerate(found.steps) if step.candidate == best), None)
    return {"prompts": steps, "kept": kept, "is_own": best == own, "validation": validated}


def _to_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _total(search: Search, outcomes: Sequence[Outcome]) -> float:
    return sum(map(search.score, outcomes))


def _agreement(outcomes: Sequence[Outcome]) -> float:
    return round(sum(outcome.agreed for outcome in outcomes) / max(1, len(outcomes)), 6)


def _mean_tokens(outcomes: Sequence[Outcome]) -> float:
    counted = [outcome.tokens for outcome in outcomes if outcome.tokens]
    return round(sum(counted) / max(1, len(counted)), 1)
