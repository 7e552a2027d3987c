/* Forms: which felts of a row are hashed to what. Lists of one round are hashed together, those of all rows. */
#include "forms.h"

#include <string.h>

#include "kernel.h"

#define PACKED_BITS_MAX 248 /* what fits any felt */
#define FELTS_AT_FIRST 256
#define RELEASE_FROM 16 /* felts; fewer are hashed before another thread could take the lock */

/* LIST     begins a list: its kind of hash, its round, and 1 + the column without whose value there is none, or 0.
 * VALUE    the felts of a column, joined, or its number.
 * CONSTANT one of those given.
 * RESULT   of an earlier round's list, by its number.
 * PACK     a column's value of at most `bits` bits, put `shift` bits up into the felt before it.
 * WHEN     of a column without a value: the next `shift` are left out. */
typedef enum { LIST, VALUE, CONSTANT, RESULT, PACK, WHEN, OPERATIONS } operation;
typedef enum { OVER_PEDERSEN, OVER_POSEIDON, ADDRESS, OVERS } list_kind; /* an address is a Pedersen hash, cut */

typedef struct {
    uint8_t operation, place, shift, bits;
} step;

typedef struct {
    const step *first, *end; /* without its LIST */
    list_kind kind;
    unsigned round, needed;
} form_list;

typedef struct {
    form_list lists[UINT8_MAX];
    size_t n;
} form;

typedef struct {
    form parts;
    const uint8_t *constants;
    size_t constant_count;
    PyObject **rows;
    size_t row_count;
    fe *results; /* of list k and row i at k * row_count + i; 0 where there was none to make */
    fe *felts;
    size_t count, room;
    uint64_t *starts;
    size_t *places; /* of results */
    size_t begun;   /* lists of this round */
} run;

static int refuse(const char *what)
{
    PyErr_SetString(PyExc_ValueError, what);
    return 0;
}

/* --- The form; 0 with the error set --- */

static int is_step(const form *f, const form_list *l, const step *s, size_t constants)
{
    switch (s->operation) {
    case VALUE:
        return 1;
    case CONSTANT:
        return s->place < constants;
    case RESULT:
        return s->place < f->n && f->lists[s->place].round < l->round;
    case PACK:
        return s->shift + s->bits <= PACKED_BITS_MAX;
    case WHEN:
        return s->shift < l->end - s;
    default:
        return 0;
    }
}

static int is_list(const form *f, const form_list *l, size_t constants)
{
    const form_list *before = l == f->lists ? NULL : l - 1;

    if (l->kind >= OVERS || (before && (before->round > l->round || (before->round == l->round && before->kind != l->kind))))
        return 0;
    for (const step *s = l->first; s < l->end; s++)
        if (!is_step(f, l, s, constants))
            return 0;
    return 1;
}

static int read_form(form *f, PyObject *bytes, size_t constants)
{
    const size_t n = (size_t)PyBytes_GET_SIZE(bytes) / sizeof(step);
    const step *steps = (const step *)PyBytes_AS_STRING(bytes);

    f->n = 0;
    if ((size_t)PyBytes_GET_SIZE(bytes) != n * sizeof(step) || !n || steps->operation != LIST)
        return refuse("not a form");
    for (const step *s = steps; s < steps + n; s++) {
        if (s->operation == LIST) {
            if (f->n == UINT8_MAX)
                return refuse("not a form");
            f->lists[f->n++] = (form_list){s + 1, s + 1, s->place, s->shift, s->bits};
        } else {
            f->lists[f->n - 1].end = s + 1;
        }
    }
    for (size_t i = 0; i < f->n; i++)
        if (!is_list(f, &f->lists[i], constants))
            return refuse("not a form");
    return 1;
}

/* --- Rows; 0 with the error set --- */

/* Borrowed. */
static PyObject *column(PyObject *row, size_t place)
{
    if (place < (size_t)PyTuple_GET_SIZE(row))
        return PyTuple_GET_ITEM(row, (Py_ssize_t)place);
    PyErr_SetString(PyExc_ValueError, "a row has fewer columns than the form");
    return NULL;
}

/* Whether the column has a value other than nothing, nought or none; -1 with the error set. */
static int has_value(PyObject *row, size_t place)
{
    PyObject *value = column(row, place);
    return value ? PyObject_IsTrue(value) : -1;
}

static int missing(size_t place)
{
    PyObject *number = PyLong_FromSize_t(place);
    if (number)
        PyErr_SetObject(PyExc_LookupError, number);
    Py_XDECREF(number);
    return 0;
}

