/* The Stark curve y^2 = x^3 + x + beta. Its order is prime: no point but infinity has y = 0. */
#include "constants.h"
#include "kernel.h"

/* Coordinates of jacobian points are below 4 p, of affine ones below 2 p. */

void point_of(jacobian *r, const affine *a)
{
    r->x = a->x;
    r->y = a->y;
    r->z = ONE;
    r->infinite = 0;
}

void point_negate(jacobian *r, const jacobian *a)
{
    static const fe zero = {{0}};
    *r = *a;
    fe_sub(&r->y, &zero, &a->y, 5);
    fe_fold(&r->y, &r->y);
}

void point_double(jacobian *r, const jacobian *a)
{
    fe xx, yy, zz, s, m, t;

    if (a->infinite) {
        *r = *a;
        return;
    }
    fe_sqr_call(&xx, &a->x); /* < 1.5 p, as yy and zz */
    fe_sqr_call(&yy, &a->y);
    fe_sqr_call(&zz, &a->z);
    fe_mul_call(&s, &a->x, &yy); /* < 1.2 p */
    fe_add(&s, &s, &s);
    fe_add(&s, &s, &s); /* s = 4 x y^2 < 4.8 p */
    fe_sqr_call(&m, &zz);
    fe_add(&m, &m, &xx);
    fe_add(&xx, &xx, &xx);
    fe_add(&m, &m, &xx); /* m = 3 x^2 + z^4 < 5.6 p */
    fe_mul_call(&t, &a->y, &a->z);
    fe_add(&r->z, &t, &t); /* < 3 p */
    fe_add(&xx, &s, &s);
    fe_sqr_call(&t, &m);
    fe_sub(&t, &t, &xx, 11);
    fe_fold(&r->x, &t);
    fe_sub(&t, &s, &r->x, 2);    /* < 6.8 p */
    fe_mul_call(&m, &m, &t);     /* < 2.2 p */
    fe_sqr_call(&yy, &yy);       /* < 1.1 p */
    fe_add(&yy, &yy, &yy);
    fe_add(&yy, &yy, &yy);
    fe_add(&yy, &yy, &yy);
    fe_sub(&t, &m, &yy, 10);
    fe_fold(&r->y, &t);
    r->infinite = 0;
}

/* The end of an addition, from u1 = x1 z2^2, s1 = y1 z2^3 (below 2 p), h = u2 - u1 and d = s2 - s1 (below
 * 4 p), and the product of both z. */
static void add_tail(jacobian *r, const fe *u1, const fe *s1, const fe *h, const fe *d, const fe *z)
{
    fe hh, hhh, v, t, w;
    fe_sqr_call(&hh, h);        /* < 1.5 p */
    fe_mul_call(&hhh, &hh, h);  /* < 1.2 p */
    fe_mul_call(&v, u1, &hh);   /* < 1.1 p */
    fe_mul_call(&r->z, z, h);   /* < 1.5 p */
    fe_add(&t, &v, &v);
    fe_add(&t, &t, &hhh);
    fe_sqr_call(&w, d);
    fe_sub(&w, &w, &t, 5);
    fe_fold(&r->x, &w);
    fe_sub(&t, &v, &r->x, 2);
    fe_mul_call(&t, &t, d);
    fe_mul_call(&w, s1, &hhh);
    fe_sub(&t, &t, &w, 3);
    fe_fold(&r->y, &t);
    r->infinite = 0;
}

void point_add_affine(jacobian *r, const jacobian *a, const affine *b)
{
    fe zz, u2, s2, h, d, u1, s1;

    if (a->infinite) {
        point_of(r, b);
        return;
    }
    fe_sqr_call(&zz, &a->z);
    fe_mul_call(&u2, &b->x, &zz);
    fe_mul_call(&s2, &b->y, &zz);
    fe_mul_call(&s2, &s2, &a->z);
    u1 = a->x, s1 = a->y; /* below 2 p, as every point made here has */
    fe_sub(&h, &u2, &u1, 2);
    fe_sub(&d, &s2, &s1, 2);
    if (fe_is_zero(&h)) {
        if (fe_is_zero(&d)) {
            point_double(r, a);
        } else {
            *r = *a;
            r->infinite = 1;
        }
        return;
    }
    zz = a->z;
    add_tail(r, &u1, &s1, &h, &d, &zz);
}

