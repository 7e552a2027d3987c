/* Wire messages for Python; the one file beside module.c that makes Python's objects. */
#ifndef HERA_WIRE_H
#define HERA_WIRE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* A tuple for each of a sequence of messages, of what `plan` asks for; see _kernel.pyi. NULL with the error set. */
PyObject *wire_rows(PyObject *plan, PyObject *messages);

/* Where messages lie that follow their lengths, at most `count` from `start` on; see _kernel.pyi. */
PyObject *wire_spans(PyObject *body, Py_ssize_t start, Py_ssize_t count, Py_ssize_t message_max);

/* n felts of 32 bytes as the JSON text of a list of n strings; NULL with the error set. */
PyObject *felts_json(PyObject *felts);

#endif
