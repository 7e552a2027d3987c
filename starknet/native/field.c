/* The parts of the field that are called rather than inlined: inverses, square roots, conversions. */
#include "constants.h"
#include "field.h"

static void plain_mul(fe *r, const fe *a, const fe *b)
{
    fe_mul(r, a, b);
}
static void plain_sqr(fe *r, const fe *a)
{
    fe_sqr(r, a);
}

void (*fe_mul_call)(fe *r, const fe *a, const fe *b) = plain_mul;
void (*fe_sqr_call)(fe *r, const fe *a) = plain_sqr;

void fe_choose(int adx)
{
    fe_mul_call = adx ? adx_mul : plain_mul;
    fe_sqr_call = adx ? adx_sqr : plain_sqr;
}

void fe_to_montgomery(fe *r, const fe *plain)
{
    fe_mul(r, plain, &R_SQUARED);
}

/* Dividing by 2^256 leaves less than p + 1. */
void fe_from_montgomery(fe *plain, const fe *a)
{
    fe t;
    fe_mul(&t, a, &ONE_PLAIN);
    if (!fe_below(&t, 1))
        fe_take(&t, &t, &P_PLAIN);
    *plain = t;
    CHECK_BELOW(plain, 1);
}

/* --- Inverse: Bernstein and Yang's division steps, 62 at a time, on signed limbs of 62 bits. --- */

#define LIMBS 5
#define LIMB_BITS 62
#define LIMB_MASK (UINT64_MAX >> 2)
#define STEP_ROUNDS_MAX 12 /* 735 steps are enough for numbers of 256 bits; fewer than 12 * 62 */

typedef __int128 i128;
typedef struct {
    int64_t v[LIMBS];
} limbs;
/* 2^62 times the effect of 62 steps on the pair (f, g). */
typedef struct {
    int64_t u, v, q, r;
} steps;

static limbs limbs_of(const fe *a)
{
    const uint64_t *v = a->v;
    return (limbs){{
        (int64_t)(v[0] & LIMB_MASK),
        (int64_t)((v[0] >> 62 | v[1] << 2) & LIMB_MASK),
        (int64_t)((v[1] >> 60 | v[2] << 4) & LIMB_MASK),
        (int64_t)((v[2] >> 58 | v[3] << 6) & LIMB_MASK),
        (int64_t)(v[3] >> 56),
    }};
}

static int64_t divide(int64_t eta, uint64_t f, uint64_t g, steps *t)
{
    uint64_t u = 1, v = 0, q = 0, r = 1;
    int left = LIMB_BITS;

    for (;;) {
        const int zeros = __builtin_ctzll(g | (UINT64_MAX << left));
        uint64_t w, mask;
        int64_t limit;
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        eta -= zeros;
        left -= zeros;
        if (left == 0)
            break;
        /* f and g are odd. */
        if (eta < 0) {
            uint64_t swap;
            eta = -eta;
            swap = f, f = g, g = -swap;
            swap = u, u = q, q = -swap;
            swap = v, v = r, r = -swap;
            limit = eta + 1 < left ? eta + 1 : left;
            mask = UINT64_MAX >> (64 - limit) & 63;
            w = f * g * (f * f - 2) & mask; /* -g / f modulo 64 */
        } else {
            limit = eta + 1 < left ? eta + 1 : left;
            mask = UINT64_MAX >> (64 - limit) & 15;
            w = f + (((f + 1) & 4) << 1); /* 1 / f modulo 16 */
            w = -w * g & mask;
        }
        g += f * w;
        q += u * w;
        r += v * w;
    }
    *t = (steps){(int64_t)u, (int64_t)v, (int64_t)q, (int64_t)r};
    return eta;
}

