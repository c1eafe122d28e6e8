"""Solvers of linear models beside other libraries': seconds to a relative gap to the best objective known.

    python bench/solvers.py [--data FOLDER] [--only WORD] [--gap 1e-6] [--limit 10] [--out FILE.md] [--svg FILE.svg]

Each contestant is a process of its own, one after the other, with a pause before each of its runs. fastopt's objective
is measured in float64 at every iterate, with the clock stopped; times include the checks of the data. Peers keep no
such history: they run anew with a doubled number of iterations (or a tenth of the tolerance), and the time at the gap is
interpolated between two runs, log(gap) against seconds. Times are the least of --rounds. A peer of which a run takes
longer than --limit (MNIST's 60,000 rows: four times that) is not run further. Peers that are not installed are named.
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


class Problem:
    """X, y in the dtype to be raced, and the objective in float64."""

    def __init__(self, name, folder, dtype="float64"):
        from solver_problems import problems

        import fastopt as fo

        get, self.loss, l1, l2 = problems(folder)[name]
        X, self.y = get()
        n = X.shape[0]
        self.name, self.l1, self.l2 = name, l1 / n, l2 / (2 * n)
        self.X = X.astype(dtype)
        # liblinear's dual penalises b: hinges are compared without one
        self.intercept = type(self.loss) not in (fo.Hinge, fo.SquaredHinge)
        self.penalty = fo.ElasticNet(self.l1, self.l2) if l1 else fo.L2(self.l2)
        self._exact = self.objective(X.astype(np.float64), None)

    def objective(self, X, threads):
        import fastopt as fo

        return fo.Objective(
            self.loss, X, self.y, penalty=self.penalty, fit_intercept=self.intercept, threads=threads
        )

    def value(self, W, b):
        W = np.ascontiguousarray(W, np.float64)
        return self._exact.value(W, np.asarray(b, np.float64)) if self.intercept else self._exact.value(W)


def run_ours(problem, solver, threads, rounds, tight=False):
    """[(seconds, objective)] along the fastest of the runs."""
    from fastopt.solvers import solve

    best = []
    for turn in range(rounds + 1):
        time.sleep(PAUSE)
        points, stopped, began = [], 0.0, time.perf_counter()

        def watch(now, at, points=points, began=began):
            nonlocal stopped
            seconds = time.perf_counter() - began - stopped
            points.append((seconds, problem.value(*at())))
            stopped = time.perf_counter() - began - seconds
            return False

        try:
            gap = solver == "dual" or type(problem.loss).__name__ == "Hinge"
            tol = {"tol": 1e-8} if gap else {"tol": 1e-10} if tight else {}
            solve(
                problem.objective(problem.X, threads),
                solver,
                watch=watch,
                max_iter=2000 if turn else 2,
                max_seconds=60,
                **tol,
            )
        except ValueError:
            return []
        if turn and (not best or points[-1][0] < best[-1][0]):
            best = points
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
    found, goal = {}, options.goal
    big = options.problem.startswith("MNIST 60,000")
    limit = options.limit * (4 if big else 1)
    for dtype, threads in SETTINGS:
        problem = Problem(options.problem, options.data, dtype)
        if options.contestant.startswith("fastopt"):
            points = run_ours(problem, options.contestant.split()[1], threads, options.rounds)
        else:
            from solver_peers import peers

            fit, threads_matter = peers(problem)[options.contestant]
            if threads == 2 and not threads_matter:
                continue
            try:
                points = run_peer(problem, fit, threads, options.rounds, goal, limit)
            except Exception as error:
                if not found:
                    raise
                print(f"{dtype}: {error}", file=sys.stderr)
                continue
        if not points:
            break
        found[f"{dtype} {threads}"] = points
        if points[-1][1] > goal and not options.contestant.startswith("fastopt"):
            break  # what did not get there is not tried with less
    print(json.dumps(found))


def contestant(options, problem, name, goal):
    """What `work` printed in a process of its own, or why there is none."""
    command = [sys.executable, __file__, "--problem", problem, "--contestant", name, "--goal", repr(goal),
               "--data", str(options.data), "--limit", str(options.limit), "--rounds", str(options.rounds)]  # fmt: skip
    result = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": "ignore"}
    )
    if result.returncode:
        return {}, result.stderr.strip().splitlines()[-1][:120]
    return json.loads(result.stdout.strip().splitlines()[-1]), None


def best_known(problem):
    """The objective of a run to a tight tolerance, in float64."""
    solver = "dual" if problem.loss.__class__.__name__ == "Hinge" else "auto"
    return min(value for _, value in run_ours(problem, solver, None, 1, tight=True))


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

    problem = Problem(name, options.data)
    best = best_known(problem)
    found, missing = {}, {}
    smooth = type(problem.loss).__name__ != "Hinge"
    ours = [s for s in OURS if (s != "dual" or not problem.intercept) and (smooth or s in ("auto", "dual"))
            and not (problem.l1 and s == "newton") and (problem.l1 or s != "prox-newton")]  # fmt: skip
    for who in [*(f"fastopt {s}" for s in ours), *peers(problem)]:
        found[who], missing[who] = contestant(options, name, who, best + options.gap * abs(best))
        if missing[who]:
            print(f"    {who}: {missing[who]}", file=sys.stderr, flush=True)
    values = [v for by_setting in found.values() for points in by_setting.values() for _, v in points]
    return {who: points for who, points in found.items() if points}, min([best, *values])


def seconds_of(curves, best, gap):
    """{contestant: {setting: seconds}}; a peer's one thread is its two, where that is faster or all there is."""
    goal, table = best + gap * abs(best), {}
    for who, by_setting in curves.items():
        times = {setting: reached(points, goal, best) for setting, points in by_setting.items()}
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


