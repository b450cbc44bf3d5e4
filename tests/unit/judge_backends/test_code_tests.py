import json

import pytest

from understudies.judge_backends.code_tests import run_tests
from understudies.judges.materials import JudgeUnavailableError, keep_material

SPEC = keep_material(json.dumps({"tests": "assert double(2) == 4\nassert double(-1) == -2", "cpu_s": 1}))


@pytest.mark.parametrize(
    "code",
    [
        "def double(x): return x * 2",
        "def double(x):\n    print(x)\n    return x + x",
        "def double(x): return x << 1\nif __name__ == '__main__': raise SystemExit(3)",
    ],
)
def test_code_that_passes_passes(code: str) -> None:
    assert run_tests(SPEC, code) is None


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def double(x): return x + 2", "AssertionError"),
        ("def double(x) return", "SyntaxError"),
        ("import sys\ndef double(x): return 0\nsys.exit(0)", "ended with status 0 before the tests did"),
        ("import os\nos._exit(0)", "ended with status 0 before the tests did"),
        ("while True: pass", "ended with status -"),
        ("big = bytearray(1 << 40)", "MemoryError"),
        ("open('big', 'wb').write(b'x' * (1 << 22))", "File too large"),
        ("import os\nassert os.environ.get('PATH')", "AssertionError"),
    ],
)
def test_code_that_fails_or_exceeds_a_limit_says_how(code: str, reason: str) -> None:
    failure = run_tests(SPEC, code)
    assert failure is not None
    assert reason in failure


def test_tests_that_the_rules_lost_give_no_verdict() -> None:
    with pytest.raises(JudgeUnavailableError):
        run_tests("0000000000000000", "x = 1")


def test_code_that_waits_for_ever_fails_within_the_judges_limit() -> None:
    failure = run_tests(SPEC, "import time\ntime.sleep(600)\ndef double(x): return x * 2")
    assert failure == "no end within 10 s"
