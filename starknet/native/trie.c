/* Patricia tries of 251 levels that live in pages: what a batch of changes makes of them.
 *
 * A trie is a root link and, below, binary nodes with two links each. A link is an edge of any length, 0 too,
 * and leads to a value (at level 251) or a binary node. As written:
 *
 *   [252]       if the node it leads to stands in a page of its own
 *   level       where it ends, one byte
 *   hash        of all below it, its edge included
 *   child, run  if it has an edge: what is below the edge, and the edge's bits in as few bytes as they need
 *   size, node  if the node it leads to follows here: two bytes, then the node's two links
 *
 * A node of more than page_bytes bytes is in a page of its own, under its level and path, but for the topmost,
 * which follows the root link: so pages are a function of the map alone, and not larger than two nodes.
 * Only what lies on the way to a change is opened; the rest of a page is copied as bytes.
 */
#include <stdlib.h>

#include "constants.h"
#include "kernel.h"

#define IN_OWN_PAGE 252
#define SIZE_BYTES 2
#define NODE_BYTES_MAX 0xffff
#define CHUNK 256

typedef enum { NOTHING, VALUE, PACKED, PAGED, OPEN } target;

struct trie_node;
typedef struct {
    fe hash, child;
    fe bits;             /* of the place where it ends: the first `to` of a key, the others 0 */
    const uint8_t *body; /* of the node, if PACKED */
    struct trie_node *node; /* if OPEN */
    size_t size;            /* of the body, if PACKED; once settled also if OPEN */
    uint8_t from, to;       /* levels */
    uint8_t target, stale;  /* stale: the edge's hash is no longer right */
} trie_link;

typedef struct trie_node {
    trie_link sides[2];
    int paged; /* whether it came from a page of its own */
} trie_node;

typedef struct chunk {
    struct chunk *next;
    size_t used;
    trie_node nodes[CHUNK];
} chunk;

/* A hash to come: of the node that a link leads to, or of the link's edge. */
typedef struct {
    trie_link *link;
    unsigned level; /* hashes of lower levels go into it */
    int is_edge;
} job;

typedef struct {
    fe bits;
    size_t trie;
    unsigned level;
} place;

struct forest {
    const trie_host *host;
    trie_link *roots;
    uint8_t *changed, *stored; /* per trie: whether it differs from before, and was there before */
    chunk *chunks;
    job *jobs;
    place *gone; /* pages whose node is no longer */
    size_t tries, job_count, job_room, gone_count, gone_room;
    size_t page_bytes, trie; /* the trie at work */
    hash_kind kind;
    trie_result result;
    int lacking; /* a page is not read yet */
    place fault;
};

/* --- Bits of keys: level i is bit 250 - i of the number --- */

static void shift_left(fe *r, unsigned n)
{
    const unsigned limbs = n / 64, bits = n % 64;
    for (unsigned i = 4; i-- > 0;) {
        uint64_t v = i >= limbs ? r->v[i - limbs] << bits : 0;
        if (bits && i > limbs)
            v |= r->v[i - limbs - 1] >> (64 - bits);
        r->v[i] = v;
    }
}

static void shift_right(fe *r, unsigned n)
{
    const unsigned limbs = n / 64, bits = n % 64;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t v = i + limbs < 4 ? r->v[i + limbs] >> bits : 0;
        if (bits && i + limbs + 1 < 4)
            v |= r->v[i + limbs + 1] << (64 - bits);
        r->v[i] = v;
    }
}

static unsigned bit_at(const fe *key, unsigned level)
{
    const unsigned i = TRIE_HEIGHT - 1 - level;
    return key->v[i / 64] >> (i % 64) & 1;
}

static void set_bit(fe *key, unsigned level)
{
    const unsigned i = TRIE_HEIGHT - 1 - level;
    key->v[i / 64] |= 1ULL << (i % 64);
}

