"""Reading of objects that come from other libraries: attributes or keys, and JSON where there is some."""

import dataclasses
import json
from typing import Any

from understudies.client.errors import NotRecorded


def get_field(source: Any, name: str) -> Any:
    """An item of a dict or an attribute of an object, None where it is missing."""
    return source.get(name) if isinstance(source, dict) else getattr(source, name, None)


def to_json(value: Any, depth: int = 0) -> Any:
    """The value as JSON: models, dataclasses and tuples as what they hold; raises NotRecorded for anything else."""
    if value is None or isinstance(value, str | int | float):
        return value
    if depth > 100:
        raise NotRecorded("unreadable", "nested too deeply, or within itself")
    if isinstance(value, dict):
        return {str(key): to_json(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item, depth + 1) for item in value]
    if isinstance(value, type):
        return _model_schema(value)
    if callable(getattr(value, "model_dump", None)):
        return to_json(value.model_dump(mode="json", exclude_none=True), depth + 1)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(dataclasses.asdict(value), depth + 1)
    raise NotRecorded("unreadable", f"a {type(value).__name__} is not JSON")


def to_json_items(source: dict[str, Any]) -> dict[str, Any]:
    """The items that are JSON; a client's time-outs and markers of missing values are not."""
    kept = {}
    for name, value in source.items():
        try:
            kept[name] = to_json(value)
        except NotRecorded:
            continue
    return kept


def to_json_text(value: Any) -> str:
    """The value as text: itself if it is text, otherwise JSON."""
    return value if isinstance(value, str) else json.dumps(to_json(value), ensure_ascii=False)


def _model_schema(model: type) -> Any:
    schema = getattr(model, "model_json_schema", None)
    if not callable(schema):
        raise NotRecorded("unreadable", f"class {model.__name__} is not JSON")
    return {"type": "json_schema", "json_schema": {"name": model.__name__, "schema": schema()}}
