/* Two threads that share the features of a model, as kernels/gradient/pair.py has it, with the same numbers. */
#ifndef FO_PAIR_H
#define FO_PAIR_H

#include "atomics.h"
#include "tables.h"

enum { PAIR_LINE = 128, PAIR_STATE = 0, PAIR_STOP = PAIR_LINE, PAIR_SEEN = 2 * PAIR_LINE, PAIR_AWAY = 0, PAIR_READY = 1 };

static inline int64_t *fo_pair_state(const fo_side *side) { return AT(int64_t, side->shared + PAIR_STATE); }
static inline int64_t *fo_pair_stop(const fo_side *side) { return AT(int64_t, side->shared + PAIR_STOP); }

/* Where one's sums of scores for the next exchange belong. */
static inline int64_t fo_own_slot(const fo_side *side) { return side->mine + (side->number & 1) * side->block_bytes; }

/* Tell the other side a number; the last note but one is written over. */
static inline void fo_note(const fo_side *side, int64_t step, double number)
{
    AT(double, side->mine + 2 * side->block_bytes)[step & 1] = number;
}

/* The sum of both sides' notes. */
static inline double fo_noted(const fo_side *side, int64_t step)
{
    int64_t apart = 2 * side->block_bytes;
    return AT(const double, side->mine + apart)[step & 1] + AT(const double, side->other + apart)[step & 1];
}

/* Whether the number at the place is as large as wanted; if it is not soon, the helper is sent away. */
static inline int fo_pair_wait(fo_side *side, int64_t *place, int64_t wanted)
{
    int64_t *state = fo_pair_state(side), ticket = side->ticket, patience = side->patience;
    while (LOAD(place) < wanted) {
        int over = side->which ? LOAD(state) != 2 * ticket || LOAD(fo_pair_stop(side))
                               : --patience < 0 && REPLACE(state, 2 * ticket, PAIR_AWAY);
        if (over) {
            side->lost = 1;
            return 0;
        }
        SPIN();
    }
    return 1;
}

/* The addresses of both sides' sums; 0: the other side is lost. */
static inline int fo_exchange(fo_side *side, int64_t *a, int64_t *b)
{
    int64_t number = side->number, mine = fo_own_slot(side);
    int64_t *seen = AT(int64_t, side->shared + PAIR_SEEN);
    STORE(seen + PAIR_LINE / 8 * side->which, number + 1);
    if (!fo_pair_wait(side, seen + PAIR_LINE / 8 * (1 - side->which), number + 1)) return 0;
    side->number = number + 1;
    *a = mine;
    *b = mine - side->mine + side->other;
    return 1;
}

static inline void fo_begin_step(fo_side *side, int64_t ticket, int64_t blocks)
{
    side->ticket = ticket;
    side->lost = 0;
    side->number = ticket * blocks;
}

/* Leader, before a step: whether the helper takes part in it. */
static inline int fo_together(fo_side *side, int64_t ticket, int64_t blocks)
{
    fo_begin_step(side, ticket, blocks);
    int64_t now = LOAD(fo_pair_state(side));
    if (now == PAIR_READY) STORE(fo_pair_state(side), 2 * ticket);
    return now != PAIR_AWAY;
}

/* Leader: whether the helper has begun to change its half of W, so that this step stands. Helper: whether it may begin. */
static inline int fo_may_update(fo_side *side)
{
    int64_t *state = fo_pair_state(side), ticket = side->ticket;
    if (side->which) return REPLACE(state, 2 * ticket, 2 * ticket + 1);
    return fo_pair_wait(side, state, 2 * ticket + 1);
}

/* Helper, where the loss is not finite: the leader finds so too, and ends the stretch. */
static inline void fo_wait_to_be_sent_away(const fo_side *side)
{
    while (LOAD(fo_pair_state(side)) == 2 * side->ticket && !LOAD(fo_pair_stop(side))) SPIN();
}

/* Helper: its half of W is that of the next step. */
static inline void fo_after_update(const fo_side *side) { STORE(fo_pair_state(side), 2 * side->ticket + 2); }

/* Leader, after its last step with the helper. */
static inline void fo_wait_for_update(const fo_side *side)
{
    while (LOAD(fo_pair_state(side)) == 2 * side->ticket + 1) SPIN();
}

#endif
