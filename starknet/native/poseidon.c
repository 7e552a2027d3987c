/* Poseidon over three felts: 4 full rounds, 83 partial ones, 4 full ones, every felt cubed or one.
 *
 * Bounds: operands of a cube are below 4 p, so a cube is below (1 + 4 * 1.6 / 31) p < 1.21 p.
 */
#include "constants.h"
#include "kernel.h"

#define WIDE_LEAST 4 /* pairs; fewer are sooner done one by one */

INLINE void cube(fe *r, const fe *a, int adx)
{
    fe square;
    CHECK_BELOW(a, 4);
    if (adx) {
        adx_sqr(&square, a);
        adx_mul(r, &square, a);
    } else {
        fe_sqr(&square, a);
        fe_mul(r, &square, a);
    }
    CHECK_BELOW(r, 2);
}

/* x, y, z < 22 p in; x < 6 p, y < 5 p, z < 6 p out. */
INLINE void full_round(fe state[3], const fe keys[3], int adx)
{
    fe x, y, z, sum;
    for (int i = 0; i < 3; i++) {
        fe operand;
        CHECK_BELOW(&state[i], 22);
        fe_add(&operand, &state[i], &keys[i]); /* keys are at least p */
        fe_fold(&operand, &operand);
        cube(&state[i], &operand, adx);
    }
    x = state[0], y = state[1], z = state[2];
    fe_add(&sum, &x, &z);
    fe_sub(&state[1], &sum, &y, 2);
    fe_add(&sum, &sum, &y);
    fe_add(&x, &x, &x);
    fe_add(&state[0], &sum, &x); /* 3 x + y + z */
    fe_add(&x, &z, &z);
    fe_add(&z, &x, &z);
    fe_sub(&state[2], &sum, &z, 4); /* x + y - 2 z */
}

/* A partial round maps (x, y, z) with w = z^3 to (3 x + y + w, x - y + w, x + y - 2 w). With t = x + y and
 * a = 2 x + w that is x <- a + t, t <- 2 a, z <- t - 2 w: y is not needed, and only z is on the way to the
 * next cube.
 *
 * Bounds: p - 2^202 < x < 2 p by folding; w < 1.21 p; a < 5.21 p; t < 10.5 p; folded(t + key) is
 * more than 3 p - 2^202 > 2 w and below 4 p, so that 0 < z < 4 p; a + t > 2 x > p.
 */
INLINE void partial_rounds(fe state[3], int adx)
{
    fe x, t, z, w, a;

    fe_add(&x, &state[0], &P_PLAIN);
    fe_fold(&x, &x);
    fe_add(&t, &x, &state[1]);
    fe_add(&z, &state[2], &POSEIDON_PARTIAL_KEYS[0]);
    fe_fold_to(&z, &z, POSEIDON_PARTIAL_OFFSET);
    for (int i = 1; i <= POSEIDON_PARTIAL; i++) {
        const fe *key = i < POSEIDON_PARTIAL ? &POSEIDON_PARTIAL_KEYS[i] : &POSEIDON_LAST_KEY;
        fe next;
        CHECK_BELOW(&x, 2);
        CHECK_BELOW(&t, 11);
        cube(&w, &z, adx);
        fe_add(&next, &t, key);
        fe_fold_to(&next, &next, POSEIDON_PARTIAL_OFFSET);
        fe_take(&next, &next, &w);
        fe_take(&z, &next, &w);
        fe_add(&a, &x, &x);
        fe_add(&a, &a, &w);
        fe_add(&x, &a, &t);
        fe_fold(&x, &x);
        fe_add(&t, &a, &a);
    }
    state[0] = x;
    fe_sub(&state[1], &t, &x, 2);
    state[2] = z;
}

INLINE void permute(fe state[3], int adx)
{
    for (int i = 0; i < POSEIDON_HALF; i++)
        full_round(state, POSEIDON_BEFORE[i], adx);
    partial_rounds(state, adx);
    for (int i = 0; i < POSEIDON_HALF; i++)
        full_round(state, POSEIDON_AFTER[i], adx);
}

#if defined(__clang__)
/* Inlined, clang's own products are faster here than calls are. */
void poseidon_permute(fe state[3])
{
    permute(state, 0);
}
#else
static void permute_adx(fe state[3])
{
    permute(state, 1);
}
static void permute_plain(fe state[3])
{
    permute(state, 0);
}

void poseidon_permute(fe state[3])
{
    if (fe_mul_call == adx_mul)
        permute_adx(state);
    else
        permute_plain(state);
}
#endif

void poseidon_pair(fe *r, const fe *a, const fe *b)
{
    fe state[3];
    fe_to_montgomery(&state[0], a);
    fe_to_montgomery(&state[1], b);
    fe_add(&state[2], &ONE, &ONE);
    poseidon_permute(state);
    fe_from_montgomery(r, &state[0]);
}

/* The last few as a full batch of which only they are kept. */
static void wide_rest(fe *out, const fe *in, size_t n)
{
    fe pairs[2 * WIDE_POSEIDON] = {{{0}}}, hashes[WIDE_POSEIDON];
    memcpy(pairs, in, 2 * n * sizeof *in);
    wide_poseidon(hashes, pairs);
    memcpy(out, hashes, n * sizeof *out);
}

void poseidon_batch(fe *out, const fe *in, size_t n)
{
    size_t i = 0;
    if (wide_wanted) {
        for (; n - i >= WIDE_POSEIDON; i += WIDE_POSEIDON)
            wide_poseidon(out + i, in + 2 * i);
        if (n - i >= WIDE_LEAST) {
            wide_rest(out + i, in + 2 * i, n - i);
            i = n;
        }
    }
    for (; i < n; i++)
        poseidon_pair(&out[i], &in[2 * i], &in[2 * i + 1]);
}

void poseidon_permute_many(fe (*states)[3], size_t n)
{
    size_t i = 0;
    if (wide_wanted)
        for (; n - i >= WIDE_LEAST; i += n - i < WIDE_POSEIDON ? n - i : WIDE_POSEIDON)
            wide_permute(states + i, n - i < WIDE_POSEIDON ? n - i : WIDE_POSEIDON);
    for (; i < n; i++) {
        for (int j = 0; j < 3; j++)
            fe_to_montgomery(&states[i][j], &states[i][j]);
        poseidon_permute(states[i]);
        for (int j = 0; j < 3; j++)
            fe_from_montgomery(&states[i][j], &states[i][j]);
    }
}

void poseidon_start(poseidon_sponge *sponge)
{
    memset(sponge, 0, sizeof *sponge);
}

/* The state is below 6 p, what is added below 2 p. */
static void take_in(poseidon_sponge *sponge, const fe *montgomery)
{
    fe *place = &sponge->state[sponge->odd];
    fe_add(place, place, montgomery);
    if (sponge->odd)
        poseidon_permute(sponge->state);
    sponge->odd = !sponge->odd;
}

void poseidon_absorb(poseidon_sponge *sponge, const fe *plain)
{
    fe t;
    fe_to_montgomery(&t, plain);
    take_in(sponge, &t);
}

void poseidon_finish(poseidon_sponge *sponge, fe *plain)
{
    static const fe zero = {{0}};
    take_in(sponge, &ONE);
    if (sponge->odd)
        take_in(sponge, &zero);
    fe_from_montgomery(plain, &sponge->state[0]);
}
