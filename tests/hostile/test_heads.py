"""Peers at different heights, one of which boasts: the node finds the highest verifiable head in few questions."""

from collections import defaultdict
from functools import partial

from tests.hostile.lies import HEAD_LIES, HEADERS, Lie
from tests.hostile.peers import Asked, Behaviour, Peer, honestly
from tests.hostile.scene import Scene
from tests.process.nodes import wait_until
from workers.p2p.heads import SAMPLES
from workers.p2p.protocols import Range

QUESTIONS_MAX = 3


def test_the_highest_verifiable_head_is_found_in_three_questions_a_peer(scene: Scene) -> None:
    last = scene.next_block(classes=True)
    name = "made-up headers up to no end"
    boaster = Lie(name, (HEADERS,), HEAD_LIES[name][0], "header.", about_head=True)
    asked: dict[str, list[Range]] = defaultdict(list)

    async def noting(behaviour: Behaviour, question: Asked) -> None:
        if question.is_about_head:
            asked[question.peer.name].append(question.wanted)
        await behaviour(question)

    blocks = scene.honest.chain
    peers = [
        Peer(blocks, length, partial(noting, honestly))
        for length in (scene.head - 1, scene.head + 2, last + 1)
    ]
    liar = Peer(blocks, last + 1, partial(noting, boaster.act))
    for peer in (*peers, liar):
        scene.network.start(peer, scene.address)
    wait_until(lambda: target(scene) >= last, 30, lambda: scene.node.text()[-3000:])
    assert target(scene) == last
    scene.let_out(last)
    scene.wait_left_alone(liar)
    assert target(scene) == last, "what nobody signed is not gone for"
    for peer in peers:
        assert not scene.faults(peer)
        assert most_in_a_row(asked[peer.name]) <= QUESTIONS_MAX, asked[peer.name]
    assert len(asked[liar.name]) == 1
    for peer in (*peers, liar):
        scene.network.stop(peer)


def target(scene: Scene) -> int:
    """The highest block that the node has heard of and believes in."""
    return int((scene.node.status() or {}).get("target") or -1)


def most_in_a_row(questions: list[Range]) -> int:
    """How many questions it took at most, the first of each round being the one with the longest step."""
    rounds = [0]
    for wanted in questions:
        if wanted.step == SAMPLES[0][0]:
            rounds.append(0)
        rounds[-1] += 1
    return max(rounds)
