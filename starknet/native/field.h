/* Arithmetic modulo p = 2^251 + 17*2^192 + 1 on four 64-bit limbs, least significant first.
 *
 * A number stands in Montgomery form (x * 2^256 mod p) and need not be below p: "a < k p" in a comment is
 * a bound that the build with HERA_CHECKED asserts. Whatever stays below 2^256 (just under 32 p) is allowed.
 *
 *   fe_mul, fe_sqr   a < j p, b < k p  ->  0 < result <= p + a b / 2^256 < (1 + j k / 31.9) p
 *   fe_add           no reduction: the bounds add up
 *   fe_sub           a - b + k p, for b <= k p
 *   fe_fold          at least p in; more than p - 2^202 and below 2 p out
 *
 * p = 1 modulo 2^64, so the Montgomery factor of a row is the row's lowest limb itself, taken away instead
 * of added; only the top limb of p then needs multiplying. Adding p once makes the result positive.
 */
#ifndef HERA_FIELD_H
#define HERA_FIELD_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define P3 0x0800000000000011ULL /* top limb of p; the others are 1, 0, 0 */
#define FELT_BYTES 32

#define INLINE static inline __attribute__((always_inline))

typedef unsigned __int128 u128;
typedef struct {
    uint64_t v[4];
} fe;

#ifdef HERA_CHECKED
#include <stdio.h>
#include <stdlib.h>
#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                              \
        }                                                                                         \
    } while (0)
#else
#define CHECK(condition) ((void)0)
#endif

/* Whether a < k p, for k <= 31. */
INLINE int fe_below(const fe *a, uint64_t k)
{
    if (a->v[3] != k * P3)
        return a->v[3] < k * P3;
    return a->v[2] == 0 && a->v[1] == 0 && a->v[0] < k;
}
#define CHECK_BELOW(a, k) CHECK(fe_below((a), (k)))

#if defined(__x86_64__)
INLINE unsigned char addc(unsigned char carry, uint64_t a, uint64_t b, uint64_t *sum)
{
    unsigned long long out;
    carry = _addcarry_u64(carry, a, b, &out);
    *sum = out;
    return carry;
}
INLINE unsigned char subb(unsigned char borrow, uint64_t a, uint64_t b, uint64_t *difference)
{
    unsigned long long out;
    borrow = _subborrow_u64(borrow, a, b, &out);
    *difference = out;
    return borrow;
}
#else
INLINE unsigned char addc(unsigned char carry, uint64_t a, uint64_t b, uint64_t *sum)
{
    u128 out = (u128)a + b + carry;
    *sum = (uint64_t)out;
    return (unsigned char)(out >> 64);
}
INLINE unsigned char subb(unsigned char borrow, uint64_t a, uint64_t b, uint64_t *difference)
{
    u128 out = (u128)a - b - borrow;
    *difference = (uint64_t)out;
    return (unsigned char)((out >> 64) & 1);
}
#endif

INLINE uint64_t product(uint64_t a, uint64_t b, uint64_t *high)
{
    const u128 both = (u128)a * b;
    *high = (uint64_t)(both >> 64);
    return (uint64_t)both;
}

/* t[0..7] / 2^256 modulo p, plus p. */
INLINE void fe_montgomery(fe *r, uint64_t t0, uint64_t t1, uint64_t t2, uint64_t t3, uint64_t t4,
                          uint64_t t5, uint64_t t6, uint64_t t7)
{
    uint64_t l0, l1, l2, l3, h0, h1, h2, h3;
    unsigned char c, d;

    l0 = product(t0, P3, &h0);
    l1 = product(t1, P3, &h1);
    l2 = product(t2, P3, &h2);
    /* q = (t0 + t1 2^64 + ...) P3 is taken away from t >> 192; its lowest word fixes the last factor. */
    c = subb(0, t3, l0, &t3);
    l3 = product(t3, P3, &h3);
    d = addc(0, h0, l1, &l1);
    d = addc(d, h1, l2, &l2);
    d = addc(d, h2, l3, &l3);
    h3 += d;
    c = subb(c, t4, l1, &t4);
    c = subb(c, t5, l2, &t5);
    c = subb(c, t6, l3, &t6);
    (void)subb(c, t7, h3, &t7);
    c = addc(0, t4, 1, &r->v[0]);
    c = addc(c, t5, 0, &r->v[1]);
    c = addc(c, t6, 0, &r->v[2]);
    (void)addc(c, t7, P3, &r->v[3]);
}

