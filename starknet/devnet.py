"""A generated chain: valid in every hash, commitment, state root and signature, the same for the same seed.

Nothing is executed: receipts, events and state changes are made up; all that a block hash binds is bound. The
last digit of a block's number says what it is about (``_SPECIALS``).
"""

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starknet import (
    block_hash,
    classes,
    commitments,
    gateway,
    signatures,
    state,
    transactions,
)
from starknet.felt import P, to_bytes32, to_wire
from starknet.hashes import sn_keccak
from starknet.network import Network
from starknet.trie import Node, NodePath
from starknet.versions import rules_for
from starknet.wire import sync_pb2 as pb

Json = dict[str, Any]
Key = TypeVar("Key")
Value = TypeVar("Value")

GENESIS_TIME = 1_700_000_000
BLOCK_SECONDS = 30
EMPTY_EVERY = 50
LARGE_EVERY = 50
LARGE_TRANSACTIONS = 20
SYSTEM_CONTRACT = 1  # keeps the hashes of old blocks
HASH_LAG = 10  # a block's hash is written there this many blocks later
SEQUENCER = 0x1176A1BD84444C89232EC27754698E5D2E7E1A7F1539F12027F28B23EC9F3D8
L1_SENDER = 0xAE0EE0A63A2CE6BAEEFFE56E7714FB4EFE48D419
TRANSFER, DEPLOYED, UPGRADED, DECLARED, CALLED = (
    sn_keccak(name)
    for name in (b"Transfer", b"ContractDeployed", b"Upgraded", b"Declared", b"Called")
)
EXECUTE, DEPOSIT, VALIDATE = (
    sn_keccak(name) for name in (b"__execute__", b"deposit", b"__validate__")
)
BOOTSTRAP = 1  # sender of the first declarations, before there is an account
START_BALANCE = 10**24
SIGN_TRIES_MAX = 8
SIERRA_PROGRAM_FELTS = 48
BYTECODE_SEGMENTS = (16, 9, 7)


