/* Pedersen: shift + a_low P1 + a_high P2 + b_low P3 + b_high P4, where low is 248 bits and high the rest.
 *
 * Both felts together are 63 digits of 8 bits: 31 of a's low part, 31 of b's, and one of both high parts.
 * Window k holds digit * B_k + C_k for each digit; the C_k add up to the shift point. So there is no point
 * at infinity, no digit without an addition, and the shift point costs nothing. 63 * 256 points, 1 MB.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "constants.h"
#include "kernel.h"

#define LOW_DIGITS 31
#define WINDOWS PEDERSEN_WINDOWS
#define DIGITS 256
#define HIGH_WINDOW 62
#define CHUNK 64 /* hashes that share inversions; their points fit a second-level cache */

static affine (*table)[DIGITS]; /* [WINDOWS]; written once, before anything reads it */

static affine constant_point(const fe point[2])
{
    affine r;
    fe_canonical(&r.x, &point[0]);
    fe_canonical(&r.y, &point[1]);
    return r;
}

/* steps[k]: what window k adds from a digit to the next; doubled 8 times from window to window. */
static void window_steps(affine *steps, jacobian *room, fe *scratch)
{
    static const int points[2] = {1, 3};
    for (int half = 0; half < 2; half++) {
        affine base = constant_point(PEDERSEN_POINTS[points[half]]);
        jacobian current;
        point_of(&current, &base);
        for (int i = 0; i < LOW_DIGITS; i++) {
            room[half * LOW_DIGITS + i] = current;
            for (int bit = 0; bit < 8; bit++)
                point_double(&current, &current);
        }
    }
    points_to_affine(steps, room, HIGH_WINDOW, scratch);
}

/* first[k] = C_k: odd multiples of the generator, and for the last window what the shift point lacks. */
static void window_starts(affine *first, jacobian *room, fe *scratch)
{
    affine g = constant_point(GENERATOR);
    affine shift = constant_point(PEDERSEN_POINTS[0]);
    jacobian twice, rest;

    point_of(&room[0], &g);
    point_double(&twice, &room[0]);
    for (int k = 1; k < HIGH_WINDOW; k++)
        point_add(&room[k], &room[k - 1], &twice);
    point_of(&rest, &shift);
    for (int k = 0; k < HIGH_WINDOW; k++) {
        jacobian negative;
        point_negate(&negative, &room[k]);
        point_add(&rest, &rest, &negative);
    }
    room[HIGH_WINDOW] = rest;
    points_to_affine(first, room, WINDOWS, scratch);
}

/* The window of both high parts: digit a_high + 16 b_high. */
static void fill_high_window(affine *window, const affine *start, jacobian *room, fe *scratch)
{
    const affine p2 = constant_point(PEDERSEN_POINTS[2]);
    const affine p4 = constant_point(PEDERSEN_POINTS[4]);
    point_of(&room[0], start);
    for (int digit = 1; digit < DIGITS; digit++) {
        if (digit % 16)
            point_add_affine(&room[digit], &room[digit - 1], &p2);
        else
            point_add_affine(&room[digit], &room[digit - 16], &p4);
    }
    points_to_affine(window, room, DIGITS, scratch);
    for (int digit = 0; digit < DIGITS; digit++) {
        fe_canonical(&window[digit].x, &window[digit].x);
        fe_canonical(&window[digit].y, &window[digit].y);
    }
}

static int fill(affine (*windows)[DIGITS], jacobian *room, affine *columns, fe *scratch)
{
    affine *steps = columns, *column = columns + WINDOWS;
    window_steps(steps, room, scratch);
    window_starts(column, room, scratch);
    fill_high_window(windows[HIGH_WINDOW], &column[HIGH_WINDOW], room, scratch);
    for (int digit = 0;; digit++) {
        for (int k = 0; k < HIGH_WINDOW; k++) {
            fe_canonical(&windows[k][digit].x, &column[k].x);
            fe_canonical(&windows[k][digit].y, &column[k].y);
        }
        if (digit == DIGITS - 1)
            return 1;
        if (!affine_add_many(column, column, steps, HIGH_WINDOW, scratch))
            return 0; /* cannot be: no multiple so small is a C_k's opposite */
    }
}

int pedersen_prepare(void)
{
    affine(*windows)[DIGITS];
    jacobian *room;
    affine *columns;
    fe *scratch;
    int done = 0;

    if (table)
        return 1;
    windows = aligned_alloc(64, WINDOWS * sizeof *windows);
    room = malloc(DIGITS * sizeof *room);
    columns = malloc(2 * WINDOWS * sizeof *columns);
    scratch = malloc(DIGITS * sizeof *scratch);
    if (windows && room && columns && scratch)
        done = fill(windows, room, columns, scratch);
    free(room);
    free(columns);
    free(scratch);
    if (done)
        table = windows;
    else
        free(windows);
    return done;
}

INLINE unsigned digit_of(const fe *a, const fe *b, int k)
{
    const fe *felt = k < LOW_DIGITS ? a : b;
    const int at = k < LOW_DIGITS ? k : k - LOW_DIGITS;
    if (k == HIGH_WINDOW)
        return (unsigned)(a->v[3] >> 56) | (unsigned)(b->v[3] >> 56) << 4;
    return (unsigned)(felt->v[at / 8] >> (8 * (at % 8))) & 0xff;
}

INLINE const affine *entry(const fe *a, const fe *b, int k)
{
    return &table[k][digit_of(a, b, k)];
}
const affine *pedersen_entry(const fe *a, const fe *b, int k)
{
    return entry(a, b, k);
}

