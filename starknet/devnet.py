"""A generated chain: valid in every hash, commitment, state root and signature, the same for the same seed.

Nothing is executed: receipts, events and state changes are made up; all that a block hash binds is bound. The
last digit of a block's number says what it is about (``_SPECIALS``). What its blocks look like is up to the
protocol version: ``starknet.ages``.
"""

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starknet import (
    ages,
    block_hash,
    classes,
    commitments,
    gateway,
    signatures,
    state,
    transactions,
)
from starknet.felt import P, to_wire
from starknet.hashes import poseidon_many, sn_keccak
from starknet.network import Network
from starknet.versions import CompiledHash, Rules, rules_for
from starknet.wire import sync_pb2 as pb

Json = dict[str, Any]
Key = TypeVar("Key")
Value = TypeVar("Value")

GENESIS_TIME = 1_700_000_000
BLOCK_SECONDS = 30
EMPTY_EVERY = 50
LARGE_EVERY = 50
LARGE_TRANSACTIONS = 20
HEAVY_CALLDATA = 60  # felts of a heavy call, and its events: about 2.5 KiB and 1 KiB, as on mainnet
HEAVY_EVENTS = 3
HEAVY_EVENT_FELTS = 6
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
OLD_PRICES = ("eth_l1_gas_price", "strk_l1_gas_price")  # of 0.13.0
BOOTSTRAP = 1  # sender of the first declarations, before there is an account
START_BALANCE = 10**24
MIGRATING_BLOCK = 3  # gives a class that block 0 declared its new compiled hash
SIERRA_PROGRAM_FELTS = 48
BYTECODE_SEGMENTS = (16, 9, 7)


class Devnet:
    """One generated chain of ``length`` blocks, made in order and kept once a block is asked for.

    Raises UnknownVersion. Blocks below ``first_07_block`` are of the form before Starknet 0.7; they have no version.
    ``heavy_calls`` more transactions come in each block but the first, each as large as mainnet's.
    From block ``fork_at`` on it is another chain of the same sequencer.
    """

    def __init__(
        self,
        seed: int = 0,
        length: int = 250,
        version: str = "0.13.4",
        chain_id: str = "SN_HERA_DEVNET",
        first_07_block: int = 0,
        heavy_calls: int = 0,
        fork_at: int | None = None,
    ) -> None:
        assert length >= 0
        assert first_07_block == 0 or version == ""
        self.length = length
        self._version = version
        self._age = ages.age_of(version)
        self._rules = rules_for(version)
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
            first_07_block=first_07_block,
        )
        self._world = _World(random.Random(f"{chain_id} {version} {seed}"))
        self._heavy_calls = heavy_calls
        self._fork_at = fork_at
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
        if number == self._fork_at:
            self._world.random.seed(f"fork at {number}")
        prices = _prices(number, self._age.prices)
        draft = _Draft(number, self._network, self._age, self._rules, prices)
        if self._age.old_hashes and number >= HASH_LAG:
            draft.write(SYSTEM_CONTRACT, number - HASH_LAG, self._hashes[number - HASH_LAG])
        _fill(self._world, draft)
        for _ in range(self._heavy_calls if number else 0):
            _heavy_call(self._world, draft)
        _settle(self._world, draft)
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
        classic = None if self._rules.receipts_in_hash else _classic(self._rules, draft)
        own_hash = self._block_hash(wire.header, classic)
        wire.header.block_hash.elements = to_wire(own_hash)
        signed = [own_hash]
        if self._age.pair_signatures:
            signed.append(commitments.old_state_diff_commitment(diff))
        message = own_hash if len(signed) == 1 else poseidon_many(signed)
        r, s = signatures.sign(self._secret, message)
        wire.header.signatures.append(pb.ConsensusSignature(r=_felt(r), s=_felt(s)))
        self._blocks.append(
            (
                _block_json(wire, draft, classic),
                gateway.state_update_to_gateway(
                    wire, self._root, replaced=draft.replaced, migrated=draft.migrated
                ),
                _signature_json(wire, signed),
            )
        )
        self._hashes.append(own_hash)
        self._numbers[own_hash] = number
        self._root = root

    def _block_hash(
        self, header: pb.SignedBlockHeader, classic: block_hash.ClassicCommitments | None
    ) -> int:
        if classic is None:
            return block_hash.block_hash(header, self._rules)
        return block_hash.classic_block_hashes(header, classic, self._network)[0]

    def _header(self, draft: "_Draft") -> pb.SignedBlockHeader:
        header = pb.SignedBlockHeader(
            parent_hash=_hash(self._hashes[-1] if self._hashes else 0),
            number=draft.number,
            time=GENESIS_TIME + BLOCK_SECONDS * draft.number,
            sequencer_address=_address(0 if draft.before_07 else SEQUENCER),
            protocol_version=self._version,
            l1_data_availability_mode=pb.Blob if self._age.blobs else pb.Calldata,
        )
        for name in self._age.prices:
            price = draft.prices[name]
            getattr(header, name).CopyFrom(pb.Uint128(low=price % 2**64, high=price >> 64))
        header.transactions.n_leaves = len(draft.transactions)
        header.events.n_leaves = len(draft.events)
        header.state_diff_commitment.state_diff_length = draft.length()
        return header


