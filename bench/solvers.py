"""Solvers of linear models beside other libraries': seconds to a relative gap to the best objective known.

    python bench/solvers.py [--data FOLDER] [--only WORD] [--gap 1e-6] [--limit 4] [--out FILE.md] [--svg FILE.svg]

Each contestant is a process of its own, one after the other, with a pause before each of its runs. fastopt's objective
is measured in float64 at every iterate, with the clock stopped, and so is that of scikit-learn's lbfgs; times
include the checks of the data. Other peers keep no such history: they run anew with a doubled number of iterations (or a tenth
of the tolerance), and the time at the gap is interpolated between two runs, log(gap) against seconds. Times are
the least of --rounds. Who needs longer than --limit (on MNIST's 60,000 rows those with a history fifteen times that, others four times) is not run
further. Peers that are not installed are named.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
warnings.simplefilter("ignore")
NEVER = float("inf")
OURS = ("auto", "lbfgs", "newton", "prox-newton", "dual")
SETTINGS = (("float64", 2), ("float64", 1), ("float32", 2), ("float32", 1))
PAUSE = 0.1
AUTO = "fastopt auto ({})"


class Problem:
    """X, y in the dtype to be raced, and the objective in float64."""

    def __init__(self, name, folder, dtype="float64"):
        from solver_problems import problems

        import fastopt as fo

        get, self.loss, l1, l2 = problems(folder)[name]
        X, self.y = get()
        n = X.shape[0]
        self.count = len(np.unique(self.y)) if isinstance(self.loss, fo.Softmax) else 1
        self.name, self.l1, self.l2 = name, l1 / n, l2 / (2 * n)
        self.X = X.astype(dtype)
        # liblinear's dual penalises b: hinges are compared without one
        self.intercept = type(self.loss) not in (fo.Hinge, fo.SquaredHinge)
        self.penalty = fo.ElasticNet(self.l1, self.l2) if l1 else fo.L2(self.l2)
        self._exact = self.objective(self.X.astype(np.float64), None)  # of the same rounded numbers

    def objective(self, X, threads):
        import fastopt as fo

        return fo.Objective(
            self.loss, X, self.y, penalty=self.penalty, fit_intercept=self.intercept, threads=threads
        )

    def value(self, W, b):
        W = np.ascontiguousarray(W, np.float64)
        return self._exact.value(W, np.asarray(b, np.float64)) if self.intercept else self._exact.value(W)


class Watch:
    """(seconds, objective) after each iteration of a run, measured with the clock stopped; true where it may end."""

    def __init__(self, problem, goal, limit):
        self.problem, self.goal, self.limit = problem, goal, limit
        self.points, self.stopped, self.began = [], 0.0, time.perf_counter()

    def __call__(self, weights):
        seconds = time.perf_counter() - self.began - self.stopped
        self.points.append((seconds, self.problem.value(*weights())))
        self.stopped = time.perf_counter() - self.began - seconds
        return self.points[-1][1] <= self.goal or seconds > self.limit


def run_ours(problem, solver, threads, rounds, goal=-NEVER, limit=60):
    """[(seconds, objective)] along the fastest of the runs."""
    from fastopt.solvers import solve

    best = []
    for turn in range(rounds + 1):
        time.sleep(PAUSE)
        watch = Watch(problem, goal, limit)
        try:
            gap = solver == "dual" or type(problem.loss).__name__ == "Hinge"
            tol = 1e-8 if gap else 1e-10  # the goal is met before
            solve(
                problem.objective(problem.X, threads),
                solver,
                watch=lambda now, weights, watch=watch: watch(weights),
                max_iter=2000 if turn else 2,
                max_seconds=3 * limit,
                tol=tol,
            )
        except ValueError:
            return []
        points = watch.points
        if turn and (not best or points[-1][0] < best[-1][0]):
            best = points
        if turn and points[-1][0] > limit / 4:
            break
    return best


def run_followed(problem, steps, threads, rounds, goal, limit):
    """The same of a peer that tells of its iterations."""
    from threadpoolctl import threadpool_limits

    best = []
    with threadpool_limits(threads):
        for turn in range(rounds + 1):
            time.sleep(PAUSE)
            watch = Watch(problem, goal, limit if turn else 0)
            steps(problem, watch, threads)
            if turn and (not best or watch.points[-1][0] < best[-1][0]):
                best = watch.points
            if turn and watch.points[-1][0] > limit / 4:
                break
    return best


def run_peer(problem, fit, threads, rounds, goal, limit, least=0):
    """[(seconds, objective)] of runs of more and more effort, until the goal is met or one takes too long."""
    from threadpoolctl import threadpool_limits

    points = []
    with threadpool_limits(threads):
        fit(problem, 0, threads)  # compile, import
        for effort in range(least, 24):
            times = []
            while len(times) < rounds and sum(times) < limit / 10:
                time.sleep(PAUSE)
                began = time.perf_counter()
                W, b = fit(problem, effort, threads)
                times.append(time.perf_counter() - began)
            points.append((min(times), problem.value(W, b)))
            stuck = len(points) > 4 and points[-1][1] >= points[-3][1] * (1 - 1e-12)
            if points[-1][1] <= goal or points[-1][0] > limit or stuck:
                return points
    return points


def work(options):
    """One contestant's runs: {"dtype threads": points} as the last line of the output."""
    from solver_peers import lbfgs_steps, peers

    found, goals, who = {}, json.loads(options.goals), options.contestant
    big = options.problem.startswith("MNIST 60,000")
    followed, ours = who == "scikit-learn lbfgs", who.startswith("fastopt")
    limit = options.limit * (15 if big and followed else 4 if big else 1)
    for dtype, threads in SETTINGS:
        problem, goal = Problem(options.problem, options.data, dtype), goals[dtype]
        fit, threads_matter = (None, True) if ours else peers(problem)[who]
        if threads == 2 and not threads_matter:
            continue
        try:
            if ours:
                below = goal - 0.99 * options.gap * abs(goal)  # the picture goes on to a hundredth of the gap
                points = run_ours(problem, who.split()[1], threads, options.rounds, below, limit)
            elif followed:
                points = run_followed(problem, lbfgs_steps, threads, options.rounds, goal, limit)
            else:
                points = run_peer(problem, fit, threads, options.rounds, goal, limit)
        except Exception as error:
            if not found:
                raise
            print(f"{dtype}: {error}", file=sys.stderr)
            continue
        if not points:
            break
        found[f"{dtype} {threads}"] = points
        if points[-1][1] > goal:
            break  # what did not get there is not tried with less
    print(json.dumps(found))


