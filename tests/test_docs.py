"""The documentation: every block of Python runs, every name is there, and the site is built without a warning."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *(p for p in DOCS.rglob("*.md") if "decisions" not in p.parts)])
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name(page):
    return str(page.relative_to(ROOT))


def blocks(page):
    """(line, code) of each block of Python of a page."""
    text = page.read_text(encoding="utf-8")
    return [(text[: m.start()].count("\n") + 2, m[1]) for m in BLOCK.finditer(text)]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=name)
def test_blocks_run(page, tmp_path, monkeypatch):
    """The blocks of a page, one after the other in one namespace; lines are those of the page."""
    text = page.read_text(encoding="utf-8")
    if "sklearn" in text or "LinearClassifier" in text:
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    if "from numba import" in text:
        pytest.importorskip("numba", reason="numba is not installed")
    if page.stem == "torch":
        pytest.importorskip("torch", reason="torch is not installed")
    monkeypatch.chdir(tmp_path)
    scope = {"__name__": "__main__"}
    for line, code in blocks(page):
        if "import torch" in code and importlib.util.find_spec("torch") is None:
            continue
        exec(compile("\n" * (line - 1) + code, str(page), "exec"), scope)


def _hook():
    spec = importlib.util.spec_from_file_location("docstrings", DOCS / "docstrings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", sorted((DOCS / "reference").glob("*.md")), ids=name)
def test_names_of_the_reference(page):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    made = _hook().on_page_markdown(page.read_text(encoding="utf-8"), None, None, None)
    assert ":::" not in made and "```text" in made


def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason="mkdocs is not installed")
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert built.returncode == 0 and "WARNING" not in built.stderr, built.stderr
    assert (tmp_path / "site" / "tutorial" / "index.html").exists()
