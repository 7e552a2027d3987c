/* Eight hashes side by side on processors with AVX-512 IFMA; chosen at run time, never needed.
 *
 * A felt of type lanes8 is five limbs of 52 bits in each of eight lanes, in Montgomery form by 2^260. Limbs of sums
 * may be negative or too long ("loose"); w_tidy makes them 52 bits again, for which the number has to be
 * between 0 and 2^260, some 511 p. w_mul wants tidy operands and gives a loose result of
 * less than p + a b / 2^260 < (1 + j k / 511) p, so that a handful of sums needs no reduction.
 */
#include "constants.h"
#include "kernel.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))

#include <cpuid.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512ifma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512ifma")
#endif

#define W_LIMBS 5
#define W_BITS 52
#define W_MASK ((1ULL << W_BITS) - 1)
#define LANES WIDE_LANES
#define EACH_LIMB(i) for (int i = 0; i < W_LIMBS; i++)

typedef struct {
    __m512i v[W_LIMBS];
} lanes8;
typedef struct {
    uint64_t v[W_LIMBS];
} narrow; /* one number for all lanes */

static const uint64_t W_P3 = 17ULL << 36, W_P4 = 1ULL << 43; /* p = 1 + W_P3 2^156 + W_P4 2^208 */

INLINE __m512i all(uint64_t word)
{
    return _mm512_set1_epi64((long long)word);
}

INLINE void w_check(const lanes8 *a)
{
#ifdef HERA_CHECKED
    EACH_LIMB(i) CHECK(_mm512_cmpgt_epu64_mask(a->v[i], all(W_MASK)) == 0);
#endif
    (void)a;
}

INLINE lanes8 w_add(lanes8 a, lanes8 b)
{
    EACH_LIMB(i) a.v[i] = _mm512_add_epi64(a.v[i], b.v[i]);
    return a;
}
INLINE lanes8 w_sub(lanes8 a, lanes8 b)
{
    EACH_LIMB(i) a.v[i] = _mm512_sub_epi64(a.v[i], b.v[i]);
    return a;
}
INLINE lanes8 w_add_narrow(lanes8 a, const narrow *b)
{
    EACH_LIMB(i) a.v[i] = _mm512_add_epi64(a.v[i], all(b->v[i]));
    return a;
}
INLINE lanes8 w_all(const narrow *a)
{
    lanes8 r;
    EACH_LIMB(i) r.v[i] = all(a->v[i]);
    return r;
}
/* a + k p */
INLINE lanes8 w_add_p(lanes8 a, uint64_t k)
{
    a.v[0] = _mm512_add_epi64(a.v[0], all(k));
    a.v[3] = _mm512_add_epi64(a.v[3], all(k * W_P3));
    a.v[4] = _mm512_add_epi64(a.v[4], all(k * W_P4));
    return a;
}

INLINE lanes8 w_tidy(lanes8 a)
{
    for (int i = 0; i < W_LIMBS - 1; i++) {
        a.v[i + 1] = _mm512_add_epi64(a.v[i + 1], _mm512_srai_epi64(a.v[i], W_BITS));
        a.v[i] = _mm512_and_si512(a.v[i], all(W_MASK));
    }
    w_check(&a);
    return a;
}

/* Tidy in; more than -2^206 and below p out, loose. As fe_fold, but the result may be a little below 0. */
INLINE lanes8 w_fold(lanes8 a)
{
    const __m512i q = _mm512_srli_epi64(a.v[4], 43);
    w_check(&a);
    a.v[4] = _mm512_and_si512(a.v[4], all(W_P4 - 1));
    a.v[0] = _mm512_sub_epi64(a.v[0], q);
    /* 17 q 2^36 */
    a.v[3] = _mm512_sub_epi64(a.v[3], _mm512_slli_epi64(_mm512_add_epi64(q, _mm512_slli_epi64(q, 4)), 36));
    return a;
}

