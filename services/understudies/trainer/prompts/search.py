"""Search for a better prompt with GEPA: Pareto-efficient evolution of the components, by reflection on disagreements.

Agrawal et al. (2025), "GEPA: Reflective prompt evolution can outperform reinforcement learning", arXiv:2507.19457.
"""

import importlib
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from understudies.datasets.dataset import Example
from understudies.students.base import StudentError, request_text
from understudies.trainer.prompts.candidate import EXAMPLES, INSTRUCTIONS, NO_SCHEMA, SCHEMA, PromptCandidate, TaskForm
from understudies.trainer.prompts.trial import Outcome, Reflection, Trials

_log = logging.getLogger(__name__)
_POINTS_PER_TOKEN: Final = 1e-5
"""What a token counts where no price is known: a hundred of them as a tenth of a percent of agreement."""
_LONGEST_INPUT: Final = 1_000
_REQUEST: Final = """I provided an assistant with the following instructions to perform a task for me:
```
<curr_param>
```

The following are examples of different task inputs provided to the assistant along with the assistant's response for
each of them, and the answer that is right:
```
<side_info>
```

Your task is to write new instructions for the assistant, which is a small model: plain, short and explicit. Identify
the format of inputs and answers, and the rules by which right answers are chosen, from the examples; keep what the
present instructions say of the task. Do not copy the examples. Every token of the instructions is paid for each time.

Provide the new instructions within ``` blocks."""


@dataclass(frozen=True, slots=True)
class Step:
    """A candidate that was compared on all examples, with its score, and the number of its parent."""

    candidate: PromptCandidate
    score: float
    parent: int | None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """All candidates that were compared, the first of them the seed."""

    steps: tuple[Step, ...]

    @property
    def best(self) -> PromptCandidate:
        return max(self.steps, key=lambda step: step.score).candidate


@dataclass(frozen=True, slots=True)
class Search:
    """Search over the prompts of a task; raises ImportError if GEPA is not installed."""

    trials: Trials
    form: TaskForm
    shots: Sequence[int]
    reflection: Reflection | None
    teacher_usd: Decimal | None
    seed: int
    report: Callable[[str], None]

    def run(
        self, seed: PromptCandidate, tried_first: Sequence[Example], compared: Sequence[Example], batch: int
    ) -> SearchResult | None:
        """Return what was found; None if the purse does not reach for the seed."""
        gepa: Any = importlib.import_module("gepa")
        if self.trials.ask(seed, compared) is None:
            return None
        found = gepa.optimize(
            seed_candidate=seed.to_texts(),
            trainset=list(tried_first),
            valset=list(compared),
            adapter=_Adapter(self),
            custom_candidate_proposer=_Proposer(self),
            reflection_minibatch_size=batch,
            skip_perfect_score=False,
            module_selector="round_robin",
            stop_callbacks=[lambda state: self._is_over(state, batch)],
            logger=_Logger(),
            seed=self.seed,
        )
        parents = [min((one for one in of if one is not None), default=None) for of in found.parents]
        scores = found.val_aggregate_scores
        steps = zip(map(PromptCandidate.from_texts, found.candidates), scores, parents, strict=True)
        return SearchResult(tuple(Step(*step) for step in steps))

    def score(self, outcome: Outcome) -> float:
        """Return agreement less the price: a share of the teacher's price, else a little for each token."""
        if outcome.cost_usd is not None and self.teacher_usd:
            return float(outcome.agreed) - min(1.0, float(outcome.cost_usd / self.teacher_usd))
        return float(outcome.agreed) - _POINTS_PER_TOKEN * outcome.tokens

    def _is_over(self, state: Any, batch: int) -> bool:
        purse = self.trials.purse
        best = max(state.program_full_scores_val_set, default=0.0)
        self.report(
            f"prompt_optimised, {len(state.program_candidates)} prompts compared, {purse.calls} calls, "
            f"${purse.spent_usd:.4f} spent, best score {best:.3f}"
        )
        return not purse.can_search(2 * batch) or state.i > 200


class _Logger:
    """Logger of GEPA: its lines quote prompts and answers, which do not belong into logs."""

    def log(self, message: str) -> None:
        _log.debug("a line of GEPA, of %d characters", len(message))