/* The first level on which two keys differ. */
static unsigned parting(const fe *a, const fe *b)
{
    for (unsigned i = 4; i-- > 0;) {
        const uint64_t difference = a->v[i] ^ b->v[i];
        if (difference)
            return TRIE_HEIGHT - 1 - (64 * i + 63 - (unsigned)__builtin_clzll(difference));
    }
    return TRIE_HEIGHT;
}

static fe first_bits(const fe *key, unsigned levels)
{
    fe r = *key;
    shift_right(&r, TRIE_HEIGHT - levels);
    shift_left(&r, TRIE_HEIGHT - levels);
    return r;
}

/* The bits of a link's edge, as a number. */
static fe run_of(const trie_link *l)
{
    fe r = l->bits;
    shift_left(&r, 256 - TRIE_HEIGHT + l->from);
    shift_right(&r, 256 - (unsigned)(l->to - l->from));
    return r;
}

static size_t bytes_for(unsigned bits)
{
    return (bits + 7) / 8;
}

/* A level and the bits up to it, as pages are named. */
static size_t write_path(uint8_t out[TRIE_PATH_BYTES], const fe *bits, unsigned level)
{
    uint8_t number[FELT_BYTES];
    fe r = *bits;
    shift_right(&r, TRIE_HEIGHT - level);
    fe_store(number, &r);
    out[0] = (uint8_t)level;
    memcpy(out + 1, number + FELT_BYTES - bytes_for(level), bytes_for(level));
    return 1 + bytes_for(level);
}

/* --- What goes wrong --- */

static void fail(forest *f, trie_result result, const fe *bits, unsigned level)
{
    if (f->result != TRIE_DONE)
        return;
    f->result = result;
    f->fault = (place){*bits, f->trie, level};
}

size_t forest_fault(const forest *f, size_t *trie, uint8_t path[TRIE_PATH_BYTES])
{
    *trie = f->fault.trie;
    return write_path(path, &f->fault.bits, f->fault.level);
}

/* Room for one more thing in a growing array; 0 if there is no memory. */
static int grow(forest *f, void **things, size_t count, size_t *room, size_t size)
{
    const size_t wanted = *room ? 2 * *room : 64;
    void *larger;

    if (count < *room)
        return 1;
    larger = wanted <= SIZE_MAX / size ? realloc(*things, wanted * size) : NULL;
    if (!larger) {
        f->result = TRIE_NO_MEMORY;
        return 0;
    }
    *things = larger;
    *room = wanted;
    return 1;
}

static trie_node *new_node(forest *f, int paged)
{
    chunk *c = f->chunks;
    trie_node *node;

    if (!c || c->used == CHUNK) {
        c = malloc(sizeof *c);
        if (!c) {
            f->result = TRIE_NO_MEMORY;
            return NULL;
        }
        c->next = f->chunks;
        c->used = 0;
        f->chunks = c;
    }
    node = &c->nodes[c->used++];
    memset(node, 0, sizeof *node);
    node->paged = paged;
    return node;
}

/* Note that the page of the node where a link ends is no longer needed. */
static void drop_page(forest *f, const trie_link *l)
{
    if (grow(f, (void **)&f->gone, f->gone_count, &f->gone_room, sizeof *f->gone))
        f->gone[f->gone_count++] = (place){l->bits, f->trie, l->to};
}

/* --- Reading --- */

static int read_felt(fe *r, const uint8_t **at, const uint8_t *end)
{
    if (end - *at < FELT_BYTES)
        return 0;
    fe_load(r, *at);
    *at += FELT_BYTES;
    return fe_below(r, 1);
}

static int read_edge(trie_link *l, const uint8_t **at, const uint8_t *end)
{
    const unsigned length = l->to - l->from;
    const size_t bytes = bytes_for(length);
    uint8_t number[FELT_BYTES] = {0};
    fe run;

    if (!read_felt(&l->child, at, end) || (size_t)(end - *at) < bytes || (length % 8 && **at >> length % 8))
        return 0;
    memcpy(number + FELT_BYTES - bytes, *at, bytes);
    *at += bytes;
    fe_load(&run, number);
    shift_left(&run, TRIE_HEIGHT - l->to);
    for (unsigned i = 0; i < 4; i++)
        l->bits.v[i] |= run.v[i];
    return 1;
}

