/* A step on numbers of few bits: fastopt/storage.py says what the forms are, fastopt/rounding.py has the same bits
 * in NumPy. Where all slots of a rule have few bits, a loop of its own decodes, updates and encodes in registers; else blocks
 * of 256 elements are decoded, updated by the rule's float loop and encoded in the first cache. */

static void decode_halves(int form, const uint16_t *x, int64_t n, float *out)
{
    if (form == FO_FLOAT16)
        for (int64_t i = 0; i < n; i++) out[i] = from_float16(x[i]);
    else
        for (int64_t i = 0; i < n; i++) out[i] = from_bfloat16(x[i]);
}

/* Each of these answers where the float numbers of a block are: in the array itself, or in the room. */
static float *decode_parameter(const fo_stored *a, int64_t at, int64_t n, float *room)
{
    const uint16_t *p = (const uint16_t *)a->p + at;
    if (a->parameter == FO_FLOAT32) return (float *)a->p + at;
    if (a->parameter == FO_BFLOAT16) {
        const int16_t *low = (const int16_t *)a->master + at;
        for (int64_t i = 0; i < n; i++) room[i] = joined(p[i], low[i]);
    } else if (a->parameter == FO_FLOAT16) {
        const float *master = (const float *)a->master + at;
        for (int64_t i = 0; i < n; i++)
            room[i] = to_float16(bits_of(master[i])) == p[i] ? master[i] : from_float16(p[i]);
    } else {
        decode_halves(FO_BFLOAT16, p, n, room);
    }
    return room;
}

/* Whether gradients are taken as they are. */
static int as_given(const fo_stored *a)
{
    return (float)a->unit == 1 && (float)a->scale == 1 && !(a->most > 0 && (float)a->most < INFINITY);
}

static const float *decode_gradient(const fo_stored *a, int64_t at, int64_t n, float *room)
{
    float unit = (float)a->unit, scale = (float)a->scale, most = a->most > 0 ? (float)a->most : INFINITY;
    const float *g = room;
    if (a->parameter == FO_FLOAT32) g = (const float *)a->g + at;
    else decode_halves(a->parameter, (const uint16_t *)a->g + at, n, room);
    if (as_given(a)) return g;
    for (int64_t i = 0; i < n; i++) room[i] = held_f32(g[i] * unit * scale, most);
    return room;
}

static float *decode_slot(const fo_stored *a, int j, int64_t at, int64_t n, float *room)
{
    int form = a->form[j];
    if (form == FO_FLOAT32) return (float *)a->s[j] + at;
    if (form == FO_BFLOAT16) {
        decode_halves(form, (const uint16_t *)a->s[j] + at, n, room);
        return room;
    }
    const uint8_t *code = (const uint8_t *)a->s[j] + at;
    uint32_t base = (uint32_t)a->base[j][at / STORED_BLOCK];
    if (form == FO_POSITIVE8)
        for (int64_t i = 0; i < n; i++) room[i] = from_eight(code[i], base, 0);
    else
        for (int64_t i = 0; i < n; i++) room[i] = from_eight(code[i], base, 1);
    return room;
}

static void encode_parameter(const fo_stored *a, int64_t at, int64_t n, const float *x)
{
    uint16_t *p = (uint16_t *)a->p + at;
    if (a->parameter == FO_BFLOAT16) {
        int16_t *low = (int16_t *)a->master + at;
        for (int64_t i = 0; i < n; i++) {
            p[i] = (uint16_t)(nearest_upper(x[i]) >> 16);
            low[i] = (int16_t)bits_of(x[i]);
        }
    } else if (a->parameter == FO_FLOAT16) {
        float *master = (float *)a->master + at;
        for (int64_t i = 0; i < n; i++) {
            p[i] = to_float16(bits_of(x[i]));
            master[i] = x[i];
        }
    } else if (a->parameter == FO_ROUNDED) {
        for (int64_t i = 0; i < n; i++)
            p[i] = to_bfloat16(bits_of(x[i]), word_of(at + i, a->key[2]) >> 16);
    }
}

static void encode_slot(const fo_stored *a, int j, int64_t at, int64_t n, const float *x)
{
    if (a->form[j] == FO_BFLOAT16) {
        uint16_t *code = (uint16_t *)a->s[j] + at;
        uint32_t key = a->key[j / 2];
        for (int64_t i = 0; i < n; i++) code[i] = to_bfloat16(bits_of(x[i]), half_of(word_of(at + i, key), j));
    } else if (a->form[j] != FO_FLOAT32) {
        encode_eight(a, j, at, n, x, 1);
    }
}

static int gradient_is_wide(const fo_stored *a) { return a->parameter == FO_FLOAT32 || !as_given(a); }