/* Room for `more` felts. */
static int make_room(run *r, size_t more)
{
    size_t room = r->room ? r->room : FELTS_AT_FIRST;
    fe *felts;

    if (r->room - r->count >= more)
        return 1;
    while (room - r->count < more)
        room *= 2;
    felts = PyMem_RawRealloc(r->felts, room * sizeof *felts);
    if (!felts) {
        PyErr_NoMemory();
        return 0;
    }
    r->felts = felts;
    r->room = room;
    return 1;
}

static int add(run *r, const fe *felt)
{
    if (!make_room(r, 1))
        return 0;
    r->felts[r->count++] = *felt;
    return 1;
}

static int add_bytes(run *r, const uint8_t *in, size_t n)
{
    if (!make_room(r, n))
        return 0;
    for (size_t i = 0; i < n; i++) {
        fe *felt = &r->felts[r->count];
        fe_load(felt, in + i * FELT_BYTES);
        if (!fe_below(felt, 1))
            return refuse("felt not below the field's prime");
        r->count++;
    }
    return 1;
}

static int read_number(fe *felt, PyObject *value)
{
    const unsigned long long number = PyLong_AsUnsignedLongLong(value);

    if (number == (unsigned long long)-1 && PyErr_Occurred()) {
        PyErr_Clear();
        return refuse("not a number of up to 64 bits");
    }
    *felt = (fe){{number, 0, 0, 0}};
    return 1;
}

static int add_value(run *r, PyObject *row, size_t place)
{
    PyObject *value = column(row, place);
    fe number;

    if (!value)
        return 0;
    if (value == Py_None)
        return missing(place);
    if (PyLong_Check(value))
        return read_number(&number, value) && add(r, &number);
    if (!PyBytes_Check(value) || PyBytes_GET_SIZE(value) % FELT_BYTES)
        return refuse("a value is felts of 32 bytes or a number");
    return add_bytes(r, (const uint8_t *)PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value) / FELT_BYTES);
}

/* Whether a number has no more than that many bits. */
static int within(const fe *felt, unsigned bits)
{
    for (unsigned i = 0; i < 4; i++) {
        const unsigned here = bits > 64 * i ? bits - 64 * i : 0;
        if (here < 64 && felt->v[i] >> here)
            return 0;
    }
    return 1;
}

/* *felt |= part * 2^shift; what goes above 256 bits is lost. */
static void put_in(fe *felt, const fe *part, unsigned shift)
{
    for (unsigned i = shift / 64; i < 4; i++) {
        const unsigned from = i - shift / 64, by = shift % 64;
        felt->v[i] |= part->v[from] << by;
        if (by && from)
            felt->v[i] |= part->v[from - 1] >> (64 - by);
    }
}

/* The felt at `end`, last of all, into the one before it. */
static int pack(run *r, const step *s, size_t end)
{
    const fe *part = &r->felts[end];
    fe *felt = &r->felts[end - 1];

    if (r->count != end + 1)
        return refuse("what is packed is one felt");
    if (!within(part, s->bits)) {
        PyErr_Format(PyExc_ValueError, "a number of more than %u bits", (unsigned)s->bits);
        return 0;
    }
    put_in(felt, part, s->shift);
    r->count--;
    return fe_below(felt, 1) ? 1 : refuse("felt not below the field's prime");
}

/* The felts of a list of one row. */
static int add_list(run *r, const form_list *l, PyObject *row, size_t i)
{
    const uint64_t start = r->count;
    size_t before;
    int has;

    for (const step *s = l->first; s < l->end; s++) {
        switch (s->operation) {
        case VALUE:
            if (!add_value(r, row, s->place))
                return 0;
            break;
        case CONSTANT:
            if (!add_bytes(r, r->constants + (size_t)s->place * FELT_BYTES, 1))
                return 0;
            break;
        case RESULT:
            if (!add(r, &r->results[s->place * r->row_count + i]))
                return 0;
            break;
        case PACK:
            before = r->count;
            if (before == start)
                return refuse("what is packed comes after a felt");
            if (!add_value(r, row, s->place) || !pack(r, s, before))
                return 0;
            break;
        default: /* WHEN */
            has = has_value(row, s->place);
            if (has < 0)
                return 0;
            s += has ? 0 : s->shift;
        }
    }
    return 1;
}

/* --- Rounds; 0 with the error set --- */

static void cut_to_addresses(fe *hashes, size_t n)
{
    static const fe limit = {{-256ULL, -1ULL, -1ULL, (1ULL << 59) - 1}}; /* 2^251 - 256; twice that is above p */

    for (size_t i = 0; i < n; i++) {
        fe rest;
        unsigned char borrow = 0;
        for (unsigned j = 0; j < 4; j++)
            borrow = subb(borrow, hashes[i].v[j], limit.v[j], &rest.v[j]);
        if (!borrow)
            hashes[i] = rest;
    }
}

