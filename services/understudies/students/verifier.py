"""Check generated answers by a second student, which answers the same requests by other means."""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from understudies.datasets.errors import ArtifactError
from understudies.events import Message, Request
from understudies.judges.base import Judge
from understudies.judges.fallible import agree_at_once
from understudies.judges.registry import parse_judge
from understudies.students.base import Answer, StudentError
from understudies.students.calibration import Check
from understudies.students.extractor.student import ExtractorStudent

_PREFIX: Final = "verifier-"
_FILE: Final = f"{_PREFIX}judge.json"


class _SavedVerifier(BaseModel):
    """Content of the verifier's own file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    judge: str


class Verifier:
    """Extractor of the same examples whose own answer confirms or contradicts a generated one.

    The two err for different reasons: one copies what stands in the request, the other writes what is likely. What both
    say is seldom wrong, and what only one says is worth little more than that one alone.
    """

    def __init__(self, student: ExtractorStudent, judge: Judge) -> None:
        self._student = student
        self._judge = judge

    @property
    def uses_encoder(self) -> bool:
        """Whether it needs the sentence encoder."""
        return self._student.uses_encoder

    async def answer(self, request: Request) -> Answer | None:
        """Return its own answer, some milliseconds of computing; None where it has none."""
        try:
            [answer] = await self._student.answer([request])
        except StudentError:
            return None
        return answer if answer.confidence > 0 else None

    def check(self, own: Answer | None, message: Message) -> Check | None:
        """Return whether its own answer agrees with another one, by the task's judge; None if it has none."""
        return None if own is None else Check(agree_at_once(self._judge, own.message, message), own.confidence)

    def to_files(self) -> dict[str, bytes]:
        """Return its files, to be kept beside those of the student that it checks."""
        saved = _SavedVerifier(judge=self._judge.name)
        files = {_PREFIX + name: data for name, data in self._student.to_files().items()}
        return {**files, _FILE: saved.model_dump_json().encode()}

    @classmethod
    def from_files(cls, content: Mapping[str, bytes]) -> "Verifier | None":
        """Read the verifier of an artifact; None if it has none. Raises ArtifactError for a damaged one."""
        if _FILE not in content:
            return None
        try:
            saved = _SavedVerifier.model_validate_json(content[_FILE])
            judge = parse_judge(saved.judge)
        except (ValidationError, ValueError) as error:
            raise ArtifactError(f"the verifier is invalid: {error}") from error
        files = {name.removeprefix(_PREFIX): data for name, data in content.items() if name.startswith(_PREFIX)}
        return cls(ExtractorStudent.from_files(files), judge)
