"""Compiled once: users' own rules from files, scripts and cells; the disk cache; edited formulas."""

import numpy as np
import pytest

import fastopt as fo

RULE = """
from typing import NamedTuple
import numba
import settings
FACTOR = 1.0

@numba.njit
def turned(x):
    return -x

class Mine(NamedTuple):
    lr: float = 1.0
    slots = ("v",)

    @staticmethod
    def coefficients(h, t):
        return (h.lr,)

    @staticmethod
    def update(h, k, p, g, s):
        (lr,) = k
        (v,) = s
        v = v + g
        return p + FACTOR * lr * turned(v) * settings.SHARE, (v,)
"""
SETTINGS = "SHARE = 1.0\n"
# Prints p after one step from 0 with gradient 1, and how many kernels were compiled for it.
RUN = """
import numpy as np
import fastopt as fo
p = np.zeros(3)
opt = fo.Optimizer(p, {rule}, backend="numba")
opt.step(np.ones(3))
from fastopt.kernels.language.compile import statistics
print(p[0], sum(row["compiled"] for row in statistics()))
"""
CELL = """
import linecache, sys
name = "<ipython-input-1-0a1b2c>"
source = {source!r}
linecache.cache[name] = (len(source), None, source.splitlines(True), name)
exec(compile(source, name, "exec"), sys.modules["__main__"].__dict__)
"""
EDITS = {
    "formula": ("p + FACTOR", "p + 2 * FACTOR"),
    "helper": ("return -x", "return -2 * x"),
    "constant": ("FACTOR = 1.0", "FACTOR = 2.0"),
    "constant of another module": ("SHARE = 1.0", "SHARE = 2.0"),
}


@pytest.fixture
def start(tmp_path, python, numba):
    """start(rule, settings, place) -> (p[0], kernels compiled) in a fresh Python."""

    def run(rule=RULE, settings=SETTINGS, place="module", made="Mine()", **environment):
        (tmp_path / "settings.py").write_text(settings)
        (tmp_path / "mine.py").write_text(rule)
        body = RUN.format(rule=made)
        script = {
            "module": "from mine import Mine\n" + body,
            "script": rule + body,
            "cell": CELL.format(source=rule) + body,
        }[place]
        (tmp_path / "main.py").write_text(script)
        environment.setdefault("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
        value, compiled = python(tmp_path / "main.py", **environment).split()
        return float(value), int(compiled)

    return run


def without_settings(rule):
    return rule.replace("import settings\n", "").replace(" * settings.SHARE", "")


@pytest.mark.parametrize("place", ["module", "script", "cell"])
def test_own_rule(place, start):
    value, compiled = start(place=place)
    assert value == -1 and compiled > 0
    assert start(place=place) == (-1, 0)  # the second process compiles nothing


def test_edited_rule_is_compiled_anew(start):
    assert start()[0] == -1
    for what, (before, after) in EDITS.items():
        assert (RULE + SETTINGS).count(before) == 1
        value, compiled = start(RULE.replace(before, after), SETTINGS.replace(before, after))
        assert value == -2 and compiled > 0, what
    assert start() == (-1, 0)  # and the first one is still there


def test_rule_edited_in_one_session(numba):
    """A notebook cell that is run again after an edit."""
    rule = without_settings(RULE)
    for source, value in ((rule, -1), (rule.replace("-x", "-3 * x"), -3), (rule, -1)):
        scope = {"__name__": "__main__"}
        exec(source, scope)
        p = np.zeros(3)
        fo.Optimizer(p, scope["Mine"](), backend="numba").step(np.ones(3))
        assert p[0] == value


@pytest.mark.long
def test_same_name_in_two_modules(start, tmp_path):
    for name, sign in (("one", "-x"), ("two", "-5 * x")):
        (tmp_path / f"{name}.py").write_text(RULE.replace("-x", sign))
    results = [start(made=f"__import__({name!r}).Mine()") for name in ("one", "two", "one")]
    assert [v for v, _ in results] == [-1, -5, -1]
    assert results[0][1] > 0 and results[1][1] > 0 and results[2][1] == 0


BUILT_IN = """
import numpy as np
import fastopt as fo
from fastopt.engines import choose
choose.PARALLEL_NUMBERS = 1
g = np.ones(9)
for threads in {threads}:
    fo.Optimizer(np.zeros(9), fo.Nesterov(), backend="numba", threads=threads).step(g)
from fastopt.kernels.language.compile import statistics
print(sum(row["compiled"] for row in statistics()), sum(row["loaded"] for row in statistics()))
"""


SERIAL = BUILT_IN.replace("{threads}", "(1,)")


def test_second_process_compiles_nothing(python, tmp_path, numba):
    both = BUILT_IN.replace("{threads}", "(1, 2)")
    first = python(both, NUMBA_CACHE_DIR=str(tmp_path / "cache")).split()
    second = python(both, NUMBA_CACHE_DIR=str(tmp_path / "cache")).split()
    assert int(first[0]) > 0
    assert int(second[0]) == 0 and int(second[1]) > 0


@pytest.mark.parametrize(
    "trouble",
    [
        "import numba.core.caching as c; c.CacheImpl._locator_classes = []",
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))",
    ],
    ids=["no directory", "full disk"],
)
def test_without_a_cache(trouble, python, tmp_path, numba):
    pytest.importorskip("resource")
    out = python(trouble + "\n" + SERIAL, NUMBA_CACHE_DIR=str(tmp_path / "cache")).split()
    assert int(out[0]) > 0
    assert not list(tmp_path.rglob("*.nbc"))


