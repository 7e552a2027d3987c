/* Forms of hashes over rows, for Python. */
#ifndef HERA_FORMS_H
#define HERA_FORMS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* A hash for each of a sequence of rows, as `form` says; see _kernel.pyi. NULL with the error set. */
PyObject *form_hashes(PyObject *form, PyObject *constants, PyObject *rows);

#endif