/* The link that begins on level `from`, below `bits`; 0 if the bytes are none. */
static int read_link(trie_link *l, const uint8_t **at, const uint8_t *end, unsigned from, const fe *bits)
{
    const int paged = *at < end && **at == IN_OWN_PAGE;

    *at += paged;
    if (*at == end || **at < from || **at > TRIE_HEIGHT)
        return 0;
    memset(l, 0, sizeof *l);
    l->from = (uint8_t)from;
    l->to = *(*at)++;
    l->bits = *bits;
    if (!read_felt(&l->hash, at, end))
        return 0;
    l->child = l->hash;
    if (l->to > l->from && !read_edge(l, at, end))
        return 0;
    if (l->to == TRIE_HEIGHT) {
        l->target = VALUE;
        return !paged && !fe_is_nought(&l->child);
    }
    l->target = PAGED;
    if (paged)
        return 1;
    if (end - *at < SIZE_BYTES)
        return 0;
    l->target = PACKED;
    l->size = (size_t)(*at)[0] << 8 | (*at)[1];
    l->body = *at + SIZE_BYTES;
    if ((size_t)(end - l->body) < l->size)
        return 0;
    *at = l->body + l->size;
    return 1;
}

/* The bytes of a page; 0 if they are not read yet, or not there. */
static int find_page(forest *f, const fe *bits, unsigned level, const uint8_t **page, size_t *size)
{
    uint8_t path[TRIE_PATH_BYTES];
    const size_t length = write_path(path, bits, level);

    switch (f->host->find(f->host->context, f->trie, path, length, page, size)) {
    case PAGE_HERE:
        return 1;
    case PAGE_ABSENT:
        if (level)
            fail(f, TRIE_NODE_MISSING, bits, level);
        return 0;
    case PAGE_UNREAD:
        f->lacking = 1;
        return 0;
    default:
        fail(f, TRIE_HOST_FAILED, bits, level);
        return 0;
    }
}

/* The node that a packed or paged link leads to. */
static trie_node *open_node(forest *f, const trie_link *l)
{
    const uint8_t *at = l->body, *end;
    size_t size = l->size;
    fe bits = l->bits;
    trie_node *node;

    if (l->target == PAGED && !find_page(f, &l->bits, l->to, &at, &size))
        return NULL;
    end = at + size;
    node = new_node(f, l->target == PAGED);
    if (!node)
        return NULL;
    for (unsigned side = 0; side < 2; side++) {
        if (!read_link(&node->sides[side], &at, end, l->to + 1u, &bits)) {
            fail(f, TRIE_NODE_DAMAGED, &l->bits, l->to);
            return NULL;
        }
        set_bit(&bits, l->to);
    }
    if (at != end) {
        fail(f, TRIE_NODE_DAMAGED, &l->bits, l->to);
        return NULL;
    }
    return node;
}

/* --- Changing: each returns whether anything differs --- */

static int merge(forest *f, trie_link *l, trie_change *changes, size_t n);

/* Leave out the changes that remove what is not there. */
static size_t real_changes(const trie_link *l, trie_change *changes, size_t n)
{
    size_t kept = 0;

    if (l->target != NOTHING && l->from == l->to)
        return n;
    for (size_t i = 0; i < n; i++) {
        if (fe_is_nought(&changes[i].value)
            && (l->target == NOTHING || parting(&l->bits, &changes[i].key) < l->to))
            continue;
        if (kept != i)
            changes[kept] = changes[i];
        kept++;
    }
    return kept;
}

/* The link, up to a level where it did not end, leads to a new node there with the old target on its side. */
static int fork_link(forest *f, trie_link *l, const fe *key, unsigned level)
{
    trie_node *node = new_node(f, 0);

    if (!node)
        return 0;
    node->sides[0].from = node->sides[1].from = (uint8_t)(level + 1);
    if (l->target != NOTHING) {
        trie_link *old = &node->sides[bit_at(&l->bits, level)];
        *old = *l;
        old->from = (uint8_t)(level + 1);
        old->stale = 1;
        if (old->from == old->to)
            old->hash = old->child;
    }
    l->target = OPEN;
    l->node = node;
    l->to = (uint8_t)level;
    l->bits = first_bits(key, level);
    return 1;
}

