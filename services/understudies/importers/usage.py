"""Read token counts under the names and by the conventions of providers and logs.

Providers disagree on what a count includes: OpenAI's prompt tokens include those read from its cache, Anthropic's and
Bedrock's do not; Gemini and xAI count reasoning beside the answer, others within it; Langfuse stores buckets that
exclude each other. Where a total is given, it tells which convention a row follows; else the names tell.
"""

from collections.abc import Mapping, Set
from functools import lru_cache
from typing import Any, Final, NamedTuple

from understudies.dialects.json_fields import list_objects
from understudies.dialects.usage import read_details, with_iterations
from understudies.events import Usage, UsageDetails
from understudies.events.request import MAX_TOKENS
from understudies.importers.fields import as_mapping, as_number, first_not_none

_PROMPT: Final = (
    *("prompt_tokens", "promptTokens", "input", "prompt"),
    *("promptTokenCount", "prompt_token_count", "prompt_eval_count"),
)
_PROMPT_MAYBE_UNCACHED: Final = ("input_tokens", "inputTokens", "inputTokenCount", "input_token_count")
_COMPLETION: Final = (
    *("completion_tokens", "output_tokens", "completionTokens", "outputTokens", "output", "completion"),
    *("candidatesTokenCount", "candidates_token_count", "outputTokenCount", "output_token_count"),
    *("responseTokenCount", "generation_token_count", "eval_count"),
)
_CACHE_READ: Final = (
    *("cached_tokens", "input_cached_tokens", "input_cache_read", "cachedInputTokens", "cached_input_tokens"),
    *("cachedContentTokenCount", "cached_content_token_count", "prompt_cache_read_tokens", "prompt_cache_hit_tokens"),
    *("cache_read", "cacheReadTokens", "cache_read_tokens", "cache_read_input_tokens", "cacheReadInputTokens"),
    *("cacheReadInputTokenCount", "input_cache_read_tokens", "input_cache_read_input_tokens"),
    *("priority_cache_read", "flex_cache_read"),
)
_CACHE_WRITE: Final = (
    *("cache_write_tokens", "cacheWriteTokens", "cache_creation_tokens", "input_cache_creation", "input_cache_write"),
    *("prompt_cache_write_tokens", "cache_creation_input_tokens", "cacheCreationInputTokens", "cacheWriteInputTokens"),
    *("cacheWriteInputTokenCount", "cache_creation", "input_cache_write_tokens", "input_cache_creation_tokens"),
)
_CACHE_WRITE_5M: Final = (
    *("ephemeral_5m_input_tokens", "input_ephemeral_5m_input_tokens", "cache_creation_5m_input_tokens"),
    *("input_cache_creation_5m", "prompt_cache_write_5m", "cache_write_5m_tokens"),
)
_CACHE_WRITE_1H: Final = (
    *("ephemeral_1h_input_tokens", "input_ephemeral_1h_input_tokens", "cache_creation_1h_input_tokens"),
    *("input_cache_creation_1h", "prompt_cache_write_1h", "cache_write_1h_tokens"),
)
_REASONING: Final = (
    *("reasoning_tokens", "reasoningTokens", "output_reasoning_tokens", "output_reasoning", "reasoning"),
    *("thoughtsTokenCount", "thoughts_token_count", "reasoning_output_tokens"),
)
_AUDIO_IN: Final = ("input_audio_tokens", "input_audio", "prompt_audio_tokens", "inputAudioTokens")
_AUDIO_OUT: Final = ("output_audio_tokens", "output_audio", "completion_audio_tokens", "outputAudioTokens")
_AUDIO: Final = ("audio_tokens", "audioTokens", "audio")
"""Names of audio tokens, the last ones among the details of a side."""
_TOTAL: Final = ("total_tokens", "totalTokens", "total", "totalTokenCount", "total_token_count")
_TOOL_PROMPT: Final = ("toolUsePromptTokenCount", "tool_use_prompt_token_count")
_PROMPT_DETAILS: Final = frozenset(
    {"prompt_tokens_details", "input_tokens_details", "input_token_details", "inputTokenDetails", "prompt_details"}
    | {"promptTokensDetails", "inputTokensDetails"}
)
_COMPLETION_DETAILS: Final = frozenset(
    {"completion_tokens_details", "output_tokens_details", "output_token_details", "outputTokenDetails"}
    | {"completion_details", "completionTokensDetails", "outputTokensDetails"}
    | {"candidatesTokensDetails", "candidates_tokens_details"}
)
_COUNTED_APART: Final = frozenset(
    {"cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount", "cache_creation_input_tokens"}
    | {"cacheCreationInputTokens", "cacheWriteInputTokens", "cacheWriteInputTokenCount"}
)
"""Names of cached tokens that do not count among the `input_tokens` beside them."""
_PRICED: Final = (
    _PROMPT_DETAILS
    | _COMPLETION_DETAILS
    | {"cache_creation", "server_tool_use", "service_tier", "speed", "inference_geo", "cost_in_usd_ticks"}
)
_REASONING_APART: Final = frozenset({"thoughtsTokenCount", "thoughts_token_count"})


