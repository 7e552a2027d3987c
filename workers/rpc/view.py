"""What a method works on: the store's view and the chain's ends as they are while one request is answered."""

from dataclasses import dataclass
from typing import Protocol

from workers.rpc.errors import block_not_found, invalid_params, no_blocks
from workers.rpc.params import BlockHash, BlockId, BlockNumber, BlockTag
from workers.rpc.specs import Spec
from workers.settings import Settings
from workers.store import Head
from workers.store.reader import Reader

LAST = BlockTag("latest")


class Chain(Protocol):
    """What the server knows of the node."""

    @property
    def settings(self) -> Settings:
        """The node's settings."""
        ...

    @property
    def reader(self) -> Reader:
        """The store's view."""
        ...

    def head(self) -> Head | None:
        """Return the last stored block; the view may take a step forward."""
        ...

    def started(self) -> Head | None:
        """Return the last stored block at the time the server began."""
        ...

    def is_asked(self) -> None:
        """Note that somebody wants ``target``: it is kept a second old for a while."""
        ...

    def target(self) -> int | None:
        """Return the highest block heard of."""
        ...


@dataclass(frozen=True)
class View:
    """One request's view. The store does not move under it: nothing else runs until the method returns."""

    chain: Chain
    spec: Spec
    head: Head | None

    @property
    def reader(self) -> Reader:
        """The store's view."""
        return self.chain.reader

    def last(self) -> Head:
        """Return the head; error 32 without one."""
        if self.head is None:
            raise no_blocks()
        return self.head

    def block(self, block: BlockId) -> int:
        """Return the number of a stored block; error 24 if it is not here.

        The block that is being built is known to no peer, and what is accepted on L1 only to an L1 node: there is
        no such block here.
        """
        if isinstance(block, BlockHash):
            number = self.reader.number_of(block.value)
        elif isinstance(block, BlockNumber):
            number = block.value
        else:
            number = self._tagged(block.value)
        if number is None or self.head is None or number > self.head.number:
            raise block_not_found()
        return number

    def state(self, block: BlockId) -> int:
        """Return the number of the block whose state is meant: of the one being built nothing is known but the head."""
        return self.block(block) if not self.is_next(block) else self.block(LAST)

    def is_next(self, block: BlockId) -> bool:
        """Whether the block that is being built is meant."""
        return not isinstance(block, BlockHash | BlockNumber) and block.value == self.spec.next_tag

    def _tagged(self, tag: str) -> int | None:
        if tag == "latest":
            return None if self.head is None else self.head.number
        if tag == self.spec.next_tag or (tag == "l1_accepted" and self.spec.l1_tag):
            return None
        raise invalid_params(f"there is no block tag {tag[:40]!r} in {self.spec.version}")
