"""docs/parity.md says what scripts/parity.py measures."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def script():
    path = ROOT / "scripts" / "parity.py"
    if not path.exists():
        pytest.skip("the scripts are not here")
    spec = importlib.util.spec_from_file_location("parity", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines(text):
    """Of the first table: rule -> the cells of its row; and all that follows."""
    table, _, rest = text.partition("## Settings")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line[:3] == "| `"
    ]
    return {row[0].strip("`"): row[1:] for row in rows}, rest


def number(cell):
    return None if cell == "-" else float(cell.removeprefix("< "))


def test_page_is_what_the_script_measures():
    """Words and settings are the same; numbers within a factor of four, for another machine's pow and sqrt."""
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("optax", reason="optax is not installed")
    parity = script()
    here, settings = lines(parity.page())
    written, there = lines(parity.PAGE.read_text(encoding="utf-8"))
    assert here.keys() == written.keys() and settings == there
    for rule, cells in here.items():
        for mine, theirs in zip(map(number, cells), map(number, written[rule]), strict=True):
            assert (mine is None) == (theirs is None), rule
            assert mine is None or mine <= 4 * max(theirs, 2), rule


def test_written_differences_are_small():
    """A thousand units of float64 are 2e-13: what has another formula is beyond that, and no number of this page is."""
    written, _ = lines(script().PAGE.read_text(encoding="utf-8"))
    assert all(number(cell) is None or number(cell) <= 2**29 for cells in written.values() for cell in cells)
    exact = {rule: cells for rule, cells in written.items() if not rule.startswith("Adafactor(relative")}
    assert all(number(cell) is None or number(cell) <= 2048 for cells in exact.values() for cell in cells)


def test_naive_and_keras_without_torch_and_optax():
    parity = script()
    from fastopt.rules import FURTHER, RULES

    written, _ = lines(parity.PAGE.read_text(encoding="utf-8"))
    assert {rule.partition("(")[0] for rule in written} >= {cls.__name__ for cls in (*RULES, *FURTHER)}
    for rule, naive, *_, keras, _, _, _ in parity.rows(peers=()):
        assert naive <= 4 * max(number(written[rule][0]), 2), rule
        assert keras is None or keras <= 4 * max(number(written[rule][4]), 2), rule
