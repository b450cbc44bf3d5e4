"""A prompt optimised for a small local model, on a task with a deliberately poor prompt.

Run as `python -m bench.prompts BASE.gguf [--intents 10] [--reflect]` where xllamacpp and gepa are installed; the
last line is one JSON object. The model is served by llama.cpp as an OpenAI-compatible endpoint; the task's own prompt,
which does not even name the intents, is what the model gets first. GEPA searches on training examples, the prompt is
chosen on validation examples, and both prompts are then asked about calls that neither has seen. A model of this size
cannot write instructions, so that by default only examples, schema and instructions by rule are searched; `--reflect`
lets it try.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from understudies.datasets.dataset import Dataset, Example
from understudies.datasets.object_store import ObjectStore
from understudies.events import Message, Request, fingerprint, split_of
from understudies.judges.choice import choose_judge
from understudies.students.endpoint.connection_pool import EndpointPools
from understudies.students.endpoint.settings import EndpointSettings
from understudies.students.few_shot.student import FewShotStudent
from understudies.trainer.journal import Journal, MemoryJournal, StoredJournal
from understudies.trainer.prompts.candidate import PromptCandidate, TaskForm
from understudies.trainer.prompts.settings import PromptSettings
from understudies.trainer.prompts.trial import Purse, Trials
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import TrainedStudent, TrainingData, train_prompt

DATA: Final = Path("../shared/data/banking77.jsonl.gz")
POOR_PROMPT: Final = "Do the usual thing with this."
USD_PER_MILLION_TOKENS: Final = Decimal("0.02")
TEACHER_USD: Final = Decimal("0.001")
PART: Final = 8
_NAMED: Final = "UNDERSTUDIES_ENDPOINTS__SMALL__"


def read_examples(count: int, intents: int) -> list[Example]:
    """Return calls of the commonest intents of banking77, with a prompt that says nothing in place of their own."""
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        calls = [[Message.model_validate(one) for one in json.loads(line)["messages"]] for line in lines]
    common = {text for text, _ in Counter(messages[-1].text.strip() for messages in calls).most_common(intents)}
    chosen = [messages for messages in calls if messages[-1].text.strip() in common][:count]
    start, examples = datetime(2026, 1, 5, tzinfo=UTC), []
    for number, (*turns, answer) in enumerate(chosen):
        poor = Message(role="system", content=POOR_PROMPT)
        request = Request(messages=(poor, *(turn for turn in turns if turn.role != "system")), temperature=0)
        print_ = fingerprint(request)
        examples.append(
            Example(
                id=f"call-{number}",
                at=start + timedelta(minutes=number),
                fingerprint=print_,
                split=split_of(print_),
                teacher="recorded",
                request=request,
                answer=answer,
            )
        )
    return examples


@contextmanager
def local_model(base: Path, slots: int) -> Iterator[None]:
    """Serve a base model by llama.cpp and declare it as an endpoint, priced per token."""
    from xllamacpp import CommonParams, Server

    params = CommonParams()
    params.model.path = str(base)
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_parallel, params.n_ctx = slots, slots * 2048
    params.warmup, params.verbosity, params.use_jinja = False, 0, True
    # Several threads wait for each other at every layer, which on a busy machine takes a hundred times as long.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = Server(params)
    os.environ |= {
        f"{_NAMED}BASE_URL": f"{server.listening_address}/v1",
        f"{_NAMED}MODEL": "smollm2-135m",
        f"{_NAMED}TIMEOUT_SECONDS": "300",
        f"{_NAMED}CONCURRENCY": str(slots),
        f"{_NAMED}STREAMED": "never",
        f"{_NAMED}USD_PER_MILLION_PROMPT_TOKENS": str(USD_PER_MILLION_TOKENS),
        f"{_NAMED}USD_PER_MILLION_COMPLETION_TOKENS": str(USD_PER_MILLION_TOKENS),
    }
    yield


def agreement(candidate: PromptCandidate, examples: Sequence[Example], trials: Trials) -> dict[str, Any]:
    """Ask about examples; what the model does not answer counts as a disagreement."""
    parts = (trials.ask(candidate, examples[start : start + PART]) for start in range(0, len(examples), PART))
    outcomes = [outcome for part in parts for outcome in part or ()]
    assert len(outcomes) == len(examples)
    return {
        "agreement": round(sum(outcome.agreed for outcome in outcomes) / len(outcomes), 4),
        "tokens": round(sum(outcome.tokens for outcome in outcomes) / len(outcomes), 1),
    }


def measure(intents: int, calls: int, held_out: int, journal: Journal, options: dict[str, Any]) -> dict[str, Any]:
    examples = read_examples(calls + held_out, intents)
    known, unseen = examples[:calls], examples[calls:]
    train = [one for one in known if one.split == "train"]
    judge = choose_judge([one.answer for one in train])
    data = TrainingData(
        Dataset("banking", tuple(known)),
        judge,
        0,
        teacher_cost_usd=TEACHER_USD,
        student="banking@1",
        journal=journal,
        report=lambda line: print(line, flush=True),
    )
    settings = TrainerSettings(prompts=PromptSettings.model_validate({"endpoint": "small", **options}))
    outcome = train_prompt(data, settings)
    assert isinstance(outcome, TrainedStudent), outcome
    form = TaskForm.learn(train, judge)
    with asyncio.Runner() as runner:
        pools = EndpointPools()
        small = FewShotStudent.fit(
            train, judge, endpoint_name="small", endpoint=EndpointSettings().get("small"), shots=0, pools=pools
        )
        trials = Trials(small, form, judge, data.journal, Purse(Decimal(1000), 1_000_000, 0), runner)
        chosen = outcome.hyper_parameters
        kept = PromptCandidate(
            outcome.files["prompt.md"].decode(),
            int(str(chosen["shots"])),
            bool(chosen["nearest"]),
            form.schema if chosen["schema"] else None,
        )
        before = agreement(PromptCandidate(POOR_PROMPT), unseen, trials)
        after = agreement(kept, unseen, trials)
        runner.run(pools.close())
    return {
        "intents": intents,
        "before": before,
        "after": after,
        "held_out_calls": len(unseen),
        "kept": dict(outcome.hyper_parameters),
        "search": outcome.metrics["optimisation"],
        "cap_usd": str(settings.prompts.max_usd),
        "charged_usd": str(outcome.charged_usd),
        "prompt": outcome.files["prompt.md"].decode(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path)
    parser.add_argument("--intents", type=int, default=10)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--held-out", type=int, default=60)
    parser.add_argument("--max-calls", type=int, default=150)
    parser.add_argument("--compared", type=int, default=16)
    parser.add_argument("--validation", type=int, default=20)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--shots", type=int, nargs="+", default=[0, 4, 8])
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--work", type=Path, help="folder in which an interrupted run goes on")
    parser.add_argument("--reflect", action="store_true")
    given = parser.parse_args()
    options = {
        "max_calls": given.max_calls,
        "max_usd": Decimal("0.02"),
        "compared": given.compared,
        "batch": given.batch,
        "shots": given.shots,
        "validation": given.validation,
        "reflection_endpoint": "small" if given.reflect else None,
    }
    store = f"file://{given.work.resolve()}" if given.work else ""
    journal = StoredJournal(ObjectStore(store), "banking@1") if store else MemoryJournal()
    with local_model(given.base, given.slots):
        print(json.dumps(measure(given.intents, given.calls, given.held_out, journal, options)), flush=True)
    # Without waiting for the server's threads.
    os._exit(0)


if __name__ == "__main__":
    main()
