"""Whole blocks: lets through only headers and blocks whose every hash, commitment and signature holds.

``check_header`` judges a header alone, ``check_block`` a header with its four other parts; ``audit_block`` judges
what was recorded of a block and says of each check in ``CHECKS`` how it went. Whatever a remote peer sends,
nothing but RuleBroken is raised. What an era's hash and signature leave open is in ``UNBOUND``.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from starknet import block_hash as hashing
from starknet import commitments
from starknet.classes import class_hash as compute_class_hash
from starknet.commitments import StateDiff, StateDiffError
from starknet.felt import (
    HASH_BYTES,
    FeltError,
    FieldMissing,
    from_bytes,
    key_value,
    require,
    value,
)
from starknet.hashes import list_root_of_bytes, poseidon, poseidon_many
from starknet.network import Network
from starknet.signatures import verify_block_signature
from starknet.transactions import (
    DEPLOYING,
    Transaction,
    declared_classes,
    deployed_addresses,
    get,
    hash_all,
    read_kinds,
    transaction_tip,
)
from starknet.versions import BlockHash, Era, Rules, UnknownVersion, rules_for, wire_rules
from starknet.wire.rows import Row, Shape, felt_of, present
from starknet.wire.sync_pb2 import (
    Class,
    SignedBlockHeader,
    StateDiffsResponse,
    TransactionWithReceipt,
)

HEADERS, STATE_DIFFS, CLASSES = "headers", "state_diffs", "classes"
TRANSACTIONS, EVENTS = "transactions", "events"

STATE_DIFF_RULE = "header.state_diff_commitment.root"
COUNT_MAX = 10_000_000  # of transactions, events or state changes in one block
SIGNATURES_MAX = 4
ALIAS_DATA_GAS = 32  # L1 data gas of one new state alias
ONLY_BY_TABLE = "before 0.13.2 only a table of hashes binds this root"
REPAIRS_MAX = 64  # tries to find the data gas that a receipt lacks

RECEIPT_TYPES = {
    "invoke_v0": "invoke",
    "invoke_v1": "invoke",
    "invoke_v3": "invoke",
    "declare_v0": "declare",
    "declare_v1": "declare",
    "declare_v2": "declare",
    "declare_v3": "declare",
    "deploy": "deprecated_deploy",
    "deploy_account_v1": "deploy_account",
    "deploy_account_v3": "deploy_account",
    "l1_handler": "l1_handler",
}

_PAIR = Shape(TransactionWithReceipt.DESCRIPTOR)

_L2_GAS_PRICES = ("headers.l2_gas_price_wei", "headers.l2_gas_price_fri")
_MODERN_UNBOUND = (
    "transactions.receipt.common.price_unit",
    "transactions.receipt.common.execution_resources.builtins",
    "transactions.receipt.common.execution_resources.steps",
    "transactions.receipt.common.execution_resources.memory_holes",
    "transactions.receipt.common.execution_resources.l1_gas",
    "transactions.receipt.common.execution_resources.l2_gas",
    "transactions.receipt.msg_hash",
    "classes.cairo0.program.debug_info",
)
_CLASSIC_UNBOUND = (
    "headers.protocol_version",
    "headers.l1_gas_price_wei",
    "headers.l1_gas_price_fri",
    "headers.l1_data_gas_price_wei",
    "headers.l1_data_gas_price_fri",
    *_L2_GAS_PRICES,
    "headers.l1_data_availability_mode",
    "state_diffs",  # the state root binds what they lead to, once they are applied
    "classes",  # each fits its hash, but the hash comes from the state diff
    "transactions.receipt",
    "events.transaction_hash",
)
_CLASSIC_INVOKE_UNBOUND = (
    *_CLASSIC_UNBOUND,
    "transactions.transaction.signature",
)  # but of invokes

# Paths of wire fields whose value neither block hash nor signature fixes, by era; a path stands for all below it.
UNBOUND: dict[Era, tuple[str, ...]] = {
    Era.UNVERSIONED: (
        *_CLASSIC_INVOKE_UNBOUND,
        "headers.time",  # this and the next two: before 0.7 only
        "headers.sequencer_address",
        "events",
        "transactions.transaction.max_fee",
        "transactions.transaction.version",
        "transactions.transaction.nonce",
    ),
    Era.CLASSIC_INVOKE: _CLASSIC_INVOKE_UNBOUND,
    Era.CLASSIC: _CLASSIC_UNBOUND,
    Era.HASH0: (*_MODERN_UNBOUND, *_L2_GAS_PRICES),
    Era.HASH1: (
        *_MODERN_UNBOUND,
        "transactions.receipt.common.execution_resources.l1_data_gas",  # repaired where it fits the fee
    ),
}


def unbound_fields(version: str) -> tuple[str, ...]:
    """The wire fields that a block of this version leaves to the honesty of peers; raises UnknownVersion."""
    return UNBOUND[rules_for(version).era]


class RuleBroken(Exception):
    """A part breaks a rule; ``guilty`` holds several components only where it cannot be told who lied."""

    def __init__(self, rule: str, guilty: tuple[str, ...], detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.guilty = guilty
        self.detail = detail


@dataclass(frozen=True)
class CheckedHeader:
    """What a header proves about its block. ``block_hash`` is only stated for blocks before 0.13.2.

    ``signature_pending``: the signature of such an old block does not fit the hash alone; ``check_block`` tries
    the form that also signs the state diff.
    """

    number: int
    block_hash: int
    parent_hash: int
    version: str
    transactions: int
    events: int
    state_diff_length: int
    state_diff_commitment: int | None  # None where the block hash does not bind it
    signature_pending: bool


@dataclass(frozen=True)
class CheckedBlock:
    """What a whole block proves; hashes are in the order of the transactions and of the classes sent."""

    number: int
    block_hash: int
    parent_hash: int
    state_root: int
    transaction_hashes: list[int]
    class_hashes: list[int]


class NotVerifiable(Exception):
    """A check that nobody could make with what there is; the text says why. Nothing is known to be wrong."""


class Missing(StrEnum):
    """What an auditor was not given of a block; peers always send all of it."""

    STATE_UPDATE = "state update"
    COMMITMENT = "state diff commitment"  # neither stated nor to be had from a state update
    SIGNATURE = "signature"
    CLASSES = "class definitions"  # some of them
    ROOTS = "roots"  # those in the header are the auditor's own, nobody stated them


@dataclass(frozen=True)
class Parts:
    """A header and the four other parts of its block; of transactions and events each message as the wire has it.

    ``signed_commitment``: the state diff commitment that an old signature states to be made over.
    """

    header: SignedBlockHeader
    state_diff: Sequence[StateDiffsResponse] = ()
    classes: Sequence[Class] = ()
    transactions: Sequence[bytes] = ()  # TransactionWithReceipt
    events: Sequence[bytes] = ()  # Event
    missing: frozenset[Missing] = frozenset()
    signed_commitment: int | None = None


class Outcome(StrEnum):
    """How one check of an audit went."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_VERIFIABLE = "not verifiable"


