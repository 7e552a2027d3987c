"""Whole blocks as assembly hands them on, from the generated chain and from recorded answers."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from starknet.devnet import Devnet
from starknet.network import Network
from tests.settings import settings_of
from workers.feeder import block as feeding
from workers.messages import BlockAssembled
from workers.settings import Settings


class _Classes:
    """The one question that assembling asks of a gateway."""

    def __init__(self, definitions: dict[int, Any]) -> None:
        self._definitions = definitions

    def class_definition(self, class_hash: int) -> Any:
        return self._definitions[class_hash]


def _blocks(answers: Iterator[tuple[Any, Any, Any]], classes: _Classes) -> Iterator[BlockAssembled]:
    known: set[int] = set()
    for number, (block, state_update, signature) in enumerate(answers):
        fetched = feeding.convert(number, block, state_update, signature)
        wanted = [
            *fetched.declared,
            *(
                name
                for name in dict.fromkeys(fetched.deployed)
                if name not in {*known, *fetched.declared}
            ),
        ]
        got: dict[int, bytes] = {}
        feeding.fetch_classes(classes, number, wanted, got)  # type: ignore[arg-type]  # asks nothing else
        known.update(wanted)
        yield feeding.assemble(number + 1, fetched, [got[name] for name in wanted])


@cache
def devnet(
    length: int, version: str = "0.13.4", first_07_block: int = 0
) -> tuple[Devnet, tuple[BlockAssembled, ...]]:
    """Return the generated chain and its blocks."""
    chain = Devnet(length=length, version=version, first_07_block=first_07_block)
    return chain, assembled(chain)


def another_devnet(length: int) -> tuple[BlockAssembled, ...]:
    """Return the blocks of a chain of the same name that another key has signed."""
    return assembled(Devnet(seed=1, length=length))


def assembled(chain: Devnet) -> tuple[BlockAssembled, ...]:
    """Return the blocks of a generated chain."""

    class Generated(_Classes):
        def class_definition(self, class_hash: int) -> Any:
            return chain.class_definition(class_hash)

    answers = (chain.block(number) for number in range(chain.length))
    return tuple(_blocks(answers, Generated({})))


def recorded(fixtures: Path, network: str, length: int) -> tuple[BlockAssembled, ...]:
    """Return the first blocks of a recorded network."""
    folder = fixtures / network

    def load(path: Path) -> Any:
        return json.loads(path.read_text())

    answers = (
        tuple(
            load(folder / part / f"{number}.json")
            for part in ("block", "state_update", "signature")
        )
        for number in range(length)
    )
    classes = {int(path.stem, 16): load(path) for path in (folder / "class").glob("*.json")}
    return tuple(_blocks(answers, _Classes(classes)))


def settings(network: Network, db_path: Path) -> Settings:
    """Return what a worker of this network is told, with the network's key."""
    return settings_of(network, db_path, public_key=network.public_key)