class Devnet:
    """One generated chain of ``length`` blocks, made in order and kept once a block is asked for."""

    def __init__(
        self,
        seed: int = 0,
        length: int = 250,
        version: str = "0.13.4",
        chain_id: str = "SN_HERA_DEVNET",
    ) -> None:
        assert length >= 0
        self.length = length
        self._version = version
        self._chain_id = chain_id
        self._secret = random.Random(f"key {chain_id} {seed}").getrandbits(250) | 1
        self.public_key = signatures.public_key(self._secret)
        self._network = Network(
            name="devnet",
            chain_id=chain_id,
            feeder_url="",
            gateway_url="",
            l1_chain_id=0,
            core_contract="0x0",
            public_key=self.public_key,
        )
        self._world = _World(random.Random(f"{chain_id} {version} {seed}"))
        self._state = _State()
        self._blocks: list[tuple[Json, Json, Json]] = []
        self._hashes: list[int] = []
        self._numbers: dict[int, int] = {}
        self._root = 0

    def network(self) -> Network:
        """Return the network that follows this chain, its key pinned; the URLs are empty."""
        return self._network

    def block(self, number: int) -> tuple[Json, Json, Json]:
        """Return the gateway's block, state update and signature; IndexError outside the chain."""
        if not 0 <= number < self.length:
            raise IndexError(f"block {number} of a devnet of {self.length} blocks")
        while len(self._blocks) <= number:
            self._extend()
        return self._blocks[number]

    def number_of(self, hash_of_block: int) -> int | None:
        """Return the number of a block made before."""
        return self._numbers.get(hash_of_block)

    def class_definition(self, class_hash: int) -> Json | None:
        """Return the gateway's definition of a class that a block made so far declares."""
        return self._world.definitions.get(class_hash)

    def compiled_class(self, class_hash: int) -> Json | None:
        """Return the compiled form of a Sierra class that a block made so far declares."""
        return self._world.compiled.get(class_hash)

    def _extend(self) -> None:
        """Make the next block: contents, then what they commit to, then the signature over it all."""
        number = len(self._blocks)
        draft = _Draft(number, self._network, _prices(number))
        if number >= HASH_LAG:
            draft.write(SYSTEM_CONTRACT, number - HASH_LAG, self._hashes[number - HASH_LAG])
        _fill(self._world, draft)
        wire = gateway.WireBlock(
            header=self._header(draft),
            state_diff=draft.state_diff(),
            transactions=draft.transactions,
            events=draft.events,
            declared=[],
            deployed=[],
        )
        diff = commitments.read_state_diff(wire.state_diff)
        root = self._state.advance(state.apply_state_diff(self._state, diff, self._version))
        wire.header.state_root.elements = to_wire(root)
        wire = gateway.fill_commitments(wire, self._version)
        own_hash = block_hash.block_hash(wire.header, rules_for(self._version))
        wire.header.block_hash.elements = to_wire(own_hash)
        r, s = _sign(self._secret, own_hash)
        wire.header.signatures.append(pb.ConsensusSignature(r=_felt(r), s=_felt(s)))
        self._blocks.append(
            (
                gateway.block_to_gateway(wire, draft.hashes),
                gateway.state_update_to_gateway(wire, self._root, replaced=draft.replaced),
                gateway.signature_to_gateway(wire),
            )
        )
        self._hashes.append(own_hash)
        self._numbers[own_hash] = number
        self._root = root

    def _header(self, draft: "_Draft") -> pb.SignedBlockHeader:
        header = pb.SignedBlockHeader(
            parent_hash=_hash(self._hashes[-1] if self._hashes else 0),
            number=draft.number,
            time=GENESIS_TIME + BLOCK_SECONDS * draft.number,
            sequencer_address=_address(SEQUENCER),
            protocol_version=self._version,
            l1_data_availability_mode=pb.Blob,
        )
        for name, price in draft.prices.items():
            getattr(header, name).CopyFrom(pb.Uint128(low=price % 2**64, high=price >> 64))
        header.transactions.n_leaves = len(draft.transactions)
        header.events.n_leaves = len(draft.events)
        header.state_diff_commitment.state_diff_length = draft.length()
        return header


def _sign(secret: int, message: int) -> tuple[int, int]:
    """The same as ``signatures.sign`` up to the choice of nonce, and fifty times as fast.

    The x of ``nonce * G`` is that of a public key, which the library computes quickly.
    """
    order = signatures.ORDER
    for tried in range(SIGN_TRIES_MAX):
        nonce = sn_keccak(b"".join(map(to_bytes32, (secret, message, tried)))) | 1
        r = signatures.public_key(nonce)
        s = pow(nonce, -1, order) * (message + r * secret) % order
        if signatures.verify_block_signature(signatures.public_key(secret), r, s, message):
            return r, s
    raise AssertionError("one nonce in some billions is unusable, not all of them")


def _prices(number: int) -> dict[str, int]:
    """All six prices of a block, in wei and fri a unit of gas."""
    return {
        "l1_gas_price_wei": 10**9 + number,
        "l1_gas_price_fri": 25 * 10**12 + number,
        "l1_data_gas_price_wei": 10**4 + number,
        "l1_data_gas_price_fri": 10**8 + number,
        "l2_gas_price_wei": 10**5 + number,
        "l2_gas_price_fri": 10**9 + number,
    }


# ---- the chain's contents -------------------------------------------------------------------------