static fused_fn *fused_loop(int rule, const fo_stored *a)
{
    int slots = fo_rule_slots(rule), eights = 0;
    if (!slots || rule >= FO_RULE_COUNT || a->parameter > FO_ROUNDED) return 0;
    for (int j = 0; j < slots; j++) {
        if (a->form[j] == FO_FLOAT32) return 0;
        eights += a->form[j] != FO_BFLOAT16;
    }
    return eights % slots ? 0 : FUSED_LOOPS[a->parameter][!gradient_is_wide(a)][eights == slots][rule];
}

static void update_fused(fused_fn *loop, int rule, const double *coefficients, const fo_stored *a, int64_t begin, int64_t end)
{
    float k[FO_MAX_COEFFICIENTS], room[FO_MAX_SLOTS * STORED_BLOCK], gradient[STORED_BLOCK];
    int slots = fo_rule_slots(rule), eight = a->form[0] != FO_BFLOAT16, wide = a->parameter == FO_FLOAT32, size = wide ? 4 : 2;
    int64_t step = eight || !as_given(a) ? STORED_BLOCK : end - begin;
    for (int j = 0; j < fo_rule_coefficients(rule); j++) k[j] = coefficient_f32(coefficients[j]);
    for (int64_t at = begin; at < end; at += step) {
        int64_t n = end - at < step ? end - at : step;
        const void *g = (const uint16_t *)a->g + at;
        if (gradient_is_wide(a)) g = decode_gradient(a, at, n, gradient);
        char *s[3] = {0};
        for (int j = 0; j < slots; j++) s[j] = (char *)a->s[j] + at * (eight ? 1 : 2);
        loop(k, a, at, n, (char *)a->p + at * size, (int16_t *)a->master + at, g, s[0], s[1], s[2], room);
        for (int j = 0; eight && j < slots; j++) {
            const float *x = room + STORED_BLOCK * j;
            if (wide) encode_eight(a, j, at, n, x, 1);
            else encode_eight(a, j, at, n, x, 2);
        }
    }
}

/* Elements [begin, end); begin is a multiple of the block. */
static void update_stored(int rule, const double *k, const fo_stored *a, int64_t begin, int64_t end)
{
    float room[2 + FO_MAX_SLOTS][STORED_BLOCK], *s[FO_MAX_SLOTS] = {0};
    int slots = fo_rule_slots(rule);
    fused_fn *loop = fused_loop(rule, a);
    unsigned control = fo_flush_denormals();
    if (loop) {
        int64_t odd = (end - begin) % 2 ? (end - begin) % STORED_BLOCK : 0; /* the last block, by itself */
        update_fused(loop, rule, k, a, begin, end - odd);
        begin = end - odd;
    }
    for (int64_t at = begin; at < end; at += STORED_BLOCK) {
        int64_t n = end - at < STORED_BLOCK ? end - at : STORED_BLOCK;
        float *p = decode_parameter(a, at, n, room[0]);
        const float *g = decode_gradient(a, at, n, room[1]);
        for (int j = 0; j < slots; j++) s[j] = decode_slot(a, j, at, n, room[2 + j]);
        update_any_f32(rule, k, p, g, s, 0, n);
        encode_parameter(a, at, n, p);
        for (int j = 0; j < slots; j++) encode_slot(a, j, at, n, s[j]);
    }
    fo_restore_denormals(control);
}

static inline int16_t larger(int16_t top, uint16_t x)
{
    int16_t size = (int16_t)(x & 0x7FFF);
    return size > top ? size : top;
}

/* Whether no number has all bits of the exponent set: as all_finite_f32. */
static int finite_halves(const uint16_t *x, int64_t n, uint16_t exponent)
{
    int16_t top = 0;
    int64_t part = n / 4;
    const uint16_t *second = x + part, *third = second + part, *fourth = third + part;
    for (int64_t i = 0; i < part; i++) top = larger(larger(larger(larger(top, x[i]), second[i]), third[i]), fourth[i]);
    for (int64_t i = 4 * part; i < n; i++) top = larger(top, x[i]);
    return top < (int16_t)exponent;
}

/* squares_f32 of numbers of 16 bits. */
static double squares_halves(int form, const uint16_t *x, int64_t n, double unit)
{
    double part[PARTS] = {0};
    float room[PARTS];
    for (int64_t i = 0; i < n; i += PARTS) {
        int64_t m = n - i < PARTS ? n - i : PARTS;
        decode_halves(form, x + i, m, room);
        for (int64_t j = 0; j < m; j++) {
            double v = (double)room[j] * unit;
            part[j] += v * v;
        }
    }
    return sum_of_parts(part);
}
