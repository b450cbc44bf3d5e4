"""Collects the dataset of an authorised student."""

import asyncio
import logging
from collections import Counter
from datetime import datetime

from understudies.events import NewId, Promotion
from understudies.observer.corpus import read_task_corpus, summarize_profile
from understudies.observer.settings import ObserverSettings
from understudies.runtime import Store
from understudies.students import ObjectStore, write_dataset

log = logging.getLogger(__name__)


async def build_dataset(
    promotion: Promotion, store: Store, files: ObjectStore, new_id: NewId, settings: ObserverSettings
) -> Promotion:
    """Write what the teacher had answered when the student was authorised; the same story makes the same dataset."""
    corpus = await read_task_corpus(
        store, promotion.task, until=promotion.at, since=_evidence_since(promotion), max_inputs=settings.max_examples
    )
    uri, digest = await asyncio.to_thread(write_dataset, files, promotion.task, corpus.examples)
    log.info("collected %d examples for %s: %s", len(corpus.examples), promotion.student, uri)
    return Promotion(
        id=new_id(promotion.at),
        at=promotion.at,
        task=promotion.task,
        student=promotion.student,
        stage="collected",
        dataset=uri,
        evidence={
            "digest": digest,
            "examples": len(corpus.examples),
            "counts": dict(sorted(Counter(example.split for example in corpus.examples).items())),
            "calls": corpus.calls,
            "unreadable": corpus.unreadable,
            "teachers": [*sorted({example.teacher for example in corpus.examples})],
            "profile": summarize_profile(corpus.profile),
        },
    )


def _evidence_since(promotion: Promotion) -> datetime | None:
    """Where earlier answers no longer hold, as after a drift, the story says since when they do."""
    since = promotion.evidence.get("since")
    return datetime.fromisoformat(since) if isinstance(since, str) else None
