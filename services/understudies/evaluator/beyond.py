"""What a student on trial is proven to beyond its task's promise, and what was told of it."""

from collections.abc import Sequence
from typing import Any, Self

from understudies.evaluator.inputs import Input, Inputs
from understudies.events import Promotion, ProvenLevels
from understudies.stats import Levels


class Beyond:
    """The levels of one student, fed by the evidence of its gates and later by its audits, one for each input."""

    def __init__(self, levels: Levels) -> None:
        self.levels = levels
        self.told: ProvenLevels = ()
        self.fallen = False
        self.over = False
        """Whether the promise itself is broken: then the student leaves, and nothing more is said of it."""
        self._audited = Inputs()

    def add(self, score: float, confidence: float, one: Input) -> None:
        """Feed evidence of the gates, unless its input was audited before."""
        if self._audited.fresh(one):
            self.levels.update(score, confidence)

    def audit(self, score: float, confidence: float, served_from: float, one: Input, *, unseen: bool) -> None:
        """Feed one audited verdict: to the detectors, and as evidence where its input is new.

        `served_from` is the threshold that the call had to reach, an episode's own where that is stricter; `unseen`
        says that the input neither taught the student nor fed its gates.
        """
        self.fallen = self.levels.watch(score, confidence, served_from) or self.fallen
        if unseen and self._audited.fresh(one):
            self._audited.take(one)
            self.levels.update(score, confidence, served_from)

    def look(self) -> None:
        """Let the evidence count as it stands now."""
        self.levels.look()

    def tell(self, threshold: float | None, withheld: Sequence[bool]) -> bool:
        """Note what is proven from a threshold on as told; true where it is news."""
        proven = () if threshold is None else self.levels.proven(threshold, withheld)
        news = proven != self.told
        self.told, self.fallen = proven, False
        return news

    def adopt(self, story: Promotion, p0: float) -> None:
        """Take over what the promotion of a student says, where its trial was lost."""
        self.levels.adopt(story.levels)
        self.told = story.levels or (() if story.threshold is None else ((p0, story.threshold),))

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {
            "levels": self.levels.state(),
            "told": [list(level) for level in self.told],
            "fallen": self.fallen,
            "over": self.over,
            "audited": self._audited.state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """What `state` was taken from."""
        beyond = cls(Levels.from_state(state["levels"]))
        beyond.told = tuple((agreement, confidence) for agreement, confidence in state["told"])
        beyond.fallen, beyond.over = state["fallen"], state["over"]
        beyond._audited = Inputs(**state["audited"])
        return beyond