/* (f, g) <- the steps' effect; the division by 2^62 is exact. */
static void apply(limbs *f, limbs *g, const steps *t)
{
    i128 cf = (i128)t->u * f->v[0] + (i128)t->v * g->v[0];
    i128 cg = (i128)t->q * f->v[0] + (i128)t->r * g->v[0];
    cf >>= LIMB_BITS;
    cg >>= LIMB_BITS;
    for (int i = 1; i < LIMBS; i++) {
        const int64_t fi = f->v[i], gi = g->v[i];
        cf += (i128)t->u * fi + (i128)t->v * gi;
        cg += (i128)t->q * fi + (i128)t->r * gi;
        f->v[i - 1] = (int64_t)((uint64_t)cf & LIMB_MASK);
        g->v[i - 1] = (int64_t)((uint64_t)cg & LIMB_MASK);
        cf >>= LIMB_BITS;
        cg >>= LIMB_BITS;
    }
    f->v[LIMBS - 1] = (int64_t)cf;
    g->v[LIMBS - 1] = (int64_t)cg;
}

/* (d, e) <- the steps' effect modulo m: multiples of m make the division by 2^62 exact.
 * d and e stay between -2 m and m. */
static void apply_modulo(limbs *d, limbs *e, const steps *t, const limbs *m, uint64_t m_inverse)
{
    const int64_t d_sign = d->v[LIMBS - 1] >> 63, e_sign = e->v[LIMBS - 1] >> 63;
    int64_t md = (t->u & d_sign) + (t->v & e_sign);
    int64_t me = (t->q & d_sign) + (t->r & e_sign);
    i128 cd = (i128)t->u * d->v[0] + (i128)t->v * e->v[0];
    i128 ce = (i128)t->q * d->v[0] + (i128)t->r * e->v[0];

    md -= (int64_t)((m_inverse * (uint64_t)cd + (uint64_t)md) & LIMB_MASK);
    me -= (int64_t)((m_inverse * (uint64_t)ce + (uint64_t)me) & LIMB_MASK);
    cd += (i128)m->v[0] * md;
    ce += (i128)m->v[0] * me;
    cd >>= LIMB_BITS;
    ce >>= LIMB_BITS;
    for (int i = 1; i < LIMBS; i++) {
        const int64_t di = d->v[i], ei = e->v[i];
        cd += (i128)t->u * di + (i128)t->v * ei + (i128)m->v[i] * md;
        ce += (i128)t->q * di + (i128)t->r * ei + (i128)m->v[i] * me;
        d->v[i - 1] = (int64_t)((uint64_t)cd & LIMB_MASK);
        e->v[i - 1] = (int64_t)((uint64_t)ce & LIMB_MASK);
        cd >>= LIMB_BITS;
        ce >>= LIMB_BITS;
    }
    d->v[LIMBS - 1] = (int64_t)cd;
    e->v[LIMBS - 1] = (int64_t)ce;
}

/* a <- sign * a + (m if keep is set), with limbs but the last in 0 ... 2^62 - 1 again. */
static void adjust(limbs *a, int64_t sign, const limbs *m, int add)
{
    int64_t carry = 0;
    for (int i = 0; i < LIMBS; i++) {
        carry += sign * a->v[i] + (add ? m->v[i] : 0);
        a->v[i] = i < LIMBS - 1 ? (int64_t)((uint64_t)carry & LIMB_MASK) : carry;
        carry >>= LIMB_BITS;
    }
}

static int is_zero(const limbs *a)
{
    return (a->v[0] | a->v[1] | a->v[2] | a->v[3] | a->v[4]) == 0;
}

