"""A node's identity: an Ed25519 key pair and the PeerID that follows from it, in go-libp2p's forms.

Nothing here imports libp2p, so that ``hera genp2pkeypair`` answers at once.
"""

import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SEED_BYTES = 32
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
PEER_ID_TEXT_MAX = 64  # characters; an Ed25519 PeerID has 52

# An Ed25519 PeerID is the identity multihash (00, length 36) of the protobuf of the public key:
# field 1 (key type) = 1 (Ed25519), field 2 (data) = 32 bytes.
ED25519_PREFIX = bytes((0x00, 0x24, 0x08, 0x01, 0x12, 0x20))
IDENTITY_BYTES_MAX = 42  # longer public keys are hashed, per the peer-ids specification
SHA256_PREFIX = bytes((0x12, 0x20))


class BadKey(ValueError):
    """A text that is no private key; the message says why in one line."""


class BadPeerId(ValueError):
    """A text that is no PeerID; the message says why in one line."""


@dataclass(frozen=True)
class KeyPair:
    """An Ed25519 key pair: 32 bytes of seed, 32 bytes of public key."""

    seed: bytes
    public: bytes

    @property
    def private_hex(self) -> str:
        """The private key as Juno prints it: seed and public key, 128 hex digits."""
        return (self.seed + self.public).hex()

    @property
    def public_hex(self) -> str:
        """The public key, 64 hex digits."""
        return self.public.hex()

    @property
    def peer_id(self) -> str:
        """The PeerID in base58: ``12D3KooW…``."""
        return base58(ED25519_PREFIX + self.public)

    def __repr__(self) -> str:
        return f"KeyPair({self.peer_id})"  # a key must not reach a log


def generate() -> KeyPair:
    """Draw a key pair at random."""
    return from_seed(secrets.token_bytes(SEED_BYTES))


def from_seed(seed: bytes) -> KeyPair:
    """Derive the key pair of a 32-byte seed."""
    if len(seed) != SEED_BYTES:
        raise BadKey(f"private key: a seed has {SEED_BYTES} bytes, this one has {len(seed)}")
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return KeyPair(seed, public.public_bytes(Encoding.Raw, PublicFormat.Raw))


def parse(text: str) -> KeyPair:
    """Read a private key of 128 hex digits (seed and public key) or 64 (seed alone); raise ``BadKey``."""
    digits = text.strip().removeprefix("0x")
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        raise BadKey("private key: not hexadecimal; `hera genp2pkeypair` makes one") from None
    if len(raw) not in (SEED_BYTES, 2 * SEED_BYTES):
        raise BadKey(
            f"private key: {len(digits)} hex digits; 128 (seed and public key) or 64 (seed) are needed"
        )
    pair = from_seed(raw[:SEED_BYTES])
    if raw[SEED_BYTES:] not in (b"", pair.public):
        raise BadKey("private key: its second half is not the public key of its first half")
    return pair


def parse_peer_id(text: str) -> bytes:
    """Return the multihash bytes of a PeerID in base58; raise ``BadPeerId``."""
    if not text or len(text) > PEER_ID_TEXT_MAX:
        raise BadPeerId(f"PeerID of {len(text)} characters; 12D3KooW… has 52")
    raw = from_base58(text)
    is_whole = len(raw) > 2 and len(raw) == 2 + raw[1]
    is_identity = is_whole and raw[0] == 0 and raw[1] <= IDENTITY_BYTES_MAX
    is_sha256 = raw[:2] == SHA256_PREFIX and len(raw) == 2 + SHA256_PREFIX[1]
    if not (is_identity or is_sha256):
        raise BadPeerId(f"{text} is no PeerID (12D3KooW…): a character is wrong or missing")
    return raw


def base58(raw: bytes) -> str:
    """Encode bytes in the Bitcoin alphabet; each leading zero byte becomes a ``1``."""
    number = int.from_bytes(raw, "big")
    digits: list[str] = []
    while number:
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    zeros = len(raw) - len(raw.lstrip(b"\0"))
    return ALPHABET[0] * zeros + "".join(reversed(digits))


def from_base58(text: str) -> bytes:
    """Decode ``base58``; raise ``BadPeerId`` for a character outside the alphabet."""
    number = 0
    for character in text:
        digit = ALPHABET.find(character)
        if digit < 0:
            raise BadPeerId(f"{character!r} in {text!r} is no base58 character")
        number = number * len(ALPHABET) + digit
    zeros = len(text) - len(text.lstrip(ALPHABET[0]))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")
