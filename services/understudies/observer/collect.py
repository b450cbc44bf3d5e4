"""Collects the dataset of an authorised student."""

import asyncio
import logging
from collections import Counter
from datetime import datetime

from understudies.events import NewId, Promotion
from understudies.observer.corpus import profile_summary, read_corpus
from understudies.observer.settings import ObserverSettings
from understudies.runtime import Store
from understudies.students import Files, write_dataset

log = logging.getLogger(__name__)


async def collect(story: Promotion, store: Store, files: Files, new_id: NewId, settings: ObserverSettings) -> Promotion:
    """Write what the teacher had answered when the student was authorised; the same story makes the same dataset."""
    corpus = await read_corpus(store, story.task, until=story.at, since=_since(story), most=settings.max_examples)
    uri, digest = await asyncio.to_thread(write_dataset, files, story.task, corpus.examples)
    log.info("collected %d examples for %s: %s", len(corpus.examples), story.student, uri)
    return Promotion(
        id=new_id(story.at),
        at=story.at,
        task=story.task,
        student=story.student,
        stage="collected",
        dataset=uri,
        evidence={
            "digest": digest,
            "examples": len(corpus.examples),
            "counts": dict(sorted(Counter(example.split for example in corpus.examples).items())),
            "calls": corpus.calls,
            "unreadable": corpus.unreadable,
            "teachers": [*sorted({example.teacher for example in corpus.examples})],
            "profile": profile_summary(corpus.profile),
        },
    )


def _since(story: Promotion) -> datetime | None:
    """Where earlier answers no longer hold, as after a drift, the story says since when they do."""
    since = story.evidence.get("since")
    return datetime.fromisoformat(since) if isinstance(since, str) else None
