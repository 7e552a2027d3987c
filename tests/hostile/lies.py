"""The misbehaviours, by name: what a peer does with an answer, and by which rule it is to be found out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import trio

from starknet.felt import P, to_wire
from starknet.wire.delimited import join, varint
from tests.flow.peers import KINDS
from tests.hostile.peers import Asked, Behaviour, honestly
from workers.component import Component

HEADERS, STATE_DIFFS, CLASSES, TRANSACTIONS, EVENTS = Component
BODIES = (STATE_DIFFS, TRANSACTIONS, EVENTS)
Blocks = list[list[bytes]]
REQUESTS_MAX = 16  # of a proven liar: its head, and one range with all of its parts
REQUESTS_MAX_WEAK = 40  # of one that may as well have a bad line


@dataclass(frozen=True)
class Lie:
    """A misbehaviour about ``parts``. ``rule``, a pattern, is what the peer must be left alone for."""

    name: str
    parts: tuple[Component, ...]
    behaviour: Behaviour
    rule: str
    requests_max: int = REQUESTS_MAX
    about_head: bool = False

    async def act(self, asked: Asked) -> None:
        """Misbehave where the request is about these parts of a range, or about the head; be honest otherwise."""
        if asked.part in self.parts and asked.is_about_head == self.about_head:
            asked.peer.misbehaved += 1
            await self.behaviour(asked)
        else:
            await honestly(asked)


def saying(change: Callable[[Blocks], object]) -> Behaviour:
    """Answer whole and in form, after ``change`` has had its way with the messages of each block."""

    async def behave(asked: Asked) -> None:
        change(asked.blocks)
        await honestly(asked)

    return behave


def sending(make: Callable[[Asked], bytes]) -> Behaviour:
    """Send what ``make`` returns, then end the stream."""

    async def behave(asked: Asked) -> None:
        await asked.end_with(make(asked))

    return behave


def edited(part: Component, edit: Callable[[Any], object], at: int = 0) -> Behaviour:
    """Edit, in each block, the message ``at``; blocks without messages stay as they are."""

    def change(blocks: Blocks) -> None:
        for block in blocks:
            if block:
                block[at] = _with(part, block[at], edit)

    return saying(change)


def _with(part: Component, frame: bytes, edit: Callable[[Any], object]) -> bytes:
    message = KINDS[part].FromString(frame[_prefix(frame) :])
    edit(message)
    return join([message])


def _prefix(frame: bytes) -> int:
    """How many bytes the length of a message takes."""
    return next(i for i, byte in enumerate(frame) if byte < 0x80) + 1


def _other(felt: Any) -> None:
    """Put another value in the place of a felt's."""
    felt.elements = to_wire((int.from_bytes(felt.elements, "big") + 1) % P)


def _swap_blocks(blocks: Blocks) -> None:
    """Swap the first and the last block that have something to swap, or that are different in size."""
    full = [index for index, block in enumerate(blocks) if block]
    first, last = full[0], full[-1]
    blocks[first], blocks[last] = blocks[last], blocks[first]


def _reverse(blocks: Blocks) -> None:
    for block in blocks:
        block.reverse()


def _repeat_first(blocks: Blocks) -> None:
    """Send each block's first message in the place of its last."""
    for block in blocks:
        if len(block) > 1:
            block[-1] = block[0]


def _lose_last(blocks: Blocks) -> None:
    next(block for block in reversed(blocks) if block).pop()


def _one_more(blocks: Blocks) -> None:
    full = next(block for block in reversed(blocks) if block)
    full.append(full[-1])


def _garbage(blocks: Blocks) -> None:
    next(block for block in blocks if block)[0] = join([b"\x0a\x7fnot so long"])


def _empty_message(blocks: Blocks) -> None:
    next(block for block in blocks if block).insert(0, b"\0")


def _unknown_message(blocks: Blocks) -> None:
    """Send a message of a kind that the protocol does not know."""
    next(block for block in blocks if block)[0] = join([b"\x7a\x00"])


def _oversize(limit: int) -> Behaviour:
    return sending(lambda asked: varint(limit + 1) + bytes(64 * 1024))


# ---- headers -----------------------------------------------------------------------------------------------------


