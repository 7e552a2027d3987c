"""The served versions of the Starknet JSON-RPC specification: one table row each, in what they differ in."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Spec:
    """One version. Newer rows repeat older ones but for what changed."""

    name: str  # as in the path
    version: str
    next_tag: str  # of the block that is being built
    l1_tag: bool  # there is a tag for the last block accepted on L1
    commitments: bool  # headers have commitments and counts
    migrated: bool  # state diffs name migrated classes apart
    event_places: bool  # events say where in their block they are
    finality_told: bool  # events of a subscription say how final they are
    since: tuple[int, int]  # what parameters are compared with


V0_8 = Spec(
    name="v0_8",
    version="0.8.0",
    next_tag="pending",
    l1_tag=False,
    commitments=False,
    migrated=False,
    event_places=False,
    finality_told=False,
    since=(0, 8),
)
V0_9 = replace(
    V0_8,
    name="v0_9",
    version="0.9.0",
    next_tag="pre_confirmed",
    l1_tag=True,
    finality_told=True,
    since=(0, 9),
)
V0_10 = replace(
    V0_9,
    name="v0_10",
    version="0.10.2",
    commitments=True,
    migrated=True,
    event_places=True,
    since=(0, 10),
)

SPECS = (V0_10, V0_9, V0_8)
LATEST = V0_10


def paths() -> dict[str, Spec]:
    """Return every path that takes requests, with the version spoken there."""
    found = dict.fromkeys(("/", "/rpc"), LATEST)
    for spec in SPECS:
        found |= {f"/{spec.name}": spec, f"/rpc/{spec.name}": spec}
    return found


def unserved(path: str) -> str:
    """Return what a client is told who asks at any other path."""
    return f"there is no {path[:80]}: use one of {', '.join(paths())}"


def socket_paths() -> dict[str, Spec]:
    """Return every path of WebSockets: those of HTTP, and the same below /ws, as older clients have them."""
    found = paths()
    return found | {f"/ws{path.rstrip('/')}": spec for path, spec in found.items()}
