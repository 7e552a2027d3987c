"""Stark-curve ECDSA: lets through only signatures that the key's owner made over the message.

Nodes only verify, by the kernel. Signing is for chains of one's own; it is plain arithmetic, a few milliseconds a
signature, and not hardened against someone who can time it.
"""

from hashlib import blake2b

from starknet.felt import P, to_bytes32
from starknet.native import ecdsa_verify

ORDER = 0x800000000000010FFFFFFFFFFFFFFFFB781126DCAE7B2321E66A241ADC64D2F
_LIMIT = 2**251  # of r, of the message and of the inverse of s
_SIGN_TRIES_MAX = 8  # of nonces; hardly ever more than one
_Point = tuple[int, int, int]  # (X, Y, Z) stands for (X/Z², Y/Z³); Z is 0 at infinity
_GENERATOR: _Point = (
    0x1EF15C18599971B7BECED415A40F0C7DEACFD9B0D1819E03D723D8BC943CFCA,
    0x5668060AA49730B7BE4801DF46EC62DE53ECD11ABE43A32873000C36E8DC1F,
    1,
)


def verify_block_signature(key: int, r: int, s: int, message: int) -> bool:
    """Whether (r, s) signs ``message`` under the key, given as the x of its point; False for any odd input."""
    if not all(0 <= number < P for number in (key, r, s, message)):
        return False
    return ecdsa_verify(b"".join(map(to_bytes32, (key, message, r, s)))) == b"\1"


def sign(private_key: int, message: int) -> tuple[int, int]:
    """A signature (r, s) of ``message``, always the same one; for chains of one's own."""
    assert 0 < private_key < ORDER
    assert 0 <= message < _LIMIT
    for tried in range(_SIGN_TRIES_MAX):
        drawn = blake2b(to_bytes32(private_key) + to_bytes32(message) + bytes([tried])).digest()
        nonce = 1 + int.from_bytes(drawn, "big") % (ORDER - 1)
        r = public_key(nonce)
        s = pow(nonce, -1, ORDER) * (message + r * private_key) % ORDER
        if 0 < r < _LIMIT and s != 0 and pow(s, -1, ORDER) < _LIMIT:
            return r, s
    raise AssertionError("one nonce in some billions is unusable, not all of them")


def public_key(private_key: int) -> int:
    """The x of the public point of ``private_key``."""
    assert 0 < private_key < ORDER
    x, _, z = _times(private_key)
    return x * pow(z, -2, P) % P


def _times(scalar: int) -> _Point:
    """The generator added to itself ``scalar`` times, by doubling and adding from the top bit on."""
    point = _GENERATOR
    for bit in bin(scalar)[3:]:
        point = _doubled(point)
        if bit == "1":
            point = _plus_generator(point)
    return point


def _doubled(point: _Point) -> _Point:
    x, y, z = point
    yy = y * y % P
    s = 4 * x * yy % P
    m = (3 * x * x + pow(z, 4, P)) % P  # the curve's coefficient of x is 1
    new_x = (m * m - 2 * s) % P
    return new_x, (m * (s - new_x) - 8 * yy * yy) % P, 2 * y * z % P


def _plus_generator(point: _Point) -> _Point:
    """Add the generator to a multiple of it from 2 to ORDER - 2, so that no case is special."""
    x, y, z = point
    zz = z * z % P
    h = (_GENERATOR[0] * zz - x) % P
    slope = (_GENERATOR[1] * zz * z - y) % P
    hh = h * h % P
    hhh, v = h * hh % P, x * hh % P
    new_x = (slope * slope - hhh - 2 * v) % P
    return new_x, (slope * (v - new_x) - y * hhh) % P, z * h % P
