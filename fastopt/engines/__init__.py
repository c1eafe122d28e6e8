"""What computes: numba | c | numpy, a module each, with the same few functions.

    bind_step(rule, table, threads) -> run(check): one step of a rule on a table's arrays. run returns -1; or with
        check, where a gradient has NaN or inf, that array's number, and nothing has changed. The table's clock is counted up where the update was made, by
        the same call of C: whatever comes between, such as Ctrl-C, it says whether the arrays were changed.
    bind_measure(rule, table, threads) -> run(): what a rule with sums measures, in table.measured, a row a chunk.
    bind_look(table, threads) -> (first_bad, squares): first_bad() is the first array whose gradient has NaN or
        inf, or -1; squares(unit) writes to table.sums the chunks' sums of (g * unit)^2.
    bind_gradient(loss, rows, threads, unchecked=False) -> run(W, b, dW, db, scale, l2): writes
        scale * (sum over rows of w_i dL_i) and the gradient of l2*sum(W**2) to dW and db, and returns the
        value; b and db may be None. Sums do not depend on the number of threads. unchecked: the column numbers
        of CSR rows may be wrong and are looked at on the way, which Numba's engine alone does.
    bind_epoch(rows, loss, rule, parameters, batch, l2, threads) -> run(K, order, begin, end, loss) -> (stopped,
        loss, gradient norm): the steps [begin, end) of an epoch. parameters: ((W, its slots), (b, its slots)),
        updated in place. Step i uses the positions [i*batch, (i+1)*batch) of order (None: the rows as they stand)
        and row i - begin of the coefficients K; its gradient is sum_i w_i dL_i / rows of the batch. It stops
        before a step whose loss is not finite. The losses of the batches are added to the one given, so that
        where a stretch ends does not show in the sum's bits; the norm is that of the last batch's gradient.
    bind_passes(loss, rows, threads) -> what solvers do to the rows: kernels/solvers/kept.py says what.

`choose.py` says which; `get` gives the module. `handover` begins a rule's steps with one of them and goes over to Numba.
"""


def get(name):
    """The engine's module. Named one by one, so that programs that are frozen into one file find them."""
    if name == "numba":
        from fastopt.engines import numba as engine
    elif name == "c":
        from fastopt.engines import c as engine  # type: ignore[no-redef]
    elif name == "handover":
        from fastopt.engines import handover as engine  # type: ignore[no-redef]
    else:
        from fastopt.engines import numpy as engine  # type: ignore[no-redef]
    return engine