@dataclass(frozen=True)
class Verdict:
    """One check of an audit: its name, how it went and, unless it passed, why (``rule: detail`` where it failed)."""

    check: str
    outcome: Outcome
    reason: str = ""


def check_header(
    network: Network, key: int | None, header: SignedBlockHeader, parent_hash: int | None = None
) -> CheckedHeader:
    """Check a header alone; without a key signatures are not looked at, without a parent hash the link is not.

    Raises RuleBroken with ``headers`` guilty.
    """
    block = _open(network, key, Parts(header), None)
    _check_fields(block)
    if block.rules.receipts_in_hash:
        _check_bound_hash(block)
    with _reading(HEADERS):
        if parent_hash is not None and get(header, "parent_hash") != parent_hash:
            raise RuleBroken("header.parent", (HEADERS,), f"not {parent_hash:#x}")
        signed = key is None or _is_signed(key, header, block.stated_hash)
        if not signed and block.rules.receipts_in_hash:
            raise RuleBroken("header.signature", (HEADERS,), "not by the sequencer")
        return CheckedHeader(
            number=header.number,
            block_hash=block.stated_hash,
            parent_hash=get(header, "parent_hash"),
            version=header.protocol_version,
            transactions=header.transactions.n_leaves,
            events=header.events.n_leaves,
            state_diff_length=header.state_diff_commitment.state_diff_length,
            state_diff_commitment=(
                get(header.state_diff_commitment, "root") if block.rules.receipts_in_hash else None
            ),
            signature_pending=not signed,
        )


