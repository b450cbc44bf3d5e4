"""Let commands of the same user find the process that uses a data folder, and read its status."""

import json
import logging
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

from pydantic import BaseModel, ConfigDict, ValidationError

from understudies.datasets.dataset import Example
from understudies.erasure.request import ErasureReport, ErasureRequest
from understudies.runtime.errors import ConfigurationError, RetryLater
from understudies.status.decision import DecisionRequest
from understudies.status.parts import STATUS_PART, StatusPart
from understudies.status.standing import (
    BACKUP_PATH,
    ERASURE_PATH,
    EXPORT_PATH,
    IMPORT_PATH,
    STATUS_PATH,
    STEERING_PATH,
    Overview,
    TaskStory,
)
from understudies.warm_start.counts import ImportCounts

_log = logging.getLogger(__name__)

_FILE: Final = "up.json"
_TIMEOUT_S: Final = 60.0
_REFUSALS: Final = ("invalid_request", "decision_refused", "not_found")


class DecisionTaken(BaseModel):
    """A person's decision that was published: its event, and the student that it is about."""

    model_config = ConfigDict(frozen=True)

    id: str
    task: str
    student: str | None = None


class RunningProcess(BaseModel):
    """Where a running process answers, and the token that it accepts."""

    model_config = ConfigDict(frozen=True)

    url: str
    token: str | None = None

    def is_single_service(self) -> bool:
        """Return whether what answers there is a single service; blocks, and raises as `overview` does."""
        return "service" in json.loads(self._get(STATUS_PATH))

    def part(self, task: str | None = None) -> StatusPart:
        """Return what a single service knows, with the events of a task; blocks, and raises as `overview` does."""
        query = "" if task is None else f"?task={quote(task, safe='')}"
        try:
            return STATUS_PART.validate_json(self._get(f"{STATUS_PATH}{query}"))
        except ValidationError as error:
            raise ConfigurationError(
                f"{self.url} is no single service: give the URL of one `understudies up`, or those of single services"
            ) from error

    def overview(self) -> Overview:
        """Return the standing of all tasks; blocks. Raises ConfigurationError, or RetryLater if there is no answer."""
        return Overview.model_validate_json(self._get(STATUS_PATH))

    def story(self, task: str) -> TaskStory | None:
        """Return the story of a task, None if there is no such task; blocks, and raises as `overview` does."""
        body = self._get(f"{STATUS_PATH}?task={quote(task, safe='')}", missing=404)
        return TaskStory.model_validate_json(body) if body else None

    def decide(self, request: DecisionRequest) -> DecisionTaken:
        """Publish a person's decision; blocks, and raises as `overview` does, also if it is refused."""
        return DecisionTaken.model_validate_json(self._get(STEERING_PATH, body=request.model_dump_json().encode()))

    def add_calls(self, lines: Sequence[bytes]) -> ImportCounts:
        """Add imported calls, each as JSON; blocks until they are stored, and raises as `overview` does."""
        return ImportCounts.model_validate_json(self._get(IMPORT_PATH, body=b"\n".join(lines)))

    def erase(self, request: ErasureRequest) -> ErasureReport:
        """Erase calls, or return what that would remove; blocks, and raises as `overview` does."""
        return ErasureReport.model_validate_json(self._get(ERASURE_PATH, body=request.model_dump_json().encode()))

    def examples(self, task: str) -> list[Example]:
        """Return the examples of a task, oldest first; blocks, and raises as `overview` does."""
        lines = self._get(EXPORT_PATH, body=json.dumps({"task": task}).encode()).splitlines()
        return [Example.model_validate_json(line) for line in lines]

    def stage_backup(self) -> str:
        """Have the data folder staged; returns the name of the folder below it with what was; blocks, raises alike."""
        return str(json.loads(self._get(BACKUP_PATH, body=b""))["staging"])

    def _get(self, path: str, missing: int | None = None, *, body: bytes | None = None) -> bytes:
        """Return the answer to a GET, or with a body to a POST."""
        url = f"{self.url.rstrip('/')}{path}"
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None:
            headers["content-type"] = "application/json"
        request = Request(url, data=body, headers=headers)
        try:
            # A proxy for the way out has no business with a process of ours.
            with build_opener(ProxyHandler({})).open(request, timeout=_TIMEOUT_S) as answer:
                content: bytes = answer.read()
        except HTTPError as error:
            return self._explain(error, url, missing)
        except (URLError, OSError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise RetryLater(f"nothing answers at {url}: {reason}; is `understudies up` running there?") from error
        return content

    @staticmethod
    def _explain(error: HTTPError, url: str, missing: int | None) -> bytes:
        with error:
            text = error.read().decode(errors="replace")
        if error.code == missing and "no call of a task" in text:
            return b""
        if error.code in (400, 404, 409) and (message := _read_message(text, url)):
            raise ConfigurationError(message) from error
        if error.code in (401, 403):
            raise ConfigurationError(f"{url} needs {_key_of(text)} to it") from error
        if error.code == 404:
            raise ConfigurationError(
                f"{url} does not exist: give the base URL of `understudies up`, such as http://127.0.0.1:8080"
            ) from error
        if error.code == 503 and (message := _read_error(text, ("starting", "not_available"))):
            raise RetryLater(f"{url}: {message}") from error
        raise RetryLater(f"{url} answered with {error.code}: {text[:300]}") from error


def _key_of(text: str) -> str:
    if "steering_closed" in text:
        return "the key of steering: set UNDERSTUDIES_STATUS_STEERING_KEY"
    return "the key of the status: set UNDERSTUDIES_STATUS_KEY"


def _read_message(text: str, url: str) -> str:
    """Return the message of a refused change; empty if the text is none."""
    return _read_error(text, _REFUSALS) if url.endswith((STEERING_PATH, IMPORT_PATH, ERASURE_PATH, EXPORT_PATH)) else ""


def _read_error(text: str, codes: Collection[str]) -> str:
    """Return the message of an error with one of the codes; empty if the text is none."""
    try:
        error = json.loads(text)["error"]
        return str(error["message"]) if error.get("code") in codes else ""
    except (ValueError, KeyError, TypeError):
        return ""


@contextmanager
def announce(folder: Path, process: RunningProcess) -> Iterator[None]:
    """Write where this process answers into its data folder, readable by its user alone; remove that at the end.

    A process that cannot write it, as on a full disk, runs on: only commands do not find it.
    """
    path = folder / _FILE
    try:
        _write_private(path, process.model_dump_json().encode())
    except OSError as error:
        _log.warning("cannot write %s, so `understudies status` needs its --url: %s", path, error)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


def _write_private(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    part.replace(path)


def read_announcement(folder: Path) -> RunningProcess:
    """Return where the process that uses a folder answers; raises RetryLater before it does."""
    try:
        return RunningProcess.model_validate(json.loads((folder / _FILE).read_bytes()))
    except (OSError, ValueError, ValidationError) as error:
        raise RetryLater(
            f"the process that uses {str(folder)!r} does not answer yet; ask again in a moment, or give its --url"
        ) from error
