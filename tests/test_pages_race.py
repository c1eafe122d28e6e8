"""The race: the page's rules and surfaces against the engine's, and the page in a browser."""

import json

import numpy as np
import pytest
from browser import LIMIT, WIDTHS, browser, many_numbers, opened, until  # noqa: F401

import fastopt as fo
from fastopt import rules
from fastopt.reports import surfaces
from fastopt.reports.page import page
from fastopt.reports.race import RULES, race, slot_kinds
from fastopt.reports.translate import Untranslatable, function_script, rule_script

FURTHER = [r for r in rules.FURTHER if not getattr(r, "whole", False) and not hasattr(r, "ascent")]
ALL = {rule.__name__.lower(): rule for rule in (*rules.RULES, *FURTHER)}
STEPS = 200


@pytest.fixture(scope="module")
def text():
    return race(rules=[*ALL, "lbfgs"])


def engine_path(surface, rule, start, steps, noise=0.0):
    """(steps + 1, 2): by fo.Optimizer and the surface's gradient written by hand, which is `noise` off."""
    rng = np.random.default_rng(5)
    p = np.array(start, float)
    optimizer = fo.Optimizer(p, rule)
    path = [p.copy()]
    for t in range(steps):
        g = surface.gradient(p, t) if surface.batches else surface.gradient(p)
        optimizer.step(np.asarray(g, float) + noise * rng.uniform(-1, 1, 2))
        path.append(p.copy())
    return np.array(path)


@pytest.mark.parametrize("surface", surfaces.SURFACES.values(), ids=lambda s: s.name)
def test_gradients_are_those_of_the_values(surface):
    rng = np.random.default_rng(1)
    low, high = np.array(surface.box)[[0, 2]], np.array(surface.box)[[1, 3]]
    for x in rng.uniform(low, high, (20, 2)):
        numeric = fo.numeric_gradient(surface.value, x, method="richardson")
        np.testing.assert_allclose(surface.gradient(x), numeric, rtol=1e-6, atol=1e-6)
    for minimum in surface.minima:
        np.testing.assert_allclose(surface.gradient(np.array(minimum, float)), 0, atol=1e-12)
        assert surface.value(np.array(minimum, float)) == pytest.approx(surface.lowest, abs=1e-12)


@pytest.mark.parametrize("preset", ["low", "right"])
def test_the_page_walks_as_the_engine_does(opened, text, preset):  # noqa: F811
    """Every rule on every surface, 200 steps: 1e-12 of the surface's size.

    Times what the path itself makes of gradients that are 1e-15 off: among local minima some are chaotic.
    """
    page = opened(text)
    worst, strict = {}, 0
    for name, surface in surfaces.SURFACES.items():
        page.select_option("#surface", name)
        page.click(f"[data-preset={preset}]")
        found = many_numbers(page, "NAMES.map((n) => [n, state.hyper[n], state.paths[n].x])")
        size = max(map(abs, surface.box))
        for rule, h, path in found:
            if rule == "lbfgs":
                continue
            assert len(path) == STEPS + 1, (name, rule, h)
            expected = engine_path(surface, ALL[rule](**h), surface.start, STEPS)
            moved = engine_path(surface, ALL[rule](**h), surface.start, STEPS, noise=1e-15)
            growth = np.abs(moved - expected).max() / (1e-14 * size)
            growth = 1 if growth < 1 else 100 * growth
            strict += growth == 1
            worst[name, rule] = np.abs(np.array(path) - expected).max() / size / growth
    bad = {key: error for key, error in worst.items() if not error <= 1e-12}
    assert not bad, bad
    assert strict > 0.7 * len(worst)


