/* The Python side: buffers and integers in, checked; bytes and integers out. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "forms.h"
#include "kernel.h"
#include "wire.h"

#define RELEASE_FROM 16 /* hashes; fewer are over before another thread could take the lock */
#define PAIR_BYTES ((Py_ssize_t)(2 * FELT_BYTES))

#define MAYBE_WITHOUT_GIL(hashes, statement)                                                      \
    do {                                                                                          \
        if ((hashes) >= RELEASE_FROM) {                                                           \
            Py_BEGIN_ALLOW_THREADS statement;                                                     \
            Py_END_ALLOW_THREADS                                                                  \
        } else {                                                                                  \
            statement;                                                                            \
        }                                                                                         \
    } while (0)

/* --- Tables --- */

static PyThread_type_lock prepare_lock;

static int prepare(int (*make)(void))
{
    int done;
    PyThread_acquire_lock(prepare_lock, WAIT_LOCK);
    done = make();
    PyThread_release_lock(prepare_lock);
    if (!done)
        PyErr_NoMemory();
    return done;
}

static int prepare_kind(hash_kind kind)
{
    return kind != PEDERSEN || prepare(pedersen_prepare);
}

/* --- Checked arguments --- */

static int check_count(const char *name, Py_ssize_t given, Py_ssize_t wanted)
{
    if (given == wanted)
        return 1;
    PyErr_Format(PyExc_TypeError, "%s takes %zd arguments, not %zd", name, wanted, given);
    return 0;
}

static int felt_of_bytes(fe *r, const uint8_t *in)
{
    fe_load(r, in);
    if (fe_below(r, 1))
        return 1;
    PyErr_SetString(PyExc_ValueError, "felt not below the field's prime");
    return 0;
}

static int felt_of_buffer(fe *r, PyObject *object)
{
    Py_buffer view;
    int good;

    if (PyBytes_CheckExact(object) && PyBytes_GET_SIZE(object) == FELT_BYTES)
        return felt_of_bytes(r, (const uint8_t *)PyBytes_AS_STRING(object));
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) < 0)
        return 0;
    good = view.len == FELT_BYTES;
    if (good)
        good = felt_of_bytes(r, view.buf);
    else
        PyErr_Format(PyExc_ValueError, "a felt has 32 bytes, not %zd", view.len);
    PyBuffer_Release(&view);
    return good;
}

static int felt_of_int(fe *r, PyObject *object)
{
    uint8_t in[FELT_BYTES];
    int failed;

    if (!PyLong_Check(object)) {
        PyErr_Format(PyExc_TypeError, "a felt is an int, not %.100s", Py_TYPE(object)->tp_name);
        return 0;
    }
#if PY_VERSION_HEX >= 0x030d0000
    failed = _PyLong_AsByteArray((PyLongObject *)object, in, FELT_BYTES, 0, 0, 1);
#else
    failed = _PyLong_AsByteArray((PyLongObject *)object, in, FELT_BYTES, 0, 0);
#endif
    if (failed) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError))
            return 0;
        PyErr_Clear();
        PyErr_SetString(PyExc_ValueError, "felt negative or not below the field's prime");
        return 0;
    }
    return felt_of_bytes(r, in);
}

static PyObject *bytes_of_felt(const fe *felt)
{
    PyObject *result = PyBytes_FromStringAndSize(NULL, FELT_BYTES);
    if (result)
        fe_store((uint8_t *)PyBytes_AS_STRING(result), felt);
    return result;
}

static PyObject *int_of_felt(const fe *felt)
{
    uint8_t out[FELT_BYTES];
    fe_store(out, felt);
    return _PyLong_FromByteArray(out, FELT_BYTES, 0, 0);
}

/* Room for n things; NULL, with the error set, if there is none. */
static void *room_for(size_t n, size_t size)
{
    void *room = n > PY_SSIZE_T_MAX / size ? NULL : PyMem_RawMalloc(n ? n * size : 1);
    if (!room)
        PyErr_NoMemory();
    return room;
}

