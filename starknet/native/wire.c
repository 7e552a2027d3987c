/* Protobuf messages straight to rows of what hashes take.
 *
 * What is read here protobuf reads alike. It reads more than that: numbers not in their shortest form, groups, a
 * field that comes twice or with another wire type, several members of a oneof. No encoder writes any of it, so that
 * it is refused here, and there is nothing that two readers could take for different things. Fields that the plan
 * does not name are skipped. */
#include "wire.h"

#include <string.h>

#include "field.h"

#define VARINT_BYTES_MAX 10
#define TAG_MAX UINT32_MAX
#define COLUMNS_MAX 255
#define ELEMENTS 1 /* the number of the field of bytes in a message that is a felt */
#define FELTS_AT_FIRST 16
#define SPAN_LENGTH_BYTES_MAX 5

typedef enum { FELT, FELTS, NUMBER32, NUMBER64, BYTES, TEXT, MESSAGE, MESSAGES, ONE_OF, MEMBER, KINDS } field_kind;
typedef enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 } wire_type; /* and groups, which nobody uses */

/* A field of the plan; the fields of a message follow it, `below` says how many there are at all depths. So do the
 * members of a ONE_OF, which has no number of its own. */
typedef struct {
    uint8_t number, kind, below;
} field;

typedef struct {
    const uint8_t *at, *end;
} span;

/* What was found of a field so far. */
typedef struct {
    int present;
    uint64_t number;
    span bytes;
    uint8_t felt[FELT_BYTES];
    uint8_t *felts;
    size_t count, room; /* felts */
    size_t member;      /* its place in the plan */
    PyObject *messages;
} cell;

typedef struct {
    const field *fields;
    cell *cells;
    size_t members; /* fields without a column */
} reader;

static int malformed(void)
{
    PyErr_SetString(PyExc_ValueError, "not a well-formed message");
    return 0;
}

/* --- The parts of a message; 0 with the error set --- */

static int read_varint(span *in, uint64_t *number)
{
    *number = 0;
    for (unsigned i = 0; i < VARINT_BYTES_MAX && in->at < in->end; i++) {
        const uint8_t byte = *in->at++;
        *number |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) /* the last one of ten holds one bit; a nought would not be needed */
            return (byte || !i) && (i < VARINT_BYTES_MAX - 1 || byte == 1) ? 1 : malformed();
    }
    return malformed();
}

static int read_tag(span *in, uint32_t *number, wire_type *type)
{
    uint64_t tag;
    if (!read_varint(in, &tag))
        return 0;
    *number = (uint32_t)(tag >> 3);
    *type = (wire_type)(tag & 7);
    return tag <= TAG_MAX && *number ? 1 : malformed();
}

static int read_length(span *in, span *inside)
{
    uint64_t length;
    if (!read_varint(in, &length))
        return 0;
    if (length > (uint64_t)(in->end - in->at))
        return malformed();
    *inside = (span){in->at, in->at + length};
    in->at += length;
    return 1;
}

static int skip_bytes(span *in, ptrdiff_t bytes)
{
    if (bytes > in->end - in->at)
        return malformed();
    in->at += bytes;
    return 1;
}

static int skip(span *in, wire_type type)
{
    uint64_t unused;
    span inside;

    switch (type) {
    case VARINT:
        return read_varint(in, &unused);
    case FIXED64:
        return skip_bytes(in, 8);
    case FIXED32:
        return skip_bytes(in, 4);
    case LENGTH:
        return read_length(in, &inside);
    default:
        return malformed();
    }
}

/* --- Felts --- */

/* The felt of a message that is one; 0 where the message does not say. */
static int read_felt(uint8_t *felt, span in)
{
    span bytes = {NULL, NULL};
    uint32_t number;
    wire_type type;
    size_t size;
    fe loaded;

    while (in.at < in.end) {
        if (!read_tag(&in, &number, &type))
            return 0;
        if (number == ELEMENTS && (type != LENGTH || bytes.at))
            return malformed();
        if (!(number == ELEMENTS ? read_length(&in, &bytes) : skip(&in, type)))
            return 0;
    }
    size = (size_t)(bytes.end - bytes.at);
    if (size > FELT_BYTES) {
        PyErr_SetString(PyExc_ValueError, "felt of more than 32 bytes");
        return 0;
    }
    memset(felt, 0, FELT_BYTES - size);
    if (size)
        memcpy(felt + FELT_BYTES - size, bytes.at, size);
    fe_load(&loaded, felt);
    if (fe_below(&loaded, 1))
        return 1;
    PyErr_SetString(PyExc_ValueError, "felt not below the field's prime");
    return 0;
}

