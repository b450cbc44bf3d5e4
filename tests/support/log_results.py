"""What is read of the fixtures' records and of many changed ones, as digests: the same, however it is read.

`python -m tests.support.log_results` records them anew, for a change of what is read that is meant.
"""

import copy
import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.support.log_records import LOGS, found_in, paths_of

from understudies.importers.record_lines import iter_records
from understudies.importers.recorded_call import RecordedCall

RESULTS: Final = LOGS.parent / "log_results.json"
CHANGED: Final = 60
"""Changed records for each of a fixture's."""
_NAMES: Final = (
    *(
        "role",
        "content",
        "type",
        "text",
        "parts",
        "messages",
        "output",
        "choices",
        "message",
        "error",
        "status",
        "model",
    ),
    *("tool_calls", "function", "name", "arguments", "kwargs", "data", "input", "id", "response", "usage", "metadata"),
    *("candidates", "generations", "toolUse", "functionCall", "lc", "kind", "object", "finish_reason", "attributes"),
    *("prompt_tokens", "cached_tokens", "input_tokens", "cache_read_input_tokens", "cache_creation", "total_tokens"),
)
_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, 1, -1, 2**70, 1.5, 404, 200, 1746093600, 1746093600000, 17460936001234567),
    *("", "x", " ", "null", "0", "{}", "[]", "error", "failed", "200", "true", "[redacted]", "redacted-by-litellm"),
    *("... (truncated)", "Response too large to store", "user", "assistant", "system", "tool", "Human", "AI", "\u017f"),
    *("stop", "length", "tool-calls", "STOP", "end_turn", "text", "function", "2026-05-01T10:00:00Z", "$0.12", "0.002"),
    *("2026-05-01 10:00:00 UTC", "2026-05-01 10:00:00 +00:00", ' {"role": "user", "content": "hi"}', "\u3000{}"),
    *({}, [], [[]], [{}], {"text": "a"}, [{"text": "a"}], [{"type": "text", "text": "a"}], {"cached_tokens": 5}),
    *([{"type": "text", "content": "a"}], {"role": "assistant", "content": "a"}, [{"role": "user", "content": "a"}]),
    *({"input_tokens": 3, "cache_read_input_tokens": 5}, [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]),
)


def results() -> dict[str, str]:
    """Return a digest of what is read for each fixture's record, by its file and place."""
    found: dict[str, str] = {}
    for path in sorted(LOGS.iterdir()):
        for place, record in enumerate(one[1] for one in iter_records(path) if isinstance(one, tuple)):
            name = f"{path.name} {place}"
            digest = hashlib.sha256()
            for changed in (record, *_changed(record, random.Random(name))):
                digest.update(_described(changed).encode("utf-8", "surrogatepass"))
            found[name] = digest.hexdigest()[:16]
    return found


def _described(record: dict[str, Any]) -> str:
    """Describe what is read; reasons are left out, as libraries word some of them."""
    return repr([repr(one) if isinstance(one, RecordedCall) else "skipped" for one in found_in(record)])


def _changed(record: dict[str, Any], rng: random.Random) -> Iterator[dict[str, Any]]:
    for _ in range(CHANGED):
        changed = copy.deepcopy(record)
        for _ in range(rng.randint(1, 3)):
            if paths := [*paths_of(changed)]:
                _change(changed, rng.choice(paths), rng)
        yield changed


def _change(record: dict[str, Any], path: tuple[str | int, ...], rng: random.Random) -> None:
    node: Any = record
    for step in path[:-1]:
        node = node[step]
    last: Any = path[-1]
    match rng.randint(0, 6):
        case 0:
            del node[last]
        case 1 if isinstance(node, dict):
            node[rng.choice(_NAMES)] = copy.deepcopy(rng.choice(_VALUES))
        case 2 if isinstance(node, dict):
            node[rng.choice(_NAMES)] = node.pop(last)
        case 3:
            node[last] = json.dumps(node[last])
        case 4:
            node[last] = [node[last]]
        case _:
            node[last] = copy.deepcopy(rng.choice(_VALUES))


def main() -> None:
    """Record what is read today."""
    Path(RESULTS).write_text(json.dumps(results(), indent=1) + "\n")


if __name__ == "__main__":
    main()
