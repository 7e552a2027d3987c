"""Exit codes of the node's processes, after sysexits.h; the supervisor tells by them what to do."""

EX_OK = 0
EX_SOFTWARE = 70  # our own bug: start again, but not for ever
EX_IOERR = 74  # the disk is full: do not start again until a person has made room
EX_TEMPFAIL = 75  # the broker is lost: start again
EX_CONFIG = 78  # nothing but another configuration helps: do not start again