def test_each_step_is_the_engines(opened, text):  # noqa: F811
    """From the page's own point, gradient and state, chaotic or not: one step, 1e-14 of its parts."""
    page = opened(text)
    for name in surfaces.SURFACES:
        page.select_option("#surface", name)
        for rule, h, path in many_numbers(page, "NAMES.map((n) => [n, state.hyper[n], state.paths[n]])"):
            if rule == "lbfgs":
                continue
            rule = rules.checked(ALL[rule](**h))
            slots = tuple(np.full(2, v) for v in rules.initial(rule))
            copies = getattr(rule, "copies", ())
            slots = tuple(
                np.array(path["x"][0]) if n in copies else s for n, s in zip(rule.slots, slots, strict=True)
            )
            points, states = [], []
            for t, inner in enumerate(path["inside"]):
                p, g = np.array(path["x"][t]), np.array(inner["g"])
                with np.errstate(all="ignore"):
                    k = rule.coefficients(rule, t + 1)
                    if hasattr(rule, "measure"):
                        norms = np.linalg.norm(rule.measure(rule, k, p, g, slots), axis=1)
                        k += rule.from_norms(rule, k, norms, 2)
                    p, slots = rule.update(rule, k, p, g, slots)
                points.append(p)
                states.append(np.reshape(slots, (-1, 2)))
                slots = tuple(map(np.array, inner["slots"]))
            np.testing.assert_allclose(path["x"][1:], points, rtol=1e-14, atol=1e-14)
            shown = [np.reshape(inner["slots"], (-1, 2)) for inner in path["inside"]]
            np.testing.assert_allclose(shown, states, rtol=1e-13, atol=0)


def test_lbfgs_walks_as_minimize_does(opened, text):  # noqa: F811
    page = opened(text)
    for name, surface in surfaces.SURFACES.items():
        page.select_option("#surface", name)
        for start in (surface.start, np.array(surface.start) * 0.7):
            page.evaluate(f"moveStart([{start[0]!r}, {start[1]!r}].map(Number))".replace("np.float64", ""))
            found = many_numbers(page, "state.paths.lbfgs")
            expected, result = lbfgs_path(surface, start)
            moved, _ = lbfgs_path(surface, start, noise=1e-15)
            assert len(found["x"]) == len(expected) == result.nit + 1
            assert found["evaluations"][-1] == result.nfev
            size, count = max(map(abs, surface.box)), min(len(expected), len(moved))
            growth = np.abs(expected[:count] - moved[:count]).max() / (1e-14 * size)
            limit = 1e-12 * size * (1 if growth < 1 else 10 * growth)
            np.testing.assert_allclose(found["x"], expected, rtol=0, atol=limit)


def lbfgs_path(surface, start, noise=0.0):
    """(points, result) of fo.minimize, with gradients that are `noise` off."""
    rng = np.random.default_rng(5)
    points = [np.array(start, float)]

    def gradient(x):
        return surface.gradient(x) + noise * rng.uniform(-1, 1, 2)

    result = fo.minimize(surface.value, points[0], jac=gradient, callback=points.append)
    return np.array(points), result


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_plays_slides_toggles_and_moves(opened, width, theme):  # noqa: F811
    surface = surfaces.SURFACES["ravine"]
    page = opened(race("ravine"), width, theme)
    assert page.locator("#surface").input_value() == "ravine"
    page.fill("#step", "120")
    lr = page.evaluate("state.hyper.adam.lr")
    path = engine_path(surface, fo.Adam(lr=lr), surface.start, STEPS)
    shown = json.loads(page.locator("#row-adam").get_attribute("data-x"))
    np.testing.assert_allclose(shown, path[120], rtol=0, atol=1e-11)
    assert page.locator("#row-adam td").nth(1).text_content() != ""

    page.fill("#step", "0")
    page.click("#play")
    until(page, "state.t > 5")
    page.click("#play")
    stopped = page.evaluate("state.t")
    assert stopped > 5 and not page.evaluate("state.playing")

    page.uncheck("#on-adam")
    assert not page.evaluate("state.on.adam")
    page.check("#in-momentum")
    assert "Momentum" in page.locator("#inside-title").text_content()

    page.click("[data-preset=high]")
    assert page.evaluate("state.hyper.sgd.lr") > 2 / 100
    page.click("[data-preset=low]")
    if width < 700:
        page.click("#hyper summary")
    page.focus("#h-sgd-lr")
    before = page.evaluate("state.paths.sgd.f[50]")
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("state.paths.sgd.f[50]") < before
    page.click("#against")
    assert page.evaluate("chart.options.xLabel").startswith("microseconds")


