"""Tables in memory with named fields: what the loops of linear models take, in Numba and in C (csrc/tables.h). No Numba here.

A table is eight bytes a field: an int64, a float64, or the address of another table. It is declared once. Python fills an
array and finds a field in it by the declaration's attribute: `array[PROBLEM.classes]`; Numba's kernels read `problem.classes`
(language/table.py).
"""

from typing import TYPE_CHECKING

import numpy as np

# The version of the order of operations (docs/decisions/order.md): whoever changes a bit of a value, a gradient or a run
# raises it, and gives tests/test_order.py the new digests.
ORDER = 1


class Table:
    """Declares a table: names of its int64 fields, of its float64 fields, and fields that point to other tables.

    Each name is an attribute, the field's place in an array of `filled`; `fields` are (name, int, float or another
    table). `type` is what a kernel's argument is.
    """

    def __init__(self, name, integers="", floats="", **tables):
        self.name = name
        self.fields = tuple(
            [(field, int) for field in integers.split()] + [(field, float) for field in floats.split()]
        ) + tuple(tables.items())
        self._dtype = np.float64 if floats and len(self.fields) == len(floats.split()) else np.int64
        for place, (field, _) in enumerate(self.fields):
            if hasattr(type(self), field) or field in vars(self):
                raise TypeError(f"table {name}: a field cannot be called {field}, or not twice")
            setattr(self, field, place)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> int: ...

    @property
    def type(self):
        from fastopt.kernels.language.table import type_of

        return type_of(self)

    def filled(self, **values):
        """An array of the fields' values, 0 where none is given: int64, or float64 where all fields are."""
        array = np.zeros(len(self.fields), self._dtype)
        for field, value in values.items():
            array[getattr(self, field)] = value
        return array


# Addresses (0 for "none"), strides in bytes, kinds by size in bytes.
# numbers: float64 factor of a uint8 X, then the loss's coefficients.  y_shift: subtracted from y.
# y_kind: size of an integer label, 0 for targets of X's dtype.  shares: of soft labels, numbers a row of y,
# else 0.  x_kind: 1 for uint8, 32 or 64 for
# CSR with such indices, else 0.  width: see sizes.py; dense: the classes.  unchecked: column numbers
# are looked at on the way, and bad is set to 1 where one is wrong.  half: the first feature of the second half
# where scores are summed by halves (pair.py), else 0; w_stride: from class to class of W and dW; jump: bytes
# by which the second half lies further on than it would.  pass_kind, kept, out, line: of solvers, see
# kernels/solvers/passes.py.  add_rows, scores, loss, gradient: kernels by address; in C loss is the loss's number and the
# others are not read.
SCORED, LOST, CURVED, SUMMED, LINE = 1, 2, 4, 8, 16  # what pass_kind is the sum of
PROBLEM = Table(
    "problem",
    "W b X x_stride x_kind y y_kind y_shift shares weights order classes features numbers block_rows"
    " add_rows scores loss gradient indices indptr width unchecked bad half w_stride jump"
    " pass_kind kept out line",
)

# A worker, one a thread (groups.py):
#   batch, n, group_rows     rows of a batch, of the data and of a group
#   first, first_bias        addresses of dW and db for group 0; first_bias is 0 where there is no bias
#   partials                 of (dW, db) for groups 1, 2, ...
#   losses                   of the groups' losses, float64
#   sources                  of 2 MOST addresses, for `join`
#   scratch                  of memory for a block of rows
WORKER = Table("worker", "batch n group_rows first first_bias partials losses sources scratch")

# A side of a pair (pair.py).  which: 0 leader, 1 helper.  first, last: its features.  mine, other: two blocks of scores
# in turns, then two notes.  number: of the next exchange, ticket * blocks of a batch + those in this step: it only grows,
# also over steps that the leader did alone, so what was seen of an earlier one is never taken for it.  ticket: the
# step, from 1; lost: the other is not to be waited for.
SIDE = Table("side", "which first last mine other block_bytes shared number ticket lost patience")

# The shared lines of a pair are what both sides write, all 0 before a stretch, a cache line each:
#   STATE       of the helper: AWAY, READY, 2*ticket (computes that step, counted from 1), or 2*ticket + 1
#               (changes its half of W)
#   STOP        1: the stretch is over
#   SEEN        two lines: 1 + the number of the last exchange to which the leader, the helper has come
PAIR_LINE = 128  # bytes: Intel fetches lines in pairs
STATE, STOP, SEEN = 0, PAIR_LINE, 2 * PAIR_LINE
SHARED_SIZE = 4 * PAIR_LINE // 8  # int64 numbers
AWAY, READY = 0, 1

# A crew (crew.py) is int64 numbers, all 0 before a stretch, a cache line for each number that threads share:
#   TICKET   the step whose groups are to be done, counted from 1; DISMISSED ends the stretch
#   NEXT     ticket, groups taken from the front (by the leader), from the back (by helpers): 4096 * ticket
#            + 64 * front + back. So each has the same part of every batch, and can fetch the next in time
#   LATE     helpers at work on a group that the leader took back; while there are any, it works alone
#   DONE     a line a group: the ticket of the step at which a helper last finished it, or GIVEN_UP +
#            that at which the leader took it back
CREW_LINE = 64
TICKET, NEXT, LATE, DONE = (CREW_LINE * i for i in range(4))
DISMISSED = -1
GIVEN_UP = 1 << 40

# loss: the sum over batches. norm: of the last gradient. scale: 1/(rows of the batch).
# alpha, squares: see scaled.py.
NUMBERS = Table("numbers", floats="l2 loss norm scale alpha squares")
PARAMETERS = Table("parameters", "W b")

# A run (steps.py):
#   p, g, s    addresses of tables of addresses as in elementwise.py, of W and b
#   K, k_count the steps' coefficients
#   worker, others, crew, patience  see groups.py and crew.py; worker: a thread's table; others: a helper's
#   side, blocks  see pair.py: 0 where there is no pair; blocks of rows in a batch
#   numbers    table of float64 numbers
#   update     the rule, by address: update_features; update_by_row: where a batch is one dense row, else 0. In C
#              the rule's number, and whether a batch is one dense row
RUN = Table(
    "run",
    "s K k_count crew patience update update_by_row blocks",
    p=PARAMETERS,
    g=PARAMETERS,
    worker=WORKER,
    others=WORKER,
    side=SIDE,
    numbers=NUMBERS,
)

# Dual ascent (csrc/ascent.inc.h). one_over_l2: 1 / (2 l2), one_over_rho likewise. high, low: slopes beyond which a row at
# a bound is put aside; worst: the last pass's violation.
ASCENT_NUMBERS = Table("ascent_numbers", floats="one_over_l2 one_over_rho margin high low worst")
# Addresses of CSR triples (values, 0 where all are 1, int32 indices, int64 indptr; the last two 0 with dense rows), of the rows' own
# numbers, w and b (float64), and of the order (int32). active: rows not put aside; seed: of the order.
ASCENT = Table("ascent", "values indices indptr features rows w b order active seed", numbers=ASCENT_NUMBERS)