@dataclass
class _World:
    """What the chain holds after the last block, as far as the next block's contents depend on it."""

    random: random.Random
    accounts: list[int] = field(default_factory=list)
    apps: list[int] = field(default_factory=list)
    nonces: dict[int, int] = field(default_factory=dict)
    class_of: dict[int, int] = field(default_factory=dict)
    storage: dict[int, dict[int, int]] = field(default_factory=dict)
    cairo0: list[int] = field(default_factory=list)  # class hashes, the account's first
    sierra: list[int] = field(default_factory=list)
    definitions: dict[int, Json] = field(default_factory=dict)
    compiled: dict[int, Json] = field(default_factory=dict)
    messages: int = 0
    tokens: dict[pb.PriceUnit, int] = field(default_factory=dict)

    def felt(self) -> int:
        """A made-up felt, usable as key, value and salt alike."""
        return self.random.getrandbits(250) | 1

    def account(self) -> int:
        """One of the accounts."""
        return self.random.choice(self.accounts)

    def app(self) -> int:
        """One of the contracts that accounts call."""
        return self.random.choice(self.apps)


@dataclass
class _Draft:
    """One block while it is filled: its transactions and events, and the net change of the state."""

    number: int
    network: Network
    prices: Mapping[str, int]
    transactions: list[pb.TransactionWithReceipt] = field(default_factory=list)
    hashes: list[int] = field(default_factory=list)
    events: list[pb.Event] = field(default_factory=list)
    classes: dict[int, int] = field(default_factory=dict)  # of contracts, deployed or replaced
    replaced: set[int] = field(default_factory=set)
    nonces: dict[int, int] = field(default_factory=dict)
    storage: dict[int, dict[int, int]] = field(default_factory=dict)
    declared: dict[int, int | None] = field(default_factory=dict)

    def write(self, address: int, key: int, value: int) -> None:
        """Set one stored value; 0 deletes it."""
        self.storage.setdefault(address, {})[key] = value

    def state_diff(self) -> list[pb.StateDiffsResponse]:
        """The net change as the wire orders it: contracts by address, Cairo 0 classes, Sierra classes."""
        addresses = sorted(self.classes.keys() | self.nonces.keys() | self.storage.keys())
        old = sorted(name for name, compiled in self.declared.items() if compiled is None)
        new = sorted(name for name, compiled in self.declared.items() if compiled is not None)
        return [
            *(
                pb.StateDiffsResponse(contract_diff=self._contract(address))
                for address in addresses
            ),
            *(pb.StateDiffsResponse(declared_class=self._declaration(name)) for name in old + new),
        ]

    def length(self) -> int:
        """How many single changes there are, the state diff length of the header."""
        values = sum(len(entries) for entries in self.storage.values())
        return values + len(self.classes) + len(self.nonces) + len(self.declared)

    def _contract(self, address: int) -> pb.ContractDiff:
        contract = pb.ContractDiff(address=_address(address))
        if address in self.nonces:
            contract.nonce.CopyFrom(_felt(self.nonces[address]))
        if address in self.classes:
            contract.class_hash.CopyFrom(_hash(self.classes[address]))
        for key, value in sorted(self.storage.get(address, {}).items()):
            contract.values.append(pb.ContractStoredValue(key=_felt(key), value=_felt(value)))
        return contract

    def _declaration(self, class_hash: int) -> pb.DeclaredClass:
        compiled = self.declared[class_hash]
        return pb.DeclaredClass(
            class_hash=_hash(class_hash),
            compiled_class_hash=None if compiled is None else _hash(compiled),
        )


def _fill(world: _World, draft: _Draft) -> None:
    """Put transactions into the block and their effects into the world."""
    if draft.number == 0:
        _genesis(world, draft)
    elif draft.number % EMPTY_EVERY == EMPTY_EVERY - 1:
        pass
    elif draft.number % LARGE_EVERY == LARGE_EVERY // 2:
        for _ in range(LARGE_TRANSACTIONS):
            _call(world, draft)
    else:
        _SPECIALS[draft.number % len(_SPECIALS)](world, draft)
        for _ in range(world.random.randint(1, 3)):
            _call(world, draft)
    _settle(world, draft)


