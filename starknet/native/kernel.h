/* What the kernel's files offer each other. Felts in buffers are 32 big-endian bytes, checked to be < p. */
#ifndef HERA_KERNEL_H
#define HERA_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "field.h"

typedef enum { PEDERSEN = 0, POSEIDON = 1 } hash_kind;

/* --- Poseidon; state in Montgomery form --- */
void poseidon_permute(fe state[3]);
/* Permutation of (a, b, 2), first felt; plain numbers below p. */
void poseidon_pair(fe *r, const fe *a, const fe *b);
/* n pairs, 2 n felts in, n out; out may be in. */
void poseidon_batch(fe *out, const fe *in, size_t n);
/* n permutations of plain numbers below p. */
void poseidon_permute_many(fe (*states)[3], size_t n);
/* The sponge, one felt at a time. */
typedef struct {
    fe state[3];
    int odd;
} poseidon_sponge;
void poseidon_start(poseidon_sponge *sponge);
void poseidon_absorb(poseidon_sponge *sponge, const fe *plain);
void poseidon_finish(poseidon_sponge *sponge, fe *plain);

/* --- The curve --- */
typedef struct {
    fe x, y; /* Montgomery, below 2 p */
} affine;
/* x = X / Z^2, y = Y / Z^3; Z is 0 at infinity. */
typedef struct {
    fe x, y, z;
    int infinite;
} jacobian;
void point_of(jacobian *r, const affine *a);
void point_double(jacobian *r, const jacobian *a);
void point_add_affine(jacobian *r, const jacobian *a, const affine *b); /* complete */
void point_add(jacobian *r, const jacobian *a, const jacobian *b);      /* complete */
void point_negate(jacobian *r, const jacobian *a);
/* Points to affine form; none is infinite. n inverses for the price of one; scratch for n. */
void points_to_affine(affine *out, const jacobian *in, size_t n, fe *scratch);
/* out[i] = first[i] + second[i] for different x; 0 if two x are the same (out is then undefined).
 * out may be first or second; scratch for 2 n. */
int affine_add_many(affine *out, const affine *first, const affine *second, size_t n, fe *scratch);

#ifdef HERA_CHECKED
extern int refuse_shared_inversions; /* tests set it: shared inversions then fail */
#else
#define refuse_shared_inversions 0
#endif

/* Tables, made once; 0 if there is no memory. */
int pedersen_prepare(void);
int ecdsa_prepare(void);

/* --- Pedersen; plain numbers below p; pedersen_prepare first --- */
void pedersen_pair(fe *r, const fe *a, const fe *b);
/* As above by the complete formulas, slowly. */
void pedersen_pair_complete(fe *r, const fe *a, const fe *b);
/* n pairs, 2 n felts in, n out; out may be in. 0 if there is no memory. */
int pedersen_batch(fe *out, const fe *in, size_t n);

#define PEDERSEN_WINDOWS 63
/* Window k's point for a pair, canonical, at a multiple of 64 bytes. */
const affine *pedersen_entry(const fe *a, const fe *b, int k);

/* --- Eight at once, where the processor can; wide_prepare first --- */
#define WIDE_LANES 8
#define WIDE_POSEIDON 16 /* pairs of one call */
#define WIDE_PEDERSEN 128 /* pairs of one call at most */
extern int wide_wanted; /* whether batches take this way; set before the first */
int wide_supported(void);
int wide_prepare(void);
void wide_poseidon(fe *out, const fe *in);
void wide_permute(fe (*states)[3], size_t n); /* n up to WIDE_POSEIDON, plain in and out */
/* Bytes of room, aligned to 64, for a call. */
size_t wide_pedersen_room(void);
/* 0 if a shared inversion failed: nothing is written then. */
int wide_pedersen(fe *out, const fe *in, size_t n, void *room);

/* n pairs by either hash; 0 if there is no memory. */
int hash_batch(hash_kind kind, fe *out, const fe *in, size_t n);

/* n lists, list i of felts starts[i] ... starts[i + 1] - 1, plain and below p: by Pedersen folded from 0 and then
 * over the length, by Poseidon the sponge. 0 if there is no memory; pedersen_prepare first. */
int hash_lists(hash_kind kind, const fe *felts, const uint64_t *starts, size_t n, fe *out);

/* --- ECDSA: one byte for each of n (x, z, r, s); ecdsa_prepare first --- */
#define SIGNATURE_FELTS 4
void ecdsa_verify_many(uint8_t *out, const uint8_t *in, size_t n);

/* --- Tries --- */
/* The root over the values under keys 0 ... n - 1, plain and below p; 0 stands for none.
 * Returns 0 if there is no memory. */
int patricia_root(hash_kind kind, unsigned height, const fe *values, size_t n, fe *root);

#define TRIE_HEIGHT 251
#define TRIE_PATH_BYTES 33
#define TRIE_PAGE_BYTES_MAX (1 << 14)

/* *hash += n modulo p, for small n. */
INLINE void fe_add_small(fe *hash, unsigned n)
{
    static const fe p = {{1, 0, 0, P3}};
    const fe plain = {{n, 0, 0, 0}};
    fe_add(hash, hash, &plain);
    if (!fe_below(hash, 1))
        fe_take(hash, hash, &p);
}

typedef struct {
    fe key, value; /* the key below 2^251; a value of 0 removes it */
} trie_change;

typedef enum { PAGE_HERE, PAGE_ABSENT, PAGE_UNREAD, PAGE_FAILED } page_state;

/* Who keeps the pages; a page is named by the number of its trie and a path of `length` bytes. */
typedef struct {
    void *context;
    /* The page's bytes, which stay until the forest is freed. */
    page_state (*find)(void *context, size_t trie, const uint8_t *path, size_t length, const uint8_t **page,
                       size_t *size);
    /* Room for a page that is new or differs; NULL if that fails. */
    uint8_t *(*put)(void *context, size_t trie, const uint8_t *path, size_t length, size_t size);
    /* A page that is no longer, unless it was put; 0 if that fails. */
    int (*drop)(void *context, size_t trie, const uint8_t *path, size_t length);
} trie_host;

typedef enum { TRIE_DONE, TRIE_NO_MEMORY, TRIE_HOST_FAILED, TRIE_NODE_MISSING, TRIE_NODE_DAMAGED } trie_result;

/* Several tries under change. In this order: a change for each trie; if nothing is lacking then, plan, hash and
 * write. No call may follow one that failed. */
typedef struct forest forest;
forest *forest_new(hash_kind kind, size_t page_bytes, size_t tries, const trie_host *host);
void forest_free(forest *f);
/* Keys strictly ascending; the changes are used up. */
trie_result forest_change(forest *f, size_t trie, trie_change *changes, size_t n);
int forest_lacks(const forest *f); /* whether a page is yet to be read */
size_t forest_plan(forest *f);     /* how many hashes are to come */
trie_result forest_hash(forest *f); /* does not call the host */
trie_result forest_write(forest *f);
fe forest_root(const forest *f, size_t trie);
/* The path of the node at fault; its length in bytes. */
size_t forest_fault(const forest *f, size_t *trie, uint8_t path[TRIE_PATH_BYTES]);

#endif
