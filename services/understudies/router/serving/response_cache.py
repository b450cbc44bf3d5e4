"""Cache teachers' answers in the online state, and reuse them for identical requests at temperature 0."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

import orjson

from understudies.dialects.registry import dialect_of
from understudies.events import Response, Usage
from understudies.router.call import Call, TeacherAnswer
from understudies.router.serving.cache_policy import cache_key, is_cacheable, is_complete
from understudies.runtime.online.base import MAX_VALUE_BYTES, OnlineState, OnlineUnavailable
from understudies.runtime.rules.task import TaskRules

_ENTRY_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """The unstreamed body of an answer in the format of its API, with the model and the teacher that gave it."""

    body: bytes
    model: str = ""
    teacher: str = ""

    def encode(self) -> bytes:
        """Return the stored form: a line of metadata, then the body."""
        return orjson.dumps([_ENTRY_VERSION, self.model, self.teacher]) + b"\n" + self.body

    @classmethod
    def decode(cls, kept: bytes) -> "CacheEntry | None":
        """Parse the stored form; None if another version of this program has written it."""
        head, _, body = kept.partition(b"\n")
        try:
            version, model, teacher = orjson.loads(head)
        except (ValueError, TypeError):
            return None
        return cls(body, model, teacher) if version == _ENTRY_VERSION else None


_MAX_PENDING_WRITES: Final = 256
"""Limit on answers that are being written; further ones are not cached, so that they do not pile up."""


class CacheStore:
    """Store whole answers in the online state, by `cache_key`. While that is unavailable, return and store nothing.

    The caller must ensure that an answer may be stored (`is_cacheable`, `is_complete`): that it is successful, and its
    client did not disconnect.
    """

    def __init__(self, online: OnlineState, *, max_bytes: int = 256 * 1024) -> None:
        self._online = online
        self._max_bytes = min(max_bytes, MAX_VALUE_BYTES)
        self._writes: set[asyncio.Task[None]] = set()
        self.hits = 0
        self.misses = 0
        self.unavailable = 0
        """Number of failed requests to the online state."""
        self.rejected = 0
        """Number of answers that were too large, or arrived while too many were being written."""

    async def get(self, key: str) -> CacheEntry | None:
        """Return the stored answer, or None; takes one round trip."""
        try:
            kept = await self._online.get(key)
        except OnlineUnavailable:
            self.unavailable += 1
            return None
        cached = None if kept is None else CacheEntry.decode(kept)
        if cached is None:
            self.misses += 1
        else:
            self.hits += 1
        return cached

    def put(self, key: str, cached: CacheEntry, ttl_s: float) -> bool:
        """Store an answer in the background; return False if it is too large, or too many are being written."""
        value = cached.encode()
        if len(value) > self._max_bytes or len(self._writes) >= _MAX_PENDING_WRITES:
            self.rejected += 1
            return False
        task = asyncio.get_running_loop().create_task(self._write(key, value, ttl_s))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return True

    async def wait_idle(self) -> None:
        """Wait until every answer that was put is stored, or has failed to be."""
        while self._writes:
            await asyncio.wait(self._writes)

    async def _write(self, key: str, value: bytes, ttl_s: float) -> None:
        try:
            await self._online.put(key, value, ttl_s)
        except OnlineUnavailable:
            self.unavailable += 1


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A teacher's answer to an identical request; `raw` is its unstreamed body."""

    response: Response
    model: str
    teacher: str
    raw: bytes = field(repr=False)
    usage: Usage = field(default_factory=Usage)


class ResponseCache:
    """Cache teachers' whole answers for as long as a task's rules say; without a store, cache none."""

    def __init__(self, store: CacheStore | None = None) -> None:
        self._store = store

    async def get(self, call: Call, rules: TaskRules) -> CachedResponse | None:
        """Return the cached answer to an identical request at temperature 0, or None."""
        if self._store is None or rules.cache_ttl_s is None or not call.accepts_cached or call.critical:
            return None
        key = _cache_key_of(call, rules)
        kept = None if key is None else await self._store.get(key)
        if kept is None:
            return None
        try:
            answered = dialect_of(call.api).decode_response(orjson.loads(kept.body))
        except ValueError:
            return None
        return CachedResponse(answered.response, kept.model, kept.teacher, kept.body, answered.usage)

    def put(self, call: Call, rules: TaskRules, answer: TeacherAnswer) -> None:
        """Cache an answer, in the background, if it may be reused."""
        if self._store is None or rules.cache_ttl_s is None or not call.allows_caching or answer.raw is None:
            return
        partly = (
            answer.client_disconnected
            or answer.fallback
            or answer.status != 200
            or not is_complete(answer.response.finish_reason)
        )
        key = None if partly else _cache_key_of(call, rules)
        if key is not None:
            self._store.put(key, CacheEntry(answer.raw, answer.model, answer.teacher), rules.cache_ttl_s)


def _cache_key_of(call: Call, rules: TaskRules) -> str | None:
    """Return the key that identical requests share; None if an answer is valid for one request only."""
    if call.body is None or not is_cacheable(call.body):
        return None
    # The answer also depends on the task's teacher.
    model = f"{rules.teacher or ''}:{call.model}"
    return cache_key(
        tenant=call.tenant,
        task=call.task,
        api=call.api,
        model=model,
        body=call.body,
        forwarded_headers=call.forwarded_headers,
        query=call.query,
    )
