"""Durations as Go writes them (``5s``, ``1.5h``, ``2m30s``): lets through seconds, or says in a clause what to give."""

import re
from decimal import Decimal

UNITS_SECONDS = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
TIMEOUT_SECONDS_MIN, TIMEOUT_SECONDS_MAX = 0.01, 600.0
TIMEOUTS_MAX = 4
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(ns|us|µs|ms|s|m|h)")


def seconds(text: str, low: float, high: float) -> float:
    """Read a duration of ``low`` to ``high`` seconds; ValueError. Zero needs no unit."""
    value = _seconds(text)
    if value is None or not low <= value <= high:
        raise ValueError(
            f'"{text}" is no duration from {low:g}s to {high:g}s: give a number and a unit, such as 5s or 500ms'
        )
    return value


def timeouts(text: str) -> tuple[float, ...]:
    """Read time-outs as Juno does: ``5s`` grows where it is too short, ``5s,10s`` says how, ``5s,`` stays."""
    items = [item.strip() for item in text.split(",")]
    given = items[:-1] if len(items) > 1 and not items[-1] else items
    if len(given) > TIMEOUTS_MAX:
        raise ValueError(f'"{text}" has more than {TIMEOUTS_MAX} time-outs')
    found = tuple(seconds(item, TIMEOUT_SECONDS_MIN, TIMEOUT_SECONDS_MAX) for item in given)
    if len(items) > 1:
        return found
    return tuple(min(found[0] * 2**index, TIMEOUT_SECONDS_MAX) for index in range(TIMEOUTS_MAX))


def _seconds(text: str) -> float | None:
    if text == "0":
        return 0.0
    total, at = Decimal(0), 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            return None
        total += Decimal(part[1]) * UNITS_SECONDS[part[2]]
        at = part.end()
    return float(total) if text else None