@pytest.mark.long
def test_damaged_cache(python, tmp_path, numba):
    """Files cut short, as by a crash of the machine, are compiled anew."""
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    python(SERIAL, **cache)
    for i, file in enumerate(sorted([*tmp_path.rglob("*.nbc"), *tmp_path.rglob("*.nbi")])):
        file.write_bytes(file.read_bytes()[: 0 if i % 2 else 100])
    assert int(python(SERIAL, **cache).split()[0]) > 0
    assert int(python(SERIAL, **cache).split()[0]) == 0


@pytest.mark.long
def test_index_and_code_of_different_rules(python, tmp_path, numba):
    """Two processes that compile at once can leave one's index with the other's code."""
    for name in ("one", "two"):
        rule = {"one": "fo.Nesterov()", "two": "fo.SGD()"}[name]
        python(SERIAL.replace("fo.Nesterov()", rule), NUMBA_CACHE_DIR=str(tmp_path / name))
    code = {file.name: file for file in (tmp_path / "one").rglob("*.nbc")}
    swapped = [file for file in (tmp_path / "two").rglob("*.nbc") if file.name in code]
    assert len(swapped) >= 2
    for file in swapped:
        file.write_bytes(code[file.name].read_bytes())
    check = SERIAL.replace("fo.Nesterov()", "fo.SGD()")
    assert int(python(check, NUMBA_CACHE_DIR=str(tmp_path / "two")).split()[0]) > 0


def test_steps_and_new_optimizers_do_not_compile(numba):
    from fastopt.kernels.language.compile import statistics

    def use():
        p = [np.zeros(5, "f4"), np.zeros((2, 2), "f4")]
        opt = fo.Optimizer(p, fo.Adam(), backend="numba", schedules={"lr": fo.schedules.Cosine(50)})
        for _ in range(50):
            opt.step([np.ones(5, "f4"), np.ones((2, 2), "f4")])

    use()
    before = statistics()
    use()
    assert statistics() == before


@pytest.mark.parametrize(
    "result, message",
    [
        ("p - 0.5 * g, (v,)", "the number 0.5.*coefficient"),
        ("p - g, (1,)", "int.*coefficient"),
        ("p - g, ()", "not 0: as many as"),
        ("p - g, (v, v)", "not 2: as many as"),
    ],
)
def test_formula_that_leaves_the_dtype_is_explained(result, message, numba):
    source = without_settings(RULE)
    start = source.index("        return p + ")
    scope = {"__name__": "__main__"}
    exec(source[:start] + f"        return {result}\n", scope)
    with pytest.raises(TypeError, match=f"(?s)Mine.update .*{message}") as caught:
        fo.Optimizer(np.zeros(2, "f4"), scope["Mine"]())
    assert len(str(caught.value)) < 500


def test_own_rule_on_numpy(need, monkeypatch):
    scope = {"__name__": "__main__"}
    exec(without_settings(RULE).replace("import numba\n", "").replace("@numba.njit\n", ""), scope)
    p = np.zeros(3)
    fo.Optimizer(p, scope["Mine"](), backend="numpy").step(np.ones(3))
    assert (p == -1).all()
    need("c")
    with pytest.raises(ValueError, match="Mine is not in the C library"):
        fo.Optimizer(p, scope["Mine"](), backend="c")
    monkeypatch.setenv("FASTOPT_BACKEND", "c")  # what "auto" is: the own rule goes to NumPy
    assert fo.Optimizer(p, scope["Mine"]()).backend == "numpy"
