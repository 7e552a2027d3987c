"""What a chain must offer to be served: JSON texts by number or hash, or None where it has nothing."""

from typing import Protocol


class GatewayError(Exception):
    """The gateway cannot start; the text is one line that says why and what to do."""


class ChainSource(Protocol):
    """A chain as the feeder gateway answers it. Every text is JSON in UTF-8; hashes are integers."""

    def latest(self) -> int | None:
        """Return the number of the highest block, or None for a chain without blocks."""
        ...

    def number_of(self, block_hash: int) -> int | None:
        """Return the number of the block with this hash."""
        ...

    def block(self, number: int) -> bytes | None:
        """Return the answer of ``get_block``."""
        ...

    def state_update(self, number: int) -> bytes | None:
        """Return the answer of ``get_state_update``."""
        ...

    def signature(self, number: int) -> bytes | None:
        """Return the answer of ``get_signature``."""
        ...

    def class_definition(self, class_hash: int) -> bytes | None:
        """Return the answer of ``get_class_by_hash``."""
        ...

    def compiled_class(self, class_hash: int) -> bytes | None:
        """Return the answer of ``get_compiled_class_by_class_hash``."""
        ...

    def public_key(self) -> bytes | None:
        """Return the answer of ``get_public_key``: the key's x as a JSON string."""
        ...
