"""Stark-curve ECDSA: lets through only signatures that the key's owner made over the message.

Nodes only verify, by the kernel; the library that signs is loaded where a chain of one's own is made.
"""

from starknet.felt import P, to_bytes32
from starknet.native import ecdsa_verify

ORDER = 0x800000000000010FFFFFFFFFFFFFFFFB781126DCAE7B2321E66A241ADC64D2F
_LIMIT = 2**251  # of r, of the message and of the inverse of s


def verify_block_signature(key: int, r: int, s: int, message: int) -> bool:
    """Whether (r, s) signs ``message`` under the key, given as the x of its point; False for any odd input."""
    if not all(0 <= number < P for number in (key, r, s, message)):
        return False
    return ecdsa_verify(b"".join(map(to_bytes32, (key, message, r, s)))) == b"\1"


def sign(private_key: int, message: int) -> tuple[int, int]:
    """The deterministic signature (r, s) of ``message`` (RFC 6979); for chains of one's own."""
    assert 0 < private_key < ORDER
    assert 0 <= message < _LIMIT
    from crypto_cpp_py.cpp_bindings import cpp_sign

    r, s = cpp_sign(message, private_key)
    return int(r), int(s)


def public_key(private_key: int) -> int:
    """The x of the public point of ``private_key``."""
    assert 0 < private_key < ORDER
    from crypto_cpp_py.cpp_bindings import cpp_get_public_key

    return int(cpp_get_public_key(private_key))
