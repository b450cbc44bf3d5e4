"""Export the contracts as AsyncAPI and JSON Schema files, for agents in other languages.

`python -m understudies.events.export` writes them to `schemas/`; with `--check` it only reports whether they are stale.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from understudies.events.drift import Drift
from understudies.events.invocation import Invocation
from understudies.events.promotion import Promotion
from understudies.events.topics import TOPICS, Topic
from understudies.events.verdict import GateDecision, Verdict

VERSION = "1.0.0"
"""Version of the contracts: new fields increase the minor number; the major number never changes."""

_MODELS: dict[str, tuple[type[Any], ...]] = {
    "invocations": (Invocation,),
    "verdicts": (Verdict, GateDecision),
    "promotions": (Promotion,),
    "drift": (Drift,),
}
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_HEADERS = {
    "ce_specversion": "version of CloudEvents, 1.0",
    "ce_id": "the event's id",
    "ce_source": "the service that made the event",
    "ce_type": "such as understudies.invocation",
    "ce_time": "when it happened, RFC 3339",
    "content-type": "application/json",
    "traceparent": "W3C trace context of the call",
}


def build_json_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each topic's values, by topic."""
    return {topic.name: {"$schema": _DIALECT, **topic.adapter.json_schema(mode="validation")} for topic in TOPICS}


def build_asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document of the four topics."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Understudies",
            "version": VERSION,
            "description": "Agents and services communicate through four Kafka topics; readers ignore unknown fields.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {
            f"{action}_{topic.name}": {"action": action, "channel": {"$ref": f"#/channels/{topic.name}"}}
            for topic in TOPICS
            for action in ("send", "receive")
        },
        "components": {
            "messages": {model.__name__: _message(topic, model) for topic in TOPICS for model in _MODELS[topic.name]},
            "schemas": _components(),
        },
    }


def render_files() -> dict[str, str]:
    """Render every generated file, by its path below the folder."""
    documents = {"asyncapi.json": build_asyncapi()}
    documents |= {f"json/{name}.schema.json": schema for name, schema in build_json_schemas().items()}
    return {path: json.dumps(document, indent=2, sort_keys=True) + "\n" for path, document in documents.items()}


def find_stale_files(folder: Path) -> list[str]:
    """Return the generated files that are missing in a folder or differ from the models."""
    return [path for path, text in render_files().items() if not _file_has_text(folder / path, text)]


def write_files(folder: Path) -> None:
    """Write the generated files."""
    for path, text in render_files().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8", newline="\n")


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with `--check` list the stale ones and return 1."""
    folder = Path(next((argument for argument in arguments if not argument.startswith("-")), "schemas"))
    if "--check" not in arguments:
        write_files(folder)
        return 0
    stale = find_stale_files(folder)
    if stale:
        sys.stderr.write(f"stale: {', '.join(stale)}; run `python -m understudies.events.export {folder}`\n")
    return 1 if stale else 0


def _file_has_text(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == text


def _channel(topic: Topic) -> dict[str, Any]:
    configuration: dict[str, Any] = {"cleanup.policy": [topic.cleanup]}
    if topic.retention_ms is not None:
        configuration["retention.ms"] = topic.retention_ms
    return {
        "address": topic.name,
        "description": topic.description,
        "messages": {
            model.__name__: {"$ref": f"#/components/messages/{model.__name__}"} for model in _MODELS[topic.name]
        },
        "bindings": {"kafka": {"partitions": topic.partitions, "topicConfiguration": configuration}},
    }


def _message(topic: Topic, model: type[Any]) -> dict[str, Any]:
    return {
        "name": model.__name__,
        "summary": (model.__doc__ or "").strip().splitlines()[0],
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "properties": {name: {"type": "string", "description": text} for name, text in _HEADERS.items()},
        },
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
        "bindings": {"kafka": {"key": {"type": "string", "description": topic.key_description}}},
    }


def _components() -> dict[str, Any]:
    models = [(model, "validation") for topic in TOPICS for model in _MODELS[topic.name]]
    _, definitions = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]  # literals widen in a list
    schemas: dict[str, Any] = definitions["$defs"]
    return schemas


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