void point_add(jacobian *r, const jacobian *a, const jacobian *b)
{
    fe z1z1, z2z2, u1, u2, s1, s2, h, d, z;

    if (a->infinite || b->infinite) {
        *r = a->infinite ? *b : *a;
        return;
    }
    fe_sqr_call(&z1z1, &a->z);
    fe_sqr_call(&z2z2, &b->z);
    fe_mul_call(&u1, &a->x, &z2z2);
    fe_mul_call(&u2, &b->x, &z1z1);
    fe_mul_call(&s1, &a->y, &z2z2);
    fe_mul_call(&s1, &s1, &b->z);
    fe_mul_call(&s2, &b->y, &z1z1);
    fe_mul_call(&s2, &s2, &a->z);
    fe_sub(&h, &u2, &u1, 2);
    fe_sub(&d, &s2, &s1, 2);
    if (fe_is_zero(&h)) {
        if (fe_is_zero(&d)) {
            point_double(r, a);
        } else {
            *r = *a;
            r->infinite = 1;
        }
        return;
    }
    fe_mul_call(&z, &a->z, &b->z);
    add_tail(r, &u1, &s1, &h, &d, &z);
}

void points_to_affine(affine *out, const jacobian *in, size_t n, fe *scratch)
{
    fe inverse, zz;
    fe product = ONE;

    for (size_t i = 0; i < n; i++) {
        CHECK(!in[i].infinite);
        scratch[i] = product;
        fe_mul_call(&product, &product, &in[i].z);
    }
    fe_inverse(&inverse, &product);
    for (size_t i = n; i-- > 0;) {
        fe z_inverse;
        fe_mul_call(&z_inverse, &inverse, &scratch[i]);
        fe_mul_call(&inverse, &inverse, &in[i].z);
        fe_sqr_call(&zz, &z_inverse);
        fe_mul_call(&out[i].x, &in[i].x, &zz);
        fe_mul_call(&zz, &zz, &z_inverse);
        fe_mul_call(&out[i].y, &in[i].y, &zz);
    }
}

#ifdef HERA_CHECKED
int refuse_shared_inversions;
#endif

/* In scratch: the differences of x, then the products of those before each. Five products and a square a
 * point; differences below 4 p, running products below 1.2 p. */
int affine_add_many(affine *out, const affine *first, const affine *second, size_t n, fe *scratch)
{
    fe *difference = scratch, *before = scratch + n;
    fe running = ONE, inverse;

    for (size_t i = 0; i < n; i++) {
        fe_sub(&difference[i], &second[i].x, &first[i].x, 2);
        before[i] = running;
        fe_mul_call(&running, &running, &difference[i]);
    }
    if (fe_is_zero(&running) || refuse_shared_inversions)
        return 0;
    fe_inverse(&inverse, &running);
    for (size_t i = n; i-- > 0;) {
        const affine p = first[i], q = second[i];
        fe slope, t;
        fe_mul_call(&slope, &inverse, &before[i]);
        fe_mul_call(&inverse, &inverse, &difference[i]);
        fe_sub(&t, &q.y, &p.y, 2);
        fe_mul_call(&slope, &slope, &t); /* < 1.2 p */
        fe_sqr_call(&t, &slope);
        fe_sub(&t, &t, &p.x, 2);
        fe_sub(&t, &t, &q.x, 3);
        fe_fold(&out[i].x, &t);
        fe_sub(&t, &p.x, &out[i].x, 2);
        fe_mul_call(&t, &t, &slope);
        fe_sub(&t, &t, &p.y, 3);
        fe_fold(&out[i].y, &t);
    }
    return 1;
}
