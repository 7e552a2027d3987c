/* Verification of signatures on the Stark curve by keys of which only x is known. Variable time: everything
 * here is public.
 */
#include <stdlib.h>

#include "constants.h"
#include "kernel.h"

#define WINDOWS 32
#define DIGITS 256
#define ODD_MULTIPLES 8 /* 1, 3, ... 15 times the key's point: digits of 5 bits */
#define DIGIT_BITS 5
#define SCALAR_BITS 253

static affine (*comb)[DIGITS]; /* [WINDOWS]; digit * 256^k times the generator; written once; digit 0 unused */

int ecdsa_prepare(void)
{
    affine(*windows)[DIGITS];
    jacobian *room;
    fe *scratch;
    int done;

    if (comb)
        return 1;
    windows = aligned_alloc(64, WINDOWS * sizeof *windows);
    room = malloc(DIGITS * sizeof *room);
    scratch = malloc(DIGITS * sizeof *scratch);
    done = windows && room && scratch;
    if (done) {
        affine base = {GENERATOR[0], GENERATOR[1]};
        for (int k = 0; k < WINDOWS; k++) {
            point_of(&room[0], &base);
            for (int digit = 1; digit < DIGITS; digit++)
                point_add_affine(&room[digit], &room[digit - 1], &base);
            points_to_affine(windows[k] + 1, room, DIGITS - 1, scratch);
            points_to_affine(&base, &room[DIGITS - 1], 1, scratch);
        }
        memset(&windows[0][0], 0, sizeof windows[0][0]);
        comb = windows;
    } else {
        free(windows);
    }
    free(room);
    free(scratch);
    return done;
}

/* a b / 2^256 modulo the order, for a b < 2^256 times the order; below the order. */
static void order_mul(fe *r, const fe *a, const fe *b)
{
    uint64_t t[6] = {0};

    for (int i = 0; i < 4; i++) {
        u128 c = 0;
        uint64_t m;
        for (int j = 0; j < 4; j++) {
            c += (u128)a->v[j] * b->v[i] + t[j];
            t[j] = (uint64_t)c;
            c >>= 64;
        }
        c += t[4];
        t[4] = (uint64_t)c;
        t[5] = (uint64_t)(c >> 64);
        m = t[0] * ORDER_NEGATED_INVERSE;
        c = (u128)m * ORDER_PLAIN.v[0] + t[0];
        c >>= 64;
        for (int j = 1; j < 4; j++) {
            c += (u128)m * ORDER_PLAIN.v[j] + t[j];
            t[j - 1] = (uint64_t)c;
            c >>= 64;
        }
        c += t[4];
        t[3] = (uint64_t)c;
        t[4] = t[5] + (uint64_t)(c >> 64);
    }
    CHECK(t[4] == 0);
    for (int i = 0; i < 4; i++)
        r->v[i] = t[i];
    for (;;) {
        fe less;
        unsigned char d = subb(0, r->v[0], ORDER_PLAIN.v[0], &less.v[0]);
        d = subb(d, r->v[1], ORDER_PLAIN.v[1], &less.v[1]);
        d = subb(d, r->v[2], ORDER_PLAIN.v[2], &less.v[2]);
        d = subb(d, r->v[3], ORDER_PLAIN.v[3], &less.v[3]);
        if (d)
            return;
        *r = less; /* at most twice: the sum above is below 2 orders */
    }
}

static int below(const fe *a, const fe *bound)
{
    for (int i = 3; i >= 0; i--)
        if (a->v[i] != bound->v[i])
            return a->v[i] < bound->v[i];
    return 0;
}
static int below_2_251(const fe *a)
{
    return a->v[3] >> 59 == 0;
}

static void multiply_generator(jacobian *r, const fe *scalar)
{
    memset(r, 0, sizeof *r);
    r->infinite = 1;
    for (int k = 0; k < WINDOWS; k++) {
        const unsigned digit = (unsigned)(scalar->v[k / 8] >> (8 * (k % 8))) & 0xff;
        if (digit)
            point_add_affine(r, r, &comb[k][digit]);
    }
}

/* Odd digits between -15 and 15, four noughts or more after each; the number of places used. */
static int signed_digits(int8_t digits[SCALAR_BITS + 1], const fe *scalar)
{
    fe rest = *scalar;
    int places = 0;

    while (!fe_is_nought(&rest)) {
        int digit = 0;
        CHECK(places <= SCALAR_BITS);
        if (rest.v[0] & 1) {
            digit = (int)(rest.v[0] & ((1 << DIGIT_BITS) - 1));
            rest.v[0] -= (uint64_t)digit;
            if (digit > 1 << (DIGIT_BITS - 1)) {
                fe add = {{(uint64_t)1 << DIGIT_BITS, 0, 0, 0}};
                digit -= 1 << DIGIT_BITS;
                fe_add(&rest, &rest, &add);
            }
        }
        digits[places++] = (int8_t)digit;
        for (int i = 0; i < 3; i++)
            rest.v[i] = rest.v[i] >> 1 | rest.v[i + 1] << 63;
        rest.v[3] >>= 1;
    }
    return places;
}

