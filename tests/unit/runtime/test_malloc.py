"""How the C library allots memory, as it counts itself."""

import os
import platform
import subprocess
import sys

import pytest

from understudies.runtime import malloc

COUNT = """
import ctypes, re, sys, tempfile, threading
from understudies.runtime.malloc import configure_malloc

shares = configure_malloc()
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
LARGE = """
import ctypes, sys
from understudies.runtime.malloc import configure_malloc

if sys.argv[1] == "configured":
    assert configure_malloc()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks".split()]
    _fields_ += [(name, ctypes.c_size_t) for name in "uordblks fordblks keepcost".split()]

libc.mallinfo2.restype = Info
libc.free(ctypes.c_void_p(libc.malloc(16_000_000)))
before = libc.mallinfo2().hblks
assert libc.malloc(8_000_000)
print(libc.mallinfo2().hblks - before)
"""
IS_GLIBC = platform.libc_ver()[0] == "glibc"


def inherited_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}


def count_arenas(**environment: str) -> tuple[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", COUNT],
        env={**inherited_environment(), **environment},
        capture_output=True,
        text=True,
        check=True,
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


@pytest.mark.skipif(not IS_GLIBC, reason="asks glibc for its counts")
@pytest.mark.parametrize(("setting", "mapped"), [("configured", "1"), ("not", "0")])
def test_large_arrays_stay_out_of_the_heap_after_others_were_freed(setting: str, mapped: str) -> None:
    command = [sys.executable, "-c", LARGE, setting]
    done = subprocess.run(command, env=inherited_environment(), capture_output=True, text=True, check=True)
    assert done.stdout.split() == [mapped]


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert malloc.configure_malloc() is False
