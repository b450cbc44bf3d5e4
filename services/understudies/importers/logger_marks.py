"""Recognise the texts that loggers write in place of what they withheld, and where they cut."""

import re
from string import ascii_letters, digits
from typing import Final

_WITHHELD: Final = re.compile(
    r"""(?ix)\s*(?:
      redacted | redacted[-_\ ]by[-_\ ][\w.-]+                           # redacted-by-litellm
    | \*{3,} | \*{2,} \s* (?:redacted|masked|hidden) \s* \*{2,}
    | [\[<({_]{1,3} \s* (?:[\w'\ -]{0,40}\ )? (?:redacted|masked|omitted|withheld|scrubbed|filtered|truncated
        |sensitive|confidential|not[ ](?:recorded|logged|captured)) (?![a-z]) [^\]>)}]{0,120} [\]>)}_]{1,3} \.?
    | <nonetype\b [^>]{0,120} > \.?                                       # <NoneType object returned from model.>
    | <fully\ masked\ due\ to [^>]*> | <not\ serializable [^>]*> | <failed\ to [^>]*> | <exceeds_limits>
    | <upload\ handling\ failed [^>]*>
    | \[this\ value\ has\ been\ dropped\ because [^\]]*\]
    )\s*"""
)
"""Matches a text that as a whole stands for one that was withheld. A bare word that may be a label does not match."""

_WITHHELD_PROSE: Final = re.compile(
    r"""(?ix)\s*(?:
      (?:the\ )?(?:request|response|input|output|prompt|completion|message|body|content|payload|value)(?:\ \w+){0,2}?
        (?:\ is|\ was)? \ (?:too\ (?:large|long|big)|omitted|redacted|withheld
        |not\ (?:recorded|logged|stored|captured|available))
        (?:\ (?:to|for|by|due|because|in|from|as)\b .{0,120} |\ \(.*\))?
    | (?:content|payload|body)[-_\ ]too[-_\ ](?:large|long)
    )\s*\.?\s*"""
)
"""Matches the same in prose, such as `response too large to store`; a caller may write that, a teacher hardly."""

_WITHHELD_ANSWER: Final = re.compile(
    r"""(?ix)\s*(?:
      [\[<({_]{1,3} \s* (?:[\w'\ -]{0,40}\ )? (?:hidden|removed|suppressed|expired|logging[ ]disabled
        |not[ ](?:stored|available)|too[ ](?:large|long|big)) (?![a-z]) [^\]>)}]{0,120} [\]>)}_]{1,3} \.?
    | [\[<(] \s* (?:no[ ](?:content|response|output|text)|empty(?:[ ](?:response|content|output|message))?
        |(?:streamed|streaming|stream)(?:[ ](?:response|content|output|body))?) \s* [\])>]
    | <[^<>]{1,200} \ at\ 0x[0-9a-f]+> | <response\ \[[^\]]*\]> | <class\ '[^'>]*'> | \[object\ \w+\]
    )\s*"""
)
"""Matches what only counts as withheld in an answer: a caller may write it, and objects that a script wrote as text."""

_OBJECT: Final = re.compile(
    r"""(?x)\[?(?:
      (?:Parsed)?ChatCompletion(?:Message|Chunk)?(?:\[\w+\])?\((?:id|content)= | ModelResponse(?:Stream)?\(id=
    | (?:Parsed)?Response(?:\[\w+\])?\(id='resp_ | (?:Parsed)?(?:Beta)?Message(?:\[\w+\])?\(id='msg_
    | (?:Beta)?(?:TextBlock|ToolUseBlock|ThinkingBlock)\( | AIMessage(?:Chunk)?\(content= | LLMResult\(generations=
    | GenerateContentResponse\( | content=(?:'.*'|".*"|\[.*\])\ additional_kwargs=\{
    )""",
    re.DOTALL,
)
"""Matches how the objects of clients and of LangChain begin that a script wrote as text in place of their answer."""
_OBJECT_BEGINNINGS: Final = frozenset(
    {"Chat", "Pars", "Mode", "Resp", "Mess", "Beta", "Text", "Tool", "Thin", "AIMe", "LLMR", "Gene", "cont"}
)

_PROSE_BEGINNINGS: Final = frozenset(
    {"the", "req", "res", "inp", "out", "pro", "com", "mes", "bod", "con", "pay", "val"}
)
"""How each of these begins in ASCII; a letter of Unicode may match one of ASCII in any case."""

_CUT: Final = re.compile(
    r"""(?ix)
      litellm_truncated | <truncated\ due\ to\ size [^>]* | \[this\ value\ has\ been\ (?:dropped|truncated)
    | \[truncated\ by\ [\w\ .-]+"""
)
"""Matches marks that only loggers write, anywhere in a text."""

_CUT_END: Final = re.compile(
    r"""(?ix)(?:
      (?:\.{3}|…)?\s* [\[(<{]\s* (?:\.{3}|…)?\s* (?:
          (?:\d[\d,.]*\s*(?:more\s+)?(?:k|kb|mb)?\s*(?:chars?|characters|bytes|tokens)\s+)?
          (?:were\ |was\ )?(?:truncated|omitted|cut\ off|trimmed|clipped) [^\])>}]{0,80}
        | (?:\+|and\ )?\d[\d,]*\s+more\s+(?:chars?|characters|bytes)
      ) \s*(?:\.{3}|…)?\s*[\])>}]
    | (?:\.{3}|…)\s*truncated
    | (?:\.{3}|…)\s*\+?\d[\d,]*\s+(?:more\s+)?(?:chars?|characters|bytes)(?:\s+(?:truncated|omitted|more))?
    )\s*\Z"""
)
"""Matches a mark of cutting at the end of a text. A prompt may end so because the agent itself cut it, so that the
teacher saw the mark; an answer may not."""

