/* Patricia tries: the root over a list, and the hashes of any nodes whose order is given. Level by level, so
 * that each level is one batch.
 */
#include <stdlib.h>

#include "constants.h"
#include "kernel.h"

/* A subtree: `length` levels with one side only, `path` their bits, then the child. */
typedef struct {
    fe child;
    uint64_t index, path;
    unsigned length;
} run;

typedef struct {
    hash_kind kind;
    run *runs;
    size_t count;
    fe *pairs; /* what is hashed next, two felts each */
} list;

INLINE void add_length(fe *hash, unsigned length)
{
    const fe plain = {{length, 0, 0, 0}};
    fe_add(hash, hash, &plain);
    if (!fe_below(hash, 1))
        fe_take(hash, hash, &P_PLAIN);
}

static int is_left_of_next(const list *l, size_t i)
{
    return i + 1 < l->count && l->runs[i].index % 2 == 0 && l->runs[i + 1].index == l->runs[i].index + 1;
}

/* Hash the edges above the runs from ... to - 1 that have any: these become their own children. */
static int close_runs(list *l, const size_t *which, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const run *r = &l->runs[which[i]];
        l->pairs[2 * i] = r->child;
        l->pairs[2 * i + 1] = (fe){{r->path, 0, 0, 0}};
    }
    if (!hash_batch(l->kind, l->pairs, l->pairs, n))
        return 0;
    for (size_t i = 0; i < n; i++) {
        run *r = &l->runs[which[i]];
        r->child = l->pairs[i];
        add_length(&r->child, r->length);
        r->path = 0;
        r->length = 0;
    }
    return 1;
}

/* One level up: siblings become a binary node, the others a longer run. */
static int go_up(list *l, size_t *which)
{
    size_t n = 0, kept = 0;

    for (size_t i = 0; i < l->count; i++) {
        if (!is_left_of_next(l, i))
            continue;
        if (l->runs[i].length)
            which[n++] = i;
        if (l->runs[i + 1].length)
            which[n++] = i + 1;
        i++;
    }
    if (n && !close_runs(l, which, n))
        return 0;
    n = 0;
    for (size_t i = 0; i < l->count; i++) {
        run r = l->runs[i];
        if (is_left_of_next(l, i)) {
            l->pairs[2 * n] = r.child;
            l->pairs[2 * n + 1] = l->runs[i + 1].child;
            which[n++] = kept;
            i++;
        } else {
            r.path |= (r.index & 1) << r.length;
            r.length++;
        }
        r.index >>= 1;
        l->runs[kept++] = r;
    }
    l->count = kept;
    if (!hash_batch(l->kind, l->pairs, l->pairs, n))
        return 0;
    for (size_t i = 0; i < n; i++)
        l->runs[which[i]].child = l->pairs[i];
    return 1;
}

static int climb(list *l, unsigned height, size_t *which, fe *root)
{
    static const size_t first = 0;
    run *top = l->runs;

    for (; height && l->count > 1; height--)
        if (!go_up(l, which))
            return 0;
    if (height) {
        top->path |= top->length < 64 ? top->index << top->length : 0;
        top->length += height;
    }
    if (top->length && !close_runs(l, &first, 1))
        return 0;
    *root = top->child;
    return 1;
}

int patricia_root(hash_kind kind, unsigned height, const fe *values, size_t n, fe *root)
{
    list l = {kind, NULL, 0, NULL};
    size_t *which;
    int done = 0;

    memset(root, 0, sizeof *root);
    if (n == 0)
        return 1;
    l.runs = malloc(n * sizeof *l.runs);
    l.pairs = malloc(2 * n * sizeof *l.pairs);
    which = malloc(n * sizeof *which);
    if (l.runs && l.pairs && which) {
        for (size_t i = 0; i < n; i++)
            if (!fe_is_nought(&values[i]))
                l.runs[l.count++] = (run){values[i], i, 0, 0};
        done = l.count == 0 || climb(&l, height, which, root);
    }
    free(l.runs);
    free(l.pairs);
    free(which);
    return done;
}

/* --- Nodes in any order that puts children first --- */

#define LEFT_IS_REFERENCE 1
#define RIGHT_IS_REFERENCE 2
#define LENGTH_MAX 251