/* Felts of a buffer whose length is checked. The index of the first that is none, or n. */
static size_t load_felts(fe *out, const uint8_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fe_load(&out[i], in + i * FELT_BYTES);
        if (!fe_below(&out[i], 1))
            return i;
    }
    return n;
}

/* All felts of a buffer of a multiple of `unit` bytes; NULL with the error set. Free with PyMem_RawFree. */
static fe *felts_of_buffer(PyObject *object, Py_ssize_t unit, size_t *n)
{
    Py_buffer view;
    fe *felts = NULL;

    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    if (view.len % unit) {
        PyErr_Format(PyExc_ValueError, "%zd bytes are not a multiple of %zd", view.len, unit);
    } else {
        *n = (size_t)view.len / FELT_BYTES;
        felts = room_for(*n, sizeof *felts);
        if (felts) {
            const size_t good = load_felts(felts, view.buf, *n);
            if (good != *n) {
                PyErr_Format(PyExc_ValueError, "felt %zu not below the field's prime", good);
                PyMem_RawFree(felts);
                felts = NULL;
            }
        }
    }
    PyBuffer_Release(&view);
    return felts;
}

/* The felts of a sequence of ints; NULL with the error set. Free with PyMem_RawFree. */
static fe *felts_of_ints(PyObject *object, size_t *n)
{
    PyObject *sequence = PySequence_Fast(object, "felts are a sequence of ints");
    fe *felts;

    if (!sequence)
        return NULL;
    *n = (size_t)PySequence_Fast_GET_SIZE(sequence);
    felts = room_for(*n, sizeof *felts);
    for (size_t i = 0; felts && i < *n; i++) {
        if (!felt_of_int(&felts[i], PySequence_Fast_GET_ITEM(sequence, (Py_ssize_t)i))) {
            PyMem_RawFree(felts);
            felts = NULL;
        }
    }
    Py_DECREF(sequence);
    return felts;
}

static PyObject *bytes_of_felts(const fe *felts, size_t n)
{
    PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(n * FELT_BYTES));
    if (result) {
        uint8_t *out = (uint8_t *)PyBytes_AS_STRING(result);
        for (size_t i = 0; i < n; i++)
            fe_store(out + i * FELT_BYTES, &felts[i]);
    }
    return result;
}

static int kind_of(hash_kind *kind, PyObject *object)
{
    const long number = PyLong_AsLong(object);
    if (number == -1 && PyErr_Occurred())
        return 0;
    if (number != PEDERSEN && number != POSEIDON) {
        PyErr_SetString(PyExc_ValueError, "the kind of hash is PEDERSEN or POSEIDON");
        return 0;
    }
    *kind = (hash_kind)number;
    return 1;
}

/* --- One pair --- */

static int hash_pair(hash_kind kind, fe *r, const fe *a, const fe *b)
{
    if (!prepare_kind(kind))
        return 0;
    if (kind == PEDERSEN)
        pedersen_pair(r, a, b);
    else
        poseidon_pair(r, a, b);
    return 1;
}

static PyObject *pair_of_bytes(hash_kind kind, const char *name, PyObject *const *args, Py_ssize_t n)
{
    fe a, b;
    if (!check_count(name, n, 2) || !felt_of_buffer(&a, args[0]) || !felt_of_buffer(&b, args[1])
        || !hash_pair(kind, &a, &a, &b))
        return NULL;
    return bytes_of_felt(&a);
}

static PyObject *pair_of_ints(hash_kind kind, const char *name, PyObject *const *args, Py_ssize_t n)
{
    fe a, b;
    if (!check_count(name, n, 2) || !felt_of_int(&a, args[0]) || !felt_of_int(&b, args[1])
        || !hash_pair(kind, &a, &a, &b))
        return NULL;
    return int_of_felt(&a);
}

static PyObject *py_pedersen(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t n)
{
    return pair_of_bytes(PEDERSEN, "pedersen", args, n);
}
static PyObject *py_poseidon(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t n)
{
    return pair_of_bytes(POSEIDON, "poseidon", args, n);
}
static PyObject *py_pedersen_int(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t n)
{
    return pair_of_ints(PEDERSEN, "pedersen_int", args, n);
}
static PyObject *py_poseidon_int(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t n)
{
    return pair_of_ints(POSEIDON, "poseidon_int", args, n);
}

