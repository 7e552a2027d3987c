"""Signatures of the kernel in C."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from typing_extensions import Buffer

PEDERSEN: Final = 0
POSEIDON: Final = 1

def pedersen(a: Buffer, b: Buffer, /) -> bytes:
    """Pedersen hash of two felts."""

def poseidon(a: Buffer, b: Buffer, /) -> bytes:
    """Poseidon hash of exactly two felts."""

def pedersen_int(a: int, b: int, /) -> int:
    """Pedersen hash of two felts."""

def poseidon_int(a: int, b: int, /) -> int:
    """Poseidon hash of exactly two felts."""

def pedersen_pairs(pairs: Buffer, /) -> bytes:
    """n x (a, b) to n hashes."""

def poseidon_pairs(pairs: Buffer, /) -> bytes:
    """n x (a, b) to n hashes."""

def pedersen_array_ints(felts: Iterable[int], /) -> int:
    """Fold from 0 over the felts, then over their number."""

def poseidon_many_ints(felts: Iterable[int], /) -> int:
    """The sponge over any number of felts."""

def poseidon_many(flat: Buffer, offsets: Buffer, /) -> bytes:
    """The sponge over each of n lists; offsets are n + 1 native 8-byte integers from 0 to the felts' number."""

def pedersen_chains(flat: Buffer, offsets: Buffer, /) -> bytes:
    """The folded Pedersen hash of each of n lists, all in step; offsets as in `poseidon_many`."""

def patricia_root(kind: int, height: int, values: Buffer, /) -> bytes:
    """Root of the trie with values under keys 0, 1, …; a value of 0 is absent; height 1 to 64."""

def trie_update(
    kind: int,
    page_bytes: int,
    tries: Iterable[tuple[bytes, bytes]],
    pages: dict[bytes, bytes | None],
    /,
) -> list[bytes] | tuple[bytes, dict[bytes, bytes | None]]:
    """Change several tries of height 251: the pages to read next, or the roots and the pages that differ.

    A trie is its name and its changes, n x (key, value) with keys ascending; a value of 0 removes a key. A page's
    name is that of its trie, then one byte of level and the path's bits in as few bytes as that needs. `pages`
    are those read so far; None says that there is none, in the result that it is gone. `trie.c` has what a page
    holds; a node of more than `page_bytes` bytes has one of its own. Raises LookupError if a page is missing or
    damaged.
    """

def ecdsa_verify(signatures: Buffer, /) -> bytes:
    """n x (key's x, message, r, s) to n bytes of 1 or 0; numbers out of range make 0, either y of x will do."""

def wire_rows(plan: bytes, messages: Sequence[bytes], /) -> list[tuple[Any, ...]]:
    """A row of values for each protobuf message, one value for each field of the plan but members.

    The plan has three bytes for each field: its number, its kind, and how many of the fields that follow lie
    within it. Kinds and their values: 0, a message that is a felt: 32 bytes below P, None where absent; 1, any
    number of them: joined, None where the message that would hold them is absent; 2 and 3, a varint of 32 or 64
    bits: an integer, 0 where absent; 4 and 5, bytes and text: bytes or None; 6, a message: whether it is there; 7,
    any number of messages: a list of their bytes; 8, a oneof, numbered 0, and within it its members, of kind 9,
    which have no value of their own: None, or (place among the members, bytes) of the one that is there. Also
    raises ValueError where a message is not as every encoder writes it.
    """

def form_hashes(form: bytes, constants: bytes, rows: Iterable[tuple[Any, ...]], /) -> list[bytes]:
    """The hash of each row by a form.

    A form is steps of four bytes, which `forms.c` explains: lists of a row's felts, of constants and of hashes of
    lists of earlier rounds; the hash of the last list is the row's. Raises LookupError with the number of a column
    that has no value, ValueError for a value that is no felt or has more bits than its place.
    """

def wire_spans(
    body: Buffer, start: int, count: int, message_max: int, /
) -> list[tuple[int, int, int]]:
    """Where messages lie that follow their lengths: (start of its length, its own start, its end) of each.

    At most ``count`` from ``start`` on, and those before a broken one; ValueError if the first is broken.
    """

def choose(adx: bool, wide: bool, /) -> tuple[bool, bool]:
    """Use MULX and ADX, and AVX-512 IFMA, where the processor has them (as it starts with); what is used then.

    For tests and measurements: not while another thread hashes.
    """

def felts_json(felts: Buffer, /) -> bytes:
    """n felts as the JSON text of a list of n strings: 0x and hex digits without leading zeros."""