INLINE void fe_mul(fe *r, const fe *a, const fe *b)
{
    uint64_t t0, t1, t2, t3, t4, t5, t6, t7, l0, l1, l2, l3, h0, h1, h2, h3, b_i;
    unsigned char c;

#define ROW_PRODUCTS(i)                                                                           \
    b_i = b->v[i];                                                                                \
    l0 = product(a->v[0], b_i, &h0);                                                                 \
    l1 = product(a->v[1], b_i, &h1);                                                                 \
    l2 = product(a->v[2], b_i, &h2);                                                                 \
    l3 = product(a->v[3], b_i, &h3);                                                                 \
    c = addc(0, h0, l1, &l1);                                                                     \
    c = addc(c, h1, l2, &l2);                                                                     \
    c = addc(c, h2, l3, &l3);                                                                     \
    h3 += c;
#define ROW(i, r0, r1, r2, r3, r4)                                                                \
    ROW_PRODUCTS(i)                                                                               \
    c = addc(0, r0, l0, &r0);                                                                     \
    c = addc(c, r1, l1, &r1);                                                                     \
    c = addc(c, r2, l2, &r2);                                                                     \
    c = addc(c, r3, l3, &r3);                                                                     \
    r4 = h3 + c;

    ROW_PRODUCTS(0)
    t0 = l0, t1 = l1, t2 = l2, t3 = l3, t4 = h3;
    ROW(1, t1, t2, t3, t4, t5)
    ROW(2, t2, t3, t4, t5, t6)
    ROW(3, t3, t4, t5, t6, t7)
#undef ROW
#undef ROW_PRODUCTS
    fe_montgomery(r, t0, t1, t2, t3, t4, t5, t6, t7);
}

INLINE void fe_sqr(fe *r, const fe *a)
{
    const uint64_t a0 = a->v[0], a1 = a->v[1], a2 = a->v[2], a3 = a->v[3];
    uint64_t t0, t1, t2, t3, t4, t5, t6, t7, l, h, m, k;
    unsigned char c;

    t1 = product(a0, a1, &t2);
    l = product(a0, a2, &t3);
    c = addc(0, t2, l, &t2);
    l = product(a0, a3, &t4);
    c = addc(c, t3, l, &t3);
    t4 += c;
    l = product(a1, a2, &h);
    m = product(a1, a3, &k);
    c = addc(0, h, m, &h);
    k += c;
    c = addc(0, t3, l, &t3);
    c = addc(c, t4, h, &t4);
    l = product(a2, a3, &t6);
    c = addc(c, k, l, &t5);
    t6 += c;

    c = addc(0, t1, t1, &t1);
    c = addc(c, t2, t2, &t2);
    c = addc(c, t3, t3, &t3);
    c = addc(c, t4, t4, &t4);
    c = addc(c, t5, t5, &t5);
    c = addc(c, t6, t6, &t6);
    t7 = c;

    t0 = product(a0, a0, &h);
    l = product(a1, a1, &m);
    c = addc(0, t1, h, &t1);
    c = addc(c, t2, l, &t2);
    l = product(a2, a2, &h);
    c = addc(c, t3, m, &t3);
    c = addc(c, t4, l, &t4);
    l = product(a3, a3, &m);
    c = addc(c, t5, h, &t5);
    c = addc(c, t6, l, &t6);
    t7 += m + c;
    fe_montgomery(r, t0, t1, t2, t3, t4, t5, t6, t7);
}

INLINE void fe_add(fe *r, const fe *a, const fe *b)
{
    unsigned char c = addc(0, a->v[0], b->v[0], &r->v[0]);
    c = addc(c, a->v[1], b->v[1], &r->v[1]);
    c = addc(c, a->v[2], b->v[2], &r->v[2]);
    c = addc(c, a->v[3], b->v[3], &r->v[3]);
    CHECK(c == 0);
    (void)c;
}

/* a - b + k p. */
INLINE void fe_sub(fe *r, const fe *a, const fe *b, uint64_t k)
{
    unsigned char c, d;
    uint64_t t0, t1, t2, t3;
    CHECK(fe_below(b, k) || (b->v[0] == k && !b->v[1] && !b->v[2] && b->v[3] == k * P3));
    c = addc(0, a->v[0], k, &t0);
    c = addc(c, a->v[1], 0, &t1);
    c = addc(c, a->v[2], 0, &t2);
    c = addc(c, a->v[3], k * P3, &t3);
    d = subb(0, t0, b->v[0], &r->v[0]);
    d = subb(d, t1, b->v[1], &r->v[1]);
    d = subb(d, t2, b->v[2], &r->v[2]);
    d = subb(d, t3, b->v[3], &r->v[3]);
    CHECK(c == d);
    (void)c, (void)d;
}

