"""Juno's words: which of its options Hera has no use for, so that a command line or file of Juno's can be taken over.

Options of Juno that Hera has as well have the same name here (``node.config.KEYS``), and Juno's variables are read
as Hera's are.
"""

ENV_PREFIX = "JUNO_"

_NO_VM = "there is no Cairo VM: --rpc-upstream asks another node"
_NO_L1 = "L1 is not followed"
_OWN_STORE = "the store is another one"
_NOT_THERE = "there is no such server"
_NO_SEQUENCER = "blocks are not made here"

UNUSED = {  # of Juno's options, each with why it has no meaning for Hera
    "rpc-max-block-scan": "a page of events has a limit of its own",
    "rpc-call-max-steps": _NO_VM,
    "rpc-call-max-gas": _NO_VM,
    "max-vms": _NO_VM,
    "max-vm-queue": _NO_VM,
    "versioned-constants-file": _NO_VM,
    "db-cache-size": _OWN_STORE,
    "db-max-handles": _OWN_STORE,
    "db-compression": _OWN_STORE,
    "remote-db": _OWN_STORE,
    "eth-node": _NO_L1,
    "disable-l1-verification": _NO_L1,
    "ws": _NOT_THERE,
    "ws-host": _NOT_THERE,
    "ws-port": _NOT_THERE,
    "pprof": _NOT_THERE,
    "pprof-host": _NOT_THERE,
    "pprof-port": _NOT_THERE,
    "grpc": _NOT_THERE,
    "grpc-host": _NOT_THERE,
    "grpc-port": _NOT_THERE,
    "http-update-host": _NOT_THERE,
    "http-update-port": _NOT_THERE,
    "plugin-path": "there are no plugins",
    "gw-timeouts": "give --gw-timeout",
    "preconfirmed-poll-interval": "blocks that are being built are not followed",
    "disable-rpc-batch-requests": "a batch has a limit",
    "readiness-block-tolerance": "readiness has a limit of its own",
    "submitted-transactions-cache-size": "there is no mempool",
    "submitted-transactions-cache-entry-ttl": "there is no mempool",
    "seq-enable": _NO_SEQUENCER,
    "seq-rpc-endpoint": _NO_SEQUENCER,
    "seq-block-time": _NO_SEQUENCER,
    "seq-genesis-file": _NO_SEQUENCER,
    "seq-shadow-mode": _NO_SEQUENCER,
    "seq-shadow-mode-sync-to": _NO_SEQUENCER,
    "seq-disable-fees": _NO_SEQUENCER,
}
BOOLEANS = frozenset(
    (
        "disable-l1-verification",
        "disable-rpc-batch-requests",
        "grpc",
        "pprof",
        "seq-disable-fees",
        "seq-enable",
        "seq-shadow-mode",
        "ws",
    )
)


def option(variable: str) -> str:
    """Return the option that a variable of Juno's stands for."""
    return variable.removeprefix(ENV_PREFIX).lower().replace("_", "-")


def variable(name: str) -> str:
    """Return Juno's variable of option ``name``."""
    return ENV_PREFIX + name.upper().replace("-", "_").replace(".", "_")
