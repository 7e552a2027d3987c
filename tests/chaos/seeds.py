"""The seed of a run: drawn, or told by HERA_CHAOS_SEED so that a run can be repeated."""

import os
import random


def drawn() -> int:
    """Return the seed and print it; pytest shows that where a test fails, ``make chaos`` always."""
    told = os.environ.get("HERA_CHAOS_SEED")
    seed = random.SystemRandom().getrandbits(32) if told is None else int(told)
    print(f"HERA_CHAOS_SEED={seed}")  # noqa: T201 (whoever repeats the run needs it)
    return seed
