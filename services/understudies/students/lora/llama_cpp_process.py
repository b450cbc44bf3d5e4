"""Serve a base model and adapters by llama.cpp: `python -m understudies.students.lora.llama_cpp_process`.

One line of JSON on standard input says what to serve; one line on standard output, where. The process ends when its
standard input closes: at its parent's wish, or at its end. It is a process of its own since errors of native code, such
as a failed assertion, end the whole process.
"""

import os
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class ServerOptions(BaseModel):
    """What to serve: files of the base and of the adapters, whose ids are their positions."""

    model_config = ConfigDict(frozen=True)

    base: Path
    adapters: tuple[Path, ...]
    slots: int
    slot_tokens: int
    threads: int | None = None


class ServerAddress(BaseModel):
    """Where the server listens."""

    model_config = ConfigDict(frozen=True)

    url: str


def main() -> None:
    """Serve until standard input closes."""
    options = ServerOptions.model_validate_json(sys.stdin.readline())
    reports = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    from xllamacpp import CommonAdapterLoraInfo, CommonParams, Server

    params = CommonParams()
    params.model.path = str(options.base)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = options.slots
    params.n_ctx = options.slots * options.slot_tokens
    params.warmup = False
    params.verbosity = 0
    params.use_jinja = True
    # Adapters share the prompt cache, and what one adapter computed is wrong for another.
    params.cache_prompt = False
    params.cache_ram_mib = 0
    if options.threads:
        params.cpuparams.n_threads = options.threads
        params.cpuparams_batch.n_threads = options.threads
    adapters = []
    for path in options.adapters:
        adapter = CommonAdapterLoraInfo()
        adapter.path, adapter.scale = str(path), 0.0
        adapters.append(adapter)
    params.lora_adapters = adapters
    server = Server(params)
    reports.write(ServerAddress(url=server.listening_address).model_dump_json() + "\n")
    while sys.stdin.buffer.read(1024):
        pass
    # Without waiting for the server's threads: the parent closes the input when no call is left.
    os._exit(0)


if __name__ == "__main__":
    main()
