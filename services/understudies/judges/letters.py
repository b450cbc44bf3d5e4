"""Characters that only look different: full width, ligatures, dashes, quotes, white space that does not break."""

import unicodedata

_COMPATIBLE_FORMS = frozenset(
    {"<wide>", "<narrow>", "<noBreak>", "<small>", "<initial>", "<medial>", "<final>", "<isolated>"}
)
_LOOKALIKES = str.maketrans(
    {
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("‘’‚‛", "'"),
        **dict.fromkeys("“”„‟«»", '"'),
        # Seen by nobody: zero width space and mark, soft hyphen, selectors between text and emoji.
        **dict.fromkeys("\u200b\ufeff\u00ad\ufe0e\ufe0f", None),
    }
)


def normalize_characters(text: str) -> str:
    """The same text in the plainest characters; powers, indices, fractions and circled digits stay what they are.

    >>> plain_letters("ＹＥＳ ﬁne – 5"), plain_letters("x² ½ ①")
    ('YES fine - 5', 'x² ½ ①')
    """
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", "".join(map(_normalize_character, text)).translate(_LOOKALIKES))


def _normalize_character(character: str) -> str:
    kind, _, codes = unicodedata.decomposition(character).partition(" ")
    # Letters alone: compatible forms of others, such as ⑴, Ⅷ and ℃, may be labels of their own.
    if kind in _COMPATIBLE_FORMS or (kind == "<compat>" and character.isalpha()):
        return "".join(chr(int(code, 16)) for code in codes.split())
    return character
