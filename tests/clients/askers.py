"""Both clients asked alike: by the specification's names of methods and parameters."""

from collections.abc import Mapping
from typing import Any, Protocol

from tests.scripts import Script

Json = dict[str, Any]

# method -> the client's own, and its parameters in its order
JAVASCRIPT: dict[str, tuple[str, ...]] = {
    "specVersion": ("getSpecVersion",),
    "chainId": ("getChainId",),
    "syncing": ("getSyncingStats",),
    "blockNumber": ("getBlockNumber",),
    "blockHashAndNumber": ("getBlockLatestAccepted",),
    "getBlockWithTxHashes": ("getBlockWithTxHashes", "block"),
    "getBlockWithTxs": ("getBlockWithTxs", "block"),
    "getBlockWithReceipts": ("getBlockWithReceipts", "block"),
    "getStateUpdate": ("getBlockStateUpdate", "block", "contract_addresses"),
    "getBlockTransactionCount": ("getBlockTransactionCount", "block"),
    "getTransactionByHash": ("getTransactionByHash", "transaction_hash"),
    "getTransactionByBlockIdAndIndex": ("getTransactionByBlockIdAndIndex", "block", "index"),
    "getTransactionReceipt": ("getTransactionReceipt", "transaction_hash"),
    "getTransactionStatus": ("getTransactionStatus", "transaction_hash"),
    "getStorageAt": ("getStorageAt", "contract_address", "key", "block", "response_flags"),
    "getNonce": ("getNonceForAddress", "contract_address", "block"),
    "getClassHashAt": ("getClassHashAt", "contract_address", "block"),
    "getClass": ("getClass", "class_hash", "block"),
    "getClassAt": ("getClassAt", "contract_address", "block"),
    "getStorageProof": (
        *("getStorageProof", "class_hashes", "contract_addresses"),
        *("contracts_storage_keys", "block"),
    ),
}
# method -> the client's own; its parameters have the specification's names
PYTHON = {
    "specVersion": "spec_version",
    "chainId": "get_chain_id",
    "syncing": "get_syncing_status",
    "blockNumber": "get_block_number",
    "blockHashAndNumber": "get_block_hash_and_number",
    "getBlockWithTxHashes": "get_block_with_tx_hashes",
    "getBlockWithTxs": "get_block_with_txs",
    "getBlockWithReceipts": "get_block_with_receipts",
    "getStateUpdate": "get_state_update",
    "getBlockTransactionCount": "get_block_transaction_count",
    "getTransactionByHash": "get_transaction",
    "getTransactionByBlockIdAndIndex": "get_transaction_by_block_id",
    "getTransactionReceipt": "get_transaction_receipt",
    "getTransactionStatus": "get_transaction_status",
    "getStorageAt": "get_storage_at",
    "getNonce": "get_contract_nonce",
    "getClassHashAt": "get_class_hash_at",
    "getClass": "get_class_by_hash",
    "getClassAt": "get_class_at",
    "getStorageProof": "get_storage_proof",
}
# subscriptions of starknet.js, and those of starknet-py
SUBSCRIPTIONS = {
    "subscribeNewHeads": "subscribe_new_heads",
    "subscribeEvents": "subscribe_events",
    "subscribeTransactionStatus": "subscribe_transaction_status",
    "subscribeNewTransactionReceipts": "subscribe_new_transaction_receipts",
    "subscribeNewTransactions": "subscribe_new_transactions",
}
# starknet-py's names of fields, where the specification has others
FIELDS = {
    "hash": "transaction_hash",
    "l1_address": "to_address",
    "l2_address": "from_address",
    "constructor": "CONSTRUCTOR",
    "external": "EXTERNAL",
    "l1_handler": "L1_HANDLER",
}


class Asker(Protocol):
    """A client of one node."""

    version: str

    def ask(self, method: str, **given: Any) -> Any:
        """Return the result of a method of the specification, as ``plain`` has it. Raises ``Refused``."""
        ...

    def events(self, **query: Any) -> Json:
        """Return one page of getEvents; ``from_block`` and ``to_block`` are numbers."""
        ...

    def own(self, method: str, *values: Any, **named: Any) -> Any:
        """Return what a method of the client itself gives. Raises ``Refused``."""
        ...

    def subscribe(self, method: str, **given: Any) -> str:
        """Begin to hear; parameters as the specification names them. Raises ``Refused``."""
        ...

    def heard(self, subscription: str) -> list[Json]:
        """Return all that a subscription was told so far, reorganisations too, in order."""
        ...

    def unsubscribe(self, subscription: str) -> bool:
        """End a subscription."""
        ...


