/* Product and square by the x86 instructions MULX, ADCX and ADOX, with which two carries run side by side: a
 * third less time than what compilers make of the C. Chosen at run time; results are the same to the bit.
 */
#include "kernel.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))

#include <cpuid.h>

/* The word of b at offset times a's, added to c0 ... c3, with c4 new. */
#define ROW(offset, c0, c1, c2, c3, c4)                                                           \
    "movq " offset "(%[b]), %%rdx\n\t"                                                            \
    "xorl %k[" c4 "], %k[" c4 "]\n\t"                                                             \
    "mulxq 0(%[a]), %[x], %[y]\n\t"                                                               \
    "adcxq %[x], %[" c0 "]\n\t"                                                                   \
    "adoxq %[y], %[" c1 "]\n\t"                                                                   \
    "mulxq 8(%[a]), %[x], %[y]\n\t"                                                               \
    "adcxq %[x], %[" c1 "]\n\t"                                                                   \
    "adoxq %[y], %[" c2 "]\n\t"                                                                   \
    "mulxq 16(%[a]), %[x], %[y]\n\t"                                                              \
    "adcxq %[x], %[" c2 "]\n\t"                                                                   \
    "adoxq %[y], %[" c3 "]\n\t"                                                                   \
    "mulxq 24(%[a]), %[x], %[y]\n\t"                                                              \
    "adcxq %[x], %[" c3 "]\n\t"                                                                   \
    "adoxq %[y], %[" c4 "]\n\t"                                                                   \
    "adcq $0, %[" c4 "]\n\t"

/* t0 ... t7 to t4 ... t7, as fe_montgomery. */
#define MONTGOMERY                                                                                \
    "movabsq %[p3], %%rdx\n\t"                                                                    \
    "mulxq %[t0], %[x], %[t0]\n\t"                                                                \
    "mulxq %[t1], %[y], %[t1]\n\t"                                                                \
    "mulxq %[t2], %[z], %[t2]\n\t"                                                                \
    "addq %[y], %[t0]\n\t"                                                                        \
    "adcq %[z], %[t1]\n\t"                                                                        \
    "adcq $0, %[t2]\n\t"                                                                          \
    "subq %[x], %[t3]\n\t"                                                                        \
    "sbbq $0, %[t4]\n\t"                                                                          \
    "sbbq $0, %[t5]\n\t"                                                                          \
    "sbbq $0, %[t6]\n\t"                                                                          \
    "sbbq $0, %[t7]\n\t"                                                                          \
    "mulxq %[t3], %[x], %[t3]\n\t"                                                                \
    "addq %[x], %[t2]\n\t"                                                                        \
    "adcq $0, %[t3]\n\t"                                                                          \
    "addq $1, %[t4]\n\t"                                                                          \
    "adcq $0, %[t5]\n\t"                                                                          \
    "adcq $0, %[t6]\n\t"                                                                          \
    "adcq %%rdx, %[t7]\n\t"                                                                       \
    "subq %[t0], %[t4]\n\t"                                                                       \
    "sbbq %[t1], %[t5]\n\t"                                                                       \
    "sbbq %[t2], %[t6]\n\t"                                                                       \
    "sbbq %[t3], %[t7]\n\t"

#define WORDS                                                                                     \
    [t0] "=&r"(t0), [t1] "=&r"(t1), [t2] "=&r"(t2), [t3] "=&r"(t3), [t4] "=&r"(t4),               \
        [t5] "=&r"(t5), [t6] "=&r"(t6), [t7] "=&r"(t7), [x] "=&r"(x), [y] "=&r"(y), [z] "=&r"(z)