/* --- Many pairs --- */

static PyObject *pairs(hash_kind kind, PyObject *buffer)
{
    PyObject *result = NULL;
    size_t n;
    int done;
    fe *felts;

    if (!prepare_kind(kind))
        return NULL;
    felts = felts_of_buffer(buffer, PAIR_BYTES, &n);
    if (!felts)
        return NULL;
    MAYBE_WITHOUT_GIL(n / 2, done = hash_batch(kind, felts, felts, n / 2));
    if (done)
        result = bytes_of_felts(felts, n / 2);
    else
        PyErr_NoMemory();
    PyMem_RawFree(felts);
    return result;
}

static PyObject *py_pedersen_pairs(PyObject *Py_UNUSED(self), PyObject *buffer)
{
    return pairs(PEDERSEN, buffer);
}
static PyObject *py_poseidon_pairs(PyObject *Py_UNUSED(self), PyObject *buffer)
{
    return pairs(POSEIDON, buffer);
}

/* --- Lists --- */

static void poseidon_list(fe *r, const fe *felts, size_t n)
{
    poseidon_sponge sponge;
    poseidon_start(&sponge);
    for (size_t i = 0; i < n; i++)
        poseidon_absorb(&sponge, &felts[i]);
    poseidon_finish(&sponge, r);
}

static void pedersen_list(fe *r, const fe *felts, size_t n)
{
    const fe length = {{n, 0, 0, 0}};
    fe state = {{0}};
    for (size_t i = 0; i < n; i++)
        pedersen_pair(&state, &state, &felts[i]);
    pedersen_pair(r, &state, &length);
}

static PyObject *list_of_ints(hash_kind kind, PyObject *sequence)
{
    size_t n;
    fe result;
    fe *felts;

    if (!prepare_kind(kind))
        return NULL;
    felts = felts_of_ints(sequence, &n);
    if (!felts)
        return NULL;
    if (kind == PEDERSEN)
        MAYBE_WITHOUT_GIL(n, pedersen_list(&result, felts, n));
    else
        MAYBE_WITHOUT_GIL(n / 2, poseidon_list(&result, felts, n));
    PyMem_RawFree(felts);
    return int_of_felt(&result);
}

static PyObject *py_pedersen_array_ints(PyObject *Py_UNUSED(self), PyObject *sequence)
{
    return list_of_ints(PEDERSEN, sequence);
}
static PyObject *py_poseidon_many_ints(PyObject *Py_UNUSED(self), PyObject *sequence)
{
    return list_of_ints(POSEIDON, sequence);
}

/* Many lists in one buffer of felts: list i is felts starts[i] ... starts[i + 1] - 1. */
typedef struct {
    fe *felts;
    uint64_t *starts;
    size_t n;
} lists;

static void lists_free(lists *l)
{
    PyMem_RawFree(l->felts);
    PyMem_RawFree(l->starts);
}

/* n + 1 whole numbers of 8 bytes, from 0 up to the number of felts. */
static int starts_of_buffer(lists *l, PyObject *object, size_t felts)
{
    Py_buffer view;
    size_t entries;
    int good;

    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) < 0)
        return 0;
    entries = (size_t)view.len / sizeof *l->starts;
    l->starts = room_for(entries, sizeof *l->starts);
    good = l->starts != NULL;
    if (good) {
        memcpy(l->starts, view.buf, entries * sizeof *l->starts);
        good = (size_t)view.len == entries * sizeof *l->starts && entries > 0 && l->starts[0] == 0
               && l->starts[entries - 1] == felts;
        for (size_t i = 1; good && i < entries; i++)
            good = l->starts[i - 1] <= l->starts[i];
        if (!good)
            PyErr_SetString(PyExc_ValueError,
                            "offsets are 8-byte integers that rise from 0 to the number of felts");
        l->n = entries - 1;
    }
    PyBuffer_Release(&view);
    return good;
}

