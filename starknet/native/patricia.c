/* The Patricia root over a list. Level by level, so that each level is one batch. */
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
        fe_add_small(&r->child, r->length);
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
