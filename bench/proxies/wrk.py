"""Closed-loop load by wrk: so many connections, each asks again as soon as it is answered."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.proxies.payloads import AFTER, BEFORE, DISTINCT_REQUESTS

_SCRIPT = """
{headers}
local requests, sent = {{}}, 0
init = function()
  for i = 0, {kinds} - 1 do
    requests[i] = wrk.format("POST", nil, nil, [==[{before}]==] .. string.format("%03d", i) .. [==[{after}]==])
  end
end
request = function()
  sent = (sent + 1) % {kinds}
  return requests[sent]
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\n{{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "errors": %d}}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class LoadResult:
    """What came of a while of load; times in milliseconds."""

    connections: int
    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def run_wrk(
    url: str, *, connections: int, seconds: float, folder: Path, headers: Mapping[str, str] | None = None
) -> LoadResult:
    """Ask a server for chat completions for so many seconds, from one thread."""
    given = {"content-type": "application/json", "authorization": "Bearer sk-bench", **(headers or {})}
    script = folder / "post.lua"
    lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in given.items())
    script.write_text(_SCRIPT.format(before=BEFORE, after=AFTER, kinds=DISTINCT_REQUESTS, headers=lines))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "30s", "-s", str(script)]
    command.append(f"{url}/v1/chat/completions")
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = json.loads(output.strip().splitlines()[-1])
    return LoadResult(
        connections,
        found["requests"],
        found["seconds"],
        round(found["p50"], 3),
        round(found["p99"], 3),
        found["errors"],
    )