static int lists_of(lists *l, const char *name, PyObject *const *args, Py_ssize_t n)
{
    size_t felts;
    *l = (lists){NULL, NULL, 0};
    if (!check_count(name, n, 2))
        return 0;
    l->felts = felts_of_buffer(args[0], FELT_BYTES, &felts);
    if (l->felts && starts_of_buffer(l, args[1], felts))
        return 1;
    lists_free(l);
    return 0;
}

static PyObject *hashes_of_lists(hash_kind kind, const char *name, PyObject *const *args, Py_ssize_t n)
{
    PyObject *result = NULL;
    lists l;
    fe *hashes;

    if (!prepare_kind(kind) || !lists_of(&l, name, args, n))
        return NULL;
    hashes = room_for(l.n, sizeof *hashes);
    if (hashes) {
        int done;
        MAYBE_WITHOUT_GIL(l.n + l.starts[l.n] / (kind == POSEIDON ? 2 : 1),
                          done = hash_lists(kind, l.felts, l.starts, l.n, hashes));
        if (done)
            result = bytes_of_felts(hashes, l.n);
        else
            PyErr_NoMemory();
    }
    PyMem_RawFree(hashes);
    lists_free(&l);
    return result;
}

static PyObject *py_poseidon_many(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t n)
{
    return hashes_of_lists(POSEIDON, "poseidon_many", args, n);
}
static PyObject *py_pedersen_chains(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t n)
{
    return hashes_of_lists(PEDERSEN, "pedersen_chains", args, n);
}

/* --- Tries --- */

#define LIST_HEIGHT_MAX 64

static PyObject *py_patricia_root(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t n)
{
    hash_kind kind;
    long height;
    size_t count;
    int done;
    fe root;
    fe *values;

    if (!check_count("patricia_root", n, 3) || !kind_of(&kind, args[0]))
        return NULL;
    height = PyLong_AsLong(args[1]);
    if (height == -1 && PyErr_Occurred())
        return NULL;
    if (height < 1 || height > LIST_HEIGHT_MAX) {
        PyErr_SetString(PyExc_ValueError, "the height of a list's trie is 1 to 64");
        return NULL;
    }
    if (!prepare_kind(kind))
        return NULL;
    values = felts_of_buffer(args[2], FELT_BYTES, &count);
    if (!values)
        return NULL;
    if (height < LIST_HEIGHT_MAX && count > (size_t)1 << height) {
        PyErr_Format(PyExc_ValueError, "%zu values do not fit a trie of height %ld", count, height);
        PyMem_RawFree(values);
        return NULL;
    }
    MAYBE_WITHOUT_GIL(count, done = patricia_root(kind, (unsigned)height, values, count, &root));
    PyMem_RawFree(values);
    return done ? bytes_of_felt(&root) : PyErr_NoMemory();
}

/* --- Tries in pages --- */

/* What an update works on and comes to, as Python keeps it. */
typedef struct {
    PyObject *tries;   /* a tuple of (name, changes) */
    PyObject *pages;   /* dict: what was read so far, None where there is nothing */
    PyObject *held;    /* list: the pages in use, which another thread might take out of the dict */
    PyObject *wanted;  /* list: names of pages to read */
    PyObject *written; /* dict: what differs, None where nothing is left */
} books;

static PyObject *page_name(const books *b, size_t trie, const uint8_t *path, size_t length)
{
    PyObject *name = PyTuple_GET_ITEM(PyTuple_GET_ITEM(b->tries, (Py_ssize_t)trie), 0);
    const Py_ssize_t size = PyBytes_GET_SIZE(name);
    PyObject *whole = PyBytes_FromStringAndSize(NULL, size + (Py_ssize_t)length);
    if (whole) {
        memcpy(PyBytes_AS_STRING(whole), PyBytes_AS_STRING(name), (size_t)size);
        memcpy(PyBytes_AS_STRING(whole) + size, path, length);
    }
    return whole;
}

