"""Answers that may be given again."""

from dataclasses import dataclass, field

import orjson

from understudies.events import Response, Usage
from understudies.router import money
from understudies.router.call import Call, TeacherAnswer
from understudies.router.dialects import dialect_of
from understudies.router.money import CacheStore, cache_key, is_cacheable, is_complete
from understudies.runtime.rules import TaskRules


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A teacher's answer to an identical request; `raw` is its body, as where nothing is streamed."""

    response: Response
    model: str
    teacher: str
    raw: bytes = field(repr=False)
    usage: Usage = field(default_factory=Usage)


class ResponseCache:
    """Keeps whole answers of teachers where a task's rules say for how long; without a cache, none."""

    def __init__(self, store: CacheStore | None = None) -> None:
        self._store = store

    async def get(self, call: Call, rules: TaskRules) -> CachedResponse | None:
        """The answer to an identical request at temperature 0."""
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
        """Keep an answer, in the background, where it may be given again."""
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
            self._store.put(key, money.CacheEntry(answer.raw, answer.model, answer.teacher), rules.cache_ttl_s)


def _cache_key_of(call: Call, rules: TaskRules) -> str | None:
    """What identical requests have in common; None where an answer holds for one request alone."""
    if call.body is None or not is_cacheable(call.body):
        return None
    # The task's teacher is one of the things that decide the answer.
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
