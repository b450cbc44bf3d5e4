"""Find out what an erasure would remove."""

import asyncio
from collections.abc import Mapping, Sequence

import orjson

from understudies.datasets.errors import ArtifactError
from understudies.datasets.object_store import ObjectStore
from understudies.erasure.request import ErasureReport, TrainedStudent
from understudies.events import Promotion
from understudies.observer.erasures import ErasedCalls, fetch_reports
from understudies.observer.queries import fetch_latest_promotions
from understudies.runtime.store import Store


async def survey(calls: ErasedCalls, store: Store, files: ObjectStore) -> ErasureReport:
    """Return what erasing the calls removes, and which students were trained on them.

    A student counts if its dataset holds the fingerprint of one of the calls. Students that earlier erasures of the
    same calls named count too: what they were trained on is no longer there to tell.
    """
    counts, tasks = await calls.count(store), await calls.count_by_task(store)
    promotions = await fetch_latest_promotions(store)
    latest = {one.student: one for one in promotions if one.steering is None}
    candidates = [one for one in latest.values() if one.task in tasks and one.dataset is not None]
    trained = {one.student: one for one in await _trained_on(calls, candidates, store, files)}
    for report in await fetch_reports(store, calls):
        named = ErasureReport.model_validate_json(report).students
        trained |= {student.name: latest[student.name] for student in named if student.name in latest}
    students = tuple(_to_student(one) for _, one in sorted(trained.items()))
    return ErasureReport(
        calls=counts["invocations"],
        verdicts=counts["verdicts"],
        marks=counts["marks"],
        tasks=tasks,
        students=students,
        datasets=await _existing(files, sorted({student.dataset for student in students})),
        artifacts=await _existing(files, _removable_artifacts(students, latest)),
        retrained=tuple(sorted({student.task for student in students if not student.has_ended})),
    )


async def _trained_on(
    calls: ErasedCalls, candidates: Sequence[Promotion], store: Store, files: ObjectStore
) -> list[Promotion]:
    """Return the students whose datasets hold the calls; each dataset is read once."""
    found: list[Promotion] = []
    held: dict[str, bool] = {}
    erased: dict[str, frozenset[str]] = {}
    for promotion in candidates:
        dataset = str(promotion.dataset)
        if dataset not in held:
            if promotion.task not in erased:
                erased[promotion.task] = await calls.fetch_fingerprints(store, promotion.task)
            held[dataset] = not erased[promotion.task].isdisjoint(
                await asyncio.to_thread(_read_fingerprints, files, dataset)
            )
        if held[dataset]:
            found.append(promotion)
    return found


def _read_fingerprints(files: ObjectStore, dataset: str) -> frozenset[str]:
    """Return the fingerprints of a dataset's inputs; none if the dataset is gone."""
    try:
        lines = files.read(dataset).splitlines()
    except ArtifactError:
        return frozenset()
    return frozenset(str(orjson.loads(line)["fingerprint"]) for line in lines)


def _removable_artifacts(students: Sequence[TrainedStudent], latest: Mapping[str, Promotion]) -> list[str]:
    """Return the artifacts of students that have ended, unless another student has the same one."""
    ended = {student.artifact for student in students if student.artifact is not None and student.has_ended}
    in_use = {one.artifact for one in latest.values() if not _to_student(one).has_ended}
    return sorted(ended - in_use)


async def _existing(files: ObjectStore, references: Sequence[str]) -> tuple[str, ...]:
    return tuple([one for one in references if await asyncio.to_thread(files.exists, one)])


def _to_student(promotion: Promotion) -> TrainedStudent:
    return TrainedStudent(
        name=promotion.student,
        task=promotion.task,
        stage=promotion.stage,
        dataset=promotion.dataset or "",
        artifact=promotion.artifact,
    )