static page_state books_find(void *context, size_t trie, const uint8_t *path, size_t length, const uint8_t **page,
                             size_t *size)
{
    const books *b = context;
    PyObject *name = page_name(b, trie, path, length), *found;
    page_state state = PAGE_FAILED;

    if (!name)
        return PAGE_FAILED;
    found = PyDict_GetItemWithError(b->pages, name);
    if (found == Py_None) {
        state = PAGE_ABSENT;
    } else if (found && !PyBytes_Check(found)) {
        PyErr_SetString(PyExc_TypeError, "a page is bytes or None");
    } else if (found && PyList_Append(b->held, found) == 0) {
        *page = (const uint8_t *)PyBytes_AS_STRING(found);
        *size = (size_t)PyBytes_GET_SIZE(found);
        state = PAGE_HERE;
    } else if (!PyErr_Occurred() && PyList_Append(b->wanted, name) == 0) {
        state = PAGE_UNREAD;
    }
    Py_DECREF(name);
    return state;
}

static uint8_t *books_put(void *context, size_t trie, const uint8_t *path, size_t length, size_t size)
{
    const books *b = context;
    PyObject *name = page_name(b, trie, path, length), *page = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    uint8_t *room = NULL;

    if (name && page && PyDict_SetItem(b->written, name, page) == 0)
        room = (uint8_t *)PyBytes_AS_STRING(page); /* the dict keeps it */
    Py_XDECREF(name);
    Py_XDECREF(page);
    return room;
}

static int books_drop(void *context, size_t trie, const uint8_t *path, size_t length)
{
    const books *b = context;
    PyObject *name = page_name(b, trie, path, length);
    const int done = name && PyDict_SetDefault(b->written, name, Py_None);

    Py_XDECREF(name);
    return done;
}

static int load_changes(trie_change *changes, const uint8_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++, in += PAIR_BYTES) {
        fe_load(&changes[i].key, in);
        if (changes[i].key.v[3] >> (TRIE_HEIGHT - 192)) {
            PyErr_SetString(PyExc_ValueError, "a key has more than 251 bits");
            return 0;
        }
        if (i && memcmp(in - PAIR_BYTES, in, FELT_BYTES) >= 0) {
            PyErr_SetString(PyExc_ValueError, "keys do not ascend");
            return 0;
        }
        if (!felt_of_bytes(&changes[i].value, in + FELT_BYTES))
            return 0;
    }
    return 1;
}

static int trie_failed(forest *f, const books *b, trie_result result)
{
    uint8_t path[TRIE_PATH_BYTES];
    size_t trie, length;
    PyObject *name, *hex;

    if (result == TRIE_NO_MEMORY)
        PyErr_NoMemory();
    if (result == TRIE_NO_MEMORY || result == TRIE_HOST_FAILED)
        return 0;
    length = forest_fault(f, &trie, path);
    name = page_name(b, trie, path, length);
    hex = name ? PyObject_CallMethod(name, "hex", NULL) : NULL;
    if (hex)
        PyErr_Format(PyExc_LookupError, "trie node %U is %s", hex,
                     result == TRIE_NODE_MISSING ? "missing" : "damaged");
    Py_XDECREF(name);
    Py_XDECREF(hex);
    return 0;
}

static int change_tries(forest *f, const books *b)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(b->tries); i++) {
        PyObject *given = PyTuple_GET_ITEM(PyTuple_GET_ITEM(b->tries, i), 1);
        const size_t n = (size_t)(PyBytes_GET_SIZE(given) / PAIR_BYTES);
        trie_change *changes = room_for(n, sizeof *changes);
        const int loaded = changes && load_changes(changes, (const uint8_t *)PyBytes_AS_STRING(given), n);
        const trie_result result = loaded ? forest_change(f, (size_t)i, changes, n) : TRIE_HOST_FAILED;
        PyMem_RawFree(changes);
        if (result != TRIE_DONE)
            return trie_failed(f, b, result);
    }
    return 1;
}