#define LOW(t, a, b) t = _mm512_madd52lo_epu64(t, a, b)
#define HIGH(t, a, b) t = _mm512_madd52hi_epu64(t, a, b)

/* Each factor makes the lowest limb vanish by adding a multiple of p. */
INLINE lanes8 w_montgomery(__m512i t[2 * W_LIMBS])
{
    const __m512i mask = all(W_MASK), p3 = all(W_P3), p4 = all(W_P4), zero = _mm512_setzero_si512();
    lanes8 r;
    EACH_LIMB(i)
    {
        const __m512i m = _mm512_and_si512(_mm512_sub_epi64(zero, t[i]), mask);
        t[i + 1] = _mm512_add_epi64(t[i + 1], _mm512_srli_epi64(_mm512_add_epi64(t[i], mask), W_BITS));
        LOW(t[i + 3], m, p3);
        HIGH(t[i + 4], m, p3);
        LOW(t[i + 4], m, p4);
        HIGH(t[i + 5], m, p4);
    }
    EACH_LIMB(i) r.v[i] = t[i + W_LIMBS];
    return r;
}

INLINE lanes8 w_mul(lanes8 a, lanes8 b)
{
    __m512i t[2 * W_LIMBS];
    w_check(&a), w_check(&b);
    for (int i = 0; i < 2 * W_LIMBS; i++)
        t[i] = _mm512_setzero_si512();
    EACH_LIMB(i)
    {
        EACH_LIMB(j) LOW(t[i + j], a.v[j], b.v[i]);
        EACH_LIMB(j) HIGH(t[i + j + 1], a.v[j], b.v[i]);
    }
    return w_montgomery(t);
}

INLINE lanes8 w_sqr(lanes8 a)
{
    __m512i t[2 * W_LIMBS];
    w_check(&a);
    for (int i = 0; i < 2 * W_LIMBS; i++)
        t[i] = _mm512_setzero_si512();
    for (int i = 0; i < W_LIMBS - 1; i++) {
        for (int j = i + 1; j < W_LIMBS; j++)
            LOW(t[i + j], a.v[i], a.v[j]);
        for (int j = i + 1; j < W_LIMBS; j++)
            HIGH(t[i + j + 1], a.v[i], a.v[j]);
    }
    for (int i = 1; i < 2 * W_LIMBS - 1; i++)
        t[i] = _mm512_add_epi64(t[i], t[i]);
    EACH_LIMB(i) LOW(t[2 * i], a.v[i], a.v[i]);
    EACH_LIMB(i) HIGH(t[2 * i + 1], a.v[i], a.v[i]);
    return w_montgomery(t);
}

INLINE lanes8 w_mul_tidy(lanes8 a, lanes8 b)
{
    return w_tidy(w_mul(a, b));
}

/* Four words of 64 bits in each lane, times 2^shift. */
#define LIMB(i, words, shift) \
    limb_of(words, W_BITS * (i) - (shift))
INLINE __m512i limb_of(const __m512i w[4], int at)
{
    __m512i r;
    if (at < 0) {
        r = _mm512_slli_epi64(w[0], (unsigned)-at);
    } else {
        r = _mm512_srli_epi64(w[at / 64], (unsigned)(at % 64));
        if (at % 64 > 64 - W_BITS && at / 64 < 3)
            r = _mm512_or_si512(r, _mm512_slli_epi64(w[at / 64 + 1], (unsigned)(64 - at % 64)));
    }
    return _mm512_and_si512(r, all(W_MASK));
}
INLINE lanes8 w_of_words(const __m512i w[4], int shift)
{
    lanes8 r;
    r.v[0] = LIMB(0, w, shift);
    r.v[1] = LIMB(1, w, shift);
    r.v[2] = LIMB(2, w, shift);
    r.v[3] = LIMB(3, w, shift);
    r.v[4] = LIMB(4, w, shift);
    return r;
}