def check_state_diff(commitment: int, state_diff: Sequence[StateDiffsResponse]) -> None:
    """Check a state diff alone against what its header commits to; raises RuleBroken with ``state_diffs`` guilty."""
    found = commitments.state_diff_commitment(_read_diff(state_diff))
    if found != commitment:
        detail = f"{found:#x} where the header has {commitment:#x}"
        raise RuleBroken(STATE_DIFF_RULE, (STATE_DIFFS,), detail)


def check_block(
    network: Network,
    key: int | None,
    header: SignedBlockHeader,
    state_diff: Sequence[StateDiffsResponse],
    classes: Sequence[Class],
    transactions: Sequence[bytes],
    events: Sequence[bytes],
    table_hash: int | None = None,
) -> CheckedBlock:
    """Check all five parts of a block against each other, cheap rules first; raises RuleBroken.

    Transactions (each with its receipt) and events are messages as the wire has them.
    ``table_hash`` is what a trusted table holds for a block before 0.13.2: its hash by the rules of 0.13.2.
    """
    parts = Parts(header, state_diff, classes, transactions, events)
    block = _open(network, key, parts, table_hash)
    for check in _checks_for(block):
        with suppress(NotVerifiable):  # no part is missing: what is left is the chain's own quirk
            check.run(block)
    return CheckedBlock(
        number=header.number,
        block_hash=block.stated_hash,
        parent_hash=value(header.parent_hash),
        state_root=value(header.state_root),
        transaction_hashes=list(map(from_bytes, block.known_hashes)),
        class_hashes=block.class_hashes,
    )


def audit_block(
    network: Network, key: int | None, parts: Parts, table_hash: int | None = None
) -> list[Verdict]:
    """Make every check of ``check_block`` that the given parts allow, also after one has failed."""
    try:
        block = _open(network, key, parts, table_hash)
    except RuleBroken as broken:
        return [Verdict("header.version", Outcome.FAILED, str(broken))]
    verdicts = []
    for check in _checks_for(block):
        try:
            if block.malformed:
                raise NotVerifiable("the header is malformed")
            check.run(block)
            verdict = Verdict(check.name, Outcome.PASSED)
        except NotVerifiable as reason:
            verdict = Verdict(check.name, Outcome.NOT_VERIFIABLE, str(reason))
        except RuleBroken as broken:
            verdict = Verdict(check.name, Outcome.FAILED, str(broken))
            block.malformed |= check.run is _check_fields
        verdicts.append(verdict)
    if block.pair_signed and block.diff is not None:  # the signature, checked later, is over it
        bound_after_all = Verdict("state_diff", Outcome.NOT_VERIFIABLE, ONLY_BY_TABLE)
        passed = Verdict("state_diff", Outcome.PASSED)
        verdicts = [passed if verdict == bound_after_all else verdict for verdict in verdicts]
    return verdicts