def header(edit: Callable[[Any], object]) -> Behaviour:
    """Edit each header."""
    return edited(HEADERS, lambda message: edit(message.header))


def _later(field: Any) -> None:
    field.time += 1


def _next_number(field: Any) -> None:
    field.number += 1


def _one_transaction_more(field: Any) -> None:
    field.transactions.n_leaves += 1


def _one_event_less(field: Any) -> None:
    field.events.n_leaves -= 1


def _longer_diff(field: Any) -> None:
    field.state_diff_commitment.state_diff_length += 1


def _wide(field: Any) -> None:
    field.elements = b"\xff" * 32


def _often_signed(field: Any) -> None:
    field.signatures.extend([field.signatures[0]] * 100)


def _only_first(blocks: Blocks) -> None:
    blocks[1:] = [blocks[0]] * (len(blocks) - 1)


def _beyond(blocks: Blocks) -> None:
    blocks.append(blocks[-1])


HEADER_LIES = {
    "time changed": (header(_later), "header.block_hash"),
    "state root changed": (header(lambda h: _other(h.state_root)), "header.block_hash"),
    "hash changed": (header(lambda h: _other(h.block_hash)), "header.block_hash"),
    "parent changed": (header(lambda h: _other(h.parent_hash)), "header.block_hash"),
    "count of transactions raised": (header(_one_transaction_more), "header.block_hash"),
    "count of events lowered": (header(_one_event_less), "header.block_hash"),
    "length of the state diff raised": (header(_longer_diff), "header.block_hash"),
    "wrong signature": (header(lambda h: _other(h.signatures[0].r)), "header.signature"),
    "no signature": (header(lambda h: h.ClearField("signatures")), "header.signature"),
    "signatures without end": (header(_often_signed), "header.signature"),
    "no parent": (header(lambda h: h.ClearField("parent_hash")), "headers.field"),
    "a felt beyond the field": (header(lambda h: _wide(h.state_root)), "headers.felt"),
    "unknown version": (header(lambda h: setattr(h, "protocol_version", "9.9")), "header.version"),
    "wrong number": (header(_next_number), "headers.number"),
    "one block again and again": (saying(_only_first), "headers.number"),
    "two blocks swapped": (saying(_swap_blocks), "headers.number"),
    "more headers than asked for": (saying(_beyond), "headers.count"),
    "malformed protobuf": (saying(_garbage), "headers.malformed"),
    "a message of another kind": (saying(_unknown_message), "headers.field"),
    "an empty message": (saying(_empty_message), "message.empty"),
}

# ---- the head ----------------------------------------------------------------------------------------------------


async def _claims_everything(asked: Asked) -> None:
    """Have a header of every block that is asked for, made up where there is none."""
    assert isinstance(asked.wanted.start, int)
    honest = asked.peer.chain.messages(HEADERS, 0, 1)[0]
    for index in range(asked.wanted.limit):
        number = asked.wanted.start + index * asked.wanted.step

        def renumber(message: Any, number: int = number) -> None:
            message.header.number = number

        await asked.stream.write(_with(HEADERS, honest, renumber))
    await asked.end_with(asked.fin)


def _forge(header: Any) -> None:
    header.time += 1


HEAD_LIES = {
    "made-up headers up to no end": (_claims_everything, "header."),
    "a header that is not signed": (header(_forge), "header.block_hash"),
    "a header of another block": (header(lambda h: setattr(h, "number", 7)), "headers.number"),
    "noise": (sending(lambda asked: join([b"\x0a\x7fnoise"]) + asked.fin), "headers.malformed"),
    "headers after Fin": (sending(lambda asked: asked.fin + asked.body), "fin.after"),
}

# ---- state diffs -------------------------------------------------------------------------------------------------


def _another_value(blocks: Blocks) -> None:
    for block in blocks:
        for at, frame in enumerate(block):
            message = KINDS[STATE_DIFFS].FromString(frame[_prefix(frame) :])
            if message.contract_diff.values:
                _other(message.contract_diff.values[0].value)
                block[at] = join([message])
                break


def _diff_without_content(message: Any) -> None:
    message.Clear()
    message.contract_diff.address.elements = b"\5"


