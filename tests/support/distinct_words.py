"""Words that tell texts apart: without them, texts that differ in numbers alone are near copies."""

from understudies.events import position

_SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "wu", "za")


def distinct_words(number: int, words: int = 8) -> str:
    """So many made-up words, others for each number.

    >>> distinct_words(7, words=2) == distinct_words(7, words=2) != distinct_words(8, words=2)
    True
    """
    return " ".join(_word(f"{number}.{place}") for place in range(words))


def _word(name: str) -> str:
    drawn = int(position(name, "word") * 16**4)
    return "".join(_SYLLABLES[drawn >> 4 * place & 15] for place in range(4))