def verdict(table):
    """How many times as long as auto the best peer takes, and auto's time over the best of fastopt, per setting."""
    lines = []
    for dtype, threads in SETTINGS:
        times = {who: by.get(f"{dtype} {threads}", NEVER) for who, by in table.items()}
        auto = times.get("fastopt auto", NEVER)
        own = min(t for who, t in times.items() if who.startswith("fastopt"))
        peer = min((t for who, t in times.items() if not who.startswith("fastopt")), default=NEVER)
        lines.append(f"{dtype}/{threads}: peer/auto {peer / auto:.2g}, auto/own best {auto / own:.2f}")
    return "; ".join(lines)


def draw(curves, bests, path):
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "fastopt"
    columns = min(4, len(curves))
    lines = -(-len(curves) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(4.2 * columns, 3.4 * lines), squeeze=False)
    for axis in axes.flat[len(curves) :]:
        axis.set_axis_off()
    for axis, (title, by_name) in zip(axes.flat, curves.items(), strict=False):
        for name, by_setting in by_name.items():
            seconds, values = zip(*next(iter(by_setting.values())), strict=True)
            gaps = np.maximum(np.array(values) / bests[title] - 1, 1e-10)
            axis.loglog(seconds, gaps, "-" if name.startswith("fastopt") else "--", label=name, lw=1.2)
        axis.set_title(title, fontsize=9)
        axis.set(xlabel="seconds", ylabel="relative gap", ylim=(5e-11, 10))
        axis.legend(fontsize=5)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--only", default="")
    parser.add_argument("--gap", type=float, default=1e-6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--limit", type=float, default=10.0, help="seconds of a peer's longest run")
    parser.add_argument("--out", type=Path, help="the Markdown table")
    parser.add_argument("--svg", type=Path, help="gap against time")
    for inner in ("--problem", "--contestant"):
        parser.add_argument(inner, help=argparse.SUPPRESS)
    parser.add_argument("--goal", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.problem:
        work(options)
        return
    from solver_problems import problems

    curves, bests = {}, {}
    head = [
        f"| problem | solver | {' | '.join(f'{d}, {t} threads' for d, t in SETTINGS)} |",
        "|---|---|---|---|---|---|",
    ]
    lines, began = [], time.perf_counter()
    for name in problems(options.data):
        if options.only not in name or name.split(",")[0] in ("a9a", "letter") and not options.data.exists():
            continue
        curves[name], bests[name] = race(options, name)
        table = seconds_of(curves[name], bests[name], options.gap)
        lines += rows_of(name, table, curves[name], options.limit)
        print(
            "\n".join(
                [*lines[-len(table) :], f"    {verdict(table)}; {time.perf_counter() - began:.0f} s so far\n"]
            ),
            flush=True,
        )
    if options.out:
        options.out.write_text("\n".join([*head, *lines]) + "\n")
    if options.svg:
        draw(curves, bests, options.svg)


if __name__ == "__main__":
    main()