/* Column i of eight rows of eight words. */
INLINE void transpose(__m512i c[8], const __m512i r[8])
{
    __m512i even[4], odd[4];
    for (int i = 0; i < 4; i++) {
        even[i] = _mm512_unpacklo_epi64(r[2 * i], r[2 * i + 1]);
        odd[i] = _mm512_unpackhi_epi64(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        const __m512i *t = i ? odd : even;
        const __m512i a = _mm512_shuffle_i64x2(t[0], t[1], 0x88), b = _mm512_shuffle_i64x2(t[2], t[3], 0x88);
        const __m512i d = _mm512_shuffle_i64x2(t[0], t[1], 0xdd), e = _mm512_shuffle_i64x2(t[2], t[3], 0xdd);
        c[i] = _mm512_shuffle_i64x2(a, b, 0x88);
        c[i + 4] = _mm512_shuffle_i64x2(a, b, 0xdd);
        c[i + 2] = _mm512_shuffle_i64x2(d, e, 0x88);
        c[i + 6] = _mm512_shuffle_i64x2(d, e, 0xdd);
    }
}

/* Tidy lanes as plain numbers. */
static void w_store(fe out[LANES], lanes8 a)
{
    uint64_t limbs[W_LIMBS][LANES];
    w_check(&a);
    EACH_LIMB(i) _mm512_storeu_si512(limbs[i], a.v[i]);
    for (int i = 0; i < LANES; i++) {
        out[i].v[0] = limbs[0][i] | limbs[1][i] << 52;
        out[i].v[1] = limbs[1][i] >> 12 | limbs[2][i] << 40;
        out[i].v[2] = limbs[2][i] >> 24 | limbs[3][i] << 28;
        out[i].v[3] = limbs[3][i] >> 36 | limbs[4][i] << 16;
    }
}

/* From Montgomery form: tidy in, below p out. */
static void w_store_plain(fe out[LANES], lanes8 a)
{
    static const narrow one = {{1}};
    w_store(out, w_mul_tidy(a, w_all(&one)));
    for (int i = 0; i < LANES; i++) {
        if (!fe_below(&out[i], 1))
            fe_take(&out[i], &out[i], &P_PLAIN);
        CHECK_BELOW(&out[i], 1);
    }
}

static lanes8 w_load(const fe in[LANES])
{
    __m512i w[4];
    for (int i = 0; i < 4; i++) {
        uint64_t words[LANES];
        for (int lane = 0; lane < LANES; lane++)
            words[lane] = in[lane].v[i];
        w[i] = _mm512_loadu_si512(words);
    }
    return w_of_words(w, 0);
}

/* --- Constants, made once from the scalar ones --- */

#define KEY_OFFSET 4 /* times p, added to each key */

static struct {
    narrow r_squared;  /* 2^520 */
    narrow after_inverse; /* 2^268: see invert */
    narrow two;
    narrow before[POSEIDON_HALF][3], partial[POSEIDON_PARTIAL], after[POSEIDON_HALF][3];
    int ready;
} constants;

static narrow narrow_of(const fe *a)
{
    const uint64_t *v = a->v;
    return (narrow){{v[0] & W_MASK, (v[0] >> 52 | v[1] << 12) & W_MASK, (v[1] >> 40 | v[2] << 24) & W_MASK,
                     (v[2] >> 28 | v[3] << 36) & W_MASK, v[3] >> 16}};
}

/* 2^times a modulo p, plus offset p. */
static narrow shifted(const fe *a, int times, uint64_t offset)
{
    fe t;
    fe_canonical(&t, a);
    for (int i = 0; i < times; i++) {
        fe_add(&t, &t, &t);
        fe_canonical(&t, &t);
    }
    for (; offset; offset--)
        fe_add(&t, &t, &P_PLAIN);
    return narrow_of(&t);
}

#define FORM_SHIFT 4 /* from Montgomery form by 2^256 to that by 2^260 */

int wide_prepare(void)
{
    fe two;
    if (constants.ready)
        return 1;
    fe_add(&two, &ONE, &ONE);
    constants.r_squared = shifted(&R_SQUARED, 8, 0);
    constants.after_inverse = shifted(&ONE, 12, 0);
    constants.two = shifted(&two, FORM_SHIFT, 0);
    for (int i = 0; i < POSEIDON_HALF; i++)
        for (int j = 0; j < 3; j++) {
            constants.before[i][j] = shifted(&POSEIDON_BEFORE[i][j], FORM_SHIFT, KEY_OFFSET);
            constants.after[i][j] = shifted(&POSEIDON_AFTER[i][j], FORM_SHIFT, KEY_OFFSET);
        }
    for (int i = 0; i < POSEIDON_PARTIAL; i++)
        constants.partial[i] = shifted(&POSEIDON_PARTIAL_KEYS[i], FORM_SHIFT, KEY_OFFSET);
    constants.ready = 1;
    return 1;
}

/* Leaf 7 of CPUID names the instructions; XGETBV says whether the system keeps the long registers. */
int wide_supported(void)
{
    const unsigned instructions = 1u << 16 | 1u << 17 | 1u << 21; /* AVX512F, AVX512DQ, AVX512IFMA */
    unsigned a, b, c, d, kept, high;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(kept), "=d"(high) : "c"(0));
    (void)high;
    return (kept & 0xe6) == 0xe6 && __get_cpuid_count(7, 0, &a, &b, &c, &d)
           && (b & instructions) == instructions;
}

