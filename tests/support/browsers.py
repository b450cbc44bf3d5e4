"""A real browser: Debian's Chromium, driven by Playwright."""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

AXE = "axe-core@4.14.1"
_PLACES = ("chromium", "chromium-browser", "google-chrome")
_REQUIRED = os.environ.get("UNDERSTUDIES_TEST_BROWSER") == "required"


def find_browser() -> str:
    """The browser's path; without one the tests are skipped, or fail where it is required."""
    found = next((path for name in _PLACES if (path := shutil.which(name))), None)
    if found is None:
        _give_up("no Chromium is installed: apt-get install chromium")
        raise AssertionError("unreachable")
    return found


def read_axe(folder: Path) -> str:
    """The source of axe-core, fetched by npm; without npm or a registry the tests that need it are skipped."""
    if shutil.which("npm") is None:
        pytest.skip("axe-core comes by npm, which is not installed")
    packed = subprocess.run(
        ["npm", "pack", AXE, "--silent"], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    if packed.returncode != 0:
        pytest.skip(f"npm cannot fetch {AXE}: {packed.stderr.strip()[:200]}")
    with tarfile.open(folder / packed.stdout.strip().splitlines()[-1]) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


@contextmanager
def open_browser() -> Iterator[Any]:
    """A headless browser of Playwright's synchronous API."""
    path = find_browser()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _give_up("Playwright is not installed: pip install -e '.[embedded,dev]'")
        raise
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


def _give_up(why: str) -> None:
    if _REQUIRED:
        pytest.fail(why)
    pytest.skip(why)