void modular_inverse(fe *r, const fe *a, const fe *modulus)
{
    const limbs m = limbs_of(modulus);
    limbs f = m, g = limbs_of(a), d = {{0}}, e = {{1}};
    uint64_t m_inverse = modulus->v[0]; /* right in 3 bits; each line below doubles them */
    int64_t eta = -1;
    const uint64_t *v;

    for (int i = 0; i < 5; i++)
        m_inverse *= 2 - modulus->v[0] * m_inverse;
    for (int i = 0; i < STEP_ROUNDS_MAX && !is_zero(&g); i++) {
        steps t;
        eta = divide(eta, (uint64_t)f.v[0] | (uint64_t)f.v[1] << 62,
                     (uint64_t)g.v[0] | (uint64_t)g.v[1] << 62, &t);
        apply_modulo(&d, &e, &t, &m, m_inverse);
        apply(&f, &g, &t);
    }
    CHECK(is_zero(&g));
    /* f is 1 or -1 (or the modulus, when a is 0 and so d is). */
    adjust(&d, 1, &m, d.v[LIMBS - 1] < 0);
    adjust(&d, f.v[LIMBS - 1] < 0 ? -1 : 1, &m, 0);
    adjust(&d, 1, &m, d.v[LIMBS - 1] < 0);
    v = (const uint64_t *)d.v;
    r->v[0] = v[0] | v[1] << 62;
    r->v[1] = v[1] >> 2 | v[2] << 60;
    r->v[2] = v[2] >> 4 | v[3] << 58;
    r->v[3] = v[3] >> 6 | v[4] << 56;
}

void fe_inverse(fe *r, const fe *a)
{
    fe t;
    fe_canonical(&t, a);
    modular_inverse(&t, &t, &P_PLAIN);
    fe_mul(r, &t, &R_CUBED);
}

/* --- Square root --- */

#define ODD_PART 0x0800000000000011ULL /* p - 1 = 2^192 ODD_PART */
#define TWOS 192
#define SQRT_TRIES 128 /* each fails by even chance */

/* Whether a^((p - 1) / 2) is 1. */
static int is_square(const fe *a)
{
    fe t = *a;
    for (int bit = 58; bit >= 0; bit--) {
        fe_sqr_call(&t, &t);
        if (ODD_PART >> bit & 1)
            fe_mul_call(&t, &t, a);
    }
    for (int i = 0; i < TWOS - 1; i++)
        fe_sqr_call(&t, &t);
    fe_canonical(&t, &t);
    return fe_equal(&t, &ONE);
}

/* 2 k -> k: V of the double index of a Lucas sequence whose second parameter is 1; below 2 p. */
static void lucas_double(fe *r, const fe *v, const fe *two)
{
    fe_sqr_call(r, v);
    fe_sub(r, r, two, 3);
    fe_fold(r, r);
}

/* Müller's method: if a t^2 - 4 is not a square, V_((p - 1) / 4)(a t^2 - 2) / t is a root of a.
 * The index is 2^190 ODD_PART: a ladder over 60 bits, then doublings. */
int fe_sqrt(fe *r, const fe *a)
{
    fe two, t = ONE;

    fe_canonical(&two, a);
    if (fe_is_nought(&two)) {
        *r = two;
        return 1;
    }
    if (!is_square(a))
        return 0;
    fe_add(&two, &ONE, &ONE);
    for (int i = 0; i < SQRT_TRIES; i++) {
        fe first, low, high, inverse, check, target;
        fe_sqr_call(&first, &t);
        fe_mul_call(&first, &first, a);
        fe_sub(&first, &first, &two, 3);
        fe_fold(&first, &first);
        low = first;
        lucas_double(&high, &first, &two);
        for (int bit = 58; bit >= 0; bit--) {
            fe middle;
            fe_mul_call(&middle, &low, &high);
            fe_sub(&middle, &middle, &first, 3);
            fe_fold(&middle, &middle);
            if (ODD_PART >> bit & 1) {
                lucas_double(&high, &high, &two);
                low = middle;
            } else {
                lucas_double(&low, &low, &two);
                high = middle;
            }
        }
        for (int j = 0; j < TWOS - 2; j++)
            lucas_double(&low, &low, &two);
        fe_inverse(&inverse, &t);
        fe_mul_call(r, &low, &inverse);
        fe_sqr_call(&check, r);
        fe_canonical(&check, &check);
        fe_canonical(&target, a);
        if (fe_equal(&check, &target))
            return 1;
        fe_add(&t, &t, &ONE);
        fe_canonical(&t, &t);
    }
    return 0;
}