class _Adapter:
    """What GEPA asks for scores and for what to reflect on."""

    propose_new_texts = None

    def __init__(self, search: Search) -> None:
        self._search = search
        self._batch: Any = importlib.import_module("gepa.core.adapter").EvaluationBatch

    def evaluate(self, batch: list[Example], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        """Score a candidate on examples; what the purse does not reach for scores nothing, and ends the search."""
        outcomes = self._search.trials.ask(PromptCandidate.from_texts(candidate), batch)
        scores = [0.0] * len(batch) if outcomes is None else [self._search.score(outcome) for outcome in outcomes]
        answers = [outcome.answer for outcome in outcomes or ()] or [""] * len(batch)
        traces = list(zip(batch, answers, scores, strict=True)) if capture_traces else None
        return self._batch(outputs=answers, scores=scores, trajectories=traces)

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Return each example with the model's answer and the teacher's."""
        records = [
            {
                "Input": request_text(example.request)[:_LONGEST_INPUT],
                "Response": answer,
                "Right answer": example.answer.text,
                "Verdict": "right" if score > 0 else "wrong",
            }
            for example, answer, score in eval_batch.trajectories
        ]
        return dict.fromkeys(components_to_update, records)


class _Proposer:
    """Proposes texts: instructions by reflection, else by rule; examples and schema from what was not tried yet."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._random = random.Random(search.seed)
        self._proposed: dict[str, set[str]] = {INSTRUCTIONS: set(), EXAMPLES: set(), SCHEMA: set()}
        self._by_rule: list[str] | None = None

    def __call__(
        self,
        candidate: dict[str, str],
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],
    ) -> dict[str, str]:
        return {
            component: self._propose(component, candidate, reflective_dataset.get(component, ()))
            for component in components_to_update
        }

    def _propose(self, component: str, candidate: dict[str, str], records: Sequence[Mapping[str, Any]]) -> str:
        current = PromptCandidate.from_texts(candidate)
        if component == EXAMPLES:
            return self._choose(component, self._other_examples(current), candidate)
        if component == SCHEMA:
            return self._choose(component, self._other_schemas(candidate[SCHEMA]), candidate)
        if self._by_rule is None:
            self._by_rule = self._search.form.instructions_by_rule(current.instructions)
        if self._by_rule:
            return self._by_rule.pop(0)
        if self._search.reflection is None:
            return current.instructions
        return self._reflect(current.instructions, records)

    def _choose(self, component: str, options: list[str], candidate: dict[str, str]) -> str:
        """Return an option that was not proposed yet, else any."""
        fresh = [option for option in options if option not in self._proposed[component]]
        if not options:
            return candidate[component]
        chosen = self._random.choice(fresh or options)
        self._proposed[component].add(chosen)
        return chosen

    def _other_examples(self, current: PromptCandidate) -> list[str]:
        return [
            PromptCandidate("", shots, nearest).to_texts()[EXAMPLES]
            for shots in self._search.shots
            for nearest in ((False, True) if shots else (False,))
            if (shots, nearest) != (current.shots, current.nearest)
        ]

    def _other_schemas(self, current: str) -> list[str]:
        fitting = PromptCandidate("", schema=self._search.form.schema).to_texts()[SCHEMA]
        return [option for option in dict.fromkeys((NO_SCHEMA, fitting)) if option != current]

    def _reflect(self, instructions: str, records: Sequence[Mapping[str, Any]]) -> str:
        """Return what the strong model writes; the present instructions if it fails."""
        signature: Any = importlib.import_module("gepa.strategies.instruction_proposal").InstructionProposalSignature
        assert self._search.reflection is not None
        prompt = signature.prompt_renderer(
            {
                "current_instruction_doc": instructions,
                "dataset_with_feedback": list(records),
                "prompt_template": _REQUEST,
            }
        )
        try:
            written = signature.output_extractor(self._search.reflection(prompt))["new_instruction"]
        except StudentError as error:
            _log.warning("no instructions were written: %s", error)
            return instructions
        return str(written).strip() or instructions
