"""Networks: lets through only chain parameters that are complete and well-formed, from a file or from flags."""

import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

from starknet.network import Network

FELT_MAX = (1 << 251) + 17 * (1 << 192)  # the field's prime minus one
CHAIN_ID_LENGTH_MAX = 31  # a felt holds no more ASCII characters
_SUFFIX = ".toml"


class NetworkError(Exception):
    """A network's name or parameters are of no use; the text is one line for a person."""


def names() -> tuple[str, ...]:
    """Return the names of the networks that come with Hera, sorted."""
    files = _folder().iterdir()
    return tuple(sorted(f.name.removesuffix(_SUFFIX) for f in files if f.name.endswith(_SUFFIX)))


def load(name: str) -> Network:
    """Return the network ``name``; raise NetworkError with the valid names if there is none."""
    valid = names()
    if name not in valid:
        near = get_close_matches(name, valid, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise NetworkError(
            f'"{name}" is no network Hera knows: {hint}use one of {", ".join(valid)}, '
            "or describe your own with the cn-* flags"
        )
    return from_table(name, tomllib.loads(_folder().joinpath(name + _SUFFIX).read_text("utf-8")))


def of_chain(chain_id: str) -> tuple[str, ...]:
    """Return the names of the networks that come with Hera whose chain this is; none for a network of one's own."""
    return tuple(name for name in names() if load(name).chain_id == chain_id)


def unnamed(chain_id: str) -> Network:
    """Return a network of one's own of which nothing but its chain is known."""
    return Network(
        name=chain_id,
        chain_id=chain_id,
        feeder_url="",
        gateway_url="",
        l1_chain_id=0,
        core_contract="",
        public_key=None,
    )


def from_table(name: str, table: Mapping[str, object]) -> Network:
    """Make the network of a TOML table with the keys of ``configs/networks``; NetworkError on any other."""
    known = {
        "chain-id",
        "feeder-url",
        "gateway-url",
        "l1-chain-id",
        "core-contract",
        "public-key",
        "first-07-block",
        "fallback-sequencer",
        "unverifiable-range",
        "transaction-chain-ids",
    }
    unknown = sorted(set(table) - known)
    if unknown:
        raise NetworkError(f"network {name}: unknown key {unknown[0]}")
    text = {key: value for key, value in table.items() if isinstance(value, str)}
    for key in ("chain-id", "feeder-url", "gateway-url", "core-contract"):
        if key not in text:
            raise NetworkError(f"network {name}: {key} is missing or no string")
    first, last = _range(name, table.get("unverifiable-range"))
    return Network(
        name=name,
        chain_id=chain_id(text["chain-id"]),
        feeder_url=base_url(text["feeder-url"]),
        gateway_url=base_url(text["gateway-url"]),
        l1_chain_id=_count(name, table, "l1-chain-id"),
        core_contract=ethereum_address(text["core-contract"]),
        public_key=felt(text["public-key"]) if "public-key" in text else None,
        first_07_block=_count(name, table, "first-07-block"),
        fallback_sequencer=felt(text.get("fallback-sequencer", "0x0")),
        unverifiable_from=first,
        unverifiable_to=last,
        transaction_chain_ids=_texts(name, table, "transaction-chain-ids"),
    )


def chain_id(text: str) -> str:
    """Return ``text`` if it can be a chain id: 1 to 31 characters that are safe in a protocol id."""
    if not re.fullmatch(rf"[A-Za-z0-9_.-]{{1,{CHAIN_ID_LENGTH_MAX}}}", text):
        raise NetworkError(
            f'"{text}" is no chain id: use 1 to {CHAIN_ID_LENGTH_MAX} letters, digits, "_", "-" or "."'
            ", such as SN_SEPOLIA"
        )
    return text


def base_url(text: str) -> str:
    """Return an http(s) URL with exactly one closing slash, so that a method's name can follow."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise NetworkError(f'"{text}" is no URL: {error}') from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise NetworkError(f'"{text}" is no URL: give http://HOST[:PORT][/PATH] or https://…')
    if parts.query or parts.fragment:
        raise NetworkError(f'"{text}" must end with its path: remove what follows "?" or "#"')
    return text.rstrip("/") + "/"


def ethereum_address(text: str) -> str:
    """Return ``text`` if it is an Ethereum address: 0x and up to 40 hex digits, zeros in front may be left out."""
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,40}", text):
        raise NetworkError(f'"{text}" is no Ethereum address: give 0x and up to 40 hex digits')
    return text


def felt(text: str) -> int:
    """Return the field element that ``text`` (0x and hex digits) writes."""
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,64}", text) or int(text, 16) > FELT_MAX:
        raise NetworkError(f'"{text}" is no field element: give 0x and up to 63 hex digits')
    return int(text, 16)


def _folder() -> Path:
    """Return ``configs/networks``, which lies beside this room in a checkout and in an installation."""
    return Path(__file__).resolve().parent.parent / "configs" / "networks"


def _count(name: str, table: Mapping[str, object], key: str) -> int:
    value = table.get(key, 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise NetworkError(f"network {name}: {key} must be a whole number from 0 up")
    return value


def _texts(name: str, table: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise NetworkError(f"network {name}: {key} must be a list of strings")
    return tuple(value)


def _range(name: str, value: object) -> tuple[int | None, int | None]:
    match value:
        case None | []:
            return None, None
        case [int(first), int(last)] if 0 <= first <= last:
            return first, last
    raise NetworkError(f"network {name}: unverifiable-range must be [first, last] block")