static int set_value(trie_link *l, const trie_change *change)
{
    if (l->target == VALUE && fe_equal(&l->child, &change->value))
        return 0;
    if (fe_is_nought(&change->value)) {
        l->target = NOTHING;
        return 1;
    }
    l->target = VALUE;
    l->to = TRIE_HEIGHT;
    l->bits = change->key;
    l->child = l->hash = change->value;
    l->stale = 1;
    return 1;
}

/* A node with one side is none: its link goes on to where that side ends. */
static void join_sides(forest *f, trie_link *l)
{
    const trie_link *sides = l->node->sides;
    const int left = sides[0].target != NOTHING, right = sides[1].target != NOTHING;
    const uint8_t from = l->from;

    l->stale = 1;
    if (left && right)
        return;
    if (l->node->paged)
        drop_page(f, l);
    if (!left && !right) {
        l->target = NOTHING;
        return;
    }
    *l = sides[right];
    l->from = from;
    l->stale = 1;
}

static int merge_sides(forest *f, trie_link *l, trie_change *changes, size_t n)
{
    trie_node *node = l->node;
    size_t left = 0;
    int differs;

    while (left < n && !bit_at(&changes[left].key, l->to))
        left++;
    differs = merge(f, &node->sides[0], changes, left);
    differs |= merge(f, &node->sides[1], changes + left, n - left);
    return differs;
}

/* Changes are those of keys that pass where the link begins, ascending; their order and number may change. */
static int merge(forest *f, trie_link *l, trie_change *changes, size_t n)
{
    unsigned level;

    n = real_changes(l, changes, n);
    if (n == 0 || f->result != TRIE_DONE)
        return 0;
    if (n == 1 && l->target == NOTHING)
        return set_value(l, changes);
    level = parting(&changes[0].key, &changes[n - 1].key);
    if (l->target != NOTHING) {
        const unsigned first = parting(&changes[0].key, &l->bits), last = parting(&changes[n - 1].key, &l->bits);
        level = first < last ? first : last;
        if (level >= l->to && l->target == VALUE)
            return set_value(l, changes);
        if (level >= l->to) {
            const trie_link before = *l;
            l->node = open_node(f, l);
            if (!l->node)
                return 0;
            l->target = OPEN;
            if (!merge_sides(f, l, changes, n)) {
                *l = before;
                return 0;
            }
            join_sides(f, l);
            return 1;
        }
    }
    if (!fork_link(f, l, &changes[0].key, level))
        return 0;
    merge_sides(f, l, changes, n);
    join_sides(f, l);
    return 1;
}

/* The topmost node stands with the root link, even if it had a page of its own. */
static void adopt(forest *f, trie_link *root)
{
    const uint8_t *page;
    size_t size;

    if (!find_page(f, &root->bits, root->to, &page, &size))
        return;
    if (size > NODE_BYTES_MAX) {
        fail(f, TRIE_NODE_DAMAGED, &root->bits, root->to);
        return;
    }
    drop_page(f, root);
    root->target = PACKED;
    root->body = page;
    root->size = size;
}

trie_result forest_change(forest *f, size_t trie, trie_change *changes, size_t n)
{
    static const fe nowhere = {{0}};
    trie_link *root = &f->roots[trie];
    const uint8_t *at;
    size_t size;

    f->trie = trie;
    if (find_page(f, &nowhere, 0, &at, &size)) {
        const uint8_t *end = at + size;
        f->stored[trie] = 1;
        if (!read_link(root, &at, end, 0, &nowhere) || at != end)
            fail(f, TRIE_NODE_DAMAGED, &nowhere, 0);
    }
    if (f->result != TRIE_DONE || f->lacking)
        return f->result;
    f->changed[trie] = (uint8_t)merge(f, root, changes, n);
    if (f->result == TRIE_DONE && f->changed[trie] && root->target == PAGED)
        adopt(f, root);
    return f->result;
}

