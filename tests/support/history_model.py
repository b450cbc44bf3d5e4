"""Compare what agents saw with what the product holds: every difference is a violation, named event by event."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tests.support.agents import History
from tests.support.datasets import TASK
from tests.support.promoted_student import STUDENT

from understudies.events import Promotion

INVOCATIONS_SQL: Final = """
SELECT id, task, origin, audits, served_by, cost_usd, isNotNull(response) AS answered
FROM invocations FINAL
"""
TWICE_SQL: Final = "SELECT id FROM {table} FINAL GROUP BY id HAVING count() > 1"
VERDICTS_SQL: Final = "SELECT id, invocation, student, phase, agreed, spot_check FROM verdicts FINAL"
PROMOTIONS_SQL: Final = "SELECT id FROM promotions FINAL"


@dataclass
class Held:
    """What the product holds: the store's rows, the snapshots' states, the topic of promotions, and routers' tables."""

    invocations: Sequence[Mapping[str, Any]]
    verdicts: Sequence[Mapping[str, Any]]
    twice: Sequence[str]
    stored_promotions: frozenset[str]
    promotions: Sequence[Promotion]
    routers: Mapping[str, Sequence[str]]
    budget: Mapping[str, Any] = field(default_factory=dict)
    evaluator: Mapping[str, Any] = field(default_factory=dict)


def read_state(data: Path, service: str) -> dict[str, Any]:
    """The state in a service's snapshot, or in those of all partitions; empty before the first one."""
    whole = data / "snapshots" / f"{service}.json"
    paths = sorted((data / "snapshots").glob(f"partition-*/{service}.json")) or [whole]
    joined: dict[str, Any] = {}
    for path in paths:
        try:
            state: dict[str, Any] = json.loads(path.read_bytes())["state"]
        except FileNotFoundError:
            return {}
        for key in ("books", "trials"):
            joined[key] = [*joined.get(key, ()), *state.pop(key, ())]
        joined |= state
    return joined


def violations(history: History, held: Held) -> list[str]:
    """All differences, in words."""
    return [
        *_recorded(history, held),
        *_ledger(held),
        *_evidence(held),
        *_promotions(held),
        *_routers(held),
    ]


def _recorded(history: History, held: Held) -> Iterable[str]:
    rows = {row["id"]: row for row in held.invocations}
    yield from (f"{id_} is stored twice" for id_ in held.twice)
    yield from (f"an agent was refused: {answer}" for answer in history.refused)
    for id_, call in history.answered.items():
        if id_ not in rows:
            yield f"call {id_} of {call.task}, answered by the {call.served_by} at {call.at}, is not recorded"
    for id_, event in history.published.items():
        if id_ not in rows:
            yield f"event {id_}, published at {event.at}, is not recorded"
        elif rows[id_]["cost_usd"] != event.cost_usd:
            yield f"event {id_} is recorded with another cost"
    unknown = 0
    for id_, row in rows.items():
        known = history.answered.get(id_)
        if known is not None and (known.task, known.served_by) != (row["task"], row["served_by"]):
            yield f"call {id_} is recorded as {row['task']} by {row['served_by']}, and was {known}"
        unknown += row["origin"] == "live" and known is None and id_ not in history.published
    if unknown > history.unanswered:
        yield f"{unknown} calls are recorded that no agent made, and {history.unanswered} were not answered"


def _ledger(held: Held) -> Iterable[str]:
    by_task: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in held.invocations:
        by_task[row["task"]].append(row)
    ledgers = {book["task"]: book["ledger"] for book in held.budget.get("books", ())}
    for task, rows in by_task.items():
        live = [row for row in rows if row["origin"] == "live" and row["served_by"] != "cache"]
        audits = [row for row in rows if row["origin"] == "audit"]
        expected = {
            "calls": len(live),
            "served": sum(row["served_by"] == "student" for row in live),
            "audits": len(audits),
            "cost": sum((row["cost_usd"] for row in [*live, *audits]), Decimal(0)),
        }
        ledger = ledgers.get(task)
        if ledger is None:
            yield f"the budget does not know {task}, which has {len(rows)} calls"
            continue
        found = {name: ledger[name] for name in ("calls", "served", "audits")}
        found["cost"] = sum((Decimal(str(ledger[name])) for name in ("teacher", "students", "audit")), Decimal(0))
        if found != expected:
            yield f"the ledger of {task} is {found}, the events say {expected}"


def _evidence(held: Held) -> Iterable[str]:
    audits = [row for row in held.verdicts if row["phase"] == "audit" and row["student"] == STUDENT]
    judged = Counter(row["invocation"] for row in audits)
    yield from (f"call {id_} was judged {n} times" for id_, n in judged.items() if n > 1)
    if STUDENT not in serving_students(held.promotions).get(TASK, ()):
        yield f"{STUDENT} is not in service any more"
        return
    calls = {row["id"]: row for row in held.invocations}
    for row in held.invocations:
        call = calls.get(row["audits"] or "")
        if row["origin"] != "audit" or not row["answered"] or call is None or call["served_by"] != "student":
            continue
        if call["id"] not in judged:
            yield f"the audit {row['id']} of call {call['id']} was not judged"
    trials = {trial["story"]["student"]: trial for trial in held.evaluator.get("trials", ())}
    if STUDENT in trials:
        trial = trials[STUDENT]
        drawn = sum(not row["spot_check"] for row in audits)
        if trial["audited"] != drawn:
            yield f"the trial counts {trial['audited']} audits, {drawn} of {len(audits)} verdicts are on drawn calls"
        if trial["drift"] is not None and trial["drift"]["contract"]["n"] != drawn:
            yield f"the drift detector counts {trial['drift']['contract']['n']} of {drawn} drawn audits"
    elif held.evaluator:
        yield f"the evaluator has no trial of {STUDENT}"
    books = {book["task"]: book for book in held.budget.get("books", ())}
    for student in books.get(TASK, {}).get("students", ()):
        if student["story"]["student"] == STUDENT:
            random = [row for row in audits if not row["spot_check"]]
            found = student["audited"], student["agreed"]
            expected = len(random), sum(row["agreed"] for row in random)
            if found != expected:
                yield f"the budget counts {found} audits and agreements, the verdicts say {expected}"


def serving_students(promotions: Sequence[Promotion]) -> dict[str, set[str]]:
    """The students in service by task, as the events say in order."""
    stages: dict[str, str] = {}
    for event in promotions:
        if event.steering is None:
            stages[event.student] = event.stage
    serving: defaultdict[str, set[str]] = defaultdict(set)
    for student, stage in stages.items():
        if stage == "promoted":
            serving[student.rpartition("@")[0]].add(student)
    return dict(serving)


def _promotions(held: Held) -> Iterable[str]:
    seen: list[Promotion] = []
    once: Counter[tuple[str, str]] = Counter()
    for event in {event.id: event for event in held.promotions}.values():
        seen.append(event)
        once[event.student, event.stage] += event.stage in ("authorised", "qualified", "demoted", "retired")
        for task, students in serving_students(seen).items():
            if len(students) > 1:
                yield f"{task} has {sorted(students)} in service at once, since {event.id}"
    yield from (f"{student} was {stage} {n} times" for (student, stage), n in once.items() if n > 1)
    missing = {event.id for event in held.promotions} - held.stored_promotions
    yield from (f"promotion {id_} is not stored" for id_ in missing)


def _routers(held: Held) -> Iterable[str]:
    expected = sorted(serving_students(held.promotions))
    for router, tasks in held.routers.items():
        if sorted(tasks) != expected:
            yield f"{router} serves {sorted(tasks)} by students, the promotions say {expected}"
