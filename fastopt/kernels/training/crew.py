"""The groups of a batch, shared by threads that stay inside compiled code for many steps.

A step of a small batch takes 50 us, and to wake a thread takes as long; so helpers wait in a loop for
the next one. Nobody waits long for them: a group that a helper does not finish in time, because the
system took its CPU away, is done once more by the leader, with the same bits, and what the helper
writes later goes to memory that nobody reads.
"""

from fastopt.kernels.gradient.groups import batch_of, do_group
from fastopt.kernels.language.atomic import add_shared, load_shared, replace_shared, spin, store_shared
from fastopt.kernels.language.compile import kernel
from fastopt.kernels.tables import CREW_LINE as _LINE
from fastopt.kernels.tables import DISMISSED, DONE, GIVEN_UP, LATE, NEXT, TICKET


@kernel
def _take(crew, ticket, groups, from_back):
    """A group of this step that nobody has taken, or -1."""
    while True:
        now = load_shared(crew + NEXT)
        front, back = (now >> 6) & 63, now & 63
        if now >> 12 != ticket or front + back >= groups:
            return -1
        if replace_shared(crew + NEXT, now, now + (1 if from_back else 64)):
            return groups - 1 - back if from_back else front


@kernel
def _do(h, problem, worker, step, group, groups, from_back):
    """One group; the next of one's own half of the batch, or of the next batch, is fetched meanwhile."""
    first, last, _ = batch_of(worker, step)
    coming = group - 1 if from_back else group + 1
    if 2 * coming >= groups if from_back else 2 * coming < groups:
        begin = first + coming * worker.group_rows
    else:
        begin = last + (groups - 1 if from_back else 0) * worker.group_rows
    do_group(h, problem, worker, step, group, begin)


@kernel
def do_groups(h, problem, worker, crew, step, patience):
    """All groups of a step, with what helpers there are (crew = 0: none).

    Bit k of the answer is set where group k's sums lie in the helpers' places.
    """
    first, _, groups = batch_of(worker, step)
    if groups == 1 or not crew or load_shared(crew + LATE):
        for group in range(groups):
            do_group(h, problem, worker, step, group, first + (group + 1) * worker.group_rows)
        return 0
    ticket, mine = step + 1, 0
    store_shared(crew + NEXT, 4096 * ticket)
    store_shared(crew + TICKET, ticket)
    group = _take(crew, ticket, groups, False)
    while group >= 0:
        _do(h, problem, worker, step, group, groups, False)
        mine |= 1 << group
        group = _take(crew, ticket, groups, False)
    for group in range(groups):
        if not mine >> group & 1 and not _finished(crew + DONE + _LINE * group, ticket, patience):
            add_shared(crew + LATE, 1)
            _do(h, problem, worker, step, group, groups, False)
            mine |= 1 << group
    return ~mine & ((1 << groups) - 1)


@kernel
def _finished(done, ticket, patience):
    """Whether a helper has finished the group; if it does not soon, the group is taken back from it."""
    for _ in range(patience):
        if load_shared(done) == ticket:
            return True
        spin()
    before = load_shared(done)
    return before == ticket or not replace_shared(done, before, GIVEN_UP + ticket)


@kernel
def help_crew(h, problem, worker, crew):
    """What a helper does until the stretch is over."""
    last = 0
    while True:
        ticket = load_shared(crew + TICKET)
        if ticket == DISMISSED:
            return
        if ticket == last:
            spin()
            continue
        last = ticket
        _, _, groups = batch_of(worker, ticket - 1)
        group = _take(crew, ticket, groups, True)
        while group >= 0:
            done = crew + DONE + _LINE * group
            before = load_shared(done)
            if before != GIVEN_UP + ticket:
                _do(h, problem, worker, ticket - 1, group, groups, True)
            if before == GIVEN_UP + ticket or not replace_shared(done, before, ticket):
                add_shared(crew + LATE, -1)
                break
            group = _take(crew, ticket, groups, True)
