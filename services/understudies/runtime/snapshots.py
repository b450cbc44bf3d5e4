"""Snapshots: a service's state with the offsets up to which it holds."""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

_JSON_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State as it was when everything below the offsets had been handled."""

    state: dict[str, Any]
    offsets: dict[tuple[str, int], int]
    generation: str
    since: datetime | None = None
    """What was stored before this moment is in the state; None where nobody compared."""

    def start_offsets(self, generation: str) -> dict[tuple[str, int], int]:
        """Offsets to start from; none on a broker that has started a new life since, which counts from zero."""
        return dict(self.offsets) if generation == self.generation else {}


@dataclass(frozen=True, slots=True)
class SnapshotStore:
    """One snapshot a service, as JSON files in a folder."""

    folder: Path

    def save(
        self,
        service: str,
        state: Mapping[str, Any],
        offsets: Mapping[tuple[str, int], int],
        generation: str,
        since: datetime | None = None,
    ) -> None:
        """Replace a service's snapshot."""
        self.write(service, encode_snapshot(state, offsets, generation, since))

    def write(self, service: str, body: bytes) -> None:
        """Replace a service's snapshot by an encoded one: after a crash either the old or the new is there, whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(service)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        self._sync_folder()

    def load(self, service: str) -> Snapshot | None:
        """A service's snapshot; one that cannot be read is moved aside, so that the service starts afresh."""
        path = self._path(service)
        try:
            return _decode_snapshot(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            aside = path.with_suffix(".corrupt")
            path.replace(aside)
            log.warning("snapshot %s cannot be read (%r) and was moved to %s", path, error, aside)
            return None

    def _path(self, service: str) -> Path:
        return self.folder / f"{service}.json"

    def _sync_folder(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def encode_snapshot(
    state: Mapping[str, Any],
    offsets: Mapping[tuple[str, int], int],
    generation: str,
    since: datetime | None = None,
) -> bytes:
    """A snapshot as it is written."""
    body = {
        "generation": generation,
        "since": since and since.isoformat(),
        "offsets": {f"{topic}/{partition}": offset for (topic, partition), offset in offsets.items()},
        "state": state,
    }
    try:
        return orjson.dumps(body, option=_JSON_OPTIONS)
    except orjson.JSONEncodeError:
        # Numbers above 64 bits and lone surrogates, or really not JSON.
        return json.dumps(body).encode()


def _decode_snapshot(body: dict[str, Any]) -> Snapshot:
    offsets: dict[tuple[str, int], int] = {}
    for position, offset in body["offsets"].items():
        topic, _, partition = position.rpartition("/")
        offsets[topic, int(partition)] = int(offset)
    state = body["state"]
    if not isinstance(state, dict):
        raise TypeError(f"state is {type(state).__name__}, not an object")
    since = body.get("since")
    return Snapshot(state, offsets, str(body["generation"]), since and datetime.fromisoformat(since))