static void multiply_key(jacobian *r, const affine odd[ODD_MULTIPLES], const fe *scalar)
{
    int8_t digits[SCALAR_BITS + 1];
    const int places = signed_digits(digits, scalar);
    static const fe zero = {{0}};

    memset(r, 0, sizeof *r);
    r->infinite = 1;
    for (int i = places - 1; i >= 0; i--) {
        const int digit = digits[i];
        point_double(r, r);
        if (digit > 0) {
            point_add_affine(r, r, &odd[digit / 2]);
        } else if (digit < 0) {
            affine negative = odd[-digit / 2];
            fe_sub(&negative.y, &zero, &negative.y, 3);
            fe_fold(&negative.y, &negative.y);
            point_add_affine(r, r, &negative);
        }
    }
}

/* The odd multiples of one of the two points with this x; 0 if there is none. */
static int decode_key(affine odd[ODD_MULTIPLES], const fe *x)
{
    jacobian room[ODD_MULTIPLES], twice;
    fe scratch[ODD_MULTIPLES], y;

    if (!below(x, &P_PLAIN) || fe_is_nought(x))
        return 0;
    fe_to_montgomery(&odd[0].x, x);
    fe_sqr(&y, &odd[0].x);
    fe_add(&y, &y, &ONE);
    fe_mul(&y, &y, &odd[0].x);
    fe_add(&y, &y, &BETA);
    if (!fe_sqrt(&odd[0].y, &y))
        return 0;
    point_of(&room[0], &odd[0]);
    point_double(&twice, &room[0]);
    for (int i = 1; i < ODD_MULTIPLES; i++)
        point_add(&room[i], &room[i - 1], &twice);
    points_to_affine(odd, room, ODD_MULTIPLES, scratch);
    return 1;
}

static int has_x(const jacobian *point, const fe *x)
{
    fe zz, scaled;
    if (point->infinite)
        return 0;
    fe_sqr(&zz, &point->z);
    fe_mul(&scaled, x, &zz);
    fe_canonical(&scaled, &scaled);
    fe_canonical(&zz, &point->x);
    return fe_equal(&scaled, &zz);
}

/* z and r below 2^251, s below the order, its inverse below 2^251, and none of them 0: what the curve's
 * reference implementations demand. */
static int verify(const affine odd[ODD_MULTIPLES], const fe *z, const fe *r, const fe *s)
{
    fe w, u1, u2, x;
    jacobian from_generator, from_key, sum;

    if (!below_2_251(z) || !below_2_251(r) || !below(s, &ORDER_PLAIN) || fe_is_nought(z)
        || fe_is_nought(r) || fe_is_nought(s))
        return 0;
    modular_inverse(&w, s, &ORDER_PLAIN);
    if (!below_2_251(&w))
        return 0;
    order_mul(&w, &w, &ORDER_R_SQUARED);
    order_mul(&u1, z, &w);
    order_mul(&u2, r, &w);
    multiply_generator(&from_generator, &u1);
    multiply_key(&from_key, odd, &u2);
    fe_to_montgomery(&x, r);
    point_add(&sum, &from_generator, &from_key);
    if (has_x(&sum, &x))
        return 1;
    if (!from_key.infinite)
        point_negate(&from_key, &from_key);
    point_add(&sum, &from_generator, &from_key);
    return has_x(&sum, &x);
}

void ecdsa_verify_many(uint8_t *out, const uint8_t *in, size_t n)
{
    affine odd[ODD_MULTIPLES];
    fe key = {{0}};
    int known = 0, usable = 0;

    for (size_t i = 0; i < n; i++, in += SIGNATURE_FELTS * FELT_BYTES) {
        fe x, z, r, s;
        fe_load(&x, in);
        fe_load(&z, in + FELT_BYTES);
        fe_load(&r, in + 2 * FELT_BYTES);
        fe_load(&s, in + 3 * FELT_BYTES);
        if (!known || !fe_equal(&x, &key)) {
            usable = decode_key(odd, &x);
            key = x;
            known = 1;
        }
        out[i] = (uint8_t)(usable && verify(odd, &z, &r, &s));
    }
}
