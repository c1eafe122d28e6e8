/* What the threads of a crew do: kernels/training/crew.py. */

/* One group; the next of one's own half of the batch, or of the next batch, is fetched meanwhile. */
static void NAME(crew_group)(fo_problem *p, const fo_worker *w, int64_t step, int64_t group, int64_t groups, int from_back)
{
    int64_t first, last, coming = from_back ? group - 1 : group + 1, begin;
    NAME(batch_of)(w, step, &first, &last);
    if (from_back ? 2 * coming >= groups : 2 * coming < groups) begin = first + coming * w->group_rows;
    else begin = last + (from_back ? groups - 1 : 0) * w->group_rows;
    NAME(do_group)(p, w, step, group, begin);
}

/* All groups of a step, with what helpers there are (crew = NULL: none). Bit k of the answer is set where group k's sums
 * lie in the helpers' places. */
static int64_t NAME(do_groups)(fo_problem *p, const fo_worker *w, int64_t *crew, int64_t step, int64_t patience)
{
    int64_t first, last, groups = NAME(batch_of)(w, step, &first, &last), group;
    if (groups == 1 || !crew || LOAD(crew + CREW_LATE)) {
        for (group = 0; group < groups; group++)
            NAME(do_group)(p, w, step, group, first + (group + 1) * w->group_rows);
        return 0;
    }
    int64_t ticket = step + 1, mine = 0;
    STORE(crew + CREW_NEXT, 4096 * ticket);
    STORE(crew + CREW_TICKET, ticket);
    while ((group = fo_crew_take(crew, ticket, groups, 0)) >= 0) {
        NAME(crew_group)(p, w, step, group, groups, 0);
        mine |= (int64_t)1 << group;
    }
    for (group = 0; group < groups; group++)
        if (!(mine >> group & 1) && !fo_crew_finished(crew + CREW_DONE + CREW_LINE * group, ticket, patience)) {
            ADD(crew + CREW_LATE, 1);
            NAME(crew_group)(p, w, step, group, groups, 0);
            mine |= (int64_t)1 << group;
        }
    return ~mine & (((int64_t)1 << groups) - 1);
}

/* What a helper does until the stretch is over. */
static void NAME(help_crew)(fo_problem *p, const fo_worker *w, int64_t *crew)
{
    int64_t last = 0, first, end;
    for (;;) {
        int64_t ticket = LOAD(crew + CREW_TICKET), group;
        if (ticket == CREW_STOP) return;
        if (ticket == last) {
            SPIN();
            continue;
        }
        last = ticket;
        int64_t groups = NAME(batch_of)(w, ticket - 1, &first, &end);
        while ((group = fo_crew_take(crew, ticket, groups, 1)) >= 0) {
            int64_t *done = crew + CREW_DONE + CREW_LINE * group, before = LOAD(done);
            if (before != CREW_GIVEN_UP + ticket) NAME(crew_group)(p, w, ticket - 1, group, groups, 1);
            if (before == CREW_GIVEN_UP + ticket || !REPLACE(done, before, ticket)) {
                ADD(crew + CREW_LATE, -1);
                break;
            }
        }
    }
}