def _prices(number: int, present: Sequence[str]) -> dict[str, int]:
    """All six prices of a block, in wei and fri a unit of gas; 0 for those its age does not have."""
    prices = {
        "l1_gas_price_wei": 10**9 + number,
        "l1_gas_price_fri": 25 * 10**12 + number,
        "l1_data_gas_price_wei": 10**4 + number,
        "l1_data_gas_price_fri": 10**8 + number,
        "l2_gas_price_wei": 10**5 + number,
        "l2_gas_price_fri": 10**9 + number,
    }
    return {name: price if name in present else 0 for name, price in prices.items()}


def _classic(rules: Rules, draft: "_Draft") -> block_hash.ClassicCommitments:
    """What a block before 0.13.2 has hashed in place of the wire's commitments."""
    bodies = [pair.transaction for pair in draft.transactions]
    return block_hash.ClassicCommitments(
        transactions=len(bodies),
        transactions_root=commitments.transaction_commitment(rules, draft.hashes, bodies),
        events=len(draft.events),
        events_root=commitments.event_commitment(rules, draft.events),
    )


# ---- JSON of its age ------------------------------------------------------------------------------


def _block_json(
    wire: gateway.WireBlock, draft: "_Draft", classic: block_hash.ClassicCommitments | None
) -> Json:
    """The answer of get_block as the gateway gives it for a block of this age."""
    block = gateway.block_to_gateway(wire, draft.hashes)
    if classic is not None:
        for name in ("receipt_commitment", "state_diff_commitment", "state_diff_length"):
            del block[name]
        block["transaction_commitment"] = hex(classic.transactions_root)
        block["event_commitment"] = hex(classic.events_root)
    if not draft.age.price_objects:
        block.pop("l1_gas_price", None)
        names = ("gas_price",) if len(draft.age.prices) < 2 else OLD_PRICES
        fields = draft.age.prices or ("l1_gas_price_wei",)
        block |= {name: hex(draft.prices[key]) for name, key in zip(names, fields, strict=True)}
    if not draft.age.blobs:
        del block["l1_da_mode"]
    return block


