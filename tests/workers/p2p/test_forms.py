"""The older wire form between real hosts: its clients are served, its servers are asked, a chain comes whole."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from starknet.wire import older
from starknet.wire.delimited import join, split
from tests.flow import chains
from tests.workers.p2p import test_service as flow
from tests.workers.p2p.support import CHAIN, Chain, pair, run
from workers import verify
from workers.component import MESSAGE_BYTES_MAX, Component
from workers.p2p import forms
from workers.p2p.answer import Answerer
from workers.p2p.ask import Patience, ask
from workers.p2p.forms import OLDER, SPEC
from workers.p2p.host import CannotReach, Host
from workers.p2p.protocols import Range
from workers.p2p.streams import BadAnswer
from workers.p2p.view import View

BLOCKS = 12
VERSION = "0.13.3"
FIELDS = dict(
    zip(Component, ("header", "state_diff", "classes", "transactions", "events"), strict=True)
)


class Generated(Chain):
    """A generated chain as stored blocks; the hashes by which they are asked for are made up."""

    def __init__(self, version: str = VERSION, length: int = BLOCKS) -> None:
        super().__init__(length)
        self.devnet, self.blocks = chains.devnet(BLOCKS, version)

    def part(self, component: Component, number: int) -> bytes | None:
        """The part as it is hashed and stored."""
        if number >= self.length:
            return None
        return bytes(getattr(self.blocks[number], FIELDS[component]))


def only_older(chain: Chain) -> Callable[[Host], None]:
    """Serve ``chain`` as a node of 2024 does: by the ids without a chain alone."""

    def serve(host: Host) -> None:
        answerer = Answerer(View(forms.Told(chain, OLDER)))
        for component in Component:
            host.serve(OLDER.protocol_id(CHAIN, component), answerer.handler(component))

    return serve


def every_form(chain: Chain) -> Callable[[Host], None]:
    """Serve ``chain`` as Hera does."""

    def serve(host: Host) -> None:
        view = View(chain)
        forms.serve(host, CHAIN, Answerer(view), view)

    return serve


def test_an_older_client_is_served_a_chain_that_it_can_verify(tmp_path: Path) -> None:
    chain = Generated()
    got: dict[Component, bytes] = {}

    async def test() -> None:
        async with pair(every_form(chain)) as two:
            for component in Component:
                name = OLDER.protocol_id(CHAIN, component)
                opener = partial(two.client.open, two.server.peer_id, name)
                got[component] = await ask(opener, component, Range(0, 100), Patience())

    run(test)
    (first, *_) = split(got[Component.HEADERS], MESSAGE_BYTES_MAX)
    fields = [number for number, _, _ in older.read_fields(older.read_fields(bytes(first))[0][2])]
    assert fields[-1] == 17  # the signatures, where a node of 2024 looks for them
    for component in Component:
        change = OLDER.to_spec.get(component)
        body = got[component] if change is None else forms.to_spec(OLDER, component, got[component])
        whole = b"".join(chain.part(component, number) or b"" for number in range(BLOCKS))
        assert body == whole
    settings = chains.settings(chain.devnet.network(), tmp_path)
    assert all(list(verify.verify(settings, block)) for block in chain.blocks)


def test_a_block_that_the_older_form_cannot_tell_is_one_that_is_not_there() -> None:
    chain = Generated("0.13.4")

    async def test() -> None:
        async with pair(every_form(chain)) as two:
            for form, found in ((OLDER, False), (SPEC, True)):
                for component in (Component.HEADERS, Component.STATE_DIFFS):
                    name = form.protocol_id(CHAIN, component)
                    opener = partial(two.client.open, two.server.peer_id, name)
                    body = await ask(opener, component, Range(0, 2), Patience())
                    assert bool(body) is found

    run(test)


def test_a_chain_is_synced_from_a_peer_that_speaks_only_the_older_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, store = Generated(), Generated(length=0)
    monkeypatch.setattr(flow, "Chain", lambda length: Generated(length=min(length, BLOCKS)))

    async def test() -> None:
        with flow.broker(tmp_path, store) as (endpoint, stages):
            async with flow.serving_by(only_older(source)) as host:
                settings = flow.settings_of(tmp_path, endpoint, flow.links([host]))
                async with flow.following(settings, store):
                    await flow.until_stored(store, BLOCKS)  # every part came as it is stored
                    assert set(stages.peers[Component.TRANSACTIONS]) == {host.peer_id}

    run(test)


def test_the_specs_form_is_preferred_and_assumed() -> None:
    both = {form.protocol_id(CHAIN, part) for form in forms.FORMS for part in Component}
    old = {OLDER.protocol_id(CHAIN, part) for part in Component}
    assert "/starknet/headers/0.1.0-rc.0" in old
    assert forms.form_of(both, CHAIN) is SPEC
    assert forms.form_of((), CHAIN) is SPEC
    assert forms.form_of(old, CHAIN) is OLDER
    assert forms.form_of({"/ipfs/id/1.0.0"}, CHAIN) is None


def test_an_answer_of_the_older_form_that_is_no_message_is_its_senders_fault() -> None:
    body = join([b"\x0a\x05\x0b"])
    with pytest.raises(BadAnswer) as caught:
        forms.to_spec(OLDER, Component.HEADERS, body)
    assert caught.value.rule == "headers.malformed"


def test_a_peer_of_an_unknown_form_is_not_taken_for_a_liar() -> None:
    header = older.write_fields([(21, older.BYTES, b"")])
    body = join([older.write_fields([(1, older.BYTES, header)])])
    with pytest.raises(CannotReach, match="wire form"):
        forms.to_spec(OLDER, Component.HEADERS, body)


def test_messages_of_today_under_the_older_ids_are_taken_as_they_are() -> None:
    for version in ("0.13.3", "0.13.4", "0.14.1"):
        chain = Generated(version)
        for component in OLDER.to_spec:
            for number in range(BLOCKS):
                body = chain.part(component, number)
                assert body is not None
                assert forms.to_spec(OLDER, component, body) == body