/* x = X / zz, y = Y / zzz with zz^3 = zzz^2: an addition costs 8 products and 2 squares.
 * X < 2 p, Y < 4 p, zz and zzz < 1.2 p. An addition of points with the same x leaves zz = 0 for good. */
typedef struct {
    fe x, y, zz, zzz;
} sum;

static void sum_add(sum *a, const affine *b)
{
    fe p, r, pp, ppp, q, t;
    fe_mul_call(&p, &b->x, &a->zz);
    fe_sub(&p, &p, &a->x, 2); /* < 3.1 p */
    fe_mul_call(&r, &b->y, &a->zzz);
    fe_sub(&r, &r, &a->y, 4); /* < 5.1 p */
    fe_sqr_call(&pp, &p);     /* < 1.4 p */
    fe_mul_call(&ppp, &p, &pp);
    fe_mul_call(&q, &a->x, &pp); /* both < 1.2 p */
    fe_add(&t, &q, &q);
    fe_add(&t, &t, &ppp);
    fe_sqr_call(&p, &r);
    fe_sub(&p, &p, &t, 5);
    fe_fold(&a->x, &p);
    fe_sub(&q, &q, &a->x, 2);
    fe_mul_call(&q, &q, &r);
    fe_mul_call(&t, &a->y, &ppp);
    fe_sub(&a->y, &q, &t, 2);
    fe_mul_call(&a->zz, &a->zz, &pp);
    fe_mul_call(&a->zzz, &a->zzz, &ppp);
}

void pedersen_pair(fe *r, const fe *a, const fe *b)
{
    const affine *entries[WINDOWS];
    sum s;
    fe inverse;

    for (int k = 0; k < WINDOWS; k++) {
        entries[k] = entry(a, b, k);
        __builtin_prefetch(entries[k]);
    }
    s.x = entries[0]->x;
    s.y = entries[0]->y;
    s.zz = ONE;
    s.zzz = ONE;
    for (int k = 1; k < WINDOWS; k++)
        sum_add(&s, entries[k]);
    if (fe_is_zero(&s.zz)) {
        pedersen_pair_complete(r, a, b);
        return;
    }
    fe_inverse(&inverse, &s.zz);
    fe_mul_call(&inverse, &inverse, &s.x);
    fe_from_montgomery(r, &inverse);
}

void pedersen_pair_complete(fe *r, const fe *a, const fe *b)
{
    jacobian s;
    affine result;
    fe scratch;

    point_of(&s, entry(a, b, 0));
    for (int k = 1; k < WINDOWS; k++)
        point_add_affine(&s, &s, entry(a, b, k));
    if (s.infinite) { /* has no x; would need a discrete logarithm between the points */
        memset(r, 0, sizeof *r);
        return;
    }
    points_to_affine(&result, &s, 1, &scratch);
    fe_from_montgomery(r, &result.x);
}

/* Looked-up points lie window by window; halves are added until one window is left: 32, 16, 8, 4, 2, 1. */
static void hash_chunk(fe *out, const fe *in, size_t n, affine *points, fe *scratch)
{
    size_t windows = WINDOWS;
    int distinct = 1;

    for (int k = 0; k < WINDOWS; k++)
        for (size_t i = 0; i < n; i++)
            points[(size_t)k * n + i] = *entry(&in[2 * i], &in[2 * i + 1], k);
    while (windows > 1 && distinct) {
        const size_t half = windows / 2, rest = windows - half;
        distinct = affine_add_many(points, points, points + rest * n, half * n, scratch);
        windows = rest;
    }
    for (size_t i = 0; i < n; i++) {
        if (distinct)
            fe_from_montgomery(&out[i], &points[i].x);
        else
            pedersen_pair_complete(&out[i], &in[2 * i], &in[2 * i + 1]);
    }
}

#define BATCH_LEAST 4 /* fewer gain nothing from shared inversions */

/* One room is kept for the next batch: to get its pages anew would cost as much as the hashes of a small one. */
static _Atomic(void *) spare_room;

static int wide_batch(fe *out, const fe *in, size_t n)
{
    void *room = atomic_exchange(&spare_room, NULL);
    if (!room)
        room = aligned_alloc(64, wide_pedersen_room());
    if (!room)
        return 0;
    for (size_t i = 0; i < n; i += WIDE_PEDERSEN) {
        const size_t count = n - i < WIDE_PEDERSEN ? n - i : WIDE_PEDERSEN;
        if (!wide_pedersen(out + i, in + 2 * i, count, room))
            for (size_t k = i; k < i + count; k++)
                pedersen_pair_complete(&out[k], &in[2 * k], &in[2 * k + 1]);
    }
    free(atomic_exchange(&spare_room, room));
    return 1;
}

int pedersen_batch(fe *out, const fe *in, size_t n)
{
    affine *points;
    fe *scratch;

    if (n < BATCH_LEAST) {
        for (size_t i = 0; i < n; i++)
            pedersen_pair(&out[i], &in[2 * i], &in[2 * i + 1]);
        return 1;
    }
    if (wide_wanted)
        return wide_batch(out, in, n);
    points = malloc(WINDOWS * CHUNK * sizeof *points);
    scratch = malloc((WINDOWS - 1) * CHUNK * sizeof *scratch);
    if (points && scratch)
        for (size_t i = 0; i < n; i += CHUNK)
            hash_chunk(out + i, in + 2 * i, n - i < CHUNK ? n - i : CHUNK, points, scratch);
    n = points && scratch;
    free(points);
    free(scratch);
    return (int)n;
}

int wide_wanted;

int hash_batch(hash_kind kind, fe *out, const fe *in, size_t n)
{
    if (kind == PEDERSEN)
        return pedersen_batch(out, in, n);
    poseidon_batch(out, in, n);
    return 1;
}