def _settle(world: _World, draft: _Draft) -> None:
    """Carry the block's net change over into the world."""
    world.nonces |= draft.nonces
    world.class_of |= draft.classes
    for address, entries in draft.storage.items():
        kept = world.storage.setdefault(address, {})
        kept.update(entries)
        for key in [key for key, value in entries.items() if value == 0]:
            del kept[key]


def _genesis(world: _World, draft: _Draft) -> None:
    """Declare the first Cairo 0 classes from nowhere, deploy an account, the two fee tokens and an app."""
    for _ in range(2):
        class_hash = _new_cairo0(world, draft)
        tx = pb.TransactionInBlock()
        tx.declare_v0.sender.elements = to_wire(BOOTSTRAP)
        tx.declare_v0.max_fee.elements = b""
        tx.declare_v0.signature.SetInParent()
        tx.declare_v0.class_hash.elements = to_wire(class_hash)
        _include(world, draft, tx, None)
    app_class = world.cairo0[1]
    for unit in (pb.Wei, pb.Fri):
        world.tokens[unit] = world.felt()
        draft.classes[world.tokens[unit]] = app_class
    _deploy_account_v1(world, draft)
    app = world.felt()
    draft.classes[app] = app_class
    world.apps.append(app)
    _call(world, draft)


# ---- what a block is about, by the last digit of its number ----------------------------------------


def _deploy_app(world: _World, draft: _Draft) -> None:
    """An account has a contract deployed; its address is fixed by class and salt."""
    class_hash, salt = world.random.choice(world.sierra or world.cairo0), world.felt()
    sender = world.account()
    app = transactions.contract_address(class_hash, salt, [], sender)
    draft.classes[app] = class_hash
    draft.write(app, 1, world.felt())
    world.apps.append(app)
    deployed = _event(sender, [DEPLOYED], [app, sender, 0, class_hash, 0, salt])
    _invoke(world, draft, sender, [deployed])


def _declare_v3(world: _World, draft: _Draft) -> None:
    sender = world.account()
    class_hash, compiled = _new_sierra(world, draft)
    tx = pb.TransactionInBlock()
    tx.declare_v3.class_hash.elements = to_wire(class_hash)
    common = tx.declare_v3.common
    common.sender.elements = to_wire(sender)
    common.signature.CopyFrom(_signature(world))
    common.nonce.CopyFrom(_next_nonce(world, draft, sender))
    common.compiled_class_hash.elements = to_wire(compiled)
    common.resource_bounds.CopyFrom(_bounds(draft))
    _include(world, draft, tx, sender, [_event(sender, [DECLARED], [class_hash])])


def _deploy_account_v3(world: _World, draft: _Draft) -> None:
    class_hash, salt, owner = world.random.choice(world.sierra), world.felt(), world.felt()
    address = _open_account(world, draft, class_hash, salt, [owner])
    tx = pb.TransactionInBlock()
    body = tx.deploy_account_v3
    body.signature.CopyFrom(_signature(world))
    body.class_hash.elements = to_wire(class_hash)
    body.nonce.elements = b""
    body.address_salt.elements = to_wire(salt)
    body.calldata.append(_felt(owner))
    body.resource_bounds.CopyFrom(_bounds(draft))
    _include(world, draft, tx, address)


def _deploy_account_v1(world: _World, draft: _Draft) -> None:
    class_hash, salt, owner = world.cairo0[0], world.felt(), world.felt()
    address = _open_account(world, draft, class_hash, salt, [owner])
    tx = pb.TransactionInBlock()
    body = tx.deploy_account_v1
    body.max_fee.CopyFrom(_felt(10**18))
    body.signature.CopyFrom(_signature(world))
    body.class_hash.elements = to_wire(class_hash)
    body.nonce.elements = b""
    body.address_salt.elements = to_wire(salt)
    body.calldata.append(_felt(owner))
    _include(world, draft, tx, address)