/* --- Poseidon: two groups of eight at once, as one alone waits for its own products --- */

#define GROUPS (WIDE_POSEIDON / LANES)
#define EACH_GROUP(g) for (int g = 0; g < GROUPS; g++)

/* Operands are below 15 p, so their squares below 1.5 p and their cubes below 1.05 p. */
INLINE void w_cubes(lanes8 r[GROUPS], const lanes8 a[GROUPS])
{
    lanes8 square[GROUPS];
    EACH_GROUP(g) square[g] = w_tidy(w_sqr(a[g]));
    EACH_GROUP(g) r[g] = w_mul(square[g], a[g]);
}

/* Loose, more than -3 p and below 11 p in, and again out (below 6 p). */
static void w_full_round(lanes8 state[3][GROUPS], const narrow keys[3])
{
    for (int i = 0; i < 3; i++) {
        lanes8 operands[GROUPS];
        EACH_GROUP(g) operands[g] = w_tidy(w_add_narrow(state[i][g], &keys[i]));
        w_cubes(state[i], operands);
    }
    EACH_GROUP(g)
    {
        const lanes8 x = state[0][g], y = state[1][g], z = state[2][g];
        const lanes8 sum = w_add(x, z), total = w_add(sum, y);
        state[0][g] = w_add(total, w_add(x, x));
        state[1][g] = w_sub(sum, y);
        state[2][g] = w_sub(w_sub(total, z), w_add(z, z));
    }
}

/* As partial_rounds in poseidon.c. x is folded: -2^206 < x < p; w < 1.05 p; a < 3.1 p; t < 6.2 p, and more than
 * -1.1 p at first; t + key - 2 w is more than (4 - 1.1 - 2.1) p and below 12 p. */
static void w_partial_rounds(lanes8 state[3][GROUPS])
{
    lanes8 x[GROUPS], t[GROUPS], z[GROUPS], w[GROUPS];

    EACH_GROUP(g)
    {
        x[g] = w_fold(w_tidy(state[0][g]));
        t[g] = w_add(x[g], state[1][g]);
        z[g] = w_tidy(w_add_narrow(state[2][g], &constants.partial[0]));
    }
    for (int i = 1; i <= POSEIDON_PARTIAL; i++) {
        w_cubes(w, z);
        EACH_GROUP(g)
        {
            const lanes8 a = w_add(w_add(x[g], x[g]), w[g]);
            const lanes8 next = w_sub(t[g], w_add(w[g], w[g]));
            if (i < POSEIDON_PARTIAL)
                z[g] = w_tidy(w_add_narrow(next, &constants.partial[i]));
            else
                z[g] = next;
            /* t may be below 0 once, by less than 1.1 p */
            x[g] = w_fold(w_tidy(w_add_p(w_add(a, t[g]), 2)));
            t[g] = w_add(a, a);
        }
    }
    EACH_GROUP(g)
    {
        state[0][g] = x[g];
        state[1][g] = w_sub(t[g], x[g]);
        state[2][g] = z[g];
    }
}

