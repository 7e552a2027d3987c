"""The wire forms side by side: which ids each has, and how its messages become those of the spec and back.

What is stored, hashed and handed on has the spec's form. Messages of another one are changed here and nowhere else:
an answer before it leaves ``Syncer``, a part as it leaves the store. Why here: docs/decisions/012-wire-forms.md.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

import trio

from starknet.versions import BlockHash, UnknownVersion, rules_for
from starknet.wire import older
from starknet.wire.delimited import MalformedBody, join, split
from starknet.wire.parse import MalformedMessage, parse
from starknet.wire.sync_pb2 import BlockHeadersResponse
from workers.component import MESSAGE_BYTES_MAX, Component, message_bytes_max
from workers.p2p import protocols
from workers.p2p.answer import Answerer
from workers.p2p.host import CannotReach, Host
from workers.p2p.protocols import VERSION
from workers.p2p.streams import BadAnswer
from workers.p2p.view import StoredBlocks, StoredHead, View

Change = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Form:
    """One row of the table. A component that is not in ``to_spec`` and ``from_spec`` has the spec's bytes."""

    name: str
    protocol_id: Callable[[str, Component], str]
    to_spec: Mapping[Component, Change] = field(default_factory=dict)
    from_spec: Mapping[Component, Change] = field(default_factory=dict)


def _older_id(chain_id: str, component: Component) -> str:
    """The ids had no chain: whose blocks they are shows in the headers."""
    return f"/starknet/{component.value}/{VERSION}"


SPEC = Form("spec", protocols.protocol_id)
OLDER = Form(
    "older",
    _older_id,
    to_spec={
        Component.HEADERS: older.header_to_spec,
        Component.TRANSACTIONS: older.transaction_to_spec,
    },
    from_spec={
        Component.HEADERS: older.header_to_older,
        Component.TRANSACTIONS: older.transaction_to_older,
    },
)
FORMS = (SPEC, OLDER)
"""The first that a peer speaks is the one it is asked in."""


def form_of(spoken: Collection[str], chain_id: str) -> Form | None:
    """The form to ask a peer in, by the ids it speaks; the spec's while nothing is known, None if it has none."""
    if not spoken:
        return SPEC
    for form in FORMS:
        if form.protocol_id(chain_id, Component.HEADERS) in spoken:
            return form
    return None


# ---- asking -----------------------------------------------------------------------------------------------------


class Answers:
    """Answers of any form become those of the spec: one at a time and in a thread, so that nobody else waits."""

    def __init__(self) -> None:
        self._turn = trio.CapacityLimiter(1)

    async def read(self, form: Form, component: Component, body: bytes) -> bytes:
        """Return a whole answer in the spec's form, in which it is not even looked at.

        Raises ``BadAnswer`` where its messages are none, ``CannotReach`` where they are of no form known here.
        """
        if not body or component not in form.to_spec:
            return body
        return await trio.to_thread.run_sync(to_spec, form, component, body, limiter=self._turn)


def to_spec(form: Form, component: Component, body: bytes) -> bytes:
    """Change each message of an answer; raises as ``Answers.read`` does."""
    change = form.to_spec[component]
    try:
        return join(change(bytes(m)) for m in split(body, message_bytes_max(component)))
    except (MalformedBody, MalformedMessage) as error:
        raise BadAnswer(f"{component}.malformed", str(error)) from error
    except older.OtherForm as error:
        raise CannotReach(f"it speaks a wire form that is not known here: {error}") from error


# ---- serving ----------------------------------------------------------------------------------------------------


def serve(host: Host, chain_id: str, answerer: Answerer, view: View) -> None:
    """Answer by the ids of every form; all count as one server."""
    for form in FORMS:
        teller = answerer if form is SPEC else answerer.over(view.over(partial(Told, form=form)))
        for component in Component:
            host.serve(form.protocol_id(chain_id, component), teller.handler(component))


class Told:
    """Stored blocks as a form tells them: a block it cannot tell is one that is not there, in all five protocols.

    The older form has no place for the L2 gas prices that a block's hash covers from 0.13.4 on.
    """

    def __init__(self, blocks: StoredBlocks, form: Form) -> None:
        self._blocks = blocks
        self._form = form

    def refresh(self) -> None:
        """See what the writer has stored since."""
        self._blocks.refresh()

    def head(self) -> StoredHead | None:
        """The newest block, also one that cannot be told."""
        return self._blocks.head()

    def part(self, component: Component, number: int) -> bytes | None:
        """One part of one block as delimited messages; None for a block that is not there or cannot be told."""
        header = self._blocks.part(Component.HEADERS, number)
        if header is None or not _is_tellable(header):
            return None
        part = header if component is Component.HEADERS else self._blocks.part(component, number)
        change = self._form.from_spec.get(component)
        if part is None or change is None:
            return part
        try:
            return join(change(bytes(m)) for m in split(part, message_bytes_max(component)))
        except older.Untellable:
            return None

    def number_of(self, block_hash: bytes) -> int | None:
        """The number of a stored block; None for an unknown hash."""
        return self._blocks.number_of(block_hash)

    def block_hash(self, number: int) -> bytes | None:
        """The hash of a stored block; None for one that is not there."""
        return self._blocks.block_hash(number)


def _is_tellable(header: bytes) -> bool:
    """Whether the hash of the block of this header part covers nothing that the older form leaves out."""
    (message,) = split(header, MESSAGE_BYTES_MAX)
    version = parse(BlockHeadersResponse, bytes(message)).header.protocol_version
    try:
        return rules_for(version).block_hash is not BlockHash.HASH1
    except UnknownVersion:
        return False