def _l1_handler(world: _World, draft: _Draft) -> None:
    """A message from L1: no sender, no signature, no fee."""
    app = world.app()
    tx = pb.TransactionInBlock()
    tx.l1_handler.nonce.elements = to_wire(world.messages)
    tx.l1_handler.address.elements = to_wire(app)
    tx.l1_handler.entry_point_selector.elements = to_wire(DEPOSIT)
    tx.l1_handler.calldata.extend(map(_felt, [L1_SENDER, world.felt(), draft.number]))
    world.messages += 1
    draft.write(app, world.felt(), world.felt())
    _include(world, draft, tx, None, [_event(app, [CALLED, DEPOSIT], [draft.number])])


def _message_to_l1(world: _World, draft: _Draft) -> None:
    sender, app = world.account(), world.app()
    message = pb.MessageToL1(
        from_address=_felt(app),
        payload=[_felt(draft.number), _felt(world.felt())],
        to_address=pb.EthereumAddress(elements=L1_SENDER.to_bytes(20, "big")),
    )
    _invoke(world, draft, sender, [_event(app, [CALLED], [])], messages=[message])


def _reverted(world: _World, draft: _Draft) -> None:
    """Nothing happens but the fee and the nonce."""
    _invoke(
        world, draft, world.account(), [], revert_reason="Error in the called contract: 'DEVNET'."
    )


def _deletion(world: _World, draft: _Draft) -> None:
    """A stored value of an app goes back to 0."""
    app = next(app for app in reversed(world.apps) if world.storage.get(app))
    draft.write(app, world.random.choice(sorted(world.storage[app])), 0)
    _invoke(world, draft, world.account(), [_event(app, [CALLED], [0])])


def _replaced_class(world: _World, draft: _Draft) -> None:
    app = world.app()
    choice = [name for name in world.sierra if name != world.class_of[app]]
    if choice:
        draft.classes[app] = world.random.choice(choice)
        draft.replaced.add(app)
        _invoke(world, draft, world.account(), [_event(app, [UPGRADED], [draft.classes[app]])])


def _declare_older(world: _World, draft: _Draft) -> None:
    """By turns a Sierra class in a version 2 and a Cairo 0 class in a version 1 declaration."""
    sender = world.account()
    tx = pb.TransactionInBlock()
    if draft.number // len(_SPECIALS) % 2:
        class_hash = _new_cairo0(world, draft)
        body: Any = tx.declare_v1
    else:
        class_hash, compiled = _new_sierra(world, draft)
        body = tx.declare_v2
        body.compiled_class_hash.elements = to_wire(compiled)
    body.sender.elements = to_wire(sender)
    body.max_fee.CopyFrom(_felt(10**18))
    body.signature.CopyFrom(_signature(world))
    body.class_hash.elements = to_wire(class_hash)
    body.nonce.CopyFrom(_next_nonce(world, draft, sender))
    _include(world, draft, tx, sender)


_SPECIALS: tuple[Callable[[_World, _Draft], None], ...] = (
    _deploy_app,
    _declare_v3,
    _deploy_account_v3,
    _l1_handler,
    _message_to_l1,
    _reverted,
    _deletion,
    _replaced_class,
    _declare_older,
    _deploy_account_v1,
)


# ---- parts of transactions -------------------------------------------------------------------------


def _call(world: _World, draft: _Draft) -> None:
    """An account calls an app, which stores a value and says so."""
    app, key, value = world.app(), world.felt(), world.felt()
    draft.write(app, key, value)
    _invoke(world, draft, world.account(), [_event(app, [CALLED, key], [value, draft.number])])