/* The earlier node that a place of 32 bytes refers to; SIZE_MAX if there is none. */
static size_t reference(const uint8_t *place, size_t i)
{
    fe number;
    fe_load(&number, place);
    if (number.v[1] | number.v[2] | number.v[3] || number.v[0] >= i)
        return SIZE_MAX;
    return (size_t)number.v[0];
}

static nodes_result check_node(const uint8_t *node, size_t i, uint32_t *depths)
{
    const unsigned flags = node[0], length = node[1];
    uint32_t depth = 0;

    if (flags & ~(LEFT_IS_REFERENCE | RIGHT_IS_REFERENCE))
        return NODES_BAD_FLAGS;
    for (unsigned side = 0; side < 2; side++) {
        const uint8_t *place = node + 2 + side * FELT_BYTES;
        if (flags >> side & 1) {
            const size_t child = reference(place, i);
            if (child == SIZE_MAX)
                return NODES_BAD_REFERENCE;
            if (depths[child] >= depth)
                depth = depths[child] + 1;
        } else {
            fe felt;
            fe_load(&felt, place);
            if (!fe_below(&felt, 1))
                return NODES_BAD_FELT;
        }
    }
    if (length) {
        fe path;
        fe_load(&path, node + 2 + FELT_BYTES);
        if (length > LENGTH_MAX || flags & RIGHT_IS_REFERENCE)
            return NODES_BAD_EDGE;
        if (path.v[length / 64] >> (length % 64))
            return NODES_BAD_EDGE;
        for (unsigned limb = length / 64 + 1; limb < 4; limb++)
            if (path.v[limb])
                return NODES_BAD_EDGE;
    }
    depths[i] = depth;
    return NODES_DONE;
}

static void load_side(fe *r, const uint8_t *node, unsigned side, const fe *hashes)
{
    fe_load(r, node + 2 + side * FELT_BYTES);
    if (node[0] >> side & 1)
        *r = hashes[r->v[0]];
}

/* Nodes by depth: order[starts[d]] ... are those whose children are all less deep than d. */
static int hash_by_depth(hash_kind kind, const uint8_t *nodes, size_t n, const uint32_t *depths, fe *out)
{
    uint32_t deepest = 0;
    size_t *starts, *order;
    fe *pairs;
    int done;

    for (size_t i = 0; i < n; i++)
        if (depths[i] > deepest)
            deepest = depths[i];
    starts = calloc((size_t)deepest + 2, sizeof *starts);
    order = malloc(n * sizeof *order);
    pairs = malloc(2 * n * sizeof *pairs);
    done = starts && order && pairs;
    if (done) {
        size_t from = 0;
        for (size_t i = 0; i < n; i++)
            starts[depths[i] + 1]++;
        for (uint32_t d = 0; d <= deepest; d++)
            starts[d + 1] += starts[d];
        for (size_t i = 0; i < n; i++)
            order[starts[depths[i]]++] = i; /* starts[d] is now where d ends */
        for (uint32_t d = 0; done && d <= deepest; d++) {
            const size_t count = starts[d] - from;
            for (size_t k = 0; k < count; k++) {
                const uint8_t *node = nodes + order[from + k] * NODE_BYTES;
                load_side(&pairs[2 * k], node, 0, out);
                load_side(&pairs[2 * k + 1], node, 1, out);
            }
            done = hash_batch(kind, pairs, pairs, count);
            for (size_t k = 0; done && k < count; k++) {
                const size_t i = order[from + k];
                out[i] = pairs[k];
                add_length(&out[i], nodes[i * NODE_BYTES + 1]);
            }
            from = starts[d];
        }
    }
    free(starts);
    free(order);
    free(pairs);
    return done;
}

nodes_result node_hashes(hash_kind kind, const uint8_t *nodes, size_t n, fe *out, size_t *at)
{
    uint32_t *depths;
    nodes_result result = NODES_DONE;

    if (n == 0)
        return NODES_DONE;
    depths = malloc(n * sizeof *depths);
    if (!depths)
        return NODES_NO_MEMORY;
    for (*at = 0; *at < n; ++*at) {
        result = check_node(nodes + *at * NODE_BYTES, *at, depths);
        if (result != NODES_DONE)
            break;
    }
    if (result == NODES_DONE && !hash_by_depth(kind, nodes, n, depths, out))
        result = NODES_NO_MEMORY;
    free(depths);
    return result;
}