static int add_felt(cell *c, span in)
{
    if (c->count == c->room) {
        const size_t room = c->room ? 2 * c->room : FELTS_AT_FIRST;
        uint8_t *felts = PyMem_Realloc(c->felts, room * FELT_BYTES);
        if (!felts) {
            PyErr_NoMemory();
            return 0;
        }
        c->felts = felts;
        c->room = room;
    }
    return read_felt(c->felts + c->count++ * FELT_BYTES, in);
}

/* --- Messages --- */

static int add_message(cell *c, span in)
{
    PyObject *message;
    int failed;

    if (!c->messages && !(c->messages = PyList_New(0)))
        return 0;
    message = PyBytes_FromStringAndSize((const char *)in.at, in.end - in.at);
    failed = !message || PyList_Append(c->messages, message) < 0;
    Py_XDECREF(message);
    return !failed;
}

/* Which of several messages is there. */
static int choose_member(reader *r, size_t place, span in)
{
    size_t head = place;
    cell *c;

    while (r->fields[head].kind != ONE_OF)
        head--;
    c = &r->cells[head];
    if (c->present)
        return malformed();
    c->present = 1;
    c->member = place - head - 1;
    c->bytes = in;
    return 1;
}

static int is_text(span in)
{
    PyObject *text = PyUnicode_DecodeUTF8((const char *)in.at, in.end - in.at, NULL);
    if (text) {
        Py_DECREF(text);
        return 1;
    }
    if (!PyErr_ExceptionMatches(PyExc_UnicodeError))
        return 0;
    PyErr_Clear();
    return malformed();
}

static int read_message(reader *r, size_t first, size_t end, span in);

static int read_field(reader *r, size_t place, span *in)
{
    const field *f = &r->fields[place];
    cell *c = &r->cells[place];
    span inside;

    if (f->kind == NUMBER32 || f->kind == NUMBER64) {
        if (c->present)
            return malformed();
        c->present = 1;
        if (!read_varint(in, &c->number))
            return 0;
        if (f->kind == NUMBER32)
            c->number &= UINT32_MAX;
        return 1;
    }
    if (!read_length(in, &inside))
        return 0;
    switch (f->kind) {
    case FELTS:
        return add_felt(c, inside);
    case MESSAGES:
        return add_message(c, inside);
    case MEMBER:
        return choose_member(r, place, inside);
    default:
        break;
    }
    if (c->present)
        return malformed();
    c->present = 1;
    switch (f->kind) {
    case FELT:
        return read_felt(c->felt, inside);
    case MESSAGE:
        return read_message(r, place + 1, place + 1 + f->below, inside);
    default:
        c->bytes = inside;
        return f->kind != TEXT || is_text(inside);
    }
}

static wire_type type_of(const field *f)
{
    return f->kind == NUMBER32 || f->kind == NUMBER64 ? VARINT : LENGTH;
}

/* The place of the field with that number, or `end`. */
static size_t find_field(const reader *r, size_t first, size_t end, uint32_t number)
{
    size_t place = first;

    while (place < end && r->fields[place].number != number)
        place += r->fields[place].kind == ONE_OF ? 1 : 1 + r->fields[place].below;
    return place;
}

/* The message whose fields are `first` ... `end` - 1 of the plan. */
static int read_message(reader *r, size_t first, size_t end, span in)
{
    size_t place = first;
    uint32_t number;
    wire_type type;

    for (size_t i = first; i < end; i += 1 + r->fields[i].below)
        if (r->fields[i].kind == FELTS)
            r->cells[i].present = 1;
    while (in.at < in.end) {
        if (!read_tag(&in, &number, &type))
            return 0;
        if (place == end || r->fields[place].number != number) /* the same again is likeliest */
            place = find_field(r, first, end, number);
        if (place < end && type_of(&r->fields[place]) != type)
            return malformed();
        if (!(place < end ? read_field(r, place, &in) : skip(&in, type)))
            return 0;
    }
    return 1;
}

/* --- Rows --- */

