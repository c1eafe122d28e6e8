"""Other libraries' solvers of linear models, as functions of an effort 0, 1, 2, ...: see bench/solvers.py.

fit(problem, effort, threads) -> (W, b) with fastopt's signs: W (classes, features), b (classes,) or None.
"""

import numpy as np

import fastopt as fo

SMOOTH = (fo.Softmax, fo.Logistic)
HINGES = (fo.Hinge, fo.SquaredHinge)


def penalties(problem):
    """(l1, l2, 1 / C) of scikit-learn, which divides by no number of rows."""
    n = problem.X.shape[0]
    return n * problem.l1, 2 * n * problem.l2, n * (problem.l1 + 2 * problem.l2)


def scikit_logistic(solver, first):
    def fit(problem, effort, threads):
        from sklearn.linear_model import LogisticRegression

        l1, _, all_of_it = penalties(problem)
        model = LogisticRegression(C=1 / all_of_it, l1_ratio=l1 / all_of_it, solver=solver, tol=1e-14,
                                   max_iter=first * 2**effort)  # fmt: skip
        model.fit(problem.X, problem.y)
        return model.coef_, model.intercept_

    return fit


def lbfgs_steps(problem, watch, threads):
    """One run of scikit-learn's lbfgs: after each iteration watch(weights), where weights() gives (W, b)."""
    from scipy import optimize

    minimize, shape = optimize.minimize, (problem.count, problem.X.shape[1] + 1)

    def weights(x):
        W = np.reshape(x, shape, order="F")
        return W[:, :-1], W[:, -1]

    def step(x):
        if watch(lambda: weights(x)):
            raise StopIteration

    optimize.minimize = lambda *given, **options: minimize(*given, **{**options, "callback": step})
    try:
        scikit_logistic("lbfgs", 10_000)(problem, 0, threads)
    finally:
        optimize.minimize = minimize


def scikit_svm(problem, effort, threads):
    """liblinear as scikit-learn has it."""
    from sklearn.svm import LinearSVC

    kind = "hinge" if isinstance(problem.loss, fo.Hinge) else "squared_hinge"
    model = LinearSVC(loss=kind, C=1 / penalties(problem)[2], fit_intercept=False, tol=1e-14,
                      max_iter=2 * 2**effort, dual=True)  # fmt: skip
    return model.fit(problem.X, problem.y).coef_, None


def liblinear(kind):
    """liblinear-multicore: kind is its -s; the intercept is not penalised (-R)."""

    def fit(problem, effort, threads):
        from liblinear import liblinearutil

        bias = "-B 1 -R" if problem.intercept else ""
        z = np.where(problem.y == problem.y.max(), 1.0, -1.0)
        options = f"-s {kind} -c {1 / penalties(problem)[2]:.17g} -e {10.0**-effort:g} -m {threads} {bias} -q"
        model = liblinearutil.train(z, problem.X, options)
        sign = 1 if model.label[0] == 1 else -1
        w = sign * np.ctypeslib.as_array(model.w, (problem.X.shape[1] + problem.intercept,))
        return w[None, : problem.X.shape[1]], w[-1:] if problem.intercept else None

    return fit


def skglm(problem, effort, threads):
    from skglm.datafits import Logistic
    from skglm.penalties import L1, L1_plus_L2
    from skglm.solvers import ProxNewton

    alpha, dtype = problem.l1 + 2 * problem.l2, problem.X.dtype
    penalty = L1(problem.l1) if not problem.l2 else L1_plus_L2(alpha, problem.l1 / alpha)
    solver = ProxNewton(tol=10.0 ** -(effort + 2), max_iter=100, fit_intercept=problem.intercept)
    X = problem.X.tocsc() if hasattr(problem.X, "tocsc") else np.asfortranarray(problem.X)
    y = np.where(problem.y == problem.y.max(), 1, -1).astype(dtype)
    start = np.zeros(X.shape[1] + problem.intercept, dtype), np.zeros(len(y), dtype)
    w = solver.solve(X, y, Logistic(), penalty, *start)[0]
    return w[None, : X.shape[1]], w[X.shape[1] :] if problem.intercept else None


def cyanure(problem, effort, threads):
    from cyanure.estimators import Classifier

    half = isinstance(problem.loss, fo.SquaredHinge)  # theirs has a factor of 1/2
    name = {fo.Softmax: "multiclass-logistic", fo.Logistic: "logistic", fo.SquaredHinge: "sqhinge"}
    l1, l2 = problem.l1, 2 * problem.l2 / (2 if half else 1)
    kind, first, second = ("l2", l2, 0.0) if not l1 else ("l1", l1, 0.0) if not l2 else ("elasticnet", l1, l2)
    model = Classifier(name[type(problem.loss)], kind, fit_intercept=problem.intercept, lambda_1=first,
                       lambda_2=second, tol=10.0 ** -(effort + 2), max_iter=20_000, n_threads=threads,
                       verbose=False)  # fmt: skip
    model.fit(problem.X, problem.y if isinstance(problem.loss, fo.Softmax) else
              np.where(problem.y == problem.y.max(), 1, -1))  # fmt: skip
    W = np.asarray(model.coef_)
    W = W if W.ndim == 2 else W[None]
    return (W if W.shape[1] == problem.X.shape[1] else W.T), (
        np.ravel(model.intercept_) if problem.intercept else None
    )


def peers(problem):
    """{name: (fit, whether threads matter)} of those that solve the problem, installed or not."""
    binary = not isinstance(problem.loss, fo.Softmax)
    size = problem.X.shape[1] * (1 if binary else len(np.unique(problem.y)))
    found = {}
    if isinstance(problem.loss, SMOOTH):
        if not problem.l1:
            found["scikit-learn lbfgs"] = scikit_logistic("lbfgs", 8), True
            if size < 3000 and not hasattr(problem.X, "indptr"):
                found["scikit-learn newton-cholesky"] = scikit_logistic("newton-cholesky", 1), True
        found["scikit-learn saga"] = scikit_logistic("saga", 4), False
        if binary and not (problem.l1 and problem.l2):
            found["liblinear-multicore"] = liblinear(6 if problem.l1 else 0), True
        if binary and problem.l1:
            found["skglm"] = skglm, False
    elif isinstance(problem.loss, HINGES):
        found["scikit-learn liblinear"] = scikit_svm, False
        dual = 3 if isinstance(problem.loss, fo.Hinge) else 1
        found["liblinear-multicore dual"] = liblinear(dual), True
        if dual == 1:
            found["liblinear-multicore primal"] = liblinear(2), True
    if not isinstance(problem.loss, fo.Hinge):
        found["Cyanure"] = cyanure, True
    return found
