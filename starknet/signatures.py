"""Stark-curve ECDSA: lets through only signatures that the key's owner made over the message.

The library is loaded at the first signature: most processes of a node see none.
"""

from starknet.felt import P

ORDER = 0x800000000000010FFFFFFFFFFFFFFFFB781126DCAE7B2321E66A241ADC64D2F
_BETA = 0x6F21413EFBE40DE150E596D72F7A8C5609AD26C15C915C1F4CDFCB99CEE9E89
_LIMIT = 2**251  # of r, of the message and of the inverse of s


def verify_block_signature(key: int, r: int, s: int, message: int) -> bool:
    """Whether (r, s) signs ``message`` under the key, given as the x of its point; False for any odd input."""
    if not (0 < r < _LIMIT and 0 < s < ORDER and 0 <= message < _LIMIT and _on_curve(key)):
        return False
    from crypto_cpp_py.cpp_bindings import cpp_verify

    inverse = pow(s, -1, ORDER)
    return inverse < _LIMIT and bool(cpp_verify(message, r, inverse, key))


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


def _on_curve(x: int) -> bool:
    if not 0 < x < P:
        return False
    square = (x * x * x + x + _BETA) % P
    return pow(square, (P - 1) // 2, P) == 1