static int hash_round(run *r, list_kind kind)
{
    const hash_kind over = kind == OVER_POSEIDON ? POSEIDON : PEDERSEN;
    fe *hashes = PyMem_RawMalloc((r->begun + 1) * sizeof *hashes);
    int done = hashes != NULL;

    if (done && r->count >= RELEASE_FROM) {
        Py_BEGIN_ALLOW_THREADS
        done = hash_lists(over, r->felts, r->starts, r->begun, hashes);
        Py_END_ALLOW_THREADS
    } else if (done) {
        done = hash_lists(over, r->felts, r->starts, r->begun, hashes);
    }
    if (done && kind == ADDRESS)
        cut_to_addresses(hashes, r->begun);
    for (size_t i = 0; done && i < r->begun; i++)
        r->results[r->places[i]] = hashes[i];
    PyMem_RawFree(hashes);
    if (!done)
        PyErr_NoMemory();
    return done;
}

/* The lists `first` ... `end` - 1, of one round. */
static int run_round(run *r, size_t first, size_t end)
{
    r->count = 0;
    r->begun = 0;
    for (size_t i = 0; i < r->row_count; i++) {
        for (size_t k = first; k < end; k++) {
            const form_list *l = &r->parts.lists[k];
            const int has = l->needed ? has_value(r->rows[i], l->needed - 1) : 1;
            if (has < 0)
                return 0;
            if (!has)
                continue;
            r->starts[r->begun] = r->count;
            r->places[r->begun++] = k * r->row_count + i;
            if (!add_list(r, l, r->rows[i], i))
                return 0;
        }
    }
    r->starts[r->begun] = r->count;
    return hash_round(r, r->parts.lists[first].kind);
}

static int run_rounds(run *r)
{
    const form *f = &r->parts;

    for (size_t first = 0, end; first < f->n; first = end) {
        for (end = first + 1; end < f->n && f->lists[end].round == f->lists[first].round;)
            end++;
        if (!run_round(r, first, end))
            return 0;
    }
    return 1;
}

static PyObject *last_results(const run *r)
{
    PyObject *result = PyList_New((Py_ssize_t)r->row_count);

    for (size_t i = 0; result && i < r->row_count; i++) {
        PyObject *hash = PyBytes_FromStringAndSize(NULL, FELT_BYTES);
        if (hash) {
            fe_store((uint8_t *)PyBytes_AS_STRING(hash), &r->results[(r->parts.n - 1) * r->row_count + i]);
            PyList_SET_ITEM(result, (Py_ssize_t)i, hash);
        } else {
            Py_CLEAR(result);
        }
    }
    return result;
}

static PyObject *run_form(run *r)
{
    const size_t cells = r->parts.n * r->row_count + 1;
    PyObject *result = NULL;

    r->results = PyMem_RawCalloc(cells, sizeof *r->results);
    r->starts = PyMem_RawCalloc(cells, sizeof *r->starts);
    r->places = PyMem_RawCalloc(cells, sizeof *r->places);
    if (!r->results || !r->starts || !r->places)
        PyErr_NoMemory();
    else if (run_rounds(r))
        result = last_results(r);
    PyMem_RawFree(r->results);
    PyMem_RawFree(r->starts);
    PyMem_RawFree(r->places);
    PyMem_RawFree(r->felts);
    return result;
}

PyObject *form_hashes(PyObject *bytes, PyObject *constants, PyObject *rows)
{
    PyObject *sequence, *result = NULL;
    run r = {.count = 0};

    if (!PyBytes_Check(bytes) || !PyBytes_Check(constants))
        return PyErr_Format(PyExc_TypeError, "a form and its constants are bytes");
    r.constants = (const uint8_t *)PyBytes_AS_STRING(constants);
    r.constant_count = (size_t)PyBytes_GET_SIZE(constants) / FELT_BYTES;
    if (!read_form(&r.parts, bytes, r.constant_count))
        return NULL;
    sequence = PySequence_Tuple(rows); /* its own: another thread may change a list while the lock is released */
    if (!sequence)
        return NULL;
    r.row_count = (size_t)PyTuple_GET_SIZE(sequence);
    r.rows = PySequence_Fast_ITEMS(sequence);
    for (size_t i = 0; i < r.row_count; i++)
        if (!PyTuple_Check(r.rows[i])) {
            Py_DECREF(sequence);
            return PyErr_Format(PyExc_TypeError, "a row is a tuple");
        }
    result = run_form(&r);
    Py_DECREF(sequence);
    return result;
}
