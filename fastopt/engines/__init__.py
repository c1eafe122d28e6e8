"""What computes: numba | c | numpy, a module each, with the same few functions.

    bind_step(rule, table, threads) -> run(check): one step of a rule on a table's arrays. run returns -1; or with
        check, where a gradient has NaN or inf, that array's number, and nothing has changed.

`choose.py` says which; `get` gives the module.
"""


def get(name):
    """The engine's module. Named one by one, so that programs that are frozen into one file find them."""
    if name == "numba":
        from fastopt.engines import numba as engine
    elif name == "c":
        from fastopt.engines import c as engine
    else:
        from fastopt.engines import numpy as engine
    return engine
