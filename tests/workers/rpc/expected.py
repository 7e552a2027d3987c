"""What the gateway says, in the words of the JSON-RPC specification: what a node has to answer."""

from typing import Any

Json = dict[str, Any]

TYPES = {"INVOKE_FUNCTION": "INVOKE"}
NAMES = {  # of the gateway, where the specification has another
    "l1_gas": "L1_GAS",
    "l2_gas": "L2_GAS",
    "l1_data_gas": "L1_DATA_GAS",
}
HEADER = {
    "block_hash": "block_hash",
    "parent_hash": "parent_block_hash",
    "block_number": "block_number",
    "new_root": "state_root",
    "timestamp": "timestamp",
    "sequencer_address": "sequencer_address",
    "starknet_version": "starknet_version",
    "l1_gas_price": "l1_gas_price",
    "l1_data_gas_price": "l1_data_gas_price",
    "l2_gas_price": "l2_gas_price",
    "l1_da_mode": "l1_da_mode",
}
UNITS = ("in_fri", "in_wei")
COMMITMENTS = (
    *("transaction_commitment", "event_commitment", "receipt_commitment"),
    *("state_diff_commitment", "state_diff_length"),
)


def header(block: Json) -> Json:
    """Write what the gateway says of a header; what its age did not have is left out."""
    written = {ours: block[theirs] for ours, theirs in HEADER.items() if theirs in block}
    written |= {"status": "ACCEPTED_ON_L2"}
    for name in ("l1_gas_price", "l1_data_gas_price", "l2_gas_price"):
        if name in written:
            written[name] = {f"price_{unit}": block[name][f"price_{unit}"] for unit in UNITS}
    return written


def commitments(block: Json) -> Json:
    """Write what version 0.10 adds to a header: counts, and commitments where the block has those of today."""
    listed = block["transaction_receipts"]
    written = {
        "transaction_count": len(listed),
        "event_count": sum(len(each["events"]) for each in listed),
    }
    if "receipt_commitment" in block:
        written |= {name: block[name] for name in COMMITMENTS}
    return written


def transaction(said: Json) -> Json:
    """Write a transaction, by the kind of difference."""
    written = {name: value for name, value in said.items() if name != "proof_facts"}
    written["type"] = TYPES.get(written["type"], written["type"])
    if written["type"] in ("DEPLOY", "DEPLOY_ACCOUNT"):
        written.pop("contract_address", None)
        written.pop("sender_address", None)
    if written["version"] == "0x0" and written["type"] != "L1_HANDLER":
        written.pop("nonce", None)
    if "resource_bounds" in written:
        none = {"max_amount": "0x0", "max_price_per_unit": "0x0"}
        written["resource_bounds"] = {
            ours: written["resource_bounds"].get(theirs, none) for ours, theirs in NAMES.items()
        }
        for name in ("nonce_data_availability_mode", "fee_data_availability_mode"):
            written[name] = ("L1", "L2")[written[name]]
    return written


def receipt(transaction: Json, said: Json) -> Json:
    """Write a receipt, all but its place and the hash of a message from L1."""
    total = said["execution_resources"].get("total_gas_consumed", {})
    written = {
        "type": TYPES.get(transaction["type"], transaction["type"]),
        "transaction_hash": said["transaction_hash"],
        "actual_fee": {
            "amount": said["actual_fee"],
            "unit": "FRI" if transaction["version"] == "0x3" else "WEI",
        },
        "finality_status": "ACCEPTED_ON_L2",
        "execution_status": said["execution_status"],
        "events": said["events"],
        "messages_sent": [
            message | {"to_address": hex(int(message["to_address"], 16))}
            for message in said["l2_to_l1_messages"]
        ],
        "execution_resources": {
            gas: total.get(gas, 0) for gas in ("l1_gas", "l1_data_gas", "l2_gas")
        },
    }
    if "revert_error" in said:
        written["revert_reason"] = said["revert_error"]
    if transaction["type"].startswith("DEPLOY"):
        address = transaction.get("contract_address") or transaction.get("sender_address")
        written["contract_address"] = address
    return written


def events(block: Json) -> list[Json]:
    """Write the events of a block in their order, each with its place."""
    place = {"block_hash": block["block_hash"], "block_number": block["block_number"]}
    return [
        event
        | place
        | {"transaction_hash": said["transaction_hash"]}
        | {"transaction_index": at, "event_index": index}
        for at, said in enumerate(block["transaction_receipts"])
        for index, event in enumerate(said["events"])
    ]


def state_update(block: Json, said: Json) -> Json:
    """Write a state update, lists in the order of their first names."""
    diff = said["state_diff"]

    def pairs(found: Json, key: str, value: str) -> list[Json]:
        return [{key: name, value: found[name]} for name in found]

    def renamed(name: str, **names: str) -> list[Json]:
        listed = diff.get(name, [])
        return [{ours: each[theirs] for ours, theirs in names.items()} for each in listed]

    classes = {"class_hash": "class_hash", "compiled_class_hash": "compiled_class_hash"}
    written = {
        "storage_diffs": [
            {"address": name, "storage_entries": entries}
            for name, entries in diff["storage_diffs"].items()
            if entries
        ],
        "nonces": pairs(diff["nonces"], "contract_address", "nonce"),
        "deployed_contracts": diff["deployed_contracts"],
        "deprecated_declared_classes": diff["old_declared_contracts"],
        "declared_classes": renamed("declared_classes", **classes),
        "replaced_classes": renamed(
            "replaced_classes", contract_address="address", class_hash="class_hash"
        ),
        "migrated_compiled_classes": renamed("migrated_compiled_classes", **classes),
    }
    return {
        "block_hash": block["block_hash"],
        "new_root": said["new_root"],
        "old_root": said["old_root"],
        "state_diff": written,
    }