def contestant(options, problem, name, goals):
    """What `work` printed in a process of its own, or why there is none."""
    command = [sys.executable, __file__, "--problem", problem, "--contestant", name, "--goals", json.dumps(goals),
               "--data", str(options.data), "--limit", str(options.limit), "--rounds", str(options.rounds)]  # fmt: skip
    hung = 60 + 100 * options.limit  # four settings, of which the first may take fifteen times the limit
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=hung,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
    except subprocess.TimeoutExpired:
        return {}, f"ended after {hung:.0f} s without an answer"
    if result.returncode:
        return {}, result.stderr.strip().splitlines()[-1][:120]
    return json.loads(result.stdout.strip().splitlines()[-1]), None


def best_known(problem):
    """The objective of a run to a tight tolerance in float64, on the problem's numbers."""
    from fastopt.solvers import solve

    tol = 1e-8 if type(problem.loss).__name__ == "Hinge" else 1e-10
    return solve(
        problem.objective(problem.X.astype(np.float64), None), tol=tol, max_iter=5000, max_seconds=60
    ).report.objective


def reached(points, goal, best):
    """Seconds to the goal: of a history the first, between two of a peer's runs interpolated."""
    before = None
    for seconds, value in points:
        if value <= goal:
            if before is None:
                return seconds
            gaps = [np.log(max(v / best - 1, 1e-16)) for v in (before[1], value, goal)]
            share = (gaps[0] - gaps[2]) / max(gaps[0] - gaps[1], 1e-12)
            return before[0] + min(max(share, 0.0), 1.0) * (seconds - before[0])
        before = seconds, value
    return NEVER