static void w_permute(lanes8 state[3][GROUPS])
{
    for (int i = 0; i < POSEIDON_HALF; i++)
        w_full_round(state, constants.before[i]);
    w_partial_rounds(state);
    for (int i = 0; i < POSEIDON_HALF; i++)
        w_full_round(state, constants.after[i]);
}

void wide_permute(fe (*states)[3], size_t n)
{
    const lanes8 r_squared = w_all(&constants.r_squared);
    lanes8 state[3][GROUPS];
    fe room[WIDE_POSEIDON];

    for (int j = 0; j < 3; j++) {
        for (size_t i = 0; i < WIDE_POSEIDON; i++)
            room[i] = i < n ? states[i][j] : ONE_PLAIN;
        EACH_GROUP(g) state[j][g] = w_mul(w_load(room + g * LANES), r_squared);
    }
    w_permute(state);
    for (int j = 0; j < 3; j++) {
        EACH_GROUP(g) w_store_plain(room + g * LANES, w_tidy(w_add_p(state[j][g], 3)));
        for (size_t i = 0; i < n; i++)
            states[i][j] = room[i];
    }
}

void wide_poseidon(fe *out, const fe *in)
{
    const lanes8 r_squared = w_all(&constants.r_squared);
    lanes8 state[3][GROUPS];

    EACH_GROUP(g)
    {
        fe sides[2][LANES];
        for (int lane = 0; lane < LANES; lane++) {
            sides[0][lane] = in[2 * (g * LANES + lane)];
            sides[1][lane] = in[2 * (g * LANES + lane) + 1];
        }
        state[0][g] = w_mul(w_load(sides[0]), r_squared);
        state[1][g] = w_mul(w_load(sides[1]), r_squared);
        state[2][g] = w_all(&constants.two);
    }
    w_permute(state);
    EACH_GROUP(g) w_store_plain(out + g * LANES, w_tidy(state[0][g]));
}

/* --- Pedersen: the sums of table entries of eight hashes, level by level --- */

typedef struct {
    lanes8 x, y;
} w_point; /* loose: from the table below 16 p, later as folded */

#define CHAINS 4 /* running products that do not wait for each other */
#define SHARED (CHAINS * LANES)
#define TABLE_BOUND 16

/* The inverses of all lanes; 0 if one is 0. Tidy in and out.
 * With v = a 2^260 in a lane, the scalar inverse is 2^512 / v; times 2^268 / 2^260 it is 2^260 / a. */
static int invert(lanes8 chains[CHAINS])
{
    fe values[SHARED], before[SHARED], running = ONE, inverse;

    for (int c = 0; c < CHAINS; c++)
        w_store(values + c * LANES, chains[c]);
    for (int i = 0; i < SHARED; i++) {
        before[i] = running;
        fe_mul_call(&running, &running, &values[i]);
    }
    if (fe_is_zero(&running))
        return 0;
    fe_inverse(&inverse, &running);
    for (int i = SHARED; i-- > 0;) {
        fe_mul_call(&before[i], &before[i], &inverse);
        fe_mul_call(&inverse, &inverse, &values[i]);
    }
    for (int c = 0; c < CHAINS; c++)
        chains[c] = w_mul_tidy(w_load(before + c * LANES), w_all(&constants.after_inverse));
    return 1;
}