DIFF_LIES = {
    "value changed": (saying(_another_value), "header.state_diff_commitment.root"),
    "last entry dropped": (saying(_lose_last), "state_diffs.truncated"),
    "last entry twice": (saying(_one_more), "state_diffs.count"),
    "an entry without content": (edited(STATE_DIFFS, _diff_without_content), "state_diffs.empty"),
    "malformed protobuf": (saying(_garbage), "state_diffs.malformed"),
    "a message of another kind": (saying(_unknown_message), "state_diffs.field"),
}

# ---- classes -----------------------------------------------------------------------------------------------------


def class_of(edit: Callable[[Any], object]) -> Behaviour:
    """Edit each class."""
    return edited(CLASSES, lambda message: edit(getattr(message, "class")))


def _another_definition(found: Any) -> None:
    if found.HasField("cairo1"):
        found.cairo1.abi += " "
    else:
        found.cairo0.abi = "[]"


def _another_program(found: Any) -> None:
    if found.HasField("cairo1"):
        _other(found.cairo1.program[-1])
    else:
        found.cairo0.program = found.cairo0.program[:-8]


CLASS_LIES = {
    "wrong definition": (class_of(_another_definition), "classes."),
    "program changed": (class_of(_another_program), "classes."),
    "another kind of class": (class_of(lambda c: c.cairo1.ClearField("program")), "classes.hash"),
    "a class that nobody wants": (class_of(lambda c: _other(c.class_hash)), "classes.extra"),
    "a class twice": (saying(_one_more), "classes.extra"),
    "no hash": (class_of(lambda c: c.ClearField("class_hash")), "classes.field"),
    "another domain": (class_of(lambda c: setattr(c, "domain", 7)), "classes.domain"),
    "two blocks swapped": (saying(_swap_blocks), "classes.missing"),
    "malformed protobuf": (saying(_garbage), "classes.malformed"),
}

# ---- transactions and receipts -----------------------------------------------------------------------------------


def pair(edit: Callable[[Any], object]) -> Behaviour:
    """Edit each block's first transaction or receipt."""
    return edited(TRANSACTIONS, lambda message: edit(message.transaction_with_receipt))


def _common(found: Any) -> Any:
    return getattr(found.receipt, found.receipt.WhichOneof("type")).common


def _swap_receipts(blocks: Blocks) -> None:
    for block in blocks:
        if len(block) > 1:
            one, two = (KINDS[TRANSACTIONS].FromString(f[_prefix(f) :]) for f in block[:2])
            first, second = one.transaction_with_receipt, two.transaction_with_receipt
            kept = second.receipt.__class__.FromString(first.receipt.SerializeToString())
            first.receipt.CopyFrom(second.receipt)
            second.receipt.CopyFrom(kept)
            block[:2] = [join([one]), join([two])]


TRANSACTION_LIES = {
    "hash changed": (pair(lambda p: _other(p.transaction.transaction_hash)), "transactions.hash"),
    "fee changed": (pair(lambda p: _other(_common(p).actual_fee)), "header.receipts"),
    "receipts swapped": (saying(_swap_receipts), r"header\.receipts|receipts\.type"),
    "reversed in each block": (saying(_reverse), "header.transactions.root"),
    "one in the place of another": (saying(_repeat_first), "header.transactions.root"),
    "last one dropped": (saying(_lose_last), "transactions.truncated"),
    "one too many": (saying(_one_more), "transactions.count"),
    "no receipt": (pair(lambda p: p.ClearField("receipt")), "transactions.field"),
    "no transaction": (pair(lambda p: p.ClearField("transaction")), "transactions.field"),
    "malformed protobuf": (saying(_garbage), "transactions.malformed"),
}

# ---- events ------------------------------------------------------------------------------------------------------


def event(edit: Callable[[Any], object]) -> Behaviour:
    """Edit each block's first event."""
    return edited(EVENTS, lambda message: edit(message.event))


EVENT_LIES = {
    "data changed": (event(lambda e: e.data.add(elements=b"\1")), "header.events.root"),
    "sender changed": (event(lambda e: _other(e.from_address)), "header.events.root"),
    "of no transaction": (event(lambda e: _other(e.transaction_hash)), "events.transaction"),
    "reversed in each block": (saying(_reverse), "events."),
    "two blocks swapped": (saying(_swap_blocks), "events."),
    "last one dropped": (saying(_lose_last), "events.truncated"),
    "one too many": (saying(_one_more), "events.count"),
    "no transaction hash": (event(lambda e: e.ClearField("transaction_hash")), "events.field"),
    "malformed protobuf": (saying(_garbage), "events.malformed"),
}

