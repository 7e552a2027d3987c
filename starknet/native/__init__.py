"""The kernel in C: hashes, signatures and tries over felts of 32 big-endian bytes, and their way out of messages.

Every function refuses with ValueError felts that are not below P and buffers of a wrong length. From 16
hashes up the interpreter's lock is released; a call cannot be interrupted, so calls are kept to one block.
"""

from starknet.native._kernel import (
    PEDERSEN,
    POSEIDON,
    ecdsa_verify,
    felts_json,
    form_hashes,
    patricia_root,
    pedersen,
    pedersen_array_ints,
    pedersen_chains,
    pedersen_int,
    pedersen_pairs,
    poseidon,
    poseidon_int,
    poseidon_many,
    poseidon_many_ints,
    poseidon_pairs,
    trie_update,
    wire_rows,
    wire_spans,
)

__all__ = [
    "PEDERSEN",
    "POSEIDON",
    "ecdsa_verify",
    "felts_json",
    "form_hashes",
    "patricia_root",
    "pedersen",
    "pedersen_array_ints",
    "pedersen_chains",
    "pedersen_int",
    "pedersen_pairs",
    "poseidon",
    "poseidon_int",
    "poseidon_many",
    "poseidon_many_ints",
    "poseidon_pairs",
    "trie_update",
    "wire_rows",
    "wire_spans",
]