/* points[i] += points[i + apart]; scratch for 2 n. As affine_add_many. */
static int w_add_many(w_point *points, size_t apart, size_t n, lanes8 *scratch)
{
    lanes8 *difference = scratch, *before = scratch + n;
    lanes8 chains[CHAINS];
    const narrow one = shifted(&ONE, FORM_SHIFT, 0);

    for (int c = 0; c < CHAINS; c++)
        chains[c] = w_all(&one);
    for (size_t i = 0; i < n; i++) {
        lanes8 *chain = &chains[i % CHAINS];
        difference[i] = w_tidy(w_add_p(w_sub(points[i + apart].x, points[i].x), TABLE_BOUND + 1));
        before[i] = *chain;
        *chain = w_mul_tidy(*chain, difference[i]);
    }
    if (!invert(chains) || refuse_shared_inversions)
        return 0;
    for (size_t i = n; i-- > 0;) {
        lanes8 *chain = &chains[i % CHAINS];
        const w_point p = points[i], q = points[i + apart];
        const lanes8 rise = w_tidy(w_add_p(w_sub(q.y, p.y), TABLE_BOUND + 1));
        const lanes8 slope = w_mul_tidy(w_mul_tidy(*chain, before[i]), rise);
        lanes8 t;
        *chain = w_mul_tidy(*chain, difference[i]);
        t = w_sub(w_sub(w_sqr(slope), p.x), q.x);
        points[i].x = w_fold(w_tidy(w_add_p(t, 2 * TABLE_BOUND + 1)));
        t = w_mul(w_tidy(w_add_p(w_sub(p.x, points[i].x), 2)), slope);
        points[i].y = w_fold(w_tidy(w_add_p(w_sub(t, p.y), TABLE_BOUND + 1)));
    }
    return 1;
}

static w_point look_up(const affine *const entries[LANES])
{
    __m512i rows[8], columns[8];
    w_point r;
    for (int lane = 0; lane < LANES; lane++)
        rows[lane] = _mm512_load_si512(entries[lane]);
    transpose(columns, rows);
    r.x = w_of_words(columns, FORM_SHIFT);
    r.y = w_of_words(columns + 4, FORM_SHIFT);
    return r;
}

size_t wide_pedersen_room(void)
{
    const size_t points = PEDERSEN_WINDOWS * (WIDE_PEDERSEN / LANES);
    return points * sizeof(w_point) + 2 * (points / 2 + 1) * sizeof(lanes8);
}

int wide_pedersen(fe *out, const fe *in, size_t n, void *room)
{
    const size_t groups = (n + LANES - 1) / LANES;
    size_t windows = PEDERSEN_WINDOWS;
    w_point *points = room;
    lanes8 *scratch = (lanes8 *)(points + PEDERSEN_WINDOWS * groups);

    for (size_t k = 0; k < windows; k++)
        for (size_t g = 0; g < groups; g++) {
            const affine *entries[LANES];
            for (size_t lane = 0; lane < LANES; lane++) {
                const size_t i = g * LANES + lane < n ? g * LANES + lane : n - 1;
                entries[lane] = pedersen_entry(&in[2 * i], &in[2 * i + 1], (int)k);
            }
            points[k * groups + g] = look_up(entries);
        }
    while (windows > 1) {
        const size_t half = windows / 2, rest = windows - half;
        if (!w_add_many(points, rest * groups, half * groups, scratch))
            return 0;
        windows = rest;
    }
    for (size_t g = 0; g < groups; g++) {
        fe lanes[LANES];
        w_store_plain(lanes, w_tidy(w_add_p(points[g].x, 1)));
        for (size_t lane = 0; lane < LANES && g * LANES + lane < n; lane++)
            out[g * LANES + lane] = lanes[lane];
    }
    return 1;
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#else

int wide_supported(void)
{
    return 0;
}
int wide_prepare(void)
{
    return 0;
}
void wide_permute(fe (*states)[3], size_t n)
{
    (void)states, (void)n;
}
void wide_poseidon(fe *out, const fe *in)
{
    (void)out, (void)in;
}
size_t wide_pedersen_room(void)
{
    return 0;
}
int wide_pedersen(fe *out, const fe *in, size_t n, void *room)
{
    (void)out, (void)in, (void)n, (void)room;
    return 0;
}

#endif
