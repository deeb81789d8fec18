"""A headless Chromium for the tests of pages; they skip, with a line, where there is none."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]


@contextmanager
def chromium(width: int = 1280, height: int = 860) -> Iterator[Any]:
    """A selenium driver whose browser reaches nothing but files."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("no Chromium with its chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*_FLAGS, f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield started
    finally:
        started.quit()


def open_page(driver: Any, path: Path) -> float:
    """Open a file, wait until it is ready, and return the seconds that took."""
    start = time.perf_counter()
    driver.get(path.resolve().as_uri())
    until(lambda: driver.execute_script("return document.documentElement.dataset.ready === 'true'"))
    return time.perf_counter() - start


def until(condition: Any, seconds: float = 30.0) -> None:
    """Wait for a condition."""
    end = time.perf_counter() + seconds
    while not condition():
        assert time.perf_counter() < end, "the page did not get there"
        time.sleep(0.02)