def _invoke(
    world: _World,
    draft: _Draft,
    sender: int,
    events: Sequence[pb.Event],
    messages: Sequence[pb.MessageToL1] = (),
    revert_reason: str | None = None,
) -> None:
    """An invoke transaction, one in four of version 1, one in eight without a signature."""
    tx = pb.TransactionInBlock()
    if world.random.getrandbits(2) == 0:
        tx.invoke_v1.max_fee.elements = to_wire(10**18)
        body: Any = tx.invoke_v1
    else:
        tx.invoke_v3.resource_bounds.CopyFrom(_bounds(draft))
        tx.invoke_v3.tip = draft.number % 3
        body = tx.invoke_v3
    body.sender.elements = to_wire(sender)
    body.nonce.CopyFrom(_next_nonce(world, draft, sender))
    body.calldata.extend(map(_felt, [1, world.app(), EXECUTE, 2, draft.number, world.felt()]))
    body.signature.SetInParent()
    if world.random.getrandbits(3):
        body.signature.CopyFrom(_signature(world))
    _include(world, draft, tx, sender, events, messages, revert_reason)


def _include(
    world: _World,
    draft: _Draft,
    tx: pb.TransactionInBlock,
    payer: int | None,
    events: Sequence[pb.Event] = (),
    messages: Sequence[pb.MessageToL1] = (),
    revert_reason: str | None = None,
) -> None:
    """Take a transaction into the block, with its hash, receipt, fee and events."""
    tx_hash = transactions.transaction_hash(tx, draft.network)
    tx.transaction_hash.elements = to_wire(tx_hash)
    kind = transactions.transaction_kind(tx)
    common = pb.Receipt.Common(
        price_unit=pb.Fri if kind.endswith("_v3") else pb.Wei,
        messages_sent=messages,
        execution_resources=_resources(world, l1=bool(messages)),
        revert_reason=revert_reason,
    )
    fee = 0 if payer is None else _fee(draft, tx, common)
    common.actual_fee.elements = to_wire(fee)
    draft.transactions.append(
        pb.TransactionWithReceipt(transaction=tx, receipt=_receipt(tx, kind, common))
    )
    draft.hashes.append(tx_hash)
    paid = [] if payer is None else [_pay(world, draft, payer, fee, common.price_unit)]
    for event in (*events, *paid):
        event.transaction_hash.elements = to_wire(tx_hash)
        draft.events.append(event)


def _receipt(tx: pb.TransactionInBlock, kind: str, common: pb.Receipt.Common) -> pb.Receipt:
    if kind == "l1_handler":
        return pb.Receipt(l1_handler=pb.Receipt.L1Handler(common=common))
    if kind.startswith("deploy_account"):
        address = transactions.deployed_address(tx)
        assert address is not None
        return pb.Receipt(
            deploy_account=pb.Receipt.DeployAccount(common=common, contract_address=_felt(address))
        )
    if kind.startswith("declare"):
        return pb.Receipt(declare=pb.Receipt.Declare(common=common))
    return pb.Receipt(invoke=pb.Receipt.Invoke(common=common))


def _resources(world: _World, *, l1: bool) -> pb.Receipt.ExecutionResources:
    """Made-up counters; the total of L1 data gas is that of the data, as the wire has one field for both."""
    draw = world.random.randint
    return pb.Receipt.ExecutionResources(
        builtins=pb.Receipt.ExecutionResources.BuiltinCounter(
            range_check=draw(1, 200), pedersen=draw(1, 30), poseidon=draw(1, 20)
        ),
        steps=draw(1000, 9000),
        memory_holes=draw(0, 40),
        l1_gas=_felt(0),
        l1_data_gas=_felt(128 * draw(1, 4)),
        l2_gas=_felt(draw(10**5, 10**6)),
        total_l1_gas=_felt(draw(15_000, 20_000) if l1 else 0),
    )


def _fee(draft: _Draft, tx: pb.TransactionInBlock, common: pb.Receipt.Common) -> int:
    """What the gas costs at the block's prices, in the receipt's unit."""
    unit = "fri" if common.price_unit == pb.Fri else "wei"
    tip = tx.invoke_v3.tip if tx.HasField("invoke_v3") else 0
    used = common.execution_resources
    return (
        _int(used.total_l1_gas) * draft.prices[f"l1_gas_price_{unit}"]
        + _int(used.l1_data_gas) * draft.prices[f"l1_data_gas_price_{unit}"]
        + _int(used.l2_gas) * (draft.prices[f"l2_gas_price_{unit}"] + tip)
    )


