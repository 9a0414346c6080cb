"""A Chromium for tests that look at a page: the system's, or the one that ``make test`` fetches where there is none."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
FETCHED = Path(sys.prefix) / "browsers"


@contextmanager
def launched() -> Iterator[Any]:
    """Playwright's browser; the test is skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    os.environ.setdefault("PLAYWRIGHT_BROWSERS_PATH", str(FETCHED))
    with sync_api.sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, NAMES)), None) or playwright.chromium.executable_path
        if not Path(found).exists():
            pytest.skip("no Chromium: apt-get install chromium")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()