@dataclass
class _Block:
    """A block under check: its parts, its rules, and what the checks so far have found."""

    network: Network
    key: int | None
    parts: Parts
    rules: Rules
    table_hash: int | None
    malformed: bool = False
    table_bound: bool = False  # the table's hash fits the header
    pair_signed: bool = False  # the signature is over hash and state diff
    diff: StateDiff | None = None
    hashes: list[bytes] | None = None
    class_hashes: list[int] = field(default_factory=list)

    @property
    def header(self) -> SignedBlockHeader:
        return self.parts.header

    @property
    def pairs(self) -> Sequence[bytes]:
        return self.parts.transactions

    @property
    def events(self) -> Sequence[bytes]:
        return self.parts.events

    @property
    def stated_hash(self) -> int:
        return value(self.header.block_hash)

    @property
    def known_hashes(self) -> list[bytes]:
        """The transactions' hashes; only an audit, which goes on after a failure, can lack them."""
        if self.hashes is None:
            raise NotVerifiable("the transactions' hashes do not hold")
        return self.hashes

    @cached_property
    def read_events(self) -> list[Row]:
        return commitments.read_events(self.events)

    @cached_property
    def read_pairs(self) -> list[Row]:
        rows = _PAIR.rows_of_bytes(self.pairs)
        for row in rows:
            present(row, "transaction", "receipt")
        return rows

    @cached_property
    def read_transactions(self) -> list[Transaction]:
        rows = self.read_pairs
        return read_kinds(
            [row.transaction_txn for row in rows],
            [row.transaction_transaction_hash for row in rows],
        )

    @cached_property
    def typed_receipts(self) -> list[tuple[str, Row]]:
        return commitments.read_types([row.receipt_type for row in self.read_pairs])

    @cached_property
    def read_receipts(self) -> list[Row]:
        return [receipt for _, receipt in self.typed_receipts]

    def lacks(self, *missing: Missing) -> bool:
        """Whether any of this was not given."""
        return not self.parts.missing.isdisjoint(missing)

    def suspects(self, *components: str) -> tuple[str, ...]:
        """Who may have lied where parts disagree with the header: it is beyond doubt only if it is bound."""
        if self.table_bound or (self.rules.receipts_in_hash and self.key is not None):
            return components
        return (HEADERS, *components)


def _open(network: Network, key: int | None, parts: Parts, table_hash: int | None) -> _Block:
    try:
        rules = rules_for(parts.header.protocol_version)
    except UnknownVersion as error:
        raise RuleBroken("header.version", (HEADERS,), str(error)) from error
    return _Block(network, key, parts, rules, table_hash)


@contextmanager
def _reading(component: str) -> Iterator[None]:
    """Turns what is wrong with the fields of a part into a broken rule of that part."""
    try:
        yield
    except FeltError as error:
        raise RuleBroken(f"{component}.felt", (component,), str(error)) from error
    except FieldMissing as error:
        raise RuleBroken(f"{component}.field", (component,), str(error)) from error


# ---- header -----------------------------------------------------------------------------------------------------


def _check_fields(block: _Block) -> None:
    with _reading(HEADERS):
        get(block.header, "block_hash")
        _require_fields(block.header, block.rules)


def _require_fields(header: SignedBlockHeader, rules: Rules) -> None:
    require(header, "block_hash", "parent_hash", "sequencer_address", "state_root")
    require(header, "state_diff_commitment", "transactions", "events", "receipts")
    require(header, "l1_gas_price_fri", "l1_gas_price_wei")
    require(header, "l1_data_gas_price_fri", "l1_data_gas_price_wei")
    if rules.block_hash is BlockHash.HASH1:
        require(header, "l2_gas_price_fri", "l2_gas_price_wei")
    for commitment in (header.state_diff_commitment, header.transactions, header.events):
        get(commitment, "root")
    for name in ("sequencer_address", "state_root", "receipts", "parent_hash"):
        get(header, name)
    if header.l1_data_availability_mode not in (0, 1):
        raise FieldMissing("l1_data_availability_mode is neither Calldata nor Blob")
    counts = (
        header.transactions.n_leaves,
        header.events.n_leaves,
        header.state_diff_commitment.state_diff_length,
    )
    if max(counts) > COUNT_MAX:
        raise RuleBroken("header.counts", (HEADERS,), f"{max(counts)} items in one block")


def _check_bound_hash(block: _Block) -> None:
    if block.lacks(Missing.COMMITMENT):
        raise NotVerifiable("neither a state update nor a state diff commitment is given")
    with _reading(HEADERS):
        found = hashing.block_hash(block.header, block.rules)
    if found != block.stated_hash:
        raise RuleBroken("header.block_hash", (HEADERS,), f"not {block.stated_hash:#x}")


