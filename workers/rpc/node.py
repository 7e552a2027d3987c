"""What the node says of itself and of the chain's end."""

from workers.rpc.felts import hex_of
from workers.rpc.view import View
from workers.store import Head


def spec_version(view: View) -> object:
    """starknet_specVersion."""
    return view.spec.version


def chain_id(view: View) -> object:
    """starknet_chainId."""
    return hex(view.chain.settings.network.chain_id_felt)


def block_number(view: View) -> object:
    """starknet_blockNumber."""
    return view.last().number


def block_hash_and_number(view: View) -> object:
    """starknet_blockHashAndNumber."""
    head = view.last()
    return {"block_hash": hex_of(head.block_hash), "block_number": head.number}


def syncing(view: View) -> object:
    """starknet_syncing: false at the head, else where the node began, is and goes; a hash not known yet is 0x0."""
    view.chain.is_asked()
    head, target = view.head, view.chain.target()
    if target is None or (head is not None and target <= head.number):
        return False
    began, now = _named("starting", view.chain.started()), _named("current", head)
    return began | now | {"highest_block_hash": "0x0", "highest_block_num": target}


def _named(name: str, head: Head | None) -> dict[str, object]:
    return {
        f"{name}_block_hash": "0x0" if head is None else hex_of(head.block_hash),
        f"{name}_block_num": 0 if head is None else head.number,
    }