/* --- Hashing --- */

static void add_job(forest *f, trie_link *l, unsigned level, int is_edge)
{
    if (grow(f, (void **)&f->jobs, f->job_count, &f->job_room, sizeof *f->jobs))
        f->jobs[f->job_count++] = (job){l, level, is_edge};
}

/* Note the hashes to come below a link and of it; the level on which its own is there. */
static unsigned plan_link(forest *f, trie_link *l)
{
    unsigned level = 0;

    if (l->target == OPEN) {
        const unsigned left = plan_link(f, &l->node->sides[0]), right = plan_link(f, &l->node->sides[1]);
        level = left > right ? left : right;
        add_job(f, l, level++, 0);
    }
    if (l->stale && l->to > l->from)
        add_job(f, l, level++, 1);
    return level;
}

static int hash_level(hash_kind kind, const job *jobs, const size_t *order, size_t n, fe *pairs)
{
    for (size_t i = 0; i < n; i++) {
        const job *j = &jobs[order[i]];
        pairs[2 * i] = j->is_edge ? j->link->child : j->link->node->sides[0].hash;
        pairs[2 * i + 1] = j->is_edge ? run_of(j->link) : j->link->node->sides[1].hash;
    }
    if (!hash_batch(kind, pairs, pairs, n))
        return 0;
    for (size_t i = 0; i < n; i++) {
        const job *j = &jobs[order[i]];
        trie_link *l = j->link;
        if (!j->is_edge)
            l->child = pairs[i];
        if (j->is_edge || l->from == l->to)
            l->hash = pairs[i];
        if (j->is_edge)
            fe_add_small(&l->hash, l->to - l->from);
    }
    return 1;
}

size_t forest_plan(forest *f)
{
    for (size_t i = 0; i < f->tries; i++)
        if (f->changed[i])
            plan_link(f, &f->roots[i]);
    return f->job_count;
}

trie_result forest_hash(forest *f)
{
    const size_t n = f->job_count;
    size_t ends[2 * TRIE_HEIGHT + 3] = {0};
    size_t *order = malloc((n + 1) * sizeof *order);
    fe *pairs = malloc((2 * n + 1) * sizeof *pairs);
    int done = order && pairs && f->result == TRIE_DONE;

    if (done) {
        size_t from = 0;
        for (size_t i = 0; i < n; i++)
            ends[f->jobs[i].level + 1]++;
        for (size_t level = 1; level < sizeof ends / sizeof *ends; level++)
            ends[level] += ends[level - 1];
        for (size_t i = 0; i < n; i++)
            order[ends[f->jobs[i].level]++] = i; /* ends[level] is now where the level ends */
        for (size_t level = 0; done && from < n; level++) {
            done = hash_level(f->kind, f->jobs, order + from, ends[level] - from, pairs);
            from = ends[level];
        }
    }
    free(order);
    free(pairs);
    if (!done && f->result == TRIE_DONE)
        f->result = TRIE_NO_MEMORY;
    return f->result;
}

/* --- Writing --- */

static uint8_t *write_node(uint8_t *out, const trie_link *l);

static uint8_t *write_link(uint8_t *out, const trie_link *l)
{
    if (l->target == PAGED)
        *out++ = IN_OWN_PAGE;
    *out++ = l->to;
    fe_store(out, &l->hash);
    out += FELT_BYTES;
    if (l->to > l->from) {
        const size_t bytes = bytes_for(l->to - l->from);
        const fe run = run_of(l);
        uint8_t number[FELT_BYTES];
        fe_store(out, &l->child);
        out += FELT_BYTES;
        fe_store(number, &run);
        memcpy(out, number + FELT_BYTES - bytes, bytes);
        out += bytes;
    }
    if (l->target != PACKED && l->target != OPEN)
        return out;
    *out++ = (uint8_t)(l->size >> 8);
    *out++ = (uint8_t)l->size;
    return write_node(out, l);
}

