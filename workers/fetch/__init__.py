"""The fetch stages: each cuts one peer's answer for a range into parts of single blocks."""

from workers.fetch import classes, events, headers, state_diffs, transactions

__all__ = ["classes", "events", "headers", "state_diffs", "transactions"]