def _is_signed(key: int, header: SignedBlockHeader, message: int) -> bool:
    """Whether there is a signature, and each of them is the key's."""
    if not 0 < len(header.signatures) <= SIGNATURES_MAX:
        raise RuleBroken("header.signature", (HEADERS,), f"{len(header.signatures)} signatures")
    return all(
        verify_block_signature(key, get(signature, "r"), get(signature, "s"), message)
        for signature in header.signatures
    )


def _check_signature(block: _Block) -> None:
    """The sequencer's signature of the hash; of an old block also of the pair of hash and old commitment."""
    if block.lacks(Missing.SIGNATURE):
        raise NotVerifiable("no signature is given")
    if block.key is None:
        raise NotVerifiable("the sequencer's key is not known")
    with _reading(HEADERS):
        if _is_signed(block.key, block.header, block.stated_hash):
            return
        if block.rules.receipts_in_hash:
            raise RuleBroken("header.signature", (HEADERS,), "not by the sequencer")
        message = poseidon_many([block.stated_hash, _signed_commitment(block)])
        block.pair_signed = _is_signed(block.key, block.header, message)
    if not block.pair_signed:
        guilty = (HEADERS,) if block.table_bound else (HEADERS, STATE_DIFFS)
        raise RuleBroken("header.signature", guilty, "not by the sequencer")


def _signed_commitment(block: _Block) -> int:
    stated = block.parts.signed_commitment
    if block.diff is not None:
        found = commitments.old_state_diff_commitment(block.diff)
        if stated not in (None, found):
            detail = f"{found:#x} where the signature states {stated:#x}"
            raise RuleBroken("header.signed_commitment", (HEADERS, STATE_DIFFS), detail)
        return found
    if stated is None:
        raise NotVerifiable("it is not over the hash alone, and no state update is given")
    return stated


def _check_table_hash(block: _Block) -> None:
    """The hash by the rules of 0.13.2 that a trusted table holds: it binds what the block's own hash does not."""
    if block.table_hash is None:
        raise NotVerifiable("no table holds this block's hash by the rules of 0.13.2")
    if block.lacks(Missing.STATE_UPDATE):
        raise NotVerifiable("no state update is given")
    with _reading(HEADERS):
        found = hashing.block_hash(block.header, block.rules)
    if found != block.table_hash:
        detail = f"{found:#x} where the table has {block.table_hash:#x}"
        raise RuleBroken("block.table_hash", (HEADERS,), detail)
    block.table_bound = True


def _check_classic_hash(block: _Block) -> None:
    rules = block.rules
    with _reading(TRANSACTIONS):
        hashes = block.known_hashes
        transactions_root = commitments.transaction_root(rules, hashes, block.read_transactions)
    with _reading(EVENTS):
        events_root = commitments.event_root(rules, block.read_events)
    found = hashing.ClassicCommitments(
        transactions=len(block.pairs),
        transactions_root=transactions_root,
        events=len(block.events),
        events_root=events_root,
    )
    if block.stated_hash in hashing.classic_block_hashes(block.header, found, block.network):
        return
    first, last = block.network.unverifiable_from, block.network.unverifiable_to
    if first is not None and last is not None and first <= block.header.number <= last:
        # the chain's own hashes do not reproduce here; the signature is all there is
        raise NotVerifiable(
            f"the hashes of {block.network.name} {first} to {last} follow no known rule"
        )
    guilty = (HEADERS, TRANSACTIONS, EVENTS)  # no table binds the stated hash itself
    raise RuleBroken("header.block_hash", guilty, f"not {block.stated_hash:#x}")


# ---- counts and state diff --------------------------------------------------------------------------------------


