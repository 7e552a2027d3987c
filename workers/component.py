"""The five parts of a block, in the order in which they are asked for, and how large their messages may be."""

from enum import StrEnum


class Component(StrEnum):
    """One part of a block; also the name of its sync protocol and of its fetch stage."""

    HEADERS = "headers"
    STATE_DIFFS = "state_diffs"
    CLASSES = "classes"
    TRANSACTIONS = "transactions"
    EVENTS = "events"


MESSAGE_BYTES_MAX = 1 << 20  # SYNC-SPEC: Each message must be less than 1MB
CLASS_BYTES_MAX = 4 << 20  # … except for the Class message which is allowed to be up to 4MB


def message_bytes_max(component: Component) -> int:
    """The greatest message of the component."""
    return CLASS_BYTES_MAX if component is Component.CLASSES else MESSAGE_BYTES_MAX
