"""What a request may fail with: the errors of JSON-RPC 2.0 and of the Starknet specification, with their own words."""

from typing import Any


class RpcError(Exception):
    """An error object; ``data`` says in plain words what was wrong, where the specification leaves room for that."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def object(self) -> dict[str, Any]:
        """Return the error object."""
        known = {"code": self.code, "message": self.message}
        return known if self.data is None else known | {"data": self.data}


def parse_error(data: str | None = None) -> RpcError:
    """The body is no JSON, or nested too deeply."""
    return RpcError(-32700, "Parse error", data)


def invalid_request(data: str | None = None) -> RpcError:
    """The JSON is no request."""
    return RpcError(-32600, "Invalid Request", data)


def method_not_found(data: str | None = None) -> RpcError:
    """There is no such method here."""
    return RpcError(-32601, "Method not found", data)


def invalid_params(data: str) -> RpcError:
    """The parameters are not what the method takes."""
    return RpcError(-32602, "Invalid params", data)


def internal_error(data: str) -> RpcError:
    """It cannot be answered now."""
    return RpcError(-32603, "Internal error", data)


def contract_not_found() -> RpcError:
    """No contract at the address, at that block."""
    return RpcError(20, "Contract not found")


def block_not_found() -> RpcError:
    """The block is not stored."""
    return RpcError(24, "Block not found")


def invalid_transaction_index() -> RpcError:
    """The block has fewer transactions."""
    return RpcError(27, "Invalid transaction index in a block")


def class_hash_not_found() -> RpcError:
    """The class is not defined at that block."""
    return RpcError(28, "Class hash not found")


def transaction_hash_not_found() -> RpcError:
    """No stored block has the transaction."""
    return RpcError(29, "Transaction hash not found")


def page_size_too_big() -> RpcError:
    """More events are asked for at once than are given."""
    return RpcError(31, "Requested page size is too big")


def no_blocks() -> RpcError:
    """Nothing is stored yet."""
    return RpcError(32, "There are no blocks")


def invalid_continuation_token() -> RpcError:
    """The token is not one that this query was answered with."""
    return RpcError(33, "The supplied continuation token is invalid or unknown")


def too_many_keys() -> RpcError:
    """The filter names more keys than are looked for."""
    return RpcError(34, "Too many keys provided in a filter")


def invalid_subscription_id() -> RpcError:
    """The connection has no such subscription."""
    return RpcError(66, "Invalid subscription id")


def too_many_addresses() -> RpcError:
    """The filter names more senders than are looked for."""
    return RpcError(67, "Too many addresses in filter sender_address filter")


def too_many_blocks_back() -> RpcError:
    """The subscription would begin too far in the past."""
    return RpcError(68, "Cannot go back more than 1024 blocks")


def storage_proof_not_supported() -> RpcError:
    """Tries are kept for the last block only."""
    message = "the node doesn't support storage proofs for blocks that are too far in the past"
    return RpcError(42, message)