static uint8_t *write_node(uint8_t *out, const trie_link *l)
{
    if (l->target == OPEN)
        return write_link(write_link(out, &l->node->sides[0]), &l->node->sides[1]);
    memcpy(out, l->body, l->size);
    return out + l->size;
}

static uint8_t *put_page(forest *f, const fe *bits, unsigned level, size_t size)
{
    uint8_t path[TRIE_PATH_BYTES];
    const size_t length = write_path(path, bits, level);
    uint8_t *out = f->host->put(f->host->context, f->trie, path, length, size);
    if (!out)
        fail(f, TRIE_HOST_FAILED, bits, level);
    return out;
}

/* Decide what gets a page, from below, and write these pages; the bytes that the link itself takes. */
static size_t settle(forest *f, trie_link *l, int topmost)
{
    size_t size = 1 + FELT_BYTES;

    if (l->to > l->from)
        size += FELT_BYTES + bytes_for(l->to - l->from);
    if (l->target == VALUE)
        return size;
    if (l->target == PAGED)
        return size + 1;
    if (l->target == OPEN)
        l->size = settle(f, &l->node->sides[0], 0) + settle(f, &l->node->sides[1], 0);
    if (topmost || l->size <= f->page_bytes) {
        CHECK(l->size <= NODE_BYTES_MAX);
        if (l->target == OPEN && l->node->paged)
            drop_page(f, l);
        return size + SIZE_BYTES + l->size;
    }
    if (f->result == TRIE_DONE) {
        uint8_t *out = put_page(f, &l->bits, l->to, l->size);
        if (out)
            write_node(out, l);
    }
    l->target = PAGED;
    return size + 1;
}

trie_result forest_write(forest *f)
{
    static const fe nowhere = {{0}};

    for (size_t i = 0; i < f->tries && f->result == TRIE_DONE; i++) {
        trie_link *root = &f->roots[i];
        f->trie = i;
        if (!f->changed[i])
            continue;
        if (root->target != NOTHING) {
            const size_t size = settle(f, root, 1);
            uint8_t *out = f->result == TRIE_DONE ? put_page(f, &nowhere, 0, size) : NULL;
            if (out)
                write_link(out, root);
        } else if (f->stored[i]) {
            root->to = 0;
            root->bits = nowhere;
            drop_page(f, root);
        }
    }
    for (size_t i = 0; i < f->gone_count && f->result == TRIE_DONE; i++) {
        const place *gone = &f->gone[i];
        uint8_t path[TRIE_PATH_BYTES];
        const size_t length = write_path(path, &gone->bits, gone->level);
        f->trie = gone->trie;
        if (!f->host->drop(f->host->context, gone->trie, path, length))
            fail(f, TRIE_HOST_FAILED, &gone->bits, gone->level);
    }
    return f->result;
}

fe forest_root(const forest *f, size_t trie)
{
    return f->roots[trie].target == NOTHING ? (fe){{0}} : f->roots[trie].hash;
}

/* --- All of it --- */

int forest_lacks(const forest *f)
{
    return f->lacking;
}

forest *forest_new(hash_kind kind, size_t page_bytes, size_t tries, const trie_host *host)
{
    forest *f = calloc(1, sizeof *f);

    CHECK(page_bytes <= TRIE_PAGE_BYTES_MAX);
    if (!f)
        return NULL;
    f->kind = kind;
    f->page_bytes = page_bytes;
    f->tries = tries;
    f->host = host;
    f->roots = calloc(tries + 1, sizeof *f->roots);
    f->changed = calloc(tries + 1, 1);
    f->stored = calloc(tries + 1, 1);
    if (f->roots && f->changed && f->stored)
        return f;
    forest_free(f);
    return NULL;
}

void forest_free(forest *f)
{
    if (!f)
        return;
    for (chunk *c = f->chunks; c;) {
        chunk *next = c->next;
        free(c);
        c = next;
    }
    free(f->roots);
    free(f->changed);
    free(f->stored);
    free(f->jobs);
    free(f->gone);
    free(f);
}
