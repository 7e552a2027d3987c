"""A node that knows only liars says so in one line, in log and status; it goes on once an honest peer comes."""

import json
import re
from pathlib import Path

from starknet.devnet import Devnet
from tests.flow import chains
from tests.flow.peers import Chain
from tests.flow.test_tamper import with_other_value
from tests.hostile.lies import HEADERS, STATE_DIFFS, Lie, all_lies
from tests.hostile.peers import Asked, Behaviour, Network, Peer, honestly
from tests.hostile.scene import Scene, chain, node_arguments
from tests.process.nodes import nodes, run, wait_until

LENGTH = 12
FORK_AT = 6
STUCK_SECONDS = 5.0  # from the last quarantine to the word in the status
OLD_VERSION = "0.11.1"  # neither the hash nor the signature binds the state diff
NOBODY = "Nobody is left to ask"


def of_chain(chain_of_liar: Chain, since: int) -> Behaviour:
    """Answer from another chain, from block ``since`` on."""

    async def behave(asked: Asked) -> None:
        assert isinstance(asked.wanted.start, int)
        for index in range(len(asked.blocks)):
            number = asked.wanted.start + index
            if number >= since:
                asked.blocks[index] = chain_of_liar.messages(asked.part, number, 1)
        await honestly(asked)

    return behave


def forks() -> list[Lie]:
    """Liars that have headers of other chains: of another sequencer, and of ours without a link between."""
    another = Chain(chains.another_devnet(LENGTH))
    fork = Chain(chains.assembled(Devnet(length=LENGTH, fork_at=FORK_AT)))
    return [
        Lie("another sequencer's", (HEADERS,), of_chain(another, 0), "header.signature"),
        Lie("a fork without a link", (HEADERS,), of_chain(fork, FORK_AT + 1), "headers.parent"),
    ]


def test_a_node_with_only_liars_says_why_it_is_stuck_and_recovers(
    network: Network, tmp_path: Path
) -> None:
    public_key, blocks = chain()
    named = {lie.name: lie for lie in all_lies()}
    lies = [*forks(), named["headers: wrong number"], named["head: made-up headers up to no end"]]
    liars = [network.start(Peer(blocks, LENGTH, lie.act)) for lie in lies]
    honest = Peer(blocks, 0)
    arguments, address = node_arguments(public_key, *(liar.address for liar in liars))
    with nodes(tmp_path) as make:
        scene = Scene(network, make("node", *arguments), address, honest)
        for lie, liar in zip(lies, liars, strict=True):
            scene.wait_left_alone(liar)
            fault = scene.faults(liar)[0]
            assert re.match(lie.rule, fault["rule"]), fault
            assert liar.requests.total() <= lie.requests_max
        said = wait_stuck(scene)
        assert f"all {len(liars)} known peers are left alone" in said
        assert said.startswith("block 0 ")
        named_in_it = [
            scene.faults(liar)[0]["rule"] for liar in liars if liar.name in said
        ]  # whoever is asked again first
        assert [rule in said for rule in named_in_it] == [True]
        assert scene.node.text().count(NOBODY) == 1
        told = run("status", "--url", f"http://127.0.0.1:{scene.node.http_port}")
        assert "left alone" in told.stdout
        assert_listed(scene, liars)
        network.start(honest, scene.address)
        scene.let_out(LENGTH - 1)
        wait_until(lambda: stuck(scene) == "", STUCK_SECONDS, lambda: stuck(scene))
        assert scene.node.stop() == 0


def stuck(scene: Scene) -> str:
    """Why the node is stuck, as its status has it; empty where it is not."""
    return str((scene.node.status() or {}).get("stuck") or "")


def wait_stuck(scene: Scene) -> str:
    """Wait until the status says that nobody may be asked; return what it says."""
    log = scene.node.text
    wait_until(lambda: "left alone" in stuck(scene), STUCK_SECONDS, lambda: log()[-3000:])
    return stuck(scene)


def assert_listed(scene: Scene, liars: list[Peer]) -> None:
    """``hera peers list`` shows each liar with its score, its reasons and how long it is left alone; bans as well."""
    folder = ("--db-path", str(scene.node.db_path))

    def rows() -> dict[str, dict[str, object]]:
        told = run("peers", "list", *folder, "--json")
        return {row["peer"]: row for row in json.loads(told.stdout)}

    wait_until(lambda: all(liar.name in rows() for liar in liars), 20, lambda: str(rows()))
    for liar in liars:
        row = rows()[liar.name]
        rule = scene.faults(liar)[0]["rule"]
        assert float(str(row["score"])) > 0
        assert row["reasons"] == {rule: 1}
        assert str(row["state"]).startswith("quarantined for ")
    assert run("peers", "ban", liars[0].name, *folder).returncode == 0
    assert rows()[liars[0].name]["state"] == "banned by the operator"


def test_a_state_diff_that_leads_to_another_root_is_refused_where_no_hash_binds_it(
    network: Network, tmp_path: Path
) -> None:
    generated, assembled = chains.devnet(LENGTH, OLD_VERSION)
    blocks, lies = Chain(assembled), Chain([with_other_value(block) for block in assembled])
    lie = Lie("another root", (HEADERS, STATE_DIFFS), of_chain(lies, 0), "state.root")
    liar = network.start(Peer(blocks, LENGTH, lie.act))
    honest = Peer(blocks, 0)
    arguments, address = node_arguments(generated.public_key, liar.address)
    with nodes(tmp_path) as make:
        scene = Scene(network, make("node", *arguments), address, honest)
        scene.wait_left_alone(liar)
        assert scene.faults(liar)[0]["rule"] == "state.root"
        network.start(honest, scene.address)
        scene.let_out(LENGTH - 1)
        assert scene.node.stop() == 0
