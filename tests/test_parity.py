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
    """rule -> the cells of its row."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]
    return {row[0]: row[1:] for row in rows}


def number(cell):
    return None if cell == "-" else float(cell.removeprefix("< "))


def test_page_is_what_the_script_measures():
    """Words and settings are the same; numbers within a factor of four, for another machine's pow and sqrt."""
    pytest.importorskip("torch", reason="torch is not installed")
    parity = script()
    here, written = lines(parity.page()), lines(parity.PAGE.read_text(encoding="utf-8"))
    assert here.keys() == written.keys()
    for rule, cells in here.items():
        assert cells[3:] == written[rule][3:], rule
        if rule != "rule":
            for mine, theirs in zip(map(number, cells[:3]), map(number, written[rule][:3]), strict=True):
                assert (mine is None) == (theirs is None), rule
                assert mine is None or mine <= 4 * max(theirs, 2), rule


def test_naive_column_without_torch():
    parity = script()
    from fastopt.rules import RULES

    written = lines(parity.PAGE.read_text(encoding="utf-8"))
    assert {cls.__name__ for cls in RULES} == written.keys() - {"rule"}
    for cls in RULES:
        rule = parity.rule_of(cls, parity.TORCH.get(cls.__name__, ({},))[0])
        far = parity.apart(parity.ours(rule, "f8"), parity.naively(rule))
        assert far <= 4 * max(number(written[cls.__name__][0]), 2)
