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

/* --- ECDSA: one byte for each of n (x, z, r, s); ecdsa_prepare first --- */
#define SIGNATURE_FELTS 4
void ecdsa_verify_many(uint8_t *out, const uint8_t *in, size_t n);

/* --- Tries --- */
/* The root over the values under keys 0 ... n - 1, plain and below p; 0 stands for none.
 * Returns 0 if there is no memory. */
int patricia_root(hash_kind kind, unsigned height, const fe *values, size_t n, fe *root);

#define NODE_BYTES 66
typedef enum { NODES_DONE, NODES_NO_MEMORY, NODES_BAD_REFERENCE, NODES_BAD_FELT, NODES_BAD_FLAGS, NODES_BAD_EDGE } nodes_result;
/* n hashes of trie nodes, plain; *at is the node at fault. */
nodes_result node_hashes(hash_kind kind, const uint8_t *nodes, size_t n, fe *out, size_t *at);

#endif
