"""Derive stable names from inputs: the same input is always in the same split, for every caller."""

import hashlib
import json
import marshal
import re
from functools import lru_cache
from typing import Any, Final, Literal

from understudies.events.json_values import replace_lone_surrogates
from understudies.events.request import Message, Request
from understudies.events.task_discovery.prompt_names import name_by_words

Split = Literal["train", "validation", "evidence"]
_JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))
_MARSHAL_WITHOUT_REFERENCES: Final = 2
_json_string = json.encoder.encode_basestring
# The last tenth was evidence until 0.1.0: no input ever moved from or to validation, or to evidence.
_SPLITS: tuple[tuple[float, Split], ...] = ((0.70, "train"), (0.80, "validation"), (0.90, "evidence"), (1.0, "train"))

CANONICAL_FORM: Final = 2
"""Version of the form in which requests are fingerprinted, kept beside stored fingerprints.

Form 2 is that of the router for all ways in. What the SDK and importers made of a request before differs for tool calls
with arguments as objects, Anthropic's pictures and strict tools, OpenAI's Responses, and older `functions`. All else,
plain text above all, has the same fingerprint in both forms.
"""


def fingerprint(request: Request) -> str:
    """Return the SHA-256 (hex) of the canonical request: messages, tools and response format.

    Runs of white space and the case of roles do not count, nor whether text is a string or a list of parts; the model
    and sampling parameters are not part of the input. The fingerprint decides the split forever (`split_of`), so this
    function never changes; where the canonical form of requests does, `CANONICAL_FORM` counts it.
    """
    # The text that `_JSON` writes of an object with these three keys, a third of the time of building that object.
    messages = ",".join([_canonical_message(message) for message in request.messages])
    wanted = "null" if request.response_format is None else _encode_repeated(request.response_format)
    tools = "null" if request.tools is None else _encode_repeated(request.tools)
    canonical = f'{{"messages":[{messages}],"response_format":{wanted},"tools":{tools}}}'
    return hashlib.sha256(replace_lone_surrogates(canonical).encode()).hexdigest()


def _encode_repeated(value: Any) -> str:
    """Write what nearly all calls of a task share; equal bytes of `marshal` are equal values of equal types."""
    try:
        written = marshal.dumps(value, _MARSHAL_WITHOUT_REFERENCES)
    except ValueError:  # a type of one's own
        return _JSON.encode(value)
    return _encode_marshalled(written)


@lru_cache(maxsize=128)
def _encode_marshalled(written: bytes) -> str:
    return _JSON.encode(marshal.loads(written))


@lru_cache(maxsize=128)
def _canonical_prompt(role: str, text: str) -> str:
    """Return the canonical form of a system prompt, which nearly all calls of a task share."""
    return f'{{"content":{_json_string(" ".join(text.split()))},"role":{_json_string(role)},"tool_calls":[]}}'


def _canonical_message(message: Message) -> str:
    role, content, called = message.role, message.content, message.tool_calls
    if role == "system" and type(content) is str and not called:
        return _canonical_prompt(role, content)
    if isinstance(content, list) and not all(part.get("type") == "text" for part in content):
        said = _JSON.encode(content)
    else:
        said = _json_string(" ".join((content if isinstance(content, str) else message.text).split()))
    calls = ""
    if called:
        calls = ",".join(
            [f"[{_json_string(call.function.name)},{_json_string(call.function.arguments)}]" for call in called]
        )
    return f'{{"content":{said},"role":{_json_string(role.lower())},"tool_calls":[{calls}]}}'


def position(key: str, salt: str) -> float:
    """Return a number in [0, 1) that depends only on the key and the salt, uniform over keys."""
    digest = hashlib.sha256(replace_lone_surrogates(f"{salt}:{key}").encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_of(input_fingerprint: str) -> Split:
    """Return the permanent split of an input: train 80 %, validation 10 %, evidence 10 %."""
    place = position(input_fingerprint, "split")
    return next(name for edge, name in _SPLITS if place < edge)


# Matching takes linear time for any text: an id is searched for once in a run of its characters, from the run's first
# word boundary on, because any later match would be shorter.
_ID_CHARACTER: Final = "[0-9a-zA-Z_-]"
_MASKS: Final = (
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<id>"),
    (
        re.compile(
            rf"(?<!{_ID_CHARACTER})(\b|-++|[0-9a-zA-Z_]++)"
            rf"(?={_ID_CHARACTER}*\d)(?={_ID_CHARACTER}*[a-zA-Z]){_ID_CHARACTER}{{12,}}\b"
        ),
        r"\1<id>",
    ),
    (
        re.compile(
            r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|"
            r"\b(?:jan|febr)uary\b|\b(?:march|april|may|june|july|august)\b|"
            r"\b(?:septem|octo|novem|decem)ber\b|\b(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b",
            re.IGNORECASE,
        ),
        "<date>",
    ),
    (re.compile(r"\d+(?:[.,:/-]\d+)*"), "<n>"),
)
_MAX_MASKED_CHARACTERS: Final = 32_768
_KEPT_CHARACTERS_PER_END: Final = 4096
_MAX_CACHED_CHARACTERS: Final = 8192


def masked(text: str) -> str:
    """Mask a text: replace dates, numbers and ids, collapse runs of white space, ignore case.

    Of a text of more than 32768 characters, only the first and the last 4096 of the masked text count.
    """
    return _mask_cached(text) if len(text) <= _MAX_CACHED_CHARACTERS else _mask_long(text)


def _mask_long(text: str) -> str:
    if len(text) <= _MAX_MASKED_CHARACTERS:
        return mask_untruncated(text)
    # Truncate after masking, so that the length of a number does not move the cut.
    head, tail = (
        mask_untruncated(text[: _MAX_MASKED_CHARACTERS // 2]),
        mask_untruncated(text[-_MAX_MASKED_CHARACTERS // 2 :]),
    )
    return f"{head[:_KEPT_CHARACTERS_PER_END]} … {tail[-_KEPT_CHARACTERS_PER_END:]}"


def mask_untruncated(text: str) -> str:
    """Mask the whole text, whatever its length."""
    text = replace_lone_surrogates(text)
    for pattern, name in _MASKS:
        text = pattern.sub(name, text)
    return " ".join(text.split()).lower()


_mask_cached = lru_cache(maxsize=4096)(mask_untruncated)
"""Tasks repeat their system prompts, and every call asks for the mask."""


def template_of(request: Request) -> str:
    """Return the masked system prompt: unnamed calls that share it are one task."""
    return masked(request.system)


def discovered_task(request: Request) -> str:
    """Return the name of the task of a request without one, such as `extract-book-rating-slots-3f2a9c`."""
    return named_by(template_of(request))


@lru_cache(maxsize=4096)
def named_by(template: str) -> str:
    """Return the name of the task with a template."""
    return name_by_words(template)
