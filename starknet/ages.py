"""What a generated chain holds in each age of Starknet: one table row for each version that changed something.

``starknet.versions`` has the rules by which blocks are checked; this page has what users and gateway did then.
"""

from dataclasses import dataclass, replace

from starknet.versions import UnknownVersion, Version, parse, rules_for

NO_VERSION = "none"  # how a person writes the empty version string of the first blocks
EXAMPLES = (
    *(NO_VERSION, "0.9.1", "0.10.0", "0.11.1", "0.12.3", "0.13.0", "0.13.1"),
    *("0.13.2", "0.13.3", "0.13.4", "0.14.0", "0.14.1"),
)

_WEI = ("l1_gas_price_wei",)
_L1 = ("l1_gas_price_wei", "l1_gas_price_fri")
_DATA = ("l1_data_gas_price_wei", "l1_data_gas_price_fri")
_L2 = ("l2_gas_price_wei", "l2_gas_price_fri")


@dataclass(frozen=True)
class Age:
    """One row: what blocks hold from version ``since`` up to the next row."""

    since: Version
    kinds: tuple[str, ...]  # of transactions, as the wire names them; later versions last
    fees: bool  # transactions are paid for
    prices: tuple[str, ...]  # price fields of a header
    price_objects: bool  # the gateway names prices by kind of gas, as it does today
    gas: tuple[str, ...]  # gas counters of a receipt
    data_gas_bounds: bool  # version 3 transactions may bound L1 data gas
    blobs: bool  # state diffs go to L1 in blobs
    old_hashes: bool  # contract 1 keeps the hashes of old blocks
    pair_signatures: bool  # the signature is over hash and state diff, not the hash alone

    def newest(self, stem: str) -> str | None:
        """The latest kind of transaction whose name begins with ``stem``."""
        kinds = self.named(stem)
        return kinds[-1] if kinds else None

    def named(self, stem: str) -> list[str]:
        """The kinds whose name begins with ``stem`` and a version, earliest first."""
        return [kind for kind in self.kinds if kind.startswith(f"{stem}_v")]


_UNVERSIONED = Age(
    since=(0, 0, 0, 0),
    kinds=("deploy", "invoke_v0", "l1_handler"),
    fees=False,
    prices=(),
    price_objects=False,
    gas=(),
    data_gas_bounds=False,
    blobs=False,
    old_hashes=False,
    pair_signatures=False,
)
# Each row repeats the one above and names what its version changed.
_V0_1 = replace(
    _UNVERSIONED,
    since=(0, 0, 0, 1),
    kinds=(*_UNVERSIONED.kinds, "declare_v0"),
    fees=True,
    prices=_WEI,
)
_V0_10 = replace(
    _V0_1,
    since=(0, 10, 0, 0),
    kinds=(*_V0_1.kinds, "invoke_v1", "declare_v1", "deploy_account_v1"),
)
_V0_11 = replace(
    _V0_10,
    since=(0, 11, 0, 0),
    kinds=(
        *("l1_handler", "invoke_v1", "declare_v0", "declare_v1", "declare_v2"),
        "deploy_account_v1",
    ),
)
_V0_12 = replace(_V0_11, since=(0, 12, 0, 0), old_hashes=True, pair_signatures=True)
_V0_13_0 = replace(
    _V0_12,
    since=(0, 13, 0, 0),
    kinds=(*_V0_12.kinds, "invoke_v3", "declare_v3", "deploy_account_v3"),
    prices=_L1,
    pair_signatures=False,
)
_V0_13_1 = replace(
    _V0_13_0,
    since=(0, 13, 1, 0),
    prices=(*_L1, *_DATA),
    price_objects=True,
    gas=("l1_gas",),
    blobs=True,
)
_V0_13_2 = replace(
    _V0_13_1, since=(0, 13, 2, 0), gas=(*_V0_13_1.gas, "total_l1_gas", "l1_data_gas")
)
_V0_13_4 = replace(
    _V0_13_2,
    since=(0, 13, 4, 0),
    prices=(*_L1, *_DATA, *_L2),
    gas=(*_V0_13_2.gas, "l2_gas"),
    data_gas_bounds=True,
)
_V0_14_0 = replace(
    _V0_13_4,
    since=(0, 14, 0, 0),
    kinds=("l1_handler", "invoke_v3", "declare_v3", "deploy_account_v3"),
)

TABLE: tuple[Age, ...] = (
    *(_UNVERSIONED, _V0_1, _V0_10, _V0_11, _V0_12),
    *(_V0_13_0, _V0_13_1, _V0_13_2, _V0_13_4, _V0_14_0),
)


def age_of(version: str) -> Age:
    """The row of a protocol version string; raises UnknownVersion as ``rules_for`` does."""
    rules_for(version)
    number = parse(version)
    return next(row for row in reversed(TABLE) if row.since <= number)


def version_named(text: str) -> str:
    """The version string that a person means; raises UnknownVersion, one line with what is possible."""
    version = "" if text == NO_VERSION else text
    try:
        rules_for(version)
    except UnknownVersion as error:
        choice = ", ".join(EXAMPLES)
        raise UnknownVersion(f"{error}: use one up to 0.14.4, such as {choice}") from None
    return version
