"""The engine that needs nothing but NumPy: the formulas as they are written."""

import numpy as np

from fastopt import native


def bind_step(rule, table, threads=1):
    def run(check):
        if check:
            for i, g in enumerate(table.gradients):
                if not np.isfinite(g).all():
                    return i
        k = tuple(table.k.astype(table.dtype))
        with np.errstate(all="ignore"), native.denormals_flushed():
            for i, (p, g) in enumerate(zip(table.parameters, table.gradients, strict=True)):
                slots = [slot[i] for slot in table.slots]
                p_new, new_slots = rule.update(rule, k, p, g.reshape(-1), tuple(slots))
                p[...] = p_new
                for slot, new in zip(slots, new_slots, strict=True):
                    slot[...] = new
        return -1

    return run