class _Scripted:
    """A client that a script of its own language drives."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.version: str = script.hello["version"]

    def names(self) -> dict[str, list[str]]:
        """Return the names of its ``calls`` and ``subscriptions``."""
        found: dict[str, list[str]] = self._script.call("names")
        return found


class StarknetJs(_Scripted):
    """starknet.js beside a node."""

    def batch(self, calls: list[list[Any]]) -> Any:
        """Return what came of calls that were sent together, each a method and its values."""
        return plain(self._script.call("batch", calls=calls))

    def ask(self, method: str, **given: Any) -> Any:
        """Ask by position."""
        name, *order = JAVASCRIPT[method]
        assert given.keys() <= set(order), given
        told = self.own(name, *(given.get(each) for each in order))
        if method == "getStorageAt" and "response_flags" not in given:  # it makes an object of both
            return told["value"]
        return told

    def events(self, **query: Any) -> Json:
        """Ask for one page."""
        for name in ("from_block", "to_block"):
            query[name] = {"block_number": query[name]}
        page: Json = self.own("getEvents", query)
        return page

    def own(self, method: str, *values: Any, **named: Any) -> Any:
        """Call by position; options by name come last."""
        listed = [*values, named] if named else list(values)
        told = self._script.call("call", method=method, values=listed)
        if isinstance(told, dict) and "statusReceipt" in told:  # a receipt with helpers
            told = told["value"]
        return plain(told)

    def subscribe(self, method: str, **given: Any) -> str:
        """Subscribe with an object of options."""
        named = {_camel(name): value for name, value in given.items()}
        told: str = self._script.call("subscribe", method=method, values=named)
        return told

    def heard(self, subscription: str) -> list[Json]:
        """See ``Asker``."""
        told: list[Json] = plain(self._script.call("heard", id=subscription))
        return told

    def unsubscribe(self, subscription: str) -> bool:
        """See ``Asker``."""
        return bool(self._script.call("unsubscribe", id=subscription))


class StarknetPy(_Scripted):
    """starknet-py beside a node."""

    def ask(self, method: str, **given: Any) -> Any:
        """Ask by name."""
        arguments = {name: value for name, value in given.items() if value is not None}
        if "block" in arguments:
            arguments |= _block("block", arguments.pop("block"))
        if method.startswith("getTransaction") and "transaction_hash" in arguments:
            arguments["tx_hash"] = arguments.pop("transaction_hash")
        if "key" in arguments:
            arguments["key"] = int(arguments["key"], 16)
        if "contracts_storage_keys" in arguments:
            arguments["contracts_storage_keys"] = [
                {"make": "ContractsStorageKeys"}
                | {"contract_address": int(each["contract_address"], 16)}
                | {"storage_keys": each["storage_keys"]}
                for each in arguments["contracts_storage_keys"]
            ]
        return self.own(PYTHON[method], **arguments)

    def events(self, **query: Any) -> Json:
        """Ask for one page."""
        for name in ("from_block", "to_block"):
            query |= _block(name, query.pop(name))
        page: Json = self.own("get_events", **query)
        return page

    def own(self, method: str, *values: Any, **named: Any) -> Any:
        """Call by name."""
        assert not values
        return _renamed(plain(self._script.call("call", method=method, values=named)))

    def subscribe(self, method: str, **given: Any) -> str:
        """Subscribe by name; felts are numbers."""
        arguments = plain(given)
        if "block" in arguments:
            arguments["block_number"] = arguments.pop("block")
        told: str = self._script.call("subscribe", method=SUBSCRIPTIONS[method], values=arguments)
        return told

    def heard(self, subscription: str) -> list[Json]:
        """See ``Asker``."""
        told: list[Json] = _renamed(plain(self._script.call("heard", id=subscription)))
        return told

    def unsubscribe(self, subscription: str) -> bool:
        """See ``Asker``."""
        return bool(self._script.call("unsubscribe", id=subscription))


def _camel(name: str) -> str:
    first, *rest = ("block_identifier" if name == "block" else name).split("_")
    return first + "".join(word.capitalize() for word in rest)


def _block(name: str, value: Any) -> Json:
    is_hash = isinstance(value, str) and value.startswith("0x")
    return {f"{name}_{'hash' if is_hash else 'number'}": value}


def _renamed(told: Any) -> Any:
    if isinstance(told, list):
        return [_renamed(item) for item in told]
    if not isinstance(told, dict):
        return told
    return {FIELDS.get(name, name): _renamed(item) for name, item in told.items()}


def plain(told: Any) -> Any:
    """Return JSON with each felt as a number, so that it does not matter how it was written."""
    if isinstance(told, list):
        return [plain(item) for item in told]
    if isinstance(told, Mapping):
        return {name: plain(item) for name, item in told.items()}
    if isinstance(told, str) and told.startswith("0x"):
        return int(told, 16)
    return told
