"""One arena for all threads, as the C library itself counts them."""

import os
import platform
import subprocess
import sys

import pytest

from understudies.runtime import malloc

COUNT = """
import ctypes, re, sys, tempfile, threading
from understudies.runtime.malloc import share_one_arena

shares = share_one_arena()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(4)

def take():
    libc.malloc(1000)
    together.wait()

threads = [threading.Thread(target=take) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with tempfile.NamedTemporaryFile() as file:
    libc.fopen.restype = libc.fclose.restype = ctypes.c_void_p
    stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(shares, len(re.findall("<heap nr=", file.read().decode())))
"""
IS_GLIBC = platform.libc_ver()[0] == "glibc"


def count_arenas(**environment: str) -> tuple[str, int]:
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")
    }
    done = subprocess.run(
        [sys.executable, "-c", COUNT], env={**inherited, **environment}, capture_output=True, text=True, check=True
    )
    shares, arenas = done.stdout.split()
    return shares, int(arenas)


@pytest.mark.skipif(not IS_GLIBC, reason="arenas are glibc's; other C libraries have none")
def test_threads_share_one_arena() -> None:
    assert count_arenas() == ("True", 1)


@pytest.mark.skipif(not IS_GLIBC, reason="arenas are glibc's; other C libraries have none")
def test_settings_in_the_environment_win() -> None:
    shares, arenas = count_arenas(MALLOC_ARENA_MAX="3")
    assert shares == "False"
    assert arenas > 1


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert malloc.share_one_arena() is False