NO_USAGE: Final = Usage()


class _Counts(NamedTuple):
    """The counts as written; the others may or may not be among `prompt` and `completion`."""

    prompt: int
    completion: int
    read: int
    write: int
    write_1h: int
    reasoning: int
    other_input: int
    other_output: int
    total: int


def find_usage(*sources: Mapping[str, Any]) -> Usage:
    """Read the usage from the first source that has any, preferring one that tells the cached tokens apart."""
    first: Usage | None = None
    for source in sources:
        if first is not None and source.keys().isdisjoint(_TELLS_CACHED):
            continue  # it would neither be preferred nor be the first
        usage = parse_usage(source) if source else None
        if usage is not None and usage.cached_tokens:
            return usage
        first = first or usage
    return first or NO_USAGE


def parse_usage(source: Mapping[str, Any], *, buckets: bool = False) -> Usage | None:
    """Read the usage of one source; returns None if it counts nothing, more than can be, or tokens of several models.

    `buckets` is true for Langfuse, whose counts exclude each other.
    """
    if "iterations" in source:
        counted = with_iterations(source)
        return None if counted is None else parse_usage(_without_iterations(counted), buckets=buckets)
    fields = _find_fields(tuple(source))
    if not buckets and not fields.has_counts:
        return None
    found, unreadable = _find_counts(source, fields)
    if not _is_complete(found, unreadable, is_apart=buckets or fields.is_apart):
        return None
    counts = None if not buckets and _adds_up(found, fields) else _sort_counts(source, found, buckets=buckets)
    if counts is None:
        prompt, completion, read = found.get("prompt", 0), found.get("completion", 0), found.get("read", 0)
    else:
        prompt, completion, read = counts.prompt, counts.completion, counts.read
        if not 0 < max(prompt, completion, read) <= MAX_TOKENS:
            return None
        # Cached tokens that are more than all of the prompt's cannot be among them.
        is_apart = buckets or fields.is_apart or counts.read + counts.write > prompt
        prompt, completion = _add_up(counts, is_apart, buckets or fields.is_reasoning_apart)
    if not 0 < max(prompt, completion) <= MAX_TOKENS or read > MAX_TOKENS:
        return None
    usage: Usage = _USAGE.validate_python(
        {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "cached_tokens": min(read, prompt),
            "details": _read_details(source, found, counts) if fields.is_priced or counts else None,
        }
    )
    return usage


def _is_complete(found: dict[str, int], unreadable: Set[str], *, is_apart: bool) -> bool:
    """Return whether no count with a price is unreadable, with the one side that is missing taken from the total.

    `is_apart` is true if cached tokens are not among those of the prompt.
    """
    if len(_SIDES - found.keys()) == 1 and "total" in found and found.keys() <= _USUAL_KINDS:
        known, other = ("prompt", "completion") if "prompt" in found else ("completion", "prompt")
        read = found.get("read", 0)
        rest = found["total"] - found[known]
        if known == "prompt" and (is_apart or read > found[known]):
            rest -= read
        if rest > 0 and unreadable <= {other}:
            found[other] = rest
            return True
    return unreadable.isdisjoint(_PRICED_KINDS - found.keys())


def _without_iterations(source: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in source.items() if name != "iterations"}


def _adds_up(found: Mapping[str, int], fields: "_Fields") -> bool:
    """Return whether the prompt tokens include those read from a cache, if any, and nothing else counts, as in most."""
    if not found.keys() <= _USUAL_KINDS:
        return False
    if "read" not in found:
        return True
    prompt, total = found.get("prompt", 0), found.get("total")
    if found["read"] > prompt:
        return False
    return not fields.is_apart and (total is None or total == prompt + found.get("completion", 0))