def test_the_start_is_chosen_by_click_touch_and_keys(opened):  # noqa: F811
    page = opened(race("lectures", ["sgd"]))
    box = page.locator("#map").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    clicked = page.evaluate("state.start")
    assert np.abs(clicked).max() < 1.5
    sgd = fo.SGD(lr=page.evaluate("state.hyper.sgd.lr"))
    expected = engine_path(surfaces.SURFACES["lectures"], sgd, clicked, STEPS)
    np.testing.assert_allclose(page.evaluate("state.paths.sgd.x"), expected, rtol=0, atol=1e-11)
    page.touchscreen.tap(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
    assert page.evaluate("state.start")[0] < clicked[0]
    page.focus("#map")
    before = page.evaluate("state.start")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("state.start")[1] > before[1]
    page.click("#view")
    turned = page.evaluate("state.turn")
    page.focus("#map")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("state.turn") > turned


def test_the_lectures_rates(opened):  # noqa: F811
    """0.01 falls short, 0.10 converges, 0.11 oscillates, 0.12 diverges."""
    page = opened(race("lectures", ["sgd"], steps=60))
    losses = {}
    for lr in ("0.01", "0.1", "0.11", "0.12"):
        page.click(f'[data-lr="{lr}"]')
        losses[lr] = page.evaluate("state.paths.sgd.f")
    assert losses["0.01"][-1] > 1e-2
    assert losses["0.1"][-1] < 1e-5
    signs = np.diff(np.sign(np.diff(page.evaluate("state.paths.sgd.x.map((x) => x[0])"))))
    assert np.count_nonzero(signs) > 50
    assert losses["0.12"][-1] > losses["0.12"][0]


def test_small_and_closed(text):
    assert len(text.encode()) < LIMIT
    assert "http" not in text.replace("http-equiv", "")


def test_own_function(opened, tmp_path, monkeypatch):  # noqa: F811
    """Translated where its text allows, else a grid."""
    (tmp_path / "my_surfaces.py").write_text(
        "import numpy as np\n"
        "SCALE = 3.0\n"
        "def half(v):\n    return v / 2\n"
        "def bowl(x):\n    '''A bowl.'''\n    return half(x[0] ** 2) + SCALE * np.cosh(x[1])\n"
        "def table(x):\n    return float(np.dot(x, x)) + sum([0.0])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    page = opened(race("my_surfaces:bowl", ["sgd"], start=(4, 1)))
    assert "A bowl. (your function)" in page.locator("#about").text_content()
    value, *gradient = page.evaluate("state.surface.gradient([0.3, -0.7])")
    assert value == pytest.approx(0.045 + 3 * np.cosh(0.7), rel=1e-15)
    np.testing.assert_allclose(gradient, [0.3, -3 * np.sinh(0.7)], rtol=1e-14)
    page = opened(race("my_surfaces:table", ["sgd"]))
    value, *gradient = page.evaluate("state.surface.gradient([0.3, -0.7])")
    np.testing.assert_allclose([value, *gradient], [0.58, 0.6, -1.4], rtol=1e-6)
    for wrong, why in (
        ("my_surfaces:none", "none"),
        ("nothing", "module:function"),
        ("no_module:f", "no_module"),
    ):
        with pytest.raises(ValueError, match=why):
            race(wrong)
    with pytest.raises(ValueError, match="no rule 'adamm'"):
        race(rules=["adamm"])


def test_every_rule_is_translated():
    for rule in ALL.values():
        assert "update" in rule_script(rule)
    with pytest.raises(Untranslatable, match="Muon"):
        rule_script(fo.Muon)
    assert set(RULES) <= {*ALL, "lbfgs"}


def test_what_has_no_translation_says_so():
    def strange(x):
        return [v for v in x]

    with pytest.raises(Untranslatable, match="line 2"):
        function_script(strange)


def test_kinds_of_slots():
    assert slot_kinds(fo.Adam) == ["against", "square"]
    assert slot_kinds(fo.ClassicalMomentum) == ["with"]
    assert slot_kinds(fo.AdaDelta) == ["square", "square"]


def test_data_cannot_leave_its_element():
    text = page(
        "<b>", "", scripts=["dual.js"], data={"a": "</script><script>alert(1)</script>", "b": float("nan")}
    )
    assert text.count("<script") == 2 and "<title>&lt;b&gt;</title>" in text and '"b":null' in text
