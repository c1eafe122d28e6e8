"""Headless Chromium for the tests of pages: fixtures `browser` and `opened`.

Needs Playwright and a Chromium (FASTOPT_CHROMIUM, or the one in the PATH); else these tests are skipped.
With FASTOPT_BROWSER=1 a missing browser is a failure.
"""

import json
import os
import re
import shutil
import time

import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
WIDTHS = (360, 1440)
LIMIT = 400_000  # bytes of a page without its data


def _missing(why):
    if os.environ.get("FASTOPT_BROWSER") == "1":
        pytest.fail(why)
    pytest.skip(why)


def many_numbers(page, expression):
    """What a script's expression is, as text: Playwright's own way takes 80 us a number."""
    text = page.evaluate(
        f'JSON.stringify({expression}, (k, v) => (typeof v === "number" && !isFinite(v) ? String(v) : v))'
    )
    return json.loads(re.sub('"(NaN|-?Infinity)"', r"\1", text))


@pytest.fixture(scope="module")
def browser():
    """A running Chromium."""
    path = os.environ.get("FASTOPT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        _missing("no Chromium: install Debian's chromium or set FASTOPT_CHROMIUM")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright is not installed")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, tmp_path):
    """opened(text, width=1440, theme="light"): a page of this text, which has written nothing to the console.

    At the end of the test it must have asked for nothing, written nothing to the console, thrown nothing,
    and be no wider than the window.
    """
    contexts, said = [], []

    def open_page(text, width=1440, theme="light"):
        file = tmp_path / f"page{len(contexts)}.html"
        file.write_text(text, encoding="utf-8")
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=theme, has_touch=True
        )
        page = context.new_page()
        page.on("console", lambda m: said.append(f"console {m.type}: {m.text}"))
        page.on("pageerror", lambda e: said.append(f"error: {e}"))
        page.on("request", lambda r: r.url.startswith(("file:", "data:")) or said.append(r.url))
        page.goto(file.as_uri())
        contexts.append((context, page))
        return page

    yield open_page
    for context, page in contexts:
        if "/page" in page.url:
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            if wide > 0:
                said.append(f"the page is {wide} pixels wider than its window")
            said += page.evaluate(_UNLABELLED)
        context.close()
    assert not said, said


def until(page, condition, seconds=10):
    """Wait for a condition of the page's script (Playwright's own way of waiting needs eval)."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)


# Every control has a name, every canvas a description.
_UNLABELLED = """() => [...document.querySelectorAll("input, select, button, canvas")].filter((e) =>
  e.getAttribute("aria-hidden") !== "true" && e.getClientRects().length && !e.getAttribute("aria-label") &&
  !e.getAttribute("aria-labelledby") && !(e.labels && [...e.labels].some((l) => l.textContent.trim())) &&
  !(e.tagName === "BUTTON" && e.textContent.trim())).map((e) => `no label: ${e.outerHTML.slice(0, 120)}`)"""