def _signature_json(wire: gateway.WireBlock, signed: Sequence[int]) -> Json:
    """The answer of get_signature; the form over two felts says which ones they are."""
    answer = gateway.signature_to_gateway(wire)
    if len(signed) == 1:
        return answer
    names = ("block_hash", "state_diff_commitment")
    return {
        "block_number": wire.header.number,
        "signature": answer["signature"],
        "signature_input": dict(zip(names, map(hex, signed), strict=True)),
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
    first_classes: list[int] = field(default_factory=list)  # class hashes: of accounts, of apps
    sierra: list[int] = field(default_factory=list)
    definitions: dict[int, Json] = field(default_factory=dict)
    compiled: dict[int, Json] = field(default_factory=dict)
    messages: int = 0
    unmigrated: dict[int, int] = field(default_factory=dict)  # class hash -> new compiled hash
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
    age: ages.Age
    rules: Rules
    prices: Mapping[str, int]
    transactions: list[pb.TransactionWithReceipt] = field(default_factory=list)
    hashes: list[int] = field(default_factory=list)
    events: list[pb.Event] = field(default_factory=list)
    classes: dict[int, int] = field(default_factory=dict)  # of contracts, deployed or replaced
    replaced: set[int] = field(default_factory=set)
    migrated: set[int] = field(default_factory=set)  # class hashes, in ``declared`` too
    nonces: dict[int, int] = field(default_factory=dict)
    storage: dict[int, dict[int, int]] = field(default_factory=dict)
    declared: dict[int, int | None] = field(default_factory=dict)

    @property
    def before_07(self) -> bool:
        """Whether the block is of the form before Starknet 0.7."""
        return self.number < self.network.first_07_block

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
    if draft.number == MIGRATING_BLOCK:
        _migrate(world, draft)
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
    """Declare the first classes from nowhere, deploy an account, the two fee tokens and an app."""
    for nonce in range(2):
        _first_class(world, draft, nonce)
    app_class = world.first_classes[1]
    if draft.age.fees:
        for unit in (pb.Wei, pb.Fri):
            world.tokens[unit] = world.felt()
            draft.classes[world.tokens[unit]] = app_class
    _open_account_older(world, draft)
    app = world.felt()
    draft.classes[app] = app_class
    world.apps.append(app)
    _call(world, draft)


def _first_class(world: _World, draft: _Draft, nonce: int) -> None:
    """A class for accounts and apps: of Cairo 0 as long as there were such declarations.

    In the first months there were none at all, the class came with the contract. From 0.14.0 on it is a Sierra
    class; where a later block migrates classes it is declared with the compiled hash of before.
    """
    tx = pb.TransactionInBlock()
    if "declare_v0" in draft.age.kinds:
        class_hash = _new_cairo0(world, draft)
        tx.declare_v0.sender.elements = to_wire(BOOTSTRAP)
        tx.declare_v0.max_fee.elements = b""
        tx.declare_v0.signature.SetInParent()
        tx.declare_v0.class_hash.elements = to_wire(class_hash)
    elif "declare_v3" in draft.age.kinds:
        class_hash, compiled = _new_sierra(world, draft)
        if draft.rules.migrates_classes:
            world.unmigrated[class_hash] = compiled
            compiled = classes.compiled_class_hash(world.compiled[class_hash])
            draft.declared[class_hash] = compiled
        _declaration(tx.declare_v3, "declare_v3", draft, class_hash, compiled)
        tx.declare_v3.common.sender.elements = to_wire(BOOTSTRAP)
        tx.declare_v3.common.signature.SetInParent()
        tx.declare_v3.common.nonce.elements = to_wire(nonce)
    else:
        class_hash = _new_cairo0(world, draft)
        del draft.declared[class_hash]  # nobody declares it: the first contract brings it
        world.first_classes.append(class_hash)
        return
    world.first_classes.append(class_hash)
    _include(world, draft, tx, None)


def _migrate(world: _World, draft: _Draft) -> None:
    """Give one class, declared with the compiled hash of before, its new one."""
    for class_hash, compiled in list(world.unmigrated.items())[:1]:
        del world.unmigrated[class_hash]
        draft.declared[class_hash] = compiled
        draft.migrated.add(class_hash)


# ---- what a block is about, by the last digit of its number ----------------------------------------


def _deploy_app(world: _World, draft: _Draft) -> None:
    """A contract is deployed, its address fixed by class and salt: by an account, or by its own transaction once."""
    class_hash, salt = world.random.choice(world.sierra or world.first_classes), world.felt()
    if "deploy" in draft.age.kinds:
        app = _deploy(world, draft, class_hash, salt, [world.felt()])
    else:
        sender = world.account()
        app = transactions.contract_address(class_hash, salt, [], sender)
        draft.classes[app] = class_hash
        deployed = _event(sender, [DEPLOYED], [app, sender, 0, class_hash, 0, salt])
        _invoke(world, draft, sender, [deployed])
    draft.write(app, 1, world.felt())
    world.apps.append(app)


def _deploy(
    world: _World, draft: _Draft, class_hash: int, salt: int, calldata: Sequence[int]
) -> int:
    """A transaction of the first year that deploys a contract, signed and paid by nobody."""
    tx = pb.TransactionInBlock()
    tx.deploy.class_hash.elements = to_wire(class_hash)
    tx.deploy.address_salt.elements = to_wire(salt)
    tx.deploy.calldata.extend(map(_felt, calldata))
    address = transactions.contract_address(class_hash, salt, calldata)
    draft.classes[address] = class_hash
    _include(world, draft, tx, None)
    return address


def _declare_newest(world: _World, draft: _Draft) -> None:
    """A declaration of the latest kind there is."""
    kind = draft.age.newest("declare")
    if kind is not None:
        _declare(world, draft, kind)


def _declare_older(world: _World, draft: _Draft) -> None:
    """By turns a declaration of each earlier kind that accounts may send."""
    kinds = [kind for kind in draft.age.named("declare")[:-1] if kind != "declare_v0"]
    if kinds:
        _declare(world, draft, kinds[-1 - draft.number // len(_SPECIALS) % len(kinds)])
    else:
        _declare_newest(world, draft)


def _declare(world: _World, draft: _Draft, kind: str) -> None:
    tx = pb.TransactionInBlock()
    sender, compiled = world.account(), None
    if kind in ("declare_v0", "declare_v1"):
        class_hash = _new_cairo0(world, draft)
    else:
        class_hash, compiled = _new_sierra(world, draft)
    holder: Any = getattr(tx, kind)
    body = _declaration(holder, kind, draft, class_hash, compiled)
    body.sender.elements = to_wire(sender)
    body.signature.CopyFrom(_signature(world))
    if kind != "declare_v0":
        body.nonce.CopyFrom(_next_nonce(world, draft, sender))
    _include(world, draft, tx, sender, [_event(sender, [DECLARED], [class_hash])])


def _declaration(
    holder: Any, kind: str, draft: _Draft, class_hash: int, compiled: int | None
) -> Any:
    """Set class and fee of a declaration; returns the part that has the other fields."""
    holder.class_hash.elements = to_wire(class_hash)
    body = holder.common if kind == "declare_v3" else holder
    if compiled is not None:
        body.compiled_class_hash.elements = to_wire(compiled)
    _set_fee(body, kind, draft)
    return body


def _open_account(world: _World, draft: _Draft) -> None:
    """An account is deployed by the latest kind of transaction."""
    world.accounts.append(_deploy_account(world, draft, draft.age.newest("deploy_account")))


def _open_account_older(world: _World, draft: _Draft) -> None:
    """An account is deployed by the earliest kind of transaction."""
    kinds = draft.age.named("deploy_account")
    world.accounts.append(_deploy_account(world, draft, kinds[0] if kinds else None))


def _deploy_account(world: _World, draft: _Draft, kind: str | None) -> int:
    """Returns the address; accounts of the first year are contracts like any other."""
    newest = kind == draft.age.newest("deploy_account")
    choice = world.sierra if newest and world.sierra else world.first_classes[:1]
    class_hash, salt, owner = world.random.choice(choice), world.felt(), world.felt()
    if kind is None:
        return _deploy(world, draft, class_hash, salt, [owner])
    address = transactions.contract_address(class_hash, salt, [owner])
    draft.classes[address] = class_hash
    draft.nonces[address] = 1
    draft.write(address, VALIDATE, owner)
    tx = pb.TransactionInBlock()
    body: Any = getattr(tx, kind)
    _set_fee(body, kind, draft)
    body.signature.CopyFrom(_signature(world))
    body.class_hash.elements = to_wire(class_hash)
    body.nonce.elements = b""
    body.address_salt.elements = to_wire(salt)
    body.calldata.append(_felt(owner))
    _include(world, draft, tx, address)
    return address


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


_SPECIALS: tuple[Callable[[_World, _Draft], None], ...] = (
    _deploy_app,
    _declare_newest,
    _open_account,
    _l1_handler,
    _message_to_l1,
    _reverted,
    _deletion,
    _replaced_class,
    _declare_older,
    _open_account_older,
)


# ---- parts of transactions -------------------------------------------------------------------------


def _call(world: _World, draft: _Draft) -> None:
    """An account calls an app, which stores a value and says so."""
    app, key, value = world.app(), world.felt(), world.felt()
    draft.write(app, key, value)
    _invoke(world, draft, world.account(), [_event(app, [CALLED, key], [value, draft.number])])


def _heavy_call(world: _World, draft: _Draft) -> None:
    """A call with long calldata that stores some values and says much."""
    app = world.app()
    events = [
        _event(app, [CALLED, world.felt()], [world.felt() for _ in range(HEAVY_EVENT_FELTS)])
        for _ in range(HEAVY_EVENTS)
    ]
    for _ in range(HEAVY_EVENTS):
        draft.write(app, world.felt(), world.felt())
    calldata = [world.felt() for _ in range(HEAVY_CALLDATA)]
    _invoke(world, draft, world.account(), events, calldata=calldata)


def _invoke(
    world: _World,
    draft: _Draft,
    sender: int,
    events: Sequence[pb.Event],
    messages: Sequence[pb.MessageToL1] = (),
    revert_reason: str | None = None,
    calldata: Sequence[int] = (),
) -> None:
    """An invoke transaction, one in four of the version before the latest, one in eight without a signature."""
    kinds = draft.age.named("invoke")
    kind = kinds[-2:][0 if world.random.getrandbits(2) == 0 else -1]
    tx = pb.TransactionInBlock()
    body: Any = getattr(tx, kind)
    _set_fee(body, kind, draft)
    if kind == "invoke_v0":
        body.address.elements = to_wire(sender)
        body.entry_point_selector.elements = to_wire(EXECUTE)
    else:
        body.sender.elements = to_wire(sender)
        body.nonce.CopyFrom(_next_nonce(world, draft, sender))
    if kind == "invoke_v3":
        body.tip = draft.number % 3
    body.calldata.extend(map(_felt, [1, world.app(), EXECUTE, 2, draft.number, world.felt()]))
    body.calldata.extend(map(_felt, calldata))
    body.signature.SetInParent()
    if world.random.getrandbits(3):
        body.signature.CopyFrom(_signature(world))
    _include(world, draft, tx, sender, events, messages, revert_reason)


def _set_fee(body: Any, kind: str, draft: _Draft) -> None:
    """Limit what the sender pays."""
    if kind.endswith("_v3"):
        body.resource_bounds.CopyFrom(_bounds(draft))
    else:
        body.max_fee.elements = to_wire(10**18 if draft.age.fees else 0)


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
    tx_hash = _transaction_hash(tx, draft)
    tx.transaction_hash.elements = to_wire(tx_hash)
    kind = transactions.transaction_kind(tx)
    common = pb.Receipt.Common(
        price_unit=pb.Fri if kind.endswith("_v3") else pb.Wei,
        messages_sent=messages,
        execution_resources=_resources(world, draft.age.gas, l1=bool(messages)),
        revert_reason=revert_reason,
    )
    if not draft.age.fees:
        payer = None
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


def _transaction_hash(tx: pb.TransactionInBlock, draft: _Draft) -> int:
    """The hash, in blocks without a version string by the form that has neither version nor fee."""
    if not draft.rules.unversioned_transactions:
        return transactions.transaction_hash(tx, draft.network)
    kind = transactions.transaction_kind(tx)
    forms = transactions.OLD_FORMS[kind]
    form = forms[-1] if draft.before_07 else forms[0]
    return transactions.hash_by(form, tx, draft.network)


def _receipt(tx: pb.TransactionInBlock, kind: str, common: pb.Receipt.Common) -> pb.Receipt:
    if kind == "l1_handler":
        return pb.Receipt(l1_handler=pb.Receipt.L1Handler(common=common))
    address = transactions.deployed_address(tx)
    if kind == "deploy":
        return pb.Receipt(
            deprecated_deploy=pb.Receipt.Deploy(common=common, contract_address=_felt(address or 0))
        )
    if address is not None:
        return pb.Receipt(
            deploy_account=pb.Receipt.DeployAccount(common=common, contract_address=_felt(address))
        )
    if kind.startswith("declare"):
        return pb.Receipt(declare=pb.Receipt.Declare(common=common))
    return pb.Receipt(invoke=pb.Receipt.Invoke(common=common))


def _resources(world: _World, gas: Sequence[str], *, l1: bool) -> pb.Receipt.ExecutionResources:
    """Made-up counters; the total of L1 data gas is that of the data, as the wire has one field for both."""
    draw = world.random.randint
    result = pb.Receipt.ExecutionResources(
        builtins=pb.Receipt.ExecutionResources.BuiltinCounter(
            range_check=draw(1, 200), pedersen=draw(1, 30), poseidon=draw(1, 20)
        ),
        steps=draw(1000, 9000),
        memory_holes=draw(0, 40),
    )
    counters = {
        "l1_gas": 0,
        "l1_data_gas": 128 * draw(1, 4),
        "l2_gas": draw(10**5, 10**6),
        "total_l1_gas": draw(15_000, 20_000) if l1 else 0,
    }
    for name in gas:
        getattr(result, name).CopyFrom(_felt(counters[name]))
    return result


def _fee(draft: _Draft, tx: pb.TransactionInBlock, common: pb.Receipt.Common) -> int:
    """What the gas costs at the block's prices, in the receipt's unit; before there was gas, what the steps do."""
    unit = "fri" if common.price_unit == pb.Fri else "wei"
    tip = tx.invoke_v3.tip if tx.HasField("invoke_v3") else 0
    used = common.execution_resources
    l1_gas = _int(used.total_l1_gas) if used.HasField("total_l1_gas") else used.steps
    return (
        l1_gas * draft.prices[f"l1_gas_price_{unit}"]
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


def _next_nonce(world: _World, draft: _Draft, sender: int) -> pb.Felt252:
    nonce = draft.nonces.get(sender, world.nonces.get(sender, 0))
    draft.nonces[sender] = nonce + 1
    return _felt(nonce)


def _bounds(draft: _Draft) -> pb.ResourceBounds:
    """Limits of twice the price; from 0.13.4 on every fourth block in the form without L1 data gas."""

    def limits(amount: int, price: str) -> pb.ResourceLimits:
        doubled = 2 * draft.prices[price]
        return pb.ResourceLimits(max_amount=_felt(amount), max_price_per_unit=_felt(doubled))

    bounds = pb.ResourceBounds(
        l1_gas=limits(10**5, "l1_gas_price_fri"), l2_gas=limits(10**7, "l2_gas_price_fri")
    )
    if draft.age.data_gas_bounds and draft.number % 4:
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
    blake = draft.rules.compiled_hash is CompiledHash.BLAKE
    hashed = classes.compiled_class_hash_v2 if blake else classes.compiled_class_hash
    compiled = hashed(casm)
    world.definitions[class_hash] = definition
    world.compiled[class_hash] = casm
    world.sierra.append(class_hash)
    draft.declared[class_hash] = compiled
    return class_hash, compiled


# ---- state -----------------------------------------------------------------------------------------


class _State:
    """The state in memory, as ``state.StateView`` reads it."""

    def __init__(self) -> None:
        self._contracts: dict[int, state.Contract] = {}
        self._pages: dict[bytes, bytes] = {}

    def contract(self, address: int) -> state.Contract | None:
        return self._contracts.get(address)

    def pages(self, names: Sequence[bytes]) -> list[bytes | None]:
        return list(map(self._pages.get, names))

    def advance(self, update: state.StateUpdate) -> int:
        """Take over one block's changes; returns the new root."""
        _overwrite(self._contracts, update.contracts)
        _overwrite(self._pages, update.pages)
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