_WITHHELD_BEGINNINGS: Final = frozenset("[<({_*rR")
_LETTER: Final = frozenset("rR")
_CUT_WORDS: Final = ("truncat", "omitted", "cut off", "trimmed", "clipped", "more", "char", "bytes")
"""Beginnings and words without one of which the patterns above match nothing: hardly any text has them."""

_ORDINARY: Final = frozenset(character for character in ascii_letters + digits if character not in "rR")
"""Characters with which no text begins that stands for another."""
_ORDINARY_IN_ANSWERS: Final = frozenset(character for character in _ORDINARY if character not in "triopcmbvTRIOPCMBV")
"""The same where prose may stand for an answer."""
_NOT_CUT: Final = frozenset(character for character in ascii_letters + digits + ".,;:!?" if character not in "derDERsS")
"""Characters with which no mark of cutting ends."""

_ERROR_BEGINNING: Final = re.compile(
    r"""(?x)\s*(?:
      Error\ code:\ \d{3}\ -\  | (?:litellm|openai|anthropic)\.(?:\w+\.)*\w*(?:Error|Exception)\b[:(]
    | Traceback\ \(most\ recent\ call\ last\):\s | upstream\ connect\ error\ or\ disconnect/reset\ before\ headers
    | <html>\s*<head>\s*<title>\s*[45]\d\d\ [A-Z][\w\ -]{2,40}</title>
    )"""
)
"""Matches how clients' exceptions and gateways' pages begin, which scripts log in place of an answer."""
_ERROR_BEGINNINGS: Final = frozenset({"Error", "litel", "opena", "anthr", "Trace", "upstr", "<html"})

_MAX_WHOLE: Final = 300
_TAIL: Final = 200
_SHOWN: Final = 80


def is_surely_unmarked(text: str) -> bool:
    """Return whether a text of a request begins and holds nothing as marks do, so that neither is to be looked for."""
    if "truncated" in text or "has been" in text:
        return False
    return text[:1] in _ORDINARY or _is_another_word(text)


def _is_another_word(text: str) -> bool:
    """Return whether a text begins with the letter of `redacted`, but not with that word."""
    return text[:1] in _LETTER and text[:8].lower() != "redacted" and text.isascii()


def withheld_mark(text: str, *, answer: bool) -> str | None:
    """Return the mark if the text as a whole stands for one that the log withheld, else None."""
    if len(text) > _MAX_WHOLE or text[:1] in (_ORDINARY_IN_ANSWERS if answer else _ORDINARY):
        return None
    if not (text := text.strip()):
        return None
    is_likely = text[0] in _WITHHELD_BEGINNINGS and not _is_another_word(text)
    is_marked = (is_likely and (_WITHHELD.fullmatch(text) or (answer and _WITHHELD_ANSWER.fullmatch(text)))) or (
        answer and (text[:3].lower() in _PROSE_BEGINNINGS or not text.isascii()) and _WITHHELD_PROSE.fullmatch(text)
    )
    return text[:_SHOWN] if is_marked else None


_CUT_JSON: Final = re.compile(
    r"""(?x)\s*\[?\s*\{\s*"(?:
      (?:role|choices|candidates|generations|messages|contents)"\s*: | object"\s*:\s*"(?:chat\.completion|response)
    | id"\s*:\s*"(?:chatcmpl-|resp_|msg_)
    )"""
)
"""Matches how messages, requests and replies begin as JSON, which their texts do not."""


def is_cut_json(text: str) -> bool:
    """Return whether a text that is no valid JSON begins as the JSON of messages, a request or a reply."""
    return text[:1] in ("{", "[", " ", "\n") and _CUT_JSON.match(text) is not None


def error_text(text: str) -> str | None:
    """Return the beginning of an exception or of a gateway's page that was logged as an answer, else None."""
    if text[:5] not in _ERROR_BEGINNINGS or _ERROR_BEGINNING.match(text) is None:
        return None
    return text[:_SHOWN]


def object_mark(text: str) -> str | None:
    """Return the beginning of an object of a client's library that was logged as text, else None."""
    beginning = text[1:5] if text[:1] == "[" else text[:4]
    if beginning not in _OBJECT_BEGINNINGS or _OBJECT.match(text) is None:
        return None
    return text[:_SHOWN]


def cut_mark(text: str, *, answer: bool) -> str | None:
    """Return the mark of a log that cut the text, else None; `answer` is true for a teacher's text."""
    if ("truncated" in text or "has been" in text) and (found := _CUT.search(text)) is not None:
        return found.group()[:_SHOWN]
    if not answer or text[-1:] in _NOT_CUT:
        return None
    tail = text[-_TAIL:].lower()
    for word in _CUT_WORDS:
        if word in tail:
            found = _CUT_END.search(text[-_TAIL:])
            return None if found is None else found.group().strip()[:_SHOWN]
    return None