def _check_counts(block: _Block) -> None:
    header = block.header
    if len(block.pairs) != header.transactions.n_leaves:
        detail = f"{len(block.pairs)} of {header.transactions.n_leaves}"
        raise RuleBroken("transactions.count", block.suspects(TRANSACTIONS), detail)
    if len(block.events) != header.events.n_leaves:
        detail = f"{len(block.events)} of {header.events.n_leaves}"
        raise RuleBroken("events.count", block.suspects(EVENTS), detail)


def _check_state_diff(block: _Block) -> None:
    if block.lacks(Missing.STATE_UPDATE):
        raise NotVerifiable("no state update is given")
    diff = _read_diff(block.parts.state_diff)
    stated = block.header.state_diff_commitment
    length = commitments.state_diff_length(diff)
    if length != stated.state_diff_length:
        detail = f"{length} of {stated.state_diff_length}"
        raise RuleBroken("state_diff.length", block.suspects(STATE_DIFFS), detail)
    block.diff = diff
    root = commitments.state_diff_commitment(diff)
    _compare(block, STATE_DIFF_RULE, value(stated.root), root, STATE_DIFFS)


def _read_diff(state_diff: Sequence[StateDiffsResponse]) -> StateDiff:
    with _reading(STATE_DIFFS):
        try:
            return commitments.read_state_diff(state_diff)
        except StateDiffError as error:
            raise RuleBroken(error.rule, (STATE_DIFFS,), error.detail) from error


def _compare(block: _Block, rule: str, stated: int, found: int, component: str) -> None:
    if stated != found:
        detail = f"{found:#x} where the header has {stated:#x}"
        raise RuleBroken(rule, block.suspects(component), detail)
    if block.lacks(Missing.ROOTS) and not block.table_bound:
        raise NotVerifiable(ONLY_BY_TABLE)


# ---- transactions and receipts ----------------------------------------------------------------------------------


def _check_transaction_hashes(block: _Block) -> None:
    with _reading(TRANSACTIONS):
        has_version = not block.rules.unversioned_transactions
        read = block.read_transactions
        found = hash_all(read, block.network, has_version=has_version)
        for index, (transaction, computed) in enumerate(zip(read, found, strict=True)):
            if transaction.stated != computed:
                stated = from_bytes(transaction.stated)
                detail = f"number {index}: {from_bytes(computed):#x}, not {stated:#x}"
                raise RuleBroken("transactions.hash", (TRANSACTIONS,), detail)
    block.hashes = found


def _check_receipt_types(block: _Block) -> None:
    with _reading(TRANSACTIONS):
        pairs = zip(block.typed_receipts, block.read_transactions, strict=True)
        for index, ((of, receipt), transaction) in enumerate(pairs):
            if of != RECEIPT_TYPES[transaction.kind]:
                detail = f"number {index}: not of {transaction.kind}"
                raise RuleBroken("receipts.type", (TRANSACTIONS,), detail)
            # Fields that no commitment covers must at least be what their type says; felts are, once they are read.
            if receipt.price_unit not in (0, 1):
                raise FieldMissing("price_unit is neither Wei nor Fri")
            if of == "l1_handler" and len(receipt.msg_hash_elements or b"") > HASH_BYTES:
                raise FeltError("message hash of more than 32 bytes")
        _check_deployed_addresses(block)


def _check_deployed_addresses(block: _Block) -> None:
    """Receipts name the address that the transaction gives to its contract."""
    addresses = iter(deployed_addresses(block.read_transactions))
    for index, transaction in enumerate(block.read_transactions):
        if transaction.kind in DEPLOYING:
            address = next(addresses)
            if felt_of(block.read_receipts[index], "contract_address") != address:
                detail = f"number {index}: the contract lies at {from_bytes(address):#x}"
                raise RuleBroken("receipts.contract_address", (TRANSACTIONS,), detail)


def _check_transaction_root(block: _Block) -> None:
    hashes = block.known_hashes
    with _reading(TRANSACTIONS):
        rules = wire_rules(block.rules)
        root = commitments.transaction_root(rules, hashes, block.read_transactions)
    stated = value(block.header.transactions.root)
    _compare(block, "header.transactions.root", stated, root, TRANSACTIONS)


