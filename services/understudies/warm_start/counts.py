"""Count what an import added."""

from pydantic import BaseModel, ConfigDict


class ImportCounts(BaseModel):
    """How many calls were added, how many were there already, and how many are larger than an event may be."""

    model_config = ConfigDict(frozen=True)

    added: int = 0
    known: int = 0
    too_large: int = 0
    evidence: int = 0
    """Of those added, the calls that are young enough to be held-out evidence."""

    def __add__(self, other: "ImportCounts") -> "ImportCounts":
        return ImportCounts(
            added=self.added + other.added,
            known=self.known + other.known,
            too_large=self.too_large + other.too_large,
            evidence=self.evidence + other.evidence,
        )
