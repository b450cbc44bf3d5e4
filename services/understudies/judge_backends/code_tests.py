"""Run the tests of a rule on code that a model wrote, in a process of its own with limits.

The limits keep a mistake from harming the machine: time, memory, files, no environment. They are no sandbox for hostile
code, which can reach the network and read files: run the services that judge in a container if answers are not trusted.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import lru_cache
from typing import IO, Final

from understudies.judges.materials import JudgeUnavailableError, read_material

_MEMORY_BYTES: Final = 1 << 30
_OUTPUT_BYTES: Final = 1 << 20
_WALL_FACTOR: Final = 10
"""Seconds of waiting for each second of processor time: a busy machine must not change a verdict."""
_MAX_EXTRA_S: Final = 60
"""Longest wait beyond the processor time."""
_MAX_FAILURE: Final = 200

# The code runs as a module that is not `__main__`; the proof that the tests reached their end is a secret that only the
# lines behind them print: code that ends the process early has not passed.
_RUNNER: Final = """
import json, os, resource, sys
job = json.load(sys.stdin)
for limit, amount in job["limits"].items():
    resource.setrlimit(getattr(resource, limit), (amount, amount))
proof = os.dup(1)
os.dup2(2, 1)
names = {"__name__": "answer"}
exec(compile(job["code"], "answer.py", "exec"), names)
exec(compile(job["tests"], "tests.py", "exec"), names)
os.write(proof, job["secret"].encode())
os._exit(0)
"""


@lru_cache(maxsize=4_000)
def run_tests(spec: str, code: str) -> str | None:
    """Run the tests of a digest on code; return the last line of the failure, None if all tests pass.

    Raises JudgeUnavailableError if the tests are unknown here, or no process can be started.
    """
    settings = json.loads(read_material(spec))
    cpu_s, secret = int(settings["cpu_s"]), secrets.token_hex(16)
    wall_s = min(cpu_s * _WALL_FACTOR, cpu_s + _MAX_EXTRA_S)
    limits = {"RLIMIT_CPU": cpu_s, "RLIMIT_AS": _MEMORY_BYTES, "RLIMIT_FSIZE": _OUTPUT_BYTES, "RLIMIT_CORE": 0}
    job = json.dumps({"code": code, "tests": settings["tests"], "secret": secret, "limits": limits})
    with (
        tempfile.TemporaryDirectory(prefix="understudies-code-", ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        try:
            status = _run(job, folder, output, errors, wall_s)
        except subprocess.TimeoutExpired:
            return f"no end within {wall_s} s"
        except OSError as error:
            raise JudgeUnavailableError(f"cannot run the tests of code: {error}") from error
        if status == 0 and _read(output) == secret:
            return None
        lines = _read(errors).strip().splitlines()
    return lines[-1][:_MAX_FAILURE] if lines else f"it ended with status {status} before the tests did"


def _run(job: str, folder: str, output: IO[bytes], errors: IO[bytes], timeout_s: float) -> int:
    """Run the job in a process group of its own, which does not outlive it; return the exit status."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _RUNNER],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=errors,
        cwd=folder,
        env={},
        start_new_session=True,
    )
    try:
        process.communicate(job.encode("ascii"), timeout=timeout_s)
        return process.returncode
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(_OUTPUT_BYTES).decode("utf-8", "replace")
