"""A caller's body as the teacher is sent it."""

from collections.abc import Mapping
from typing import Any

from understudies.router.dialects.fields import encode_json


def rewrite_body(raw: bytes, body: Mapping[str, Any], model: str, changes: Mapping[str, Any] | None = None) -> bytes:
    """The bytes as they came where nothing has to change; raises Unreadable for one that cannot be written again."""
    metadata = body.get("metadata")
    for_the_router = isinstance(metadata, dict) and "task" in metadata
    if body.get("model") == model and not for_the_router and not changes:
        return raw
    changed = {**body, **(changes or {}), "model": model}
    if isinstance(metadata, dict) and for_the_router:
        changed["metadata"] = {name: value for name, value in metadata.items() if name != "task"}
        if not changed["metadata"]:
            del changed["metadata"]
    return encode_json(changed)