void adx_mul(fe *r, const fe *a, const fe *b)
{
    uint64_t t0, t1, t2, t3, t4, t5, t6, t7, x, y, z;
    __asm__("movq 0(%[b]), %%rdx\n\t"
            "mulxq 0(%[a]), %[t0], %[t1]\n\t"
            "mulxq 8(%[a]), %[x], %[t2]\n\t"
            "addq %[x], %[t1]\n\t"
            "mulxq 16(%[a]), %[x], %[t3]\n\t"
            "adcq %[x], %[t2]\n\t"
            "mulxq 24(%[a]), %[x], %[t4]\n\t"
            "adcq %[x], %[t3]\n\t"
            "adcq $0, %[t4]\n\t"
            ROW("8", "t1", "t2", "t3", "t4", "t5")
            ROW("16", "t2", "t3", "t4", "t5", "t6")
            ROW("24", "t3", "t4", "t5", "t6", "t7")
            MONTGOMERY
            : WORDS
            : [a] "r"(a), [b] "r"(b), [p3] "i"(P3)
            : "rdx", "cc", "memory");
    *r = (fe){{t4, t5, t6, t7}};
}

void adx_sqr(fe *r, const fe *a)
{
    uint64_t t0, t1, t2, t3, t4, t5, t6, t7, x, y, z;
    __asm__("movq 0(%[a]), %%rdx\n\t" /* products of different limbs */
            "mulxq 8(%[a]), %[t1], %[t2]\n\t"
            "mulxq 16(%[a]), %[x], %[t3]\n\t"
            "addq %[x], %[t2]\n\t"
            "mulxq 24(%[a]), %[x], %[t4]\n\t"
            "adcq %[x], %[t3]\n\t"
            "adcq $0, %[t4]\n\t"
            "movq 8(%[a]), %%rdx\n\t"
            "xorl %k[t5], %k[t5]\n\t"
            "mulxq 16(%[a]), %[x], %[y]\n\t"
            "adcxq %[x], %[t3]\n\t"
            "adoxq %[y], %[t4]\n\t"
            "mulxq 24(%[a]), %[x], %[y]\n\t"
            "adcxq %[x], %[t4]\n\t"
            "adoxq %[y], %[t5]\n\t"
            "adcq $0, %[t5]\n\t"
            "movq 16(%[a]), %%rdx\n\t"
            "mulxq 24(%[a]), %[x], %[t6]\n\t"
            "addq %[x], %[t5]\n\t"
            "adcq $0, %[t6]\n\t"
            "xorl %k[t7], %k[t7]\n\t" /* twice */
            "addq %[t1], %[t1]\n\t"
            "adcq %[t2], %[t2]\n\t"
            "adcq %[t3], %[t3]\n\t"
            "adcq %[t4], %[t4]\n\t"
            "adcq %[t5], %[t5]\n\t"
            "adcq %[t6], %[t6]\n\t"
            "adcq %[t7], %[t7]\n\t"
            "movq 0(%[a]), %%rdx\n\t" /* and the squares */
            "mulxq %%rdx, %[t0], %[x]\n\t"
            "movq 8(%[a]), %%rdx\n\t"
            "mulxq %%rdx, %[y], %[z]\n\t"
            "addq %[x], %[t1]\n\t"
            "adcq %[y], %[t2]\n\t"
            "adcq %[z], %[t3]\n\t"
            "movq 16(%[a]), %%rdx\n\t"
            "mulxq %%rdx, %[x], %[y]\n\t"
            "adcq %[x], %[t4]\n\t"
            "adcq %[y], %[t5]\n\t"
            "movq 24(%[a]), %%rdx\n\t"
            "mulxq %%rdx, %[x], %[y]\n\t"
            "adcq %[x], %[t6]\n\t"
            "adcq %[y], %[t7]\n\t"
            MONTGOMERY
            : WORDS
            : [a] "r"(a), [p3] "i"(P3)
            : "rdx", "cc", "memory");
    *r = (fe){{t4, t5, t6, t7}};
}

int adx_supported(void)
{
    unsigned a, b = 0, c, d; /* leaf 7: bit 8 of b is BMI2, bit 19 ADX; neither needs the system's help */
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 8 & 1) && (b >> 19 & 1);
}

#else

int adx_supported(void)
{
    return 0;
}
void adx_mul(fe *r, const fe *a, const fe *b)
{
    fe_mul(r, a, b);
}
void adx_sqr(fe *r, const fe *a)
{
    fe_sqr(r, a);
}

#endif
