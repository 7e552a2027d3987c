"""One file (or folder) per kind of process."""