def _check_receipt_root(block: _Block) -> None:
    hashes = block.known_hashes
    stated = value(block.header.receipts)
    with _reading(TRANSACTIONS):
        leaves = commitments.receipt_leaves(hashes, block.read_receipts)
        root = list_root_of_bytes(leaves, poseidon)
        if root != stated and block.rules.data_gas_repair and _repaired(block, hashes, leaves):
            return
    _compare(block, "header.receipts", stated, root, TRANSACTIONS)


def _check_event_order(block: _Block) -> None:
    hashes = block.known_hashes
    position = {transaction: index for index, transaction in enumerate(hashes)}
    last = 0
    with _reading(EVENTS):
        for number, event in enumerate(block.read_events):
            index = position.get(event.transaction_hash, -1)
            if index < last:
                detail = f"number {number} is of no transaction here, or out of order"
                raise RuleBroken("events.transaction", block.suspects(EVENTS), detail)
            last = index


def _check_event_root(block: _Block) -> None:
    with _reading(EVENTS):
        root = commitments.event_root(wire_rules(block.rules), block.read_events)
    _compare(block, "header.events.root", value(block.header.events.root), root, EVENTS)


# ---- the data gas that the wire leaves out ----------------------------------------------------------------------


def _repaired(block: _Block, hashes: Sequence[bytes], leaves: Sequence[bytes]) -> bool:
    """Whether the header's commitment fits once the data gas of new state aliases is added to receipts.

    The wire's receipt has the data gas without them. The fee tells the total; where it does not (no fee, or a
    fee that was rounded) one receipt with a few aliases is tried.
    """
    stated = value(block.header.receipts)
    pairs = zip(block.read_transactions, block.read_receipts, strict=True)
    totals = [_data_gas_of_fee(block, *pair) for pair in pairs]
    repaired = list(leaves)
    for index, total in enumerate(totals):
        if total is not None:
            receipt = block.read_receipts[index]
            repaired[index] = commitments.receipt_leaf(hashes[index], receipt, total)
    if list_root_of_bytes(repaired, poseidon) == stated:
        return True
    unsolved = [index for index, total in enumerate(totals) if total is None]
    tries = 0
    for aliases in range(1, REPAIRS_MAX + 1):
        for index in unsolved:
            tries += 1
            if tries > REPAIRS_MAX:
                return False
            receipt = block.read_receipts[index]
            total = _data_gas(receipt) + aliases * ALIAS_DATA_GAS
            leaf = commitments.receipt_leaf(hashes[index], receipt, total)
            trial = [*repaired[:index], leaf, *repaired[index + 1 :]]
            if list_root_of_bytes(trial, poseidon) == stated:
                return True
    return False


def _data_gas_of_fee(block: _Block, transaction: Transaction, receipt: Row) -> int | None:
    """The total data gas that the fee was paid for; None if that comes to no whole number above the wire's."""
    in_fri = transaction.kind.endswith("_v3")
    l1_gas_wei, l1_gas_fri, data_wei, data_fri = hashing.l1_prices(block.header)
    l2_gas_price = hashing.l2_prices(block.header)[in_fri]
    data_price = data_fri if in_fri else data_wei
    if data_price == 0:
        return None
    l1_gas = from_bytes(receipt.execution_resources_total_l1_gas or b"")
    l2_gas = from_bytes(receipt.execution_resources_l2_gas or b"")
    rest = from_bytes(receipt.actual_fee)
    rest -= l1_gas * (l1_gas_fri if in_fri else l1_gas_wei)
    rest -= l2_gas * (l2_gas_price + transaction_tip(transaction))
    total, remainder = divmod(rest, data_price)
    return total if remainder == 0 and _data_gas(receipt) <= total < 2**64 else None


def _data_gas(receipt: Row) -> int:
    return from_bytes(receipt.execution_resources_l1_data_gas or b"")


# ---- classes ----------------------------------------------------------------------------------------------------


