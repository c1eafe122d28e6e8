"""The optimizer: parameters, their state, and the step."""

from collections.abc import Mapping
from operator import is_

import numpy as np

from fastopt import arrays, engines, rules
from fastopt.engines import choose
from fastopt.engines.coefficients import bind_coefficients
from fastopt.parameters import Parameters
from fastopt.schedules import checked_schedules, values_at
from fastopt.table import NOTHING, Table
from fastopt.threads import checked_threads


class Optimizer:
    """Update arrays in place by a rule.

    params: a float32 or float64 array, a sequence or a dict of them. They are updated in place;
        an array that is not C-contiguous is updated through a copy (correct, slower).
    rule: a rule such as fo.Adam(lr=1e-3), or your own (see fastopt.rules).
    schedules: {hyperparameter: schedule}, see fastopt.schedules; t = 0 is the first step.
    clip: largest 2-norm of all gradients together; larger ones are scaled down to it.
    nonfinite: what NaN or inf in a gradient does. "raise": FloatingPointError naming the
        parameter, before anything is changed. "skip": no update, counted in `skipped`.
        "allow": nothing is looked at.
    backend: "auto", "numba", "c" or "numpy"; the same bits on each.
    threads: None is as many as the process may use; small arrays are always done by one.

    t: the number of steps taken. An optimizer holds references to the gradients it was last given,
    and serves one thread at a time. Subnormal numbers count as zero inside a step.
    Raises TypeError or ValueError, naming the parameter, for arrays that cannot be updated.
    """

    def __init__(
        self, params, rule, *, schedules=None, clip=None, nonfinite="raise", backend="auto", threads=None
    ):
        self._params = Parameters(params)
        self._rule = rules.checked(rule)
        self._schedules = checked_schedules(schedules, self._rule)
        if nonfinite not in ("raise", "skip", "allow"):
            raise ValueError(f'nonfinite must be "raise", "skip" or "allow", not {nonfinite!r}')
        if clip is not None and not arrays.checked_number(clip, "clip", "a number above 0, or None") > 0:
            raise ValueError(f"clip must be above 0, not {clip!r}")
        self.nonfinite, self.clip = nonfinite, clip
        self.t = self.skipped = 0
        self.backend = choose.resolve(backend, rule)
        self._coefficients = len(self._rule.coefficients(self._rule, 1.0))
        self._tables = self._make_tables()
        threads = checked_threads(threads)
        engine = engines.get(self.backend)
        self._runs = [engine.bind_step(self._rule, t, threads) for t in self._tables]
        self._fills = [bind_coefficients(self._rule, t.k) for t in self._tables]
        self._given = NOTHING
        # The way of one array without copies, schedules or clipping is short: 2 us of Python.
        self._plain = len(self._tables) == 1 and not (self._schedules or clip or self._tables[0].copied)

    def _make_tables(self):
        params, tables = self._params.arrays, []
        for dtype in arrays.FLOATS:
            members = [i for i, p in enumerate(params) if p.dtype == dtype]
            if members:
                mine = [params[i] for i in members]
                others = [p for p in params if p.dtype != dtype and arrays.is_plain(p)]
                tables.append(Table(members, mine, self._rule, self._coefficients, others))
        return tables

    def step(self, grads):
        """Take one step with gradients in the form of the parameters: an array, a sequence, a dict.

        Raises FloatingPointError for NaN or inf under nonfinite="raise", and TypeError or
        ValueError for gradients of another form, shape or dtype; nothing is changed then.
        """
        if grads is not self._given:
            self._take(grads)
        t = self.t + 1
        if self._plain and not self._tables[0].refreshed:
            self._fills[0](self._rule, t)
            bad = self._runs[0](self.nonfinite != "allow")
            if bad >= 0:
                self._refuse(self._tables[0].members[bad])
                return
        elif not self._step_general(t):
            return
        self.t = t

    def _step_general(self, t):
        """A step with copies, schedules, clipping or several tables; whether it was taken."""
        rule = self._rule_now()
        for table in self._tables:
            table.copy_in()
        check = self.nonfinite != "allow"
        if check and (self.clip is not None or len(self._tables) > 1):
            for table in self._tables:
                for i, g in zip(table.members, table.gradients, strict=True):
                    if not np.isfinite(g).all():
                        self._refuse(i)
                        return False
            check = False
        if self.clip is not None:
            self._clip()
        for table, fill, run in zip(self._tables, self._fills, self._runs, strict=True):
            fill(rule, t)
            bad = run(check)
            if bad >= 0:
                self._refuse(table.members[bad])
                return False
        for table in self._tables:
            table.copy_out()
        return True

    def _refuse(self, i):
        if self.nonfinite == "skip":
            self.skipped += 1
            return
        name = self._params.name(i, "grads")
        raise FloatingPointError(
            f"{name} has NaN or inf at step {self.t + 1}; no parameter and no state was changed. "
            'Pass nonfinite="skip" to leave such steps out'
        )

    def _clip(self):
        """Replace the gradients by scaled copies if their common norm is too large."""
        every = [g for table in self._tables for g in table.gradients]
        norm, unit = _norm(every), 1.0
        if norm <= self.clip:
            return
        if norm > 1e30:  # its square, or the factor to come, may not be a number of the dtype
            unit = max(float(np.abs(g).max(initial=0.0)) for g in every)
            unit = unit if np.isfinite(unit) else 1.0
            norm = _norm(every, unit)
        for table in self._tables:
            one, factor = table.dtype.type(unit), table.dtype.type(self.clip / norm)
            for j, g in enumerate(table.gradients):
                table.place_gradient(j, NOTHING, np.asarray(g / one * factor))
        self._given = NOTHING  # the next step takes the user's own again

    def _take(self, grads):
        """Check the gradients that are new objects, and note their addresses."""
        given = self._params.gradients(grads)
        for table in self._tables:
            mine = [given[i] for i in table.members]
            if all(map(is_, mine, table.sources)) or table.place_gradients(mine):
                continue
            for j, g in enumerate(mine):
                if g is not table.sources[j]:
                    i = table.members[j]
                    checked = arrays.check_gradient(g, self._params.arrays[i], self._params.name(i, "grads"))
                    table.place_gradient(j, g, checked)
        self._given = grads if self._params.kind == "array" else NOTHING

    def _rule_now(self):
        """The rule with the hyperparameters that the schedules give for the coming step."""
        if not self._schedules:
            return self._rule
        return self._rule._replace(**values_at(self._schedules, self._rule, self.t))

    @property
    def rule(self):
        """The rule with its hyperparameters. Assign one of the same kind to change them."""
        return self._rule

    @rule.setter
    def rule(self, rule):
        if type(rule) is not type(self._rule):
            name = type(self._rule).__name__
            raise TypeError(f"the state is that of {name}; for another rule make a new Optimizer")
        self._rule = rules.checked(rule)

    @property
    def state(self):
        """{slot: array} for one array; a list or a dict of such for several. Views, not copies."""
        values = [{} for _ in self._params.arrays]
        for table in self._tables:
            for slot, views in zip(self._rule.slots, table.slots, strict=True):
                for i, view, shape in zip(table.members, views, table.shapes, strict=True):
                    values[i][slot] = view.reshape(shape)
        return self._params.in_form(values)

    def state_dict(self):
        """All that is needed to go on later, copied: rule, hyperparameters, t, skipped, state."""
        copies = [{s: a.copy() for s, a in each.items()} for each in self._states()]
        return {
            "rule": type(self._rule).__name__,
            "hyperparameters": self._rule._asdict(),
            "t": self.t,
            "skipped": self.skipped,
            "state": self._params.in_form(copies),
        }

    def load_state_dict(self, saved):
        """Take over what `state_dict` gave, of an optimizer with the same rule and shapes.

        Raises ValueError, before anything is changed, where they do not fit. Parameters are not
        part of it.
        """
        rule, states = self._checked_state(saved)
        for mine, given in zip(self._states(), states, strict=True):
            for slot, array in mine.items():
                array[...] = given[slot]
        self._rule, self.t, self.skipped = rule, int(saved["t"]), int(saved.get("skipped", 0))

    def _states(self):
        state = self.state
        if self._params.kind == "array":
            return [state]
        return list(state.values()) if self._params.kind == "dict" else state

    def _checked_state(self, saved):
        name = type(self._rule).__name__
        for key in ("rule", "hyperparameters", "t", "state"):
            if not isinstance(saved, Mapping) or key not in saved:
                raise ValueError(f"state_dict has no {key!r}; is it one of Optimizer.state_dict()?")
        if saved["rule"] != name:
            raise ValueError(f"state_dict is that of {saved['rule']}, this optimizer's rule is {name}")
        if set(saved["hyperparameters"]) != set(self._rule._fields):
            raise ValueError(f"state_dict has the hyperparameters {sorted(saved['hyperparameters'])}")
        if int(saved["t"]) != saved["t"] or saved["t"] < 0:
            raise ValueError(f"state_dict has t = {saved['t']}")
        given = self._params.gradients(saved["state"], "state")
        for i, (mine, theirs) in enumerate(zip(self._states(), given, strict=True)):
            if not isinstance(theirs, Mapping) or any(isinstance(a, Mapping) for a in theirs.values()):
                raise ValueError(f"state of {self._params.name(i)} must be a dict of arrays by slot")
            if unknown := set(theirs) - set(mine):
                raise ValueError(f"state of {self._params.name(i)}: unknown slots {sorted(unknown)}")
            for slot, array in mine.items():
                what = f"state of {self._params.name(i)}, slot {slot!r}"
                if slot not in theirs:
                    raise ValueError(f"{what}: missing")
                if np.shape(theirs[slot]) != array.shape or np.asarray(theirs[slot]).dtype != array.dtype:
                    found = f"{np.asarray(theirs[slot]).dtype}{np.shape(theirs[slot])}"
                    raise ValueError(f"{what}: {found} does not fit {array.dtype}{array.shape}")
        return rules.checked(self._rule._replace(**saved["hyperparameters"])), given

    def __reduce__(self):
        raise TypeError(
            "an Optimizer is bound to the memory of its arrays and cannot be copied or pickled; "
            "keep state_dict() and the parameters, and make a new one"
        )


def _norm(gradients, unit=1.0):
    """The 2-norm of all together, in float64 and as a multiple of unit."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sqrt(sum(np.sum(np.square(g / unit, dtype=np.float64)) for g in gradients)))