def _pay(world: _World, draft: _Draft, payer: int, fee: int, unit: pb.PriceUnit) -> pb.Event:
    """Move the fee from the payer's balance to the sequencer's."""
    token = world.tokens[unit]
    for holder, change in ((payer, -fee), (SEQUENCER, fee)):
        key = sn_keccak(to_wire(holder))
        before = world.storage.get(token, {}).get(key, START_BALANCE)
        draft.write(token, key, draft.storage.get(token, {}).get(key, before) + change)
    return _event(token, [TRANSFER], [payer, SEQUENCER, fee, 0])


def _open_account(
    world: _World, draft: _Draft, class_hash: int, salt: int, calldata: Sequence[int]
) -> int:
    address = transactions.contract_address(class_hash, salt, calldata)
    draft.classes[address] = class_hash
    draft.nonces[address] = 1
    draft.write(address, VALIDATE, calldata[0])
    world.accounts.append(address)
    return address


def _next_nonce(world: _World, draft: _Draft, sender: int) -> pb.Felt252:
    nonce = draft.nonces.get(sender, world.nonces.get(sender, 0))
    draft.nonces[sender] = nonce + 1
    return _felt(nonce)


def _bounds(draft: _Draft) -> pb.ResourceBounds:
    """Limits of twice the price; every fourth block in the older form without L1 data gas."""

    def limits(amount: int, price: str) -> pb.ResourceLimits:
        doubled = 2 * draft.prices[price]
        return pb.ResourceLimits(max_amount=_felt(amount), max_price_per_unit=_felt(doubled))

    bounds = pb.ResourceBounds(
        l1_gas=limits(10**5, "l1_gas_price_fri"), l2_gas=limits(10**7, "l2_gas_price_fri")
    )
    if draft.number % 4:
        bounds.l1_data_gas.CopyFrom(limits(10**4, "l1_data_gas_price_fri"))
    return bounds


def _signature(world: _World) -> pb.AccountSignature:
    """Two made-up felts: only the account's own code could judge them."""
    return pb.AccountSignature(parts=[_felt(world.felt()), _felt(world.felt())])


def _event(source: int, keys: Iterable[int], data: Iterable[int]) -> pb.Event:
    return pb.Event(from_address=_felt(source), keys=map(_felt, keys), data=map(_felt, data))


# ---- classes ---------------------------------------------------------------------------------------


def _new_cairo0(world: _World, draft: _Draft) -> int:
    """Declare a made-up Cairo 0 class of its own; returns its hash."""
    points = {
        "EXTERNAL": (EXECUTE,),
        "L1_HANDLER": (DEPOSIT,),
        "CONSTRUCTOR": (transactions.CONSTRUCTOR,),
    }
    definition: Json = {
        "abi": [{"name": "__execute__", "type": "function", "inputs": [], "outputs": []}],
        "entry_points_by_type": {
            kind: [{"selector": hex(selector), "offset": hex(4)} for selector in selectors]
            for kind, selectors in points.items()
        },
        "program": {
            "attributes": [],
            "builtins": ["pedersen", "range_check"],
            "compiler_version": "0.10.3",
            "data": [hex(world.felt()) for _ in range(24)],
            "debug_info": None,
            "hints": {"2": [_hint("ids.a = 1")], "10": [_hint("ids.b = 2")]},
            "identifiers": {"__main__.main": {"decorators": [], "pc": 0, "type": "function"}},
            "main_scope": "__main__",
            "prime": hex(P),
            "reference_manager": {"references": []},
        },
    }
    class_hash = classes.class_hash(gateway.class_from_gateway(definition, 0))
    world.definitions[class_hash] = definition
    world.cairo0.append(class_hash)
    draft.declared[class_hash] = None
    return class_hash


