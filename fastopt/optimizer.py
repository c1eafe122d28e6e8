"""The optimizer: parameters, their state, and the step."""

import copy
import math
import sys
import time
from threading import get_ident
from typing import Any

from fastopt import arrays, native, rounding, rules
from fastopt.engines import choose
from fastopt.rules import SAM
from fastopt.schedules import checked_schedules
from fastopt.stepping import ascent, clipping, files, options, saved
from fastopt.stepping.groups import FROZEN, assigned, rule_of
from fastopt.stepping.loss_scale import LossScale
from fastopt.stepping.parameters import Parameters
from fastopt.stepping.table import Table
from fastopt.stepping.tensors import forget_gradients, gradient_view, mark_changed
from fastopt.stepping.work import Work
from fastopt.storage import NOISE, checked_state_dtype, storage_of
from fastopt.threads import checked_threads

NOTHING = object()  # no gradient so far; not None, which a user may pass by mistake
OWN: Any = object()  # the gradients that torch's tensors have in .grad
PATIENCE = 10  # seconds that a thread waits for another one's step
ATTEMPTS = 4  # at a step that is interrupted again and again


class Optimizer:
    """Update arrays in place by a rule.

    params: a float32 or float64 array, a sequence or a dict of them; also bfloat16 (of ml_dtypes) or float16,
        with gradients of the same dtype: arithmetic, state and an exact master are float32's. They are updated in place;
        an array that does not lie in one piece of memory is updated through a copy (correct, slower).
    rule: a rule such as fo.Adam(lr=1e-3), or your own (see fastopt.rules).
    schedules: {hyperparameter: schedule}, see fastopt.schedules; t = 0 is the first step.
    groups: [(selector, changes), ...]: other hyperparameters ({"weight_decay": 0.0}), another rule, or
        "frozen" for some arrays, selected by name, by a pattern ("*.bias") or by a function (name, array).
    clip: largest 2-norm of all gradients together; larger ones are scaled down to it. clip_by="array norm": of each
        array's gradient by itself; "value": the largest absolute value of an element, which is held within it.
    nonfinite: what NaN or inf in a gradient does. "raise": FloatingPointError naming the
        parameter, before anything is changed. "skip": no update, counted in `skipped`.
        "allow": nothing is looked at. NaN stays in the parameter and its state; inf does too where a rule keeps
        the gradient itself (SGD, Momentum, ...), and in rules with second moments (Adam, RMSProp, ...) it counts
        as the largest gradient that they tell apart: 9.2e18 in float32, 6.7e153 in float64.
    max_skips: with nonfinite="skip", how many steps in a row may be left out; one more is a FloatingPointError.
        optax.apply_if_finite has it as max_consecutive_errors.
    maximize: go up the gradient, not down.
    accumulate: of how many calls of `step` the mean gradient is taken for one step (micro-batches); t counts the steps
        taken. An array without gradient in all of them takes no part in the step.
    loss_scale: a number, or fo.LossScale() for one that adapts: the factor that your loss was multiplied by, by which
        gradients are divided; it is opt.loss_scale. With a LossScale, steps with inf are left out.
    track_norm: keep the 2-norm of all gradients of each step, before clipping, in opt.gradient_norm.
    state_dtype: how the state is kept (fastopt/storage.py), for float32, bfloat16 and float16 parameters.
        None, "float32": as float32. "bfloat16": rounded without bias. "float8": 8-bit codes with a base for 256
        elements. bfloat16 parameters have an exact float32 master of 16 bits more, whatever the state; with
        "float32-no-master", "bfloat16-no-master" or "float8-no-master" they are rounded without bias instead.
    backend: "auto", "numba", "c" or "numpy"; the same bits on each. "auto" waits for no compiler: a rule that is not in
        the C library begins with NumPy, one around another with C, and goes over to Numba, between two steps, when that
        is compiled.
    threads: None is as many as the process may use; small arrays are always done by one.

    t: the number of steps taken. `rule`, `lr`, `schedules`, `clip` and `nonfinite` may be assigned.
    After Ctrl-C within a step either nothing is changed or all of it, and t says which. An optimizer
    holds references to the gradients it was last given. It serves one thread at a time: others wait, and
    get a RuntimeError after ten seconds.
    Subnormal numbers count as zero inside a step.
    Raises TypeError or ValueError, naming the parameter, for arrays that cannot be updated.
    """

    __slots__ = (
        "_params", "_rule", "_changes", "_schedules", "_clip", "_clip_by", "_nonfinite", "_backend", "_tables", "_works",
        "_threads", "_sam", "_origin", "_room", "_given", "_groups", "_asked", "_max_skips", "_skips", "_maximize", "_track_norm", "_norm", "_gathered",
        "_loss_scale", "_state_dtype", "_seed", "_plain", "_users", "skipped", "__weakref__",
    )  # fmt: skip

    def __init__(
        self, params, rule, *, schedules=None, groups=None, clip=None, clip_by="norm", nonfinite="raise", max_skips=None,
        maximize=False, accumulate=1, loss_scale=None, track_norm=False, state_dtype=None,
        backend="auto", threads=None,
    ):  # fmt: skip
        self._params = params if isinstance(params, Parameters) else Parameters(params)
        self._sam, self._origin, self._room = None, None, {}
        if isinstance(rule, SAM):
            self._params.need_floats("SAM climbs")
            self._sam, rule = ascent.checked(rule), rule.base
        self._rule = rules.checked(rule, {arrays.computed_in(p.dtype) for p in self._params.arrays})
        self._schedules = checked_schedules(schedules, self._rule)
        self._state_dtype, self._seed = checked_state_dtype(state_dtype), NOISE["seed"]
        self._nonfinite = options.checked_policy(nonfinite)
        self._clip, self._clip_by = options.checked_clip(clip), options.checked_by(clip_by)
        self.skipped, self._users, self._given = 0, {}, NOTHING
        self._max_skips, self._skips = max_skips, (0, 0)  # t of the last one left out, and how many in a row
        if max_skips is not None:
            self._max_skips = arrays.checked_whole(max_skips, "max_skips", 0)
        self._maximize, self._track_norm, self._norm = bool(maximize), bool(track_norm), None
        self._gathered = options.checked_gathered(accumulate, self._sam)
        self._loss_scale = options.checked_loss_scale(loss_scale, nonfinite)
        self._groups = groups
        self._changes = assigned(groups, self._params.names, self._params.given, self._rule)
        self._asked = backend
        self._backend, self._threads = choose.of_steps(backend, self._rule), checked_threads(threads)
        self._tables, self._works = self._made_tables(self._params, self._changes)
        self._choose_way()

    def _made_tables(self, params, changes):
        """A table for each dtype and kind of rule, and in it a row of coefficients for each of the rules' values."""
        params, kinds = params.arrays, {}
        for i, (p, change) in enumerate(zip(params, changes, strict=True)):
            if (rule := rule_of(self._rule, change)) is not None:
                kinds.setdefault((str(p.dtype), type(rule)), []).append((i, rule))
        if not kinds:
            raise ValueError("groups: all arrays are frozen, there is nothing to update")
        tables, works = [], []
        dense = [p for p in params if arrays.axes_in_memory(p) is not None]
        for members in kinds.values():
            mine, values = [params[i] for i, _ in members], [rule for _, rule in members]
            distinct = list(dict.fromkeys(values))
            rules.checked(values[0], {arrays.computed_in(mine[0].dtype)})
            others = [p for p in dense if not any(p is m for m in mine)]
            rows = [distinct.index(rule) for rule in values]
            half, name = arrays.half_of(mine[0].dtype), self._params.name(members[0][0])
            stored = storage_of(values[0], half, mine[0].dtype, self._state_dtype, name)
            table = Table([i for i, _ in members], mine, values[0], rows, others, stored)
            table.seed(self._seed)
            tables.append(table)
            works.append(Work(table, values, self._backend_of(values[0]), self._threads))
        return tables, works

    def _rebuild(self, params, changes):
        """Tables over other memory, or over more arrays, with the state as it is."""
        states, behind, t = self._states(), self._behind(), self.t
        tables, works = self._made_tables(params, changes)
        for table, work in zip(tables, works, strict=True):
            for j, i in enumerate(table.members):
                for slot, array in enumerate(states[i].values() if i < len(states) else ()):
                    table.slot_in_shape(slot, j)[...] = array
            work.set_behind([behind[i] if i < len(behind) else t for i in table.members])
            table.clock[0] = t
        self._params, self._changes, self._tables, self._works = params, changes, tables, works
        self._given = NOTHING
        self._choose_way()

    def _behind(self):
        """The steps that each array has missed; 0 for frozen ones."""
        counts = [0] * len(self._params.arrays)
        for work in self._works:
            for i, count in zip(work.table.members, work.behind_of(), strict=True):
                counts[i] = count
        return counts

    def _backend_of(self, rule):
        return self._backend if type(rule) is type(self._rule) else choose.of_steps("auto", rule)

    def _choose_way(self):
        """The way of one table without copies, schedules or clipping is short: 2 us of Python."""
        plain = len(self._tables) == 1 and not self._tables[0].copied and self._works[0].plain
        plain = plain and not self._schedules and self._clip is None and FROZEN not in self._changes
        extras = self._maximize or self._track_norm or self._gathered or self._loss_scale
        self._plain = plain and not extras
        for table in self._tables:
            table.factors[:] = 1, 1, math.inf

    # ---- the step ----

    def step(self, grads=OWN):
        """Take one step with gradients in the form of the parameters: an array, a sequence, a dict.

        Without gradients those are taken that backward() left in .grad of torch's tensors. Where an array's gradient is
        None, the array and its state stay as they are, and the step is none of its own: a rule that counts steps goes
        on later where it was.
        Raises FloatingPointError for NaN or inf under nonfinite="raise", and TypeError or
        ValueError for gradients of another form, shape or dtype; nothing is changed then.
        """
        me = get_ident()
        if self._users.setdefault("step", me) != me:
            self._wait(me)
        try:
            if self._origin is not None:
                self._descend()
            table = self._tables[0]
            if grads is not self._given or table.watch.again(0) != native.SAME:
                self._take(grads)
                table = self._tables[0]
            if self._plain and not table.uneven:
                work = self._works[0]
                work.fill(work.rules[0], table.clock[0] + 1)
                bad = work.run(self._nonfinite != "allow")
                if bad >= 0:
                    self._refuse(table.members[bad])
            else:
                self._step_general()
        finally:
            self._users.pop("step", None)

    def ascend(self, grads=OWN):
        """With a rule SAM(base): move the parameters to where the gradient of the next step is to be taken.

        `step` brings them back, bit by bit, before it takes the base's step. Raises as `step` does.
        """
        if self._sam is None:
            raise TypeError("ascend needs a rule fo.SAM(base, ...)")
        me = get_ident()
        if self._users.setdefault("step", me) != me:
            self._wait(me)
        try:
            if self._origin is not None:
                self._descend()
            self._take(grads)
            self._climb()
        finally:
            self._users.pop("step", None)

    def _climb(self):
        for table in self._tables:
            table.copy_in()
        norm = (math.inf, 1.0)
        if ascent.is_straight(self._sam):
            norm = clipping.norm_of(self._tables, [work.look for work in self._works])
        bad = None if norm[0] < math.inf else self._first_bad()
        if bad is not None:
            self._refuse(bad)
            return
        given = [
            (i, g) for table in self._tables for i, g in zip(table.members, table.gradients, strict=True)
        ]
        given = sorted((i, g) for i, g in given if g is not None)
        params, grads = [self._params.arrays[i] for i, _ in given], [g for _, g in given]
        origin = [ascent.room_like(self._room, i, p) for (i, _), p in zip(given, params, strict=True)]
        ascent.write(origin, params)
        self._origin = params, origin
        sign, threads = -1.0 if self._maximize else 1.0, 0 if self.backend == "numpy" else self._threads
        until_done(lambda: ascent.climb(self._sam, params, origin, grads, norm, sign, threads))

    def _descend(self):
        ascent.write(*self._origin)  # type: ignore[misc]
        self._origin = None

    def step_closure(self, fn):
        """Take one step with what fn() gives at the parameters as they then stand: grads, or (loss, grads).

        Of torch's tensors a function that gives the loss alone is enough, once it has called backward().
        With SAM fn is called twice, the second time where `ascend` has led. Returns the first loss, or None.
        """
        loss, grads = self._loss_and_gradients(fn())
        if self._sam is not None:
            self.ascend(grads)
            _, grads = self._loss_and_gradients(fn())
        self.step(grads)
        return loss

    def zero_grad(self, set_to_none=True):
        """Forget what is in .grad of torch's tensors: None, or with set_to_none=False filled with 0."""
        if not self._params.tensors:
            raise TypeError(
                "zero_grad is for torch's tensors: NumPy arrays have no .grad, their gradients are yours"
            )
        forget_gradients(self._params.tensors, set_to_none)

    def add_params(self, params, changes=None):
        """Take more arrays, in the form of those that are there; from the next step on they have gradients too.

        params: a dict of new names, or a sequence that is put behind the others. changes: as in `groups`; the
        groups given at first select among the new arrays as well. Each new array counts its own steps from 0.
        Raises ValueError for a name that is taken, before anything is changed.
        """
        if self._origin is not None:
            raise RuntimeError("add_params between ascend and step: take the step first")
        more = self._params.with_more(params)
        count = len(self._params.given)
        names, given = more.names[count:], more.given[count:]
        groups = list(self._groups or ())
        if changes is not None:
            groups.append((lambda name, array: True, changes))
        fresh = assigned(groups, names, given, self._rule, each_selects=False)
        self._rebuild(more, [*self._changes, *fresh])

    @property
    def params(self):
        """The parameters, in the form in which they were given: the arrays themselves."""
        return self._params.in_form(self._params.given)

    def averaged(self):
        """The averaged parameters of a rule that keeps them (Averaged, ScheduleFree...), as new arrays.

        In the form of the parameters; frozen arrays as they are. float32 for parameters of 16 bits.
        """
        halves = [arrays.half_of(p.dtype) for p in self._params.arrays]
        values = [
            rounding.as_float32(p) if half else p.copy()
            for p, half in zip(self._params.arrays, halves, strict=True)
        ]
        states = self._states()
        for work in self._works:
            if not hasattr(work.rules[0], "averaged"):
                name = type(work.rules[0]).__name__
                raise TypeError(f"{name} keeps no average: use fo.Averaged({name}(...))")
            for i, rule in zip(work.table.members, work.rules, strict=True):
                values[i][...] = rule.averaged(rule, values[i], states[i])
        return self._params.in_kind(values)

    def _loss_and_gradients(self, answer):
        """(loss or None, grads) of what a closure gives: a pair with a number in front has a loss."""
        if isinstance(answer, tuple) and len(answer) == 2 and _is_number(answer[0]):
            return answer
        if self._params.tensors and (answer is None or _is_number(answer)):
            return answer, OWN
        return None, answer

    def _step_general(self):
        """A step with copies, schedules, clipping or several tables."""
        t = self.t + 1
        for table in self._tables:
            table.copy_in()
        if self._gathered is not None:
            bad = self._first_bad()
            if bad is not None:
                self._refuse(bad)
                return
            self._given = NOTHING
            if not self._gathered.add(self._tables):
                return
        norm, unit, norms, bad = self._look()
        scale = self._scale()
        if self._loss_scale is not None:
            self._loss_scale.report(bad is None)
        if bad is not None:
            self._refuse(bad)
            return
        self._norm = None if norm is None else norm / unit * abs(scale)
        for i, work in enumerate(self._works):
            work.settle()
            clipping.set_factors(work.table, scale, self._clip, self._clip_by, norms[i])
            work.prepare(t, self._schedules)
            work.leave_out(t)
        some_missing = any(table.missing for table in self._tables)
        if some_missing:
            self._plain = False  # until it is settled, which Ctrl-C may put off to the next step
        self._commit(t)
        if some_missing:
            for work in self._works:
                work.settle()
            self._choose_way()

    def _scale(self):
        """By what gradients are multiplied for other reasons than their norm."""
        scale = -1.0 if self._maximize else 1.0
        if self._gathered is not None:
            scale /= self._gathered.of
        return scale if self._loss_scale is None else scale / self._loss_scale.scale

    def _look(self):
        """(norm * unit or None, unit, norms for each table's arrays, first parameter with NaN or inf or None)."""
        norm, unit, norms, finite = None, 1.0, [[] for _ in self._works], False
        by = None if self._clip is None else self._clip_by
        if by == "norm" or self._track_norm:
            norm, unit = clipping.norm_of(self._tables, [work.look for work in self._works])
            norms, finite = [[(norm, unit)] for _ in self._works], norm < math.inf
        if by == "array norm":
            norms = [clipping.array_norms(work.table, work.look) for work in self._works]
            finite = all(each < math.inf for table in norms for each, _ in table)
        return norm, unit, norms, None if finite else self._first_bad()

    def _first_bad(self):
        """The first parameter whose gradient has NaN or inf, or None, also where nothing is to be looked at."""
        if self._nonfinite == "allow":
            return None
        for work in self._works:
            bad = work.look[0]()
            if bad >= 0:
                return work.table.members[bad]
        return None

    def _commit(self, t):
        """Take every table to step t, and write the copies back: what Ctrl-C leaves undone is done before it is raised.

        Each table's clock says whether its arrays were changed, whatever came between.
        """

        def commit():
            for work in self._works:
                if work.table.clock[0] != t:
                    work.run(False)
            for table in self._tables:
                table.copy_out()

        until_done(commit)

    def _refuse(self, i):
        name, t = self._params.name(i, "grads"), self.t
        adapts = self._loss_scale is not None and self._loss_scale.backoff_factor < 1
        if self._nonfinite == "skip" or adapts:
            last, count = self._skips
            count = count + 1 if last == t else 1
            self._skips = t, count
            if self._max_skips is None or count <= self._max_skips:
                self.skipped += 1
                return
            raise FloatingPointError(
                f"{name} has NaN or inf at step {t + 1}, {count} times in a row; max_skips is {self._max_skips}"
            )
        raise FloatingPointError(
            f"{name} has NaN or inf at step {t + 1}; no parameter and no state was changed. "
            'Pass nonfinite="skip" to leave such steps out'
        )

    def _wait(self, me):
        """Until the thread that is in a step has left it; RuntimeError where it does not."""
        limit = time.monotonic() + PATIENCE
        while (other := self._users.setdefault("step", me)) != me:
            if other not in sys._current_frames():  # it ended within the step, killed from outside
                self._users.pop("step", None)
            elif time.monotonic() > limit:
                raise RuntimeError(
                    f"this Optimizer has been in use by another thread for {PATIENCE} s: it serves one at a time. "
                    "Give each thread an Optimizer with parameters of its own"
                )
            else:
                time.sleep(1e-4)

    def _take(self, grads):
        """Check gradients, and note their addresses."""
        self._given, params = NOTHING, self._params
        if params.tensors and params.moved():
            self._rebuild(params.looked_anew(), self._changes)
            params = self._params
        given = params.own_gradients() if grads is OWN else params.gradients(grads)
        for table in self._tables:
            mine = given if len(table.members) == len(given) else [given[i] for i in table.members]
            odd = table.take(mine)
            if odd == native.PARAMETER_CHANGED:
                self._refuse_parameter(table)
            while odd >= 0:
                i = table.members[odd]
                if mine[odd] is None and params.may_miss():
                    table.leave_out(odd)
                else:
                    p, name = self._params.arrays[i], self._params.name(i, "grads")
                    g = gradient_view(mine[odd], name)
                    table.place_gradient(odd, arrays.check_gradient(g, p, name))
                odd = table.watch.again(odd + 1)
        if params.tensors:
            mark_changed(params.tensors)
        elif params.kind == "array":
            self._given = grads

    def _refuse_parameter(self, table):
        j, what = table.watch.changed()
        name = self._params.name(table.members[j])
        raise ValueError(
            f"{name} is not what it was when the Optimizer was made: its {what} was changed. "
            "Change it back, or make a new Optimizer"
        )

    # ---- what may be read and assigned ----

    @property
    def t(self):
        """The number of steps taken."""
        return self._tables[0].clock[0]

    @t.setter
    def t(self, t):
        t = saved.checked_count(t, "t")
        for work in self._works:
            work.set_behind([min(count, t) for count in work.behind_of()])
            work.table.clock[0] = t
        self._choose_way()

    @property
    def rule(self):
        """The rule with its hyperparameters. Assign one of the same kind to change them."""
        return self._rule

    @rule.setter
    def rule(self, rule):
        if type(rule) is not type(self._rule):
            name = type(self._rule).__name__
            raise TypeError(f"the state is that of {name}; for another rule make a new Optimizer")
        self._set_rule(rules.checked(rule))

    def _set_rule(self, rule):
        for work in self._works:
            changes = [self._changes[i] for i in work.table.members]
            work.rules = [rule_of(rule, change) for change in changes]
        self._rule = rule

    @property
    def lr(self):
        """The rule's lr, from which a schedule of lr starts. Assigned: as opt.rule = opt.rule._replace(lr=...)."""
        return self._rule.lr

    @lr.setter
    def lr(self, lr):
        if "lr" not in self._rule._fields:
            raise AttributeError(f"{type(self._rule).__name__} has no lr; it has {self._rule._fields}")
        self._set_rule(rules.checked(self._rule._replace(lr=lr)))

    @property
    def schedules(self):
        """{hyperparameter: schedule}, a copy; assign another dict, or None."""
        return dict(self._schedules)

    @schedules.setter
    def schedules(self, schedules):
        self._schedules = checked_schedules(schedules, self._rule)
        self._choose_way()

    @property
    def clip(self):
        """The largest norm of the gradients, or value (see `clip_by`), or None."""
        return self._clip

    @clip.setter
    def clip(self, clip):
        self._clip = options.checked_clip(clip)
        self._choose_way()

    @property
    def clip_by(self):
        """What `clip` bounds: "norm", "array norm" or "value"."""
        return self._clip_by

    @clip_by.setter
    def clip_by(self, by):
        self._clip_by = options.checked_by(by)

    @property
    def gradient_norm(self):
        """2-norm of all gradients of the last step, before clipping; None without track_norm or a clip by it."""
        return self._norm

    @property
    def loss_scale(self):
        """By what the loss is to be multiplied: 1.0 without loss_scale."""
        return 1.0 if self._loss_scale is None else self._loss_scale.scale

    @property
    def maximize(self):
        """Whether steps go up the gradient."""
        return self._maximize

    @maximize.setter
    def maximize(self, maximize):
        self._maximize = bool(maximize)
        self._choose_way()

    @property
    def accumulate(self):
        """How many calls of `step` make one step."""
        return 1 if self._gathered is None else self._gathered.of

    @property
    def nonfinite(self):
        """ "raise", "skip" or "allow"."""
        return self._nonfinite

    @nonfinite.setter
    def nonfinite(self, nonfinite):
        self._nonfinite = options.checked_policy(nonfinite)

    @property
    def backend(self):
        """The back end that computes now: "numba", "c" or "numpy"."""
        return self._works[0].backend

    # ---- the state ----

    @property
    def state(self):
        """{slot: array} for one array; a list or a dict of such for several. Views, not copies.

        As it is kept: with small state bfloat16 as uint16, and 8-bit codes beside the bases of their blocks
        (fastopt/storage.py says how they are read).
        """
        return self._params.in_form(self._states())

    @property
    def _stored(self):
        """Whether some of the arrays or of the state are kept in another form than that of the arithmetic."""
        return any(table.stored is not None for table in self._tables)

    def _noise(self):
        return {**NOISE, "seed": self._seed}

    def _states(self):
        values = [{} for _ in self._params.arrays]
        for work in self._works:
            for slot, name in enumerate(work.table.names):
                for j, i in enumerate(work.table.members):
                    values[i][name] = work.table.slot_in_shape(slot, j)
        return values

    def state_dict(self):
        """All that is needed to go on later, copied: rule, hyperparameters, t, skipped, state.

        And `steps`, in the form of the parameters, where arrays have taken fewer than t.
        """
        behind = self._behind()
        copies = [{s: a.copy() for s, a in each.items()} for each in self._states()]
        small = {} if not self._stored else {"state_dtype": self._state_dtype, "noise": self._noise()}
        if small:
            small["order"] = self._params.orders()
        return {
            "rule": type(self._rule).__name__,
            "hyperparameters": self._rule._asdict(),
            "t": self.t,
            "skipped": self.skipped,
            "state": self._params.in_form(copies),
            **({"steps": self._params.in_form([self.t - n for n in behind])} if any(behind) else {}),
            **small,
        }

    def load_state_dict(self, saved_state):
        """Take over what `state_dict` gave, of an optimizer with the same rule and shapes.

        Raises ValueError, before anything is changed, where they do not fit. Parameters are not
        part of it.
        """
        mine = self._states()
        seed = saved.checked_storage(saved_state, self._state_dtype, self._stored, self._seed)
        if self._stored:
            saved.check_order(saved_state, self._state_dtype, self._params.orders())
        rule, t, skipped, theirs = saved.checked_state(saved_state, self._rule, self._params, mine)
        steps = saved.checked_steps(saved_state, self._params, t)
        for have, given in zip(mine, theirs, strict=True):
            for slot, array in have.items():
                array[...] = given[slot]
        self._set_rule(rule)
        self.t, self.skipped = t, skipped
        for work in self._works:
            work.set_behind([t - steps[i] for i in work.table.members])
        self._seed = seed
        for table in self._tables:
            table.seed(seed)
        self._choose_way()

    # ---- copies and files ----

    def save(self, path):
        """Write parameters, state, counts of steps, rule, schedules, groups and options into a file: safetensors.

        With a checksum over every bit, and in the place of an older file as a whole or not at all. Of functions of yours
        (a schedule, a rule's class) only the names are kept. Raises OSError, and TypeError for keys of params that
        are neither text nor whole numbers.
        """
        files.save(path, self._snapshot(), self._params)

    @classmethod
    def load(cls, path, params=None, *, rule=None, schedules=None, backend="auto", threads=None):
        """The Optimizer that `save` wrote; its steps go on with the bits of one that was never saved.

        params: the arrays or tensors to go on with, of the names, shapes and dtypes that were saved: they are set to
            the saved numbers. Without them new arrays are made, which are opt.params then (bfloat16 of ml_dtypes,
            where that is installed).
        rule: where the rule, or a group's, is of a class of yours: a value of that class, or a list of such. Its
            hyperparameters come from the file.
        schedules: {hyperparameter: schedule}, instead of those in the file; needed for functions of yours.
        Raises ValueError, before params are changed, for a file that was altered, cut off or is another thing.
        """
        own = () if rule is None else (rule,) if hasattr(rule, "_fields") else tuple(rule)
        made, snapshot, values = files.load(path, params, own, schedules)
        opt = cls._of(made, snapshot, backend, threads)
        for array, value in zip(opt._params.arrays, values, strict=True):
            array[...] = value.view(array.dtype)
        return opt

    def _snapshot(self):
        """All that another Optimizer over the same parameters needs to go on from here."""
        ascended = {} if self._origin is None else self._origin_of_arrays()
        return {
            "rule": self._rule if self._sam is None else self._sam._replace(base=self._rule),
            "schedules": self._schedules,
            "changes": self._changes,
            "options": {
                "clip": self._clip,
                "clip_by": self._clip_by,
                "nonfinite": self._nonfinite,
                "max_skips": self._max_skips,
                "maximize": self._maximize,
                "accumulate": self.accumulate,
                "track_norm": self._track_norm,
                "state_dtype": self._state_dtype,
            },
            "numbers": {
                "skips": self._skips,
                "gathered": 0 if self._gathered is None else self._gathered.count,
                "loss_scale": None if self._loss_scale is None else self._loss_scale.state_dict(),
            },
            "state": self.state_dict(),
            "arrays": {"origin": ascended, "gathered": {} if self._gathered is None else self._gathered.sums},
        }

    @classmethod
    def _of(cls, params, snapshot, backend="auto", threads=None):
        """An Optimizer over these Parameters that goes on from a snapshot."""
        changes = snapshot["changes"]
        groups = [(_only(name), change) for name, change in zip(params.names, changes, strict=True) if change]
        numbers = snapshot["numbers"]
        loss_scale = None if numbers["loss_scale"] is None else LossScale.of(numbers["loss_scale"])
        opt = cls(params, snapshot["rule"], schedules=snapshot["schedules"], groups=groups, backend=backend,
                  threads=threads, loss_scale=loss_scale, **snapshot["options"])  # fmt: skip
        opt.load_state_dict(snapshot["state"])
        opt._skips = tuple(numbers["skips"])
        if opt._gathered is not None:
            opt._gathered.count, opt._gathered.sums = (
                numbers["gathered"],
                dict(snapshot["arrays"]["gathered"]),
            )
        origin = snapshot["arrays"]["origin"]
        if origin:
            opt._origin = [opt._params.arrays[i] for i in origin], list(origin.values())
        return opt

    def _origin_of_arrays(self):
        params, origin = self._origin  # type: ignore[misc]
        number = {id(p): i for i, p in enumerate(self._params.arrays)}
        return {number[id(p)]: array for p, array in zip(params, origin, strict=True)}

    def __reduce__(self):
        return _unpickled, (self.params, self._snapshot(), self._asked, self._threads)

    def __copy__(self):
        return copy.deepcopy(self)


def _unpickled(params, snapshot, backend, threads):
    return Optimizer._of(Parameters(params), snapshot, backend, threads)


def until_done(function):
    """Call it, again if it is interrupted, a few times at most, and raise then what came between."""
    cut = None
    for _ in range(ATTEMPTS):
        try:
            function()
            break
        except BaseException as error:
            cut = cut or error
    if cut is not None:
        raise cut


def _only(name):
    """A selector of the array of this name."""
    return lambda other, array: other == name


def _is_number(value):
    return (
        not hasattr(value, "keys") and not isinstance(value, (list, tuple)) and getattr(value, "ndim", 0) == 0
    )