def race(options, name):
    """({contestant: {setting: points}}, the best objective)."""
    from solver_peers import peers

    from fastopt.solvers.choose import choose_solver

    problem = Problem(name, options.data)
    best = {dtype: best_known(Problem(name, options.data, dtype)) for dtype in ("float64", "float32")}
    goals = {dtype: value + options.gap * abs(value) for dtype, value in best.items()}
    found, missing = {}, {}
    smooth = type(problem.loss).__name__ != "Hinge"
    chosen = choose_solver(problem.objective(problem.X, None))
    ours = [s for s in OURS if s != chosen and (s != "dual" or not problem.intercept) and (smooth or s in ("auto", "dual"))
            and not (problem.l1 and s == "newton") and (problem.l1 or s != "prox-newton")]  # fmt: skip
    for who in [*(f"fastopt {s}" for s in ours), *peers(problem)]:
        found[who], missing[who] = contestant(options, name, who, goals)
        if missing[who]:
            print(f"    {who}: {missing[who]}", file=sys.stderr, flush=True)
    for by_setting in found.values():
        for setting, points in by_setting.items():
            dtype = setting.split()[0]
            best[dtype] = min([best[dtype], *(v for _, v in points)])
    found = {who: points for who, points in found.items() if points}
    found = {AUTO.format(chosen) if who == "fastopt auto" else who: points for who, points in found.items()}
    return found, best


def seconds_of(curves, best, gap):
    """{contestant: {setting: seconds}}; a peer's one thread is its two, where that is faster or all there is."""
    table = {}
    for who, by_setting in curves.items():
        times = {}
        for setting, points in by_setting.items():
            least = best[setting.split()[0]]
            times[setting] = reached(points, least + gap * abs(least), least)
        if not who.startswith("fastopt"):
            for dtype in ("float64", "float32"):
                one = times.get(f"{dtype} 1", NEVER)
                times[f"{dtype} 2"] = min(times.get(f"{dtype} 2", NEVER), one)
        table[who] = times
    return table


def shown(seconds):
    if seconds is None:
        return ""
    return (
        "not reached"
        if seconds == NEVER
        else f"{1e3 * seconds:.3g} ms"
        if seconds < 1
        else f"{seconds:.3g} s"
    )


def rows_of(name, table, curves, limit):
    """Markdown rows of a problem: the fastest first; * the least."""
    first = f"{SETTINGS[0][0]} {SETTINGS[0][1]}"
    order = sorted(table, key=lambda who: table[who].get(first, NEVER))
    for who in order:
        cells = []
        for dtype, threads in SETTINGS:
            seconds = table[who].get(f"{dtype} {threads}")
            longest = max((points[-1][0] for points in curves[who].values()), default=0)
            late = seconds == NEVER and longest > limit
            text = f"> {shown(longest)}" if late else shown(seconds)
            cells.append(f"**{text}**" if seconds == min(t.get(f"{dtype} {threads}", NEVER) for t in table.values())
                         and seconds < NEVER else text)  # fmt: skip
        yield f"| {name} | {who} | {' | '.join(cells)} |"
        name = ""


def auto_of(by_contestant):
    return next(found for who, found in by_contestant.items() if who.startswith("fastopt auto"))


def verdict(name, table, curves):
    """Lines: how many times as long as auto the best peer takes, and auto's time over the best of fastopt, per setting."""
    cells = []
    for dtype, threads in SETTINGS:
        times = {who: by.get(f"{dtype} {threads}", NEVER) for who, by in table.items()}
        auto = auto_of(table).get(f"{dtype} {threads}", NEVER)
        own = min(t for who, t in times.items() if who.startswith("fastopt"))
        peers = {who: t for who, t in times.items() if not who.startswith("fastopt") and t < NEVER}
        who = min(peers, key=lambda who: peers[who], default=None)
        ratio = f"{peers[who] / auto:.2g} ({who})" if who else "none got there"
        cells.append(f"{ratio}; {auto / own:.2f}")
    return f"| {name} | {' | '.join(cells)} |"


