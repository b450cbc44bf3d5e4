"""Normalize labels: unify look-alike characters, strip decoration, keep signs that distinguish labels."""

import re
import unicodedata

_COMPATIBLE_FORMS = frozenset(
    {"<wide>", "<narrow>", "<noBreak>", "<small>", "<initial>", "<medial>", "<final>", "<isolated>"}
)
_LOOKALIKES = str.maketrans(
    {
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("‘’‚‛", "'"),
        **dict.fromkeys("“”„‟«»", '"'),
        # Invisible: zero width space and mark, soft hyphen, text and emoji variation selectors.
        **dict.fromkeys("\u200b\ufeff\u00ad\ufe0e\ufe0f", None),
    }
)


def normalize_characters(text: str) -> str:
    """Replace characters by their plainest forms; powers, indices, fractions and circled digits stay unchanged.

    >>> normalize_characters("ＹＥＳ ﬁne – 5"), normalize_characters("x² ½ ①")
    ('YES fine - 5', 'x² ½ ①')
    """
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", "".join(map(_normalize_character, text)).translate(_LOOKALIKES))


def _normalize_character(character: str) -> str:
    kind, _, codes = unicodedata.decomposition(character).partition(" ")
    # Only letters: compatible forms of other characters, such as ⑴, Ⅷ and ℃, may be labels of their own.
    if kind in _COMPATIBLE_FORMS or (kind == "<compat>" and character.isalpha()):
        return "".join(chr(int(code, 16)) for code in codes.split())
    return character


MAX_LABEL_CHARS = 1_000
"""Longest text that may be a label; longer ones keep their decoration."""
_LAYERS = 4
_PAIRS = ('""', "''", "``", "__")
_BRACKETS = ("()", "[]", "{}")
_IN_WORDS = frozenset(" _-'&,./")
_SIGNS = re.compile(r"[\W_]+")
_JOINS = re.compile(r"_+|-| -+ |[,;]|[,;.:!?…]+ ")


def normalize_label(text: str, *, cased: bool = False) -> str:
    """Normalise the label in a text; case matters if `cased`.

    Between letters, hyphens, underscores and commas become spaces; after letters, the marks that end a sentence are
    removed, as are quotes, `**` and, around words, brackets. Signs next to a digit stay, except for a final full stop:
    ranges, ratios, dates, versions, signs, units and leading zeros distinguish labels.

    >>> [normalize_label(text) for text in (' "Card_Arrival." ', "card-arrival", "(billing)", "no!")]
    ['card arrival', 'card arrival', 'billing', 'no']
    >>> [normalize_label(text) for text in ("C++", "(5)", "0-5", "2/1", "x²", "1.5.")]
    ['c++', '(5)', '0-5', '2/1', 'x²', '1.5']
    """
    plain = text.strip()
    if len(plain) <= MAX_LABEL_CHARS:
        plain = " ".join(normalize_characters(plain).split())
        plain = _SIGNS.sub(_keep_signs, strip_decoration(plain)) or plain
    else:
        plain = " ".join(plain.split())
    return plain if cased else plain.casefold()


def strip_decoration(text: str) -> str:
    """Strip white space, a final full stop, quotes, `**` and brackets around words from a text.

    >>> strip_decoration('**"5".**'), strip_decoration("(n/a)"), strip_decoration("(5)")
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
    """Return the part to keep of the signs between two words, or at an end of the text."""
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
    """Return whether the word is a single letter, such as a variable or a part of an abbreviation."""
    return not letters[1:].isalpha()


def _between_letters(signs: str, single: bool) -> str:
    if not signs.strip("'`") or (signs == "." and single):
        return ""
    if signs.strip() == "/":
        return "/"
    # Between two variables a hyphen is a minus.
    return " " if _JOINS.fullmatch(signs) and not (single and "-" in signs) else signs
