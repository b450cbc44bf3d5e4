"""The label that a text names: decoration goes, signs that tell labels apart stay."""

import re

from understudies.judges.letters import normalize_characters

MAX_LABEL_CHARS = 1_000
"""Characters beyond which a text is no label, and nothing of it is decoration."""
_LAYERS = 4
_PAIRS = ('""', "''", "``", "__")
_BRACKETS = ("()", "[]", "{}")
_IN_WORDS = frozenset(" _-'&,./")
_SIGNS = re.compile(r"[\W_]+")
_JOINS = re.compile(r"_+|-| -+ |[,;]|[,;.:!?…]+ ")


def normalize_label(text: str, *, cased: bool = False) -> str:
    """The label that a text names; case counts where it is `cased`.

    Between letters, a hyphen, an underscore and a comma are a space; behind letters, the marks that end a sentence are
    nothing, nor are quotes, `**` and, around words, brackets. Whatever stands next to a digit stays, but for a last
    full stop: ranges, ratios, dates, versions, signs, units and leading zeros tell labels apart.

    >>> label_of(' "Card_Arrival." '), label_of("card-arrival"), label_of("(billing)"), label_of("no!")
    ('card arrival', 'card arrival', 'billing', 'no')
    >>> label_of("C++"), label_of("(5)"), label_of("0-5"), label_of("2/1"), label_of("x²"), label_of("1.5.")
    ('c++', '(5)', '0-5', '2/1', 'x²', '1.5')
    """
    plain = text.strip()
    if len(plain) <= MAX_LABEL_CHARS:
        plain = " ".join(normalize_characters(plain).split())
        plain = _SIGNS.sub(_keep_signs, strip_decoration(plain)) or plain
    else:
        plain = " ".join(plain.split())
    return plain if cased else plain.casefold()


def strip_decoration(text: str) -> str:
    """A text without what is around all of it: white space, a last full stop, quotes, `**`, brackets around words.

    >>> unwrapped('**"5".**'), unwrapped("(n/a)"), unwrapped("(5)")
    ('5', 'n/a', '(5)')
    """
    for _ in range(_LAYERS):
        inner = _without_layer(_without_stop(text.strip()))
        if inner == text:
            break
        text = inner
    return text


def _without_stop(text: str) -> str:
    return text[:-1] if text.endswith(".") and not text.endswith("..") else text


def _without_layer(text: str) -> str:
    if len(text) > 4 and text[:2] == text[-2:] == "**" and "*" not in text[2:-2]:
        return text[2:-2]
    inside = text[1:-1]
    if text[:1] + text[-1:] in _PAIRS and inside and text[0] not in inside:
        return inside
    return inside if text[:1] + text[-1:] in _BRACKETS and _is_words(inside) else text


def _is_words(text: str) -> bool:
    return any(map(str.isalpha, text)) and all(c.isalpha() or c in _IN_WORDS for c in text)


def _keep_signs(signs: re.Match[str]) -> str:
    """What stays of the signs between two words, or at an end."""
    before = signs.string[max(0, signs.start() - 2) : signs.start()]
    after = signs.string[signs.end() : signs.end() + 2]
    if not before or not after:
        return _at_end(signs[0], before, after)
    if before[-1].isalpha() and after[0].isalpha():
        return _between_letters(signs[0], _one_letter(before[::-1]) and _one_letter(after))
    return " " if not signs[0].strip("_") and (before[-1].isalpha() or after[0].isalpha()) else signs[0]


def _at_end(signs: str, before: str, after: str) -> str:
    if before[-1:].isalpha():
        return signs.rstrip(" .,;:!?…")
    return signs.removeprefix("* ").removeprefix("• ") if after[:1].isalpha() else signs


def _one_letter(letters: str) -> bool:
    """Whether a word that begins with these is one letter, such as a variable or a part of an abbreviation."""
    return not letters[1:].isalpha()


def _between_letters(signs: str, single: bool) -> str:
    if not signs.strip("'`") or (signs == "." and single):
        return ""
    if signs.strip() == "/":
        return "/"
    # Between two variables a hyphen is a minus.
    return " " if _JOINS.fullmatch(signs) and not (single and "-" in signs) else signs