def _add_up(counts: _Counts, is_apart: bool, is_reasoning_apart: bool) -> tuple[int, int]:
    """Return all prompt and all completion tokens, by the total where there is one, else by what the names tell."""
    more_input = counts.read + counts.write + counts.other_input
    more_output = counts.reasoning + counts.other_output
    prompt = counts.prompt + more_input if is_apart else counts.prompt
    completion = counts.completion + more_output if is_reasoning_apart else counts.completion
    if not counts.total or prompt + completion == counts.total or not (more_input or more_output):
        return prompt, completion
    cached = counts.read + counts.write
    told = (counts.prompt + more_input, counts.prompt, counts.prompt + counts.write, counts.prompt + counts.read)
    prompts = [count for count in told if count >= cached]
    completions = (counts.completion + more_output, counts.completion)
    sums = ((p, c) for p in prompts for c in completions if p + c == counts.total)
    return next(sums, (prompt, completion))


def _read_details(
    source: Mapping[str, Any], found: Mapping[str, int], counts: _Counts | None = None
) -> UsageDetails | None:
    """Read what else has a price. A cost beside the counts is in a unit that only the reader of the format knows."""
    priced = {**source, "cost": None} if "cost" in source else source
    details = None if priced.keys().isdisjoint(_PRICED) else read_details(priced)
    written: dict[str, int] = {}
    if counts is not None and counts.write:
        written = {"cache_write_tokens": counts.write, "cache_write_1h_tokens": min(counts.write_1h, counts.write)}
    for name, kind in (("audio_prompt_tokens", "audio_in"), ("audio_completion_tokens", "audio_out")):
        if found.get(kind):
            written[name] = found[kind]
    return (details or UsageDetails()).model_copy(update=written) if written else details


def _find_counts(source: Mapping[str, Any], fields: "_Fields") -> tuple[dict[str, int], Set[str]]:
    """Return the counts by their kinds, without those that are 0, and the kinds of those that are no counts."""
    found: dict[str, int] = {}
    unreadable: Set[str] = frozenset()
    for name, kind in fields.counts:
        if (value := source[name]) and kind not in found:
            if count := _read_count(value):
                found[kind] = count
            elif _is_unreadable(name, value):
                unreadable |= {kind}
    for name in fields.prompt_details:
        unreadable |= _add_counts(found, _by_kind(source[name]), _PROMPT_DETAIL_KINDS)
    for name in fields.completion_details:
        unreadable |= _add_counts(found, _by_kind(source[name]), _COMPLETION_DETAIL_KINDS)
    if fields.has_cache_creation and (written := as_mapping(source["cache_creation"])):
        _add_counts(found, written, _INPUT_KINDS)
        if write := max(found.get("write", 0), sum(_read_count(count) for count in written.values())):
            found["write"] = write
    if (by_lifetime := found.pop("write_5m", 0) + found.get("write_1h", 0)) > found.get("write", 0):
        found["write"] = by_lifetime
    return found, unreadable


def _sort_counts(source: Mapping[str, Any], found: Mapping[str, int], *, buckets: bool) -> _Counts:
    write = found.get("write", 0)
    read, reasoning = found.get("read", 0), found.get("reasoning", 0)
    return _Counts(
        prompt=found.get("prompt", 0) + found.get("tool_prompt", 0),
        completion=found.get("completion", 0),
        read=read,
        write=write,
        write_1h=found.get("write_1h", 0),
        reasoning=reasoning,
        other_input=max(_sum_buckets(source, "input_") - read - write, 0) if buckets else 0,
        other_output=max(_sum_buckets(source, "output_") - reasoning, 0) if buckets else 0,
        total=found.get("total", 0),
    )


def _add_counts(found: dict[str, int], source: Mapping[str, Any], kinds: Mapping[str, str]) -> Set[str]:
    """Add the first positive count of each kind; returns the kinds of those that are no counts."""
    unreadable: Set[str] = frozenset()
    for name, value in source.items():
        if value and (kind := kinds.get(name)) is not None and kind not in found:
            if count := _read_count(value):
                found[kind] = count
            elif _is_unreadable(name, value):
                unreadable |= {kind}
    return unreadable


def _is_unreadable(name: str, value: object) -> bool:
    """Return whether the value under a name of tokens is no count; a record has texts and lists under other names."""
    if "oken" not in name or not isinstance(value, (str, int, float)):
        return False
    if isinstance(value, str) and value.strip().lower() in _NOT_TOLD:
        return False
    number = as_number(value)
    return number is None or number < 0