static PyObject *finish_tries(forest *f, const books *b)
{
    const size_t hashes = forest_plan(f), n = (size_t)PyTuple_GET_SIZE(b->tries);
    PyObject *roots, *result = NULL;
    trie_result outcome;

    MAYBE_WITHOUT_GIL(hashes, outcome = forest_hash(f));
    if (outcome == TRIE_DONE)
        outcome = forest_write(f);
    if (outcome != TRIE_DONE) {
        trie_failed(f, b, outcome);
        return NULL;
    }
    roots = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(n * FELT_BYTES));
    for (size_t i = 0; roots && i < n; i++) {
        const fe root = forest_root(f, i);
        fe_store((uint8_t *)PyBytes_AS_STRING(roots) + i * FELT_BYTES, &root);
    }
    if (roots)
        result = PyTuple_Pack(2, roots, b->written);
    Py_XDECREF(roots);
    return result;
}

static int check_tries(PyObject *tries)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tries); i++) {
        PyObject *trie = PyTuple_GET_ITEM(tries, i);
        if (!PyTuple_Check(trie) || PyTuple_GET_SIZE(trie) != 2 || !PyBytes_Check(PyTuple_GET_ITEM(trie, 0))
            || !PyBytes_Check(PyTuple_GET_ITEM(trie, 1))) {
            PyErr_SetString(PyExc_TypeError, "a trie is a tuple of its name and its changes, both bytes");
            return 0;
        }
        if (PyBytes_GET_SIZE(PyTuple_GET_ITEM(trie, 1)) % PAIR_BYTES) {
            PyErr_Format(PyExc_ValueError, "changes are not a multiple of %zd bytes", PAIR_BYTES);
            return 0;
        }
    }
    return 1;
}

static PyObject *update_tries(hash_kind kind, size_t page_bytes, books *b)
{
    const trie_host host = {b, books_find, books_put, books_drop};
    forest *f = forest_new(kind, page_bytes, (size_t)PyTuple_GET_SIZE(b->tries), &host);
    PyObject *result = NULL;

    if (!f)
        return PyErr_NoMemory();
    if (change_tries(f, b)) {
        if (forest_lacks(f))
            result = Py_NewRef(b->wanted);
        else
            result = finish_tries(f, b);
    }
    forest_free(f);
    return result;
}

static PyObject *py_trie_update(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t n)
{
    PyObject *result = NULL;
    hash_kind kind;
    long page_bytes;
    books b;

    if (!check_count("trie_update", n, 4) || !kind_of(&kind, args[0]) || !prepare_kind(kind))
        return NULL;
    page_bytes = PyLong_AsLong(args[1]);
    if (page_bytes == -1 && PyErr_Occurred())
        return NULL;
    if (page_bytes < 0 || page_bytes > TRIE_PAGE_BYTES_MAX)
        return PyErr_Format(PyExc_ValueError, "a page is split at 0 to %d bytes", TRIE_PAGE_BYTES_MAX);
    if (!PyDict_Check(args[3]))
        return PyErr_Format(PyExc_TypeError, "pages are a dict");
    b = (books){PySequence_Tuple(args[2]), args[3], PyList_New(0), PyList_New(0), PyDict_New()};
    if (b.tries && b.held && b.wanted && b.written && check_tries(b.tries))
        result = update_tries(kind, (size_t)page_bytes, &b);
    Py_XDECREF(b.tries);
    Py_XDECREF(b.held);
    Py_XDECREF(b.wanted);
    Py_XDECREF(b.written);
    return result;
}

/* --- ECDSA --- */

#define SIGNATURE_BYTES ((Py_ssize_t)(SIGNATURE_FELTS * FELT_BYTES))

