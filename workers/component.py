"""The five parts of a block, in the order in which they are asked for."""

from enum import StrEnum


class Component(StrEnum):
    """One part of a block; also the name of its sync protocol and of its fetch stage."""

    HEADERS = "headers"
    STATE_DIFFS = "state_diffs"
    CLASSES = "classes"
    TRANSACTIONS = "transactions"
    EVENTS = "events"