/* What was found of a field; the cell is as new afterwards. */
static PyObject *take(const field *f, cell *c)
{
    const int present = c->present;
    const size_t count = c->count;
    const uint64_t number = c->number;
    PyObject *messages = c->messages;

    c->present = 0;
    c->count = 0;
    c->number = 0;
    c->messages = NULL;
    switch (f->kind) {
    case NUMBER32:
    case NUMBER64:
        return PyLong_FromUnsignedLongLong(number);
    case MESSAGE:
        return PyBool_FromLong(present);
    case MESSAGES:
        return messages ? messages : PyList_New(0);
    default:
        break;
    }
    if (!present)
        Py_RETURN_NONE;
    if (f->kind == ONE_OF)
        return Py_BuildValue("ny#", (Py_ssize_t)c->member, (const char *)c->bytes.at, c->bytes.end - c->bytes.at);
    if (f->kind == FELT)
        return PyBytes_FromStringAndSize((const char *)c->felt, FELT_BYTES);
    if (f->kind == FELTS)
        return PyBytes_FromStringAndSize((const char *)c->felts, (Py_ssize_t)(count * FELT_BYTES));
    return PyBytes_FromStringAndSize((const char *)c->bytes.at, c->bytes.end - c->bytes.at);
}

static PyObject *row(reader *r, size_t columns, PyObject *message)
{
    PyObject *result;
    span in;

    if (!PyBytes_Check(message))
        return PyErr_Format(PyExc_TypeError, "a message is bytes, not %.100s", Py_TYPE(message)->tp_name);
    in.at = (const uint8_t *)PyBytes_AS_STRING(message);
    in.end = in.at + PyBytes_GET_SIZE(message);
    if (!read_message(r, 0, columns, in))
        return NULL;
    result = PyTuple_New((Py_ssize_t)(columns - r->members));
    for (size_t i = 0, n = 0; result && i < columns; i++) {
        PyObject *value;
        if (r->fields[i].kind == MEMBER)
            continue;
        value = take(&r->fields[i], &r->cells[i]);
        if (value)
            PyTuple_SET_ITEM(result, (Py_ssize_t)n++, value);
        else
            Py_CLEAR(result);
    }
    return result;
}

/* Whether fields lie in their messages, messages within each other, and members, and only they, in a ONE_OF. */
static int is_plan(const field *fields, size_t first, size_t end, int in_one_of)
{
    for (size_t i = first; i < end; i += 1 + fields[i].below) {
        const field *f = &fields[i];
        const size_t inner_end = i + 1 + f->below;
        if (f->kind >= KINDS || inner_end > end || (f->kind == MEMBER) != in_one_of
            || (f->below && f->kind != MESSAGE && f->kind != ONE_OF) || (f->kind == ONE_OF && f->number))
            return 0;
        if (!is_plan(fields, i + 1, inner_end, f->kind == ONE_OF))
            return 0;
    }
    return 1;
}

static PyObject *rows(reader *r, size_t columns, PyObject *messages)
{
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(messages);
    PyObject *result = PyList_New(n);

    for (Py_ssize_t i = 0; result && i < n; i++) {
        PyObject *made = row(r, columns, PySequence_Fast_GET_ITEM(messages, i));
        if (made)
            PyList_SET_ITEM(result, i, made);
        else
            Py_CLEAR(result);
    }
    return result;
}

PyObject *wire_rows(PyObject *plan, PyObject *messages)
{
    PyObject *result = NULL, *sequence;
    reader r;
    size_t columns;

    if (!PyBytes_Check(plan))
        return PyErr_Format(PyExc_TypeError, "a plan is bytes, not %.100s", Py_TYPE(plan)->tp_name);
    columns = (size_t)PyBytes_GET_SIZE(plan) / sizeof(field);
    r.fields = (const field *)PyBytes_AS_STRING(plan);
    if ((size_t)PyBytes_GET_SIZE(plan) != columns * sizeof(field) || columns > COLUMNS_MAX
        || !is_plan(r.fields, 0, columns, 0))
        return PyErr_Format(PyExc_ValueError, "not a plan");
    r.members = 0;
    for (size_t i = 0; i < columns; i++)
        r.members += r.fields[i].kind == MEMBER;
    sequence = PySequence_Fast(messages, "messages are a sequence of bytes");
    if (!sequence)
        return NULL;
    r.cells = PyMem_Calloc(columns ? columns : 1, sizeof *r.cells);
    if (r.cells)
        result = rows(&r, columns, sequence);
    else
        PyErr_NoMemory();
    for (size_t i = 0; r.cells && i < columns; i++) {
        PyMem_Free(r.cells[i].felts);
        Py_XDECREF(r.cells[i].messages);
    }
    PyMem_Free(r.cells);
    Py_DECREF(sequence);
    return result;
}

/* --- Messages in a row --- */

static const char *const cut_off = "length is cut off";