static PyObject *py_ecdsa_verify(PyObject *Py_UNUSED(self), PyObject *buffer)
{
    PyObject *result = NULL;
    Py_buffer view;

    if (!prepare(ecdsa_prepare) || PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    if (view.len % SIGNATURE_BYTES)
        PyErr_Format(PyExc_ValueError, "%zd bytes are not a multiple of %zd", view.len, SIGNATURE_BYTES);
    else
        result = PyBytes_FromStringAndSize(NULL, view.len / SIGNATURE_BYTES);
    if (result) {
        uint8_t *out = (uint8_t *)PyBytes_AS_STRING(result);
        Py_BEGIN_ALLOW_THREADS
        ecdsa_verify_many(out, view.buf, (size_t)(view.len / SIGNATURE_BYTES));
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&view);
    return result;
}

/* --- Ways of the processor --- */

/* choose(adx, wide): use these where the processor has them; what is used then. For tests and measurements:
 * not while another thread hashes. */
static PyObject *py_choose(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t n)
{
    int adx, wide;
    if (!check_count("choose", n, 2))
        return NULL;
    adx = PyObject_IsTrue(args[0]);
    wide = PyObject_IsTrue(args[1]);
    if (adx < 0 || wide < 0)
        return NULL;
    adx = adx && adx_supported();
    wide_wanted = wide && wide_supported() && wide_prepare();
    fe_choose(adx);
    return Py_BuildValue("NN", PyBool_FromLong(adx), PyBool_FromLong(wide_wanted));
}

/* --- Wire messages --- */

static PyObject *py_wire_rows(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t n)
{
    return check_count("wire_rows", n, 2) ? wire_rows(args[0], args[1]) : NULL;
}

static PyObject *py_wire_spans(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t n)
{
    Py_ssize_t numbers[3];

    if (!check_count("wire_spans", n, 4))
        return NULL;
    for (int i = 0; i < 3; i++) {
        numbers[i] = PyLong_AsSsize_t(args[i + 1]);
        if (numbers[i] == -1 && PyErr_Occurred())
            return NULL;
    }
    return wire_spans(args[0], numbers[0], numbers[1], numbers[2]);
}

/* --- Forms --- */

static PyObject *py_form_hashes(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t n)
{
    return check_count("form_hashes", n, 3) && prepare_kind(PEDERSEN) ? form_hashes(args[0], args[1], args[2]) : NULL;
}

static PyObject *py_felts_json(PyObject *Py_UNUSED(self), PyObject *felts)
{
    return felts_json(felts);
}

/* --- Parts for tests, in the build with HERA_CHECKED only --- */

#ifdef HERA_CHECKED

/* field(operation, a[, b]): any 32 bytes below 31 p in, as the operation leaves them out. */
static PyObject *py_field(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t n)
{
    const char *operation = n == 3 ? PyUnicode_AsUTF8(args[0]) : NULL;
    fe a, b, r;

    if (!operation || PyBytes_Size(args[1]) != FELT_BYTES || PyBytes_Size(args[2]) != FELT_BYTES)
        return PyErr_Format(PyExc_TypeError, "field takes an operation and two felts");
    fe_load(&a, (const uint8_t *)PyBytes_AS_STRING(args[1]));
    fe_load(&b, (const uint8_t *)PyBytes_AS_STRING(args[2]));
    r = a;
    if (!strcmp(operation, "mul"))
        fe_mul(&r, &a, &b);
    else if (!strcmp(operation, "mul_call"))
        fe_mul_call(&r, &a, &b);
    else if (!strcmp(operation, "sqr"))
        fe_sqr(&r, &a);
    else if (!strcmp(operation, "sqr_call"))
        fe_sqr_call(&r, &a);
    else if (!strcmp(operation, "fold"))
        fe_fold(&r, &a);
    else if (!strcmp(operation, "canonical"))
        fe_canonical(&r, &a);
    else if (!strcmp(operation, "from_montgomery"))
        fe_from_montgomery(&r, &a);
    else if (!strcmp(operation, "inverse"))
        fe_inverse(&r, &a);
    else if (!strcmp(operation, "inverse_modulo"))
        modular_inverse(&r, &a, &b);
    else if (!strcmp(operation, "pedersen_complete"))
        pedersen_pair_complete(&r, &a, &b);
    else if (!strcmp(operation, "sqrt")) {
        if (!fe_sqrt(&r, &a))
            Py_RETURN_NONE;
    } else
        return PyErr_Format(PyExc_ValueError, "no operation %s", operation);
    return bytes_of_felt(&r);
}

/* curve(operation, x1, y1, x2, y2): the complete formulas on points in Montgomery form; None at infinity. */
static PyObject *py_curve(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t n)
{
    const char *operation = n == 5 ? PyUnicode_AsUTF8(args[0]) : NULL;
    jacobian p, q, r;
    affine b, result;
    fe in[4], scratch[2];

    for (int i = 0; operation && i < 4; i++)
        if (!felt_of_buffer(&in[i], args[i + 1]))
            return NULL;
    if (!operation)
        return PyErr_Format(PyExc_TypeError, "curve takes an operation and four felts");
    b = (affine){in[0], in[1]};
    point_of(&p, &b);
    b = (affine){in[2], in[3]};
    point_of(&q, &b);
    if (!strcmp(operation, "add"))
        point_add(&r, &p, &q);
    else if (!strcmp(operation, "add_affine"))
        point_add_affine(&r, &p, &b);
    else if (!strcmp(operation, "add_scaled")) { /* the same with z other than 1 */
        jacobian twice;
        point_double(&twice, &q);
        point_add(&r, &p, &twice);
        point_negate(&q, &q);
        point_add(&r, &r, &q);
    } else if (!strcmp(operation, "add_many")) {
        result = (affine){in[0], in[1]};
        if (!affine_add_many(&result, &result, &b, 1, scratch))
            Py_RETURN_NONE;
        point_of(&r, &result);
    } else
        return PyErr_Format(PyExc_ValueError, "no operation %s", operation);
    if (r.infinite)
        Py_RETURN_NONE;
    points_to_affine(&result, &r, 1, scratch);
    fe_canonical(&in[0], &result.x);
    fe_canonical(&in[1], &result.y);
    return bytes_of_felts(in, 2);
}

/* Make every shared inversion fail, or not. */
static PyObject *py_refuse_shared_inversions(PyObject *Py_UNUSED(self), PyObject *flag)
{
    refuse_shared_inversions = PyObject_IsTrue(flag);
    Py_RETURN_NONE;
}
#endif

/* --- Module --- */

#define FAST(name) {#name, (PyCFunction)(void (*)(void))py_##name, METH_FASTCALL, NULL}
#define ONE_ARGUMENT(name) {#name, py_##name, METH_O, NULL}

static PyMethodDef methods[] = {
    FAST(pedersen),
    FAST(poseidon),
    FAST(pedersen_int),
    FAST(poseidon_int),
    ONE_ARGUMENT(pedersen_pairs),
    ONE_ARGUMENT(poseidon_pairs),
    ONE_ARGUMENT(pedersen_array_ints),
    ONE_ARGUMENT(poseidon_many_ints),
    FAST(poseidon_many),
    FAST(pedersen_chains),
    FAST(patricia_root),
    FAST(trie_update),
    ONE_ARGUMENT(ecdsa_verify),
    FAST(choose),
    FAST(wire_rows),
    FAST(wire_spans),
    FAST(form_hashes),
    ONE_ARGUMENT(felts_json),
#ifdef HERA_CHECKED
    FAST(field),
    FAST(curve),
    ONE_ARGUMENT(refuse_shared_inversions),
#endif
    {NULL, NULL, 0, NULL},
};

static int set_up(PyObject *module)
{
    if (!prepare_lock)
        prepare_lock = PyThread_allocate_lock();
    if (!prepare_lock) {
        PyErr_NoMemory();
        return -1;
    }
    fe_choose(adx_supported());
    wide_wanted = wide_supported() && wide_prepare();
    if (PyModule_AddIntConstant(module, "PEDERSEN", PEDERSEN) < 0
        || PyModule_AddIntConstant(module, "POSEIDON", POSEIDON) < 0)
        return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)set_up},
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "starknet.native._kernel",
    .m_doc = "Starknet's hashes, signatures and tries over buffers of 32-byte felts.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__kernel(void)
{
    return PyModuleDef_Init(&definition);
}