# ---- streams -----------------------------------------------------------------------------------------------------


async def _reset_in_mid_answer(asked: Asked) -> None:
    await asked.stream.write(asked.body[: len(asked.body) // 2])
    await asked.stream.reset()


async def _reset_at_once(asked: Asked) -> None:
    await asked.stream.reset()


async def _leave(asked: Asked) -> None:
    await asked.stream.write(asked.body[: len(asked.body) // 2])
    await asked.peer.host.disconnect(asked.stream.peer)


async def _nothing(asked: Asked) -> None:
    """Answer that there is nothing, which it said to have when asked for its head."""
    await asked.end_with(asked.fin)


STREAM_LIES: dict[str, tuple[tuple[Component, ...], Behaviour, str]] = {
    "headers after Fin": (
        (HEADERS,),
        sending(lambda asked: asked.body + asked.fin + asked.body),
        "fin.after",
    ),
    "events after Fin": (
        (EVENTS,),
        sending(lambda asked: asked.body + asked.fin + asked.body),
        "fin.after",
    ),
    "Fin twice": ((TRANSACTIONS,), sending(lambda asked: asked.body + 2 * asked.fin), "fin.after"),
    "a header beyond the limit": ((HEADERS,), _oversize(1 << 20), "message.oversize"),
    "a class beyond the limit": ((CLASSES,), _oversize(4 << 20), "message.oversize"),
    "a length without end": ((EVENTS,), sending(lambda _: b"\xff" * 64), "message.oversize"),
}

WEAKNESSES: dict[str, tuple[Behaviour, str]] = {
    "no Fin": (sending(lambda asked: asked.body), "fin.missing"),
    "half an answer": (sending(lambda asked: asked.body[: len(asked.body) // 2]), "fin.missing"),
    "a reset in mid-answer": (_reset_in_mid_answer, "stream.reset"),
    "a reset at once": (_reset_at_once, "stream.reset"),
    "only headers": (_nothing, "answer.empty"),
    "departure in mid-answer": (_leave, r"stream\.reset|fin\.missing"),
}


async def _drip(asked: Asked) -> None:
    """Send a byte now and then, for ever."""
    body = asked.body or asked.fin
    for at in range(len(body)):
        await asked.stream.write(body[at : at + 1])
        await trio.sleep(2.0)


async def _stall(asked: Asked) -> None:
    """Send half of the answer, then nothing."""
    await asked.stream.write(asked.body[: len(asked.body) // 2])
    await trio.sleep_forever()


async def _silence(asked: Asked) -> None:
    await trio.sleep_forever()


SLOWNESSES: dict[str, Behaviour] = {
    "a drip": _drip,
    "a stall in mid-answer": _stall,
    "silence": _silence,
}


def all_lies() -> list[Lie]:
    """Every lie that an answer alone can show, each with a name of its own."""
    found = [
        Lie(f"{part}: {name}", (part,), behaviour, rule)
        for part, table in (
            (HEADERS, HEADER_LIES),
            (STATE_DIFFS, DIFF_LIES),
            (CLASSES, CLASS_LIES),
            (TRANSACTIONS, TRANSACTION_LIES),
            (EVENTS, EVENT_LIES),
        )
        for name, (behaviour, rule) in table.items()
    ]
    found += [
        Lie(f"stream: {name}", parts, behaviour, rule)
        for name, (parts, behaviour, rule) in STREAM_LIES.items()
    ]
    found += [
        Lie(f"head: {name}", (HEADERS,), behaviour, rule, about_head=True)
        for name, (behaviour, rule) in HEAD_LIES.items()
    ]
    return found


def all_weaknesses() -> list[Lie]:
    """Every misbehaviour that may as well be a bad line's, save slowness."""
    return [
        Lie(name, BODIES, behaviour, rule, REQUESTS_MAX_WEAK)
        for name, (behaviour, rule) in WEAKNESSES.items()
    ]
