"""Hold what judges need beside their names, such as a schema or a rubric, by the digest that their names contain.

A judge's name goes into events, snapshots and reports, and recreates it there. A database or a rubric does not fit into
a name, so the name contains its digest, and the rules that are loaded put the text here. Content-addressed, an entry
never changes; whoever reads the same rules can recreate the same judge.
"""

import hashlib
from typing import Final

_DIGEST_CHARACTERS: Final = 16
_texts: dict[str, str] = {}


class JudgeUnavailableError(Exception):
    """What a judge needs is missing or failed: there is no verdict, neither an agreement nor a disagreement."""

    cause = "unavailable"
    """Why, as metrics count it."""


class JudgeRefusedError(JudgeUnavailableError):
    """An endpoint refuses to judge, which no waiting mends; the message names the remedy."""

    cause = "refused"


class JudgeBudgetSpentError(JudgeUnavailableError):
    """What may be spent today on judging is spent."""

    cause = "budget"


def material_digest(text: str) -> str:
    """Return the digest by which a text is named."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARACTERS]


def keep_material(text: str) -> str:
    """Keep a text for this process; return its digest."""
    digest = material_digest(text)
    _texts[digest] = text
    return digest


def read_material(digest: str) -> str:
    """Return the text of a digest; raises JudgeUnavailableError if the rules of this process do not contain it."""
    try:
        return _texts[digest]
    except KeyError:
        raise JudgeUnavailableError(
            f"the rules no longer contain what the judge was given ({digest}); restore its table [judges.NAME]"
        ) from None
