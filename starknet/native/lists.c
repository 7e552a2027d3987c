/* Lists of any lengths hashed in step: a hash over a list is sequential, so all lists take one step a round. */
#include <stdlib.h>

#include "kernel.h"

typedef struct {
    const fe *felts;
    const uint64_t *starts; /* list i is felts starts[i] ... starts[i + 1] - 1 */
    size_t n;
} lists;

/* A list under way. */
typedef struct {
    uint64_t start, length;
    size_t place;
} chain;

static int longest_first(const void *a, const void *b)
{
    const uint64_t x = ((const chain *)a)->length, y = ((const chain *)b)->length;
    return (x < y) - (x > y);
}

static void order_chains(const lists *l, chain *chains)
{
    for (size_t i = 0; i < l->n; i++)
        chains[i] = (chain){l->starts[i], l->starts[i + 1] - l->starts[i], i};
    qsort(chains, l->n, sizeof *chains, longest_first);
}

/* Felt i of a list followed by 1 and noughts. */
static fe padded(const lists *l, const chain *c, uint64_t i)
{
    return i < c->length ? l->felts[c->start + i] : (fe){{i == c->length, 0, 0, 0}};
}

static void add_plain(fe *a, const fe *b)
{
    static const fe p = {{1, 0, 0, P3}};
    fe_add(a, a, b);
    if (!fe_below(a, 1))
        fe_take(a, a, &p);
}

/* All sponges take two felts a step; the longest list lasts longest. */
static void sponges(const lists *l, const chain *chains, fe (*states)[3], fe *out)
{
    size_t active = l->n;

    memset(states, 0, l->n * sizeof *states);
    for (uint64_t step = 0; active; step++) {
        for (size_t i = 0; i < active; i++)
            for (unsigned j = 0; j < 2; j++) {
                const fe felt = padded(l, &chains[i], 2 * step + j);
                add_plain(&states[i][j], &felt);
            }
        poseidon_permute_many(states, active);
        for (; active && chains[active - 1].length / 2 == step; active--)
            out[chains[active - 1].place] = states[active - 1][0];
    }
}

/* As above, one felt a step and then the length. 0 if there is no memory. */
static int folds(const lists *l, const chain *chains, fe *pairs, fe *out)
{
    size_t active = l->n;

    memset(out, 0, l->n * sizeof *out);
    for (uint64_t step = 0; active; step++) {
        for (size_t i = 0; i < active; i++) {
            const chain *c = &chains[i];
            pairs[2 * i] = out[c->place];
            pairs[2 * i + 1] = step < c->length ? l->felts[c->start + step] : (fe){{c->length, 0, 0, 0}};
        }
        if (!hash_batch(PEDERSEN, pairs, pairs, active))
            return 0;
        for (size_t i = 0; i < active; i++)
            out[chains[i].place] = pairs[i];
        while (active && chains[active - 1].length == step)
            active--;
    }
    return 1;
}

int hash_lists(hash_kind kind, const fe *felts, const uint64_t *starts, size_t n, fe *out)
{
    const lists l = {felts, starts, n};
    chain *chains = malloc((n + 1) * sizeof *chains);
    fe(*states)[3] = malloc((n + 1) * sizeof *states);
    int done = chains && states;

    if (done) {
        order_chains(&l, chains);
        if (kind == POSEIDON)
            sponges(&l, chains, states, out);
        else
            done = folds(&l, chains, (fe *)states, out);
    }
    free(chains);
    free(states);
    return done;
}