def _hint(code: str) -> Json:
    return {
        "accessible_scopes": ["__main__"],
        "code": code,
        "flow_tracking_data": {"ap_tracking": {"group": 0, "offset": 0}, "reference_ids": {}},
    }


def _new_sierra(world: _World, draft: _Draft) -> tuple[int, int]:
    """Declare a made-up Sierra class with its compiled form; returns both hashes."""
    points = {
        "EXTERNAL": [EXECUTE, VALIDATE],
        "L1_HANDLER": [DEPOSIT],
        "CONSTRUCTOR": [transactions.CONSTRUCTOR],
    }
    definition: Json = {
        "sierra_program": [hex(felt) for felt in (1, 6, 0, 2, 9, 4)]
        + [hex(world.random.getrandbits(64)) for _ in range(SIERRA_PROGRAM_FELTS)],
        "contract_class_version": "0.1.0",
        "entry_points_by_type": {
            kind: [
                {"selector": hex(selector), "function_idx": index}
                for index, selector in enumerate(selectors)
            ]
            for kind, selectors in points.items()
        },
        "abi": json.dumps([{"type": "impl", "name": f"Devnet{len(world.sierra)}"}]),
    }
    casm: Json = {
        "prime": hex(P),
        "compiler_version": "2.9.4",
        "bytecode": [hex(world.random.getrandbits(64)) for _ in range(sum(BYTECODE_SEGMENTS))],
        "bytecode_segment_lengths": list(BYTECODE_SEGMENTS),
        "hints": [],
        "entry_points_by_type": {
            kind: [
                {"selector": hex(selector), "offset": 4 * index, "builtins": ["range_check"]}
                for index, selector in enumerate(selectors)
            ]
            for kind, selectors in points.items()
        },
    }
    class_hash = classes.class_hash(gateway.class_from_gateway(definition, 0))
    compiled = classes.compiled_class_hash(casm)
    world.definitions[class_hash] = definition
    world.compiled[class_hash] = casm
    world.sierra.append(class_hash)
    draft.declared[class_hash] = compiled
    return class_hash, compiled


# ---- state -----------------------------------------------------------------------------------------


class _State:
    """The state's tries in memory, as ``state.StateView`` reads them."""

    def __init__(self) -> None:
        self._contracts: dict[int, state.Contract] = {}
        self._contract_nodes: dict[NodePath, Node] = {}
        self._class_nodes: dict[NodePath, Node] = {}
        self._storage_nodes: dict[int, dict[NodePath, Node]] = {}

    def contract(self, address: int) -> state.Contract | None:
        return self._contracts.get(address)

    def contract_node(self, path: NodePath) -> Node | None:
        return self._contract_nodes.get(path)

    def class_node(self, path: NodePath) -> Node | None:
        return self._class_nodes.get(path)

    def storage_node(self, address: int, path: NodePath) -> Node | None:
        return self._storage_nodes.get(address, {}).get(path)

    def advance(self, update: state.StateUpdate) -> int:
        """Take over one block's changes; returns the new root."""
        _overwrite(self._contracts, update.contracts)
        _overwrite(self._contract_nodes, update.contract_nodes)
        _overwrite(self._class_nodes, update.class_nodes)
        for address, nodes in update.storage_nodes.items():
            _overwrite(self._storage_nodes.setdefault(address, {}), nodes)
        return update.root


def _overwrite(kept: dict[Key, Value], changes: Mapping[Key, Value | None]) -> None:
    for key, value in changes.items():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = value


# ---- wire values -----------------------------------------------------------------------------------


def _felt(felt: int) -> pb.Felt252:
    return pb.Felt252(elements=to_wire(felt))


def _hash(felt: int) -> pb.Hash:
    return pb.Hash(elements=to_wire(felt))


def _address(felt: int) -> pb.Address:
    return pb.Address(elements=to_wire(felt))


def _int(message: pb.Felt252) -> int:
    return int.from_bytes(message.elements, "big")