/* The length at in->at, in its shortest form; NULL, or what is wrong with it. */
static const char *read_span_length(span *in, uint64_t *length)
{
    *length = 0;
    for (unsigned i = 0; i < SPAN_LENGTH_BYTES_MAX; i++) {
        uint8_t byte;
        if (in->at == in->end)
            return cut_off;
        byte = *in->at++;
        *length |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80)
            return byte || !i ? NULL : "length is not in its shortest form";
    }
    return "length of more than 35 bits";
}

/* The next span; NULL, with the error set where it is broken. */
static PyObject *next_span(const uint8_t *body, span *in, uint64_t message_max)
{
    const Py_ssize_t start = in->at - body;
    uint64_t length;
    const char *wrong = read_span_length(in, &length);
    Py_ssize_t message;

    if (wrong)
        return PyErr_Format(PyExc_ValueError, "%s", wrong);
    if (length > message_max)
        return PyErr_Format(PyExc_ValueError, "message of %llu bytes, %llu allowed", (unsigned long long)length,
                            (unsigned long long)message_max);
    if (length > (uint64_t)(in->end - in->at))
        return PyErr_Format(PyExc_ValueError, "message of %llu bytes is cut off", (unsigned long long)length);
    message = in->at - body;
    in->at += length;
    return Py_BuildValue("nnn", start, message, message + (Py_ssize_t)length);
}

PyObject *wire_spans(PyObject *body, Py_ssize_t start, Py_ssize_t count, Py_ssize_t message_max)
{
    PyObject *result;
    Py_buffer view;

    if (PyObject_GetBuffer(body, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    result = PyList_New(0);
    if (result && (start < 0 || start > view.len || message_max < 0)) {
        PyErr_SetString(PyExc_ValueError, "a start within the body and a limit from 0 on are needed");
        Py_CLEAR(result);
    }
    if (result) {
        span in = {(const uint8_t *)view.buf + start, (const uint8_t *)view.buf + view.len};
        while (result && in.at < in.end && PyList_GET_SIZE(result) < count) {
            PyObject *found = next_span(view.buf, &in, (uint64_t)message_max);
            if (!found && PyList_GET_SIZE(result) && PyErr_ExceptionMatches(PyExc_ValueError)) {
                PyErr_Clear(); /* it will be the first of the next call */
                break;
            }
            if (!found || PyList_Append(result, found) < 0)
                Py_CLEAR(result);
            Py_XDECREF(found);
        }
    }
    PyBuffer_Release(&view);
    return result;
}

/* --- JSON --- */

#define QUOTED_BYTES_MAX (sizeof "\"0x\"," - 1 + 2 * FELT_BYTES)

/* A felt as text: quoted, 0x, hex digits without leading zeros. The end of what was written. */
static char *quote_felt(char *out, const uint8_t *felt)
{
    static const char digits[] = "0123456789abcdef";
    size_t i = 0;

    while (i < FELT_BYTES - 1 && !felt[i])
        i++;
    memcpy(out, "\"0x", 3);
    out += 3;
    if (felt[i] >> 4)
        *out++ = digits[felt[i] >> 4];
    *out++ = digits[felt[i] & 15];
    while (++i < FELT_BYTES) {
        *out++ = digits[felt[i] >> 4];
        *out++ = digits[felt[i] & 15];
    }
    *out++ = '"';
    return out;
}

PyObject *felts_json(PyObject *felts)
{
    PyObject *result;
    Py_buffer view;
    char *begin, *out;

    if (PyObject_GetBuffer(felts, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    if (view.len % FELT_BYTES) {
        PyBuffer_Release(&view);
        return PyErr_Format(PyExc_ValueError, "felts are 32 bytes each");
    }
    if (view.len / FELT_BYTES > (PY_SSIZE_T_MAX - 2) / (Py_ssize_t)QUOTED_BYTES_MAX) {
        PyBuffer_Release(&view);
        return PyErr_NoMemory();
    }
    result = PyBytes_FromStringAndSize(NULL, 2 + view.len / FELT_BYTES * (Py_ssize_t)QUOTED_BYTES_MAX);
    if (result) {
        begin = out = PyBytes_AS_STRING(result);
        *out++ = '[';
        for (Py_ssize_t at = 0; at < view.len; at += FELT_BYTES) {
            if (at)
                *out++ = ',';
            out = quote_felt(out, (const uint8_t *)view.buf + at);
        }
        *out++ = ']';
        _PyBytes_Resize(&result, out - begin);
    }
    PyBuffer_Release(&view);
    return result;
}