def after_100(name, curves):
    """A line: seconds to the objective that scikit-learn's lbfgs has after 100 iterations, where it took as many."""
    points = curves.get("scikit-learn lbfgs", {}).get("float64 2", [])
    if len(points) < 100:
        return None
    seconds, value = points[99]
    own = reached(auto_of(curves)["float64 2"], value, value)
    return (f"{name}: scikit-learn's lbfgs has {value:.6g} after 100 iterations, {shown(seconds)}; "
            f"fastopt auto is there after {shown(own)}: {seconds / own:.3g} times as fast.")  # fmt: skip


def thinned(points):
    """(at most 100, 2): of a curve's (seconds, objective) the ends and some between, evenly apart in the logarithm of time."""
    points = np.array(points)
    wanted = np.geomspace(points[0, 0], points[-1, 0], 100)
    return points[np.unique(np.searchsorted(points[:, 0], wanted).clip(max=len(points) - 1))]


def draw(curves, bests, path):
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, NullFormatter

    matplotlib.rcParams["svg.hashsalt"] = "fastopt"
    columns = min(4, len(curves))
    lines = -(-len(curves) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(4.2 * columns, 3.4 * lines), squeeze=False)
    for axis in axes.flat[len(curves) :]:
        axis.set_axis_off()
    for axis, (title, by_name) in zip(axes.flat, curves.items(), strict=False):
        for name, by_setting in by_name.items():
            points = thinned(next(iter(by_setting.values())))
            gaps = np.maximum(points[:, 1] / bests[title]["float64"] - 1, 1e-10)
            axis.loglog(points[:, 0], gaps, "-" if name.startswith("fastopt") else "--", label=name, lw=1.2)
        axis.set_title(title, fontsize=9)
        axis.set(xlabel="seconds", ylabel="relative gap", ylim=(5e-11, 10))
        # 1, 3, 10...: over less than a decade matplotlib writes numbers at all minor ticks, over each other
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=12))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.tick_params(axis="x", labelsize=7)
        axis.legend(fontsize=5)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def page(options, rows, verdicts, notes):
    """The Markdown page."""
    settings = [f"{d}, {t} thread{'s' * (t > 1)}" for d, t in SETTINGS]
    text = (Path(__file__).parent / "solvers_page.md").read_text()
    return text.format(
        gap=options.gap, limit=options.limit, cpu=cpu_name(), versions=versions(),
        verdicts="\n".join([f"| problem | {' | '.join(settings)} |", "|---" * 5 + "|", *verdicts]),
        notes="\n\n".join(notes), rows="\n".join([f"| problem | solver | {' | '.join(settings)} |", "|---" * 6 + "|", *rows]),
    )  # fmt: skip


def cpu_name():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if os.path.exists("/proc/cpuinfo") else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} CPUs, {names[0]}" if names else f"{os.cpu_count()} CPUs"


def versions():
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for package in ("scikit-learn", "liblinear-multicore", "skglm", "cyanure"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    return ", ".join(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--only", default="")
    parser.add_argument("--gap", type=float, default=1e-6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--limit", type=float, default=4.0, help="seconds of a run")
    parser.add_argument("--out", type=Path, help="the Markdown table")
    parser.add_argument("--svg", type=Path, help="gap against time")
    for inner in ("--problem", "--contestant"):
        parser.add_argument(inner, help=argparse.SUPPRESS)
    parser.add_argument("--goals", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.problem:
        work(options)
        return
    from solver_problems import problems

    curves, bests, began = {}, {}, time.perf_counter()
    rows, verdicts, notes = [], [], []
    for name in problems(options.data):
        if (
            options.only not in name
            or not options.data.exists()
            and name.split(",")[0].split()[0] in ("a9a", "letter", "MNIST")
        ):
            continue
        curves[name], bests[name] = race(options, name)
        table = seconds_of(curves[name], bests[name], options.gap)
        rows += rows_of(name, table, curves[name], options.limit)
        verdicts.append(verdict(name, table, curves[name]))
        notes += filter(None, [after_100(name, curves[name])])
        print(*rows[-len(table) :], verdicts[-1], *notes[-1:], sep="\n")
        print(f"    {time.perf_counter() - began:.0f} s so far\n", flush=True)
    if options.out:
        options.out.write_text(page(options, rows, verdicts, notes))
    if options.svg:
        draw(curves, bests, options.svg)


if __name__ == "__main__":
    main()
