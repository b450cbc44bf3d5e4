"""How far a student is proven beyond what its task promises."""

from typing import Annotated

from pydantic import Field

_Agreement = Annotated[float, Field(gt=0, le=1)]

ProvenLevels = tuple[tuple[_Agreement, float], ...]
"""Pairs of an agreement and the confidence from which it is proven, rising in both."""

LEVELS_DESCRIPTION = (
    "agreement proven from a confidence on, as [agreement, confidence], rising in both; the first is what holds "
    "from the threshold on"
)
