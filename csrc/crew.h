/* The groups of a batch, shared by threads that stay in the loop: kernels/training/crew.py, with the same numbers. */
#ifndef FO_CREW_H
#define FO_CREW_H

#include "atomics.h"
#include "tables.h"

enum { CREW_LINE = 64 / 8, CREW_TICKET = 0, CREW_NEXT = CREW_LINE, CREW_LATE = 2 * CREW_LINE, CREW_DONE = 3 * CREW_LINE };
#define CREW_STOP (-1)
#define CREW_GIVEN_UP ((int64_t)1 << 40)

/* A group of this step that nobody has taken, or -1. */
static inline int64_t fo_crew_take(int64_t *crew, int64_t ticket, int64_t groups, int from_back)
{
    for (;;) {
        int64_t now = LOAD(crew + CREW_NEXT), front = (now >> 6) & 63, back = now & 63;
        if (now >> 12 != ticket || front + back >= groups) return -1;
        if (REPLACE(crew + CREW_NEXT, now, now + (from_back ? 1 : 64))) return from_back ? groups - 1 - back : front;
    }
}

/* Whether a helper has finished the group; if it does not soon, the group is taken back from it. */
static inline int fo_crew_finished(int64_t *done, int64_t ticket, int64_t patience)
{
    while (patience-- > 0) {
        if (LOAD(done) == ticket) return 1;
        SPIN();
    }
    int64_t before = LOAD(done);
    return before == ticket || !REPLACE(done, before, CREW_GIVEN_UP + ticket);
}

#endif