def _by_kind(details: object) -> Mapping[str, Any]:
    """Return the counts of a side by their kinds, which Gemini lists by modality."""
    if isinstance(details, list):
        return {
            str(item["modality"]).lower(): first_not_none(item.get("tokenCount"), item.get("token_count"))
            for item in list_objects(details)
            if "modality" in item
        }
    return as_mapping(details)


def _read_count(value: object) -> int:
    if type(value) is int:
        return min(value, MAX_TOKENS + 1) if value > 0 else 0
    number = as_number(value)
    return 0 if number is None or number <= 0 else int(min(number, MAX_TOKENS + 1))


def _sum_buckets(source: Mapping[str, Any], prefix: str) -> int:
    """Add up the buckets of one side; what was written to a cache counts once where it is told by lifetime too."""
    kinds = _INPUT_KINDS if prefix == "input_" else {}
    written = by_lifetime = others = 0
    for name, value in source.items():
        kind = kinds.get(name)
        if (kind is None and not name.startswith(prefix)) or name in ("input_tokens", "output_tokens"):
            continue
        count = _read_count(value)
        if kind == "write":
            written += count
        elif kind in ("write_5m", "write_1h"):
            by_lifetime += count
        else:
            others += count
    return others + max(written, by_lifetime)


_INPUT_KINDS: Final = {
    **dict.fromkeys(_CACHE_READ, "read"),
    **dict.fromkeys(_CACHE_WRITE, "write"),
    **dict.fromkeys(_CACHE_WRITE_5M, "write_5m"),
    **dict.fromkeys(_CACHE_WRITE_1H, "write_1h"),
    **dict.fromkeys(_AUDIO_IN, "audio_in"),
}
_OUTPUT_KINDS: Final = {**dict.fromkeys(_REASONING, "reasoning"), **dict.fromkeys(_AUDIO_OUT, "audio_out")}
_PROMPT_DETAIL_KINDS: Final = {**_INPUT_KINDS, **dict.fromkeys(_AUDIO, "audio_in")}
_COMPLETION_DETAIL_KINDS: Final = {**_OUTPUT_KINDS, **dict.fromkeys(_AUDIO, "audio_out")}
_KINDS: Final = {
    **dict.fromkeys((*_PROMPT, *_PROMPT_MAYBE_UNCACHED), "prompt"),
    **dict.fromkeys(_COMPLETION, "completion"),
    **_INPUT_KINDS,
    **_OUTPUT_KINDS,
    **dict.fromkeys(_TOTAL, "total"),
    **dict.fromkeys(_TOOL_PROMPT, "tool_prompt"),
}
"""The kinds of counts by their names in a usage; the others are those in its details."""
_USUAL_KINDS: Final = frozenset({"prompt", "completion", "total", "read"})
_SIDES: Final = frozenset({"prompt", "completion"})
_PRICED_KINDS: Final = frozenset({*_SIDES, "read", "write", "write_5m", "write_1h", "audio_in", "audio_out"})
_NOT_TOLD: Final = frozenset({"", "none", "null", "nan", "undefined"})
_TELLS_CACHED: Final = frozenset(_CACHE_READ) | _PROMPT_DETAILS | {"cache_creation"}
_COUNTED: Final = frozenset(_KINDS) | _PROMPT_DETAILS | {"cache_creation"}


class _Fields(NamedTuple):
    """What the names of the fields of a usage tell, whatever their values."""

    counts: tuple[tuple[str, str], ...]
    prompt_details: tuple[str, ...]
    completion_details: tuple[str, ...]
    has_counts: bool
    has_cache_creation: bool
    is_apart: bool
    is_reasoning_apart: bool
    is_priced: bool


@lru_cache(maxsize=1024)
def _find_fields(names: tuple[str, ...]) -> _Fields:
    """Return the fields of a usage with these names: the records of a log share them."""
    fields = frozenset(names)
    return _Fields(
        counts=tuple((name, _KINDS[name]) for name in names if name in _KINDS),
        prompt_details=tuple(name for name in names if name in _PROMPT_DETAILS),
        completion_details=tuple(name for name in names if name in _COMPLETION_DETAILS),
        has_counts=not fields.isdisjoint(_COUNTED),
        has_cache_creation="cache_creation" in fields,
        is_apart=not fields.isdisjoint(_PROMPT_MAYBE_UNCACHED) and not fields.isdisjoint(_COUNTED_APART),
        is_reasoning_apart=not fields.isdisjoint(_REASONING_APART),
        is_priced=not fields.isdisjoint(_PRICED),
    )


_USAGE: Final = Usage.__pydantic_validator__