def _check_classes(block: _Block) -> None:
    """Each definition fits its hash; each declared class must be there, and none that the state diff does not name."""
    if block.diff is None and not block.lacks(Missing.STATE_UPDATE):
        raise NotVerifiable("the state diff does not hold")
    if block.diff is None:
        declared = _declared_by_transactions(block)
        named = declared
    else:
        declared = set(block.diff.declared) | block.diff.cairo0
        named = declared | set(block.diff.class_hashes.values())
    stated = _stated_class_hashes(block.parts.classes)
    guilty = block.suspects(CLASSES)
    if not block.rules.receipts_in_hash and not block.table_bound:
        guilty = (HEADERS, STATE_DIFFS, CLASSES)
    extra = [class_hash for class_hash in stated if class_hash not in named]
    if extra:
        raise RuleBroken("classes.extra", guilty, f"{extra[0]:#x}")
    missing = _required_classes(block, declared) - set(stated)
    if missing and not block.lacks(Missing.CLASSES):
        raise RuleBroken("classes.missing", guilty, f"{min(missing):#x}")
    for class_hash, definition in zip(stated, block.parts.classes, strict=True):
        _check_class_hash(class_hash, definition)
    block.class_hashes = stated
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise NotVerifiable(f"no definition is given of {min(missing):#x}{more}")
    if block.diff is None:
        raise NotVerifiable("no state update is given to say which classes there are")


def _declared_by_transactions(block: _Block) -> set[int]:
    with _reading(TRANSACTIONS):
        return declared_classes(block.read_transactions)


def _stated_class_hashes(classes: Sequence[Class]) -> list[int]:
    stated: dict[int, None] = {}
    with _reading(CLASSES):
        for definition in classes:
            require(definition, "class_hash")
            class_hash = key_value(definition.class_hash)
            if class_hash in stated:
                raise RuleBroken("classes.duplicate", (CLASSES,), f"{class_hash:#x}")
            if definition.domain != 0:
                raise RuleBroken("classes.domain", (CLASSES,), f"{class_hash:#x}")
            stated[class_hash] = None
    return list(stated)


def _required_classes(block: _Block, declared: set[int]) -> set[int]:
    """Classes whose definition must come; a migrated one was declared, and came, long before."""
    if not block.rules.migrates_classes:
        return declared
    return declared & _declared_by_transactions(block)


def _check_class_hash(stated: int, definition: Class) -> None:
    with _reading(CLASSES):
        try:
            found = compute_class_hash(definition)
        except (FeltError, FieldMissing):
            raise
        except ValueError as error:
            raise RuleBroken("classes.malformed", (CLASSES,), f"{stated:#x}: {error}") from error
    if found != stated:
        raise RuleBroken("classes.hash", (CLASSES,), f"{found:#x}, not {stated:#x}")


# ---- the list of checks -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """One named step of checking a block; ``bound`` limits it to blocks that their hash binds wholly, or to others.

    ``run`` raises RuleBroken, or NotVerifiable where nobody could tell.
    """

    name: str
    run: Callable[[_Block], None]
    bound: bool | None = None


# In this order, cheap ones first. A name may stand twice, for two eras.
CHECKS: tuple[Check, ...] = (
    Check("header.fields", _check_fields),
    Check("header.block_hash", _check_bound_hash, bound=True),
    Check("header.signature", _check_signature, bound=True),
    Check("block.table_hash", _check_table_hash, bound=False),
    Check("block.counts", _check_counts),
    Check("state_diff", _check_state_diff),
    Check("header.signature", _check_signature, bound=False),
    Check("transactions.hash", _check_transaction_hashes),
    Check("receipts.fields", _check_receipt_types),
    Check("header.block_hash", _check_classic_hash, bound=False),
    Check("transactions.root", _check_transaction_root),
    Check("receipts.root", _check_receipt_root),
    Check("events.order", _check_event_order),
    Check("events.root", _check_event_root),
    Check("classes", _check_classes),
)


def _checks_for(block: _Block) -> Iterator[Check]:
    era = block.rules.receipts_in_hash
    return (check for check in CHECKS if check.bound in (None, era))