/* a - b, for b <= a. */
INLINE void fe_take(fe *r, const fe *a, const fe *b)
{
    unsigned char d = subb(0, a->v[0], b->v[0], &r->v[0]);
    d = subb(d, a->v[1], b->v[1], &r->v[1]);
    d = subb(d, a->v[2], b->v[2], &r->v[2]);
    d = subb(d, a->v[3], b->v[3], &r->v[3]);
    CHECK(d == 0);
    (void)d;
}

/* a - (q - keep) p, where q = a / 2^251 rounded down, for a >= keep p.
 * With a = q 2^251 + rest this is rest + keep p - q (p - 2^251): above keep p - 2^202, for q < 32, and, as
 * rest < 2^251 < p, below (keep + 1) p. As a >= keep p, q >= keep: nothing here is negative. */
INLINE void fe_fold_to(fe *r, const fe *a, uint64_t keep)
{
    uint64_t q = (a->v[3] >> 59) - keep;
    unsigned char d;
    CHECK(!fe_below(a, keep));
    d = subb(0, a->v[0], q, &r->v[0]);
    d = subb(d, a->v[1], 0, &r->v[1]);
    d = subb(d, a->v[2], 0, &r->v[2]);
    d = subb(d, a->v[3], q * P3, &r->v[3]);
    CHECK(d == 0);
    CHECK_BELOW(r, keep + 1);
    (void)d;
}
INLINE void fe_fold(fe *r, const fe *a) { fe_fold_to(r, a, 1); }

/* The one number below p that a stands for. */
INLINE void fe_canonical(fe *r, const fe *a)
{
    static const fe one_p = {{1, 0, 0, P3}};
    fe t;
    fe_add(&t, a, &one_p);
    fe_fold(&t, &t);
    if (!fe_below(&t, 1))
        fe_take(&t, &t, &one_p);
    *r = t;
}

INLINE int fe_equal(const fe *a, const fe *b)
{
    return ((a->v[0] ^ b->v[0]) | (a->v[1] ^ b->v[1]) | (a->v[2] ^ b->v[2]) | (a->v[3] ^ b->v[3])) == 0;
}
INLINE int fe_is_nought(const fe *a) { return (a->v[0] | a->v[1] | a->v[2] | a->v[3]) == 0; }

/* Whether a, in any form below 31 p, stands for 0. */
INLINE int fe_is_zero(const fe *a)
{
    fe t;
    fe_canonical(&t, a);
    return fe_is_nought(&t);
}

/* The same operations as calls, by the best way the processor has: for code where inlining them would not
 * fit the registers. */
extern void (*fe_mul_call)(fe *r, const fe *a, const fe *b);
extern void (*fe_sqr_call)(fe *r, const fe *a);
/* By MULX and ADX, where supported. */
int adx_supported(void);
void adx_mul(fe *r, const fe *a, const fe *b);
void adx_sqr(fe *r, const fe *a);
void fe_choose(int adx); /* before any other call */

void fe_to_montgomery(fe *r, const fe *plain);
void fe_from_montgomery(fe *plain, const fe *a); /* below p */
void fe_inverse(fe *r, const fe *a);             /* of 0: 0 */
int fe_sqrt(fe *r, const fe *a);                 /* 0 if there is none */

/* The inverse of a below an odd modulus, both plain numbers; of 0: 0. */
void modular_inverse(fe *r, const fe *a, const fe *modulus);

INLINE uint64_t load_be64(const uint8_t *in)
{
    uint64_t word;
    memcpy(&word, in, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}
INLINE void store_be64(uint8_t *out, uint64_t word)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    memcpy(out, &word, 8);
}
/* 32 big-endian bytes as a plain number of 256 bits. */
INLINE void fe_load(fe *r, const uint8_t *in)
{
    for (int i = 0; i < 4; i++)
        r->v[i] = load_be64(in + 24 - 8 * i);
}
INLINE void fe_store(uint8_t *out, const fe *a)
{
    for (int i = 0; i < 4; i++)
        store_be64(out + 24 - 8 * i, a->v[i]);
}

#endif
