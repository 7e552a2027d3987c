"""The status page in a real Chromium: while a node syncs, at its head, stuck, and gone. Each leaves its pictures."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import trio

from tests.hostile.lies import all_lies
from tests.hostile.peers import Asked, Network, Peer, honestly
from tests.hostile.scene import BLOCKS, chain, node_arguments
from tests.ops.chromium import LOOKS, View, chromium
from tests.process.nodes import Node, nodes, wait_until
from workers.p2p import keys
from workers.p2p.host import Host

LIE = "headers: wrong number"
RULE = "headers.number"
MARKUP = "<img src=x onerror=alert(1)>"
ANSWER_SECONDS = 1.0  # of honest peers: so that the sync can be watched
START_SECONDS = 60.0
HEAD_SECONDS = 90.0


@dataclass(frozen=True)
class Watched:
    """A node that syncs from slow peers and a liar, one that knows only a liar, one that knows nobody."""

    browser: Any
    syncing: Node
    deceived: Node
    alone: Node
    liar: Peer


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with ExitStack() as stack:
        browser = stack.enter_context(chromium())
        key, blocks = chain()
        network = stack.enter_context(Network())
        make = stack.enter_context(nodes(tmp_path_factory.mktemp("page")))
        lie = next(lie for lie in all_lies() if lie.name == LIE)
        liar = network.start(Peer(blocks, BLOCKS, lie.act))
        # what the last host is called is what all of this process are called
        hosts = [Host(keys.generate(), MARKUP) for _ in range(2)]
        slow = [network.start(Peer(blocks, BLOCKS, slowly, host)) for host in hosts]
        deceived = make("deceived", *node_arguments(key, liar.address)[0])
        alone = make("alone", *node_arguments(key)[0])
        wait_until(lambda: bool(deceived.status() and alone.status()), START_SECONDS, alone.text)
        addresses = [peer.address for peer in (*slow, liar)]
        syncing = make("syncing", *node_arguments(key, *addresses)[0])
        wait_until(lambda: syncing.status() is not None, START_SECONDS, syncing.text)
        yield Watched(browser, syncing, deceived, alone, liar)


async def slowly(asked: Asked) -> None:
    if not asked.is_about_head:
        await trio.sleep(ANSWER_SECONDS)
    await honestly(asked)


def opened(watched: Watched, node: Node) -> list[View]:
    """The node's page in each way of looking at it."""
    url = f"http://127.0.0.1:{node.http_port}/"
    return [View(watched.browser, url, look) for look in LOOKS]


def close(views: list[View]) -> None:
    """Leave the pages: they asked nobody but their node, and had nothing to complain of."""
    for view in views:
        own = view.page.url
        assert set(view.asked) == {own, f"{own}events"}
        assert view.errors == []
        assert view.overflow() == 0, view.look
        view.close()


def test_a_sync_can_be_watched(watched: Watched) -> None:
    views = opened(watched, watched.syncing)
    for view in views:
        view.wait_state("syncing")
    first = views[0]
    assert first.text("#stages > li:nth-child(1) h3").endswith("P2P I/O")
    assert [text.split("\n")[-1] for text in first.texts("#stages h3")] == [
        "P2P I/O",
        "Fetch",
        "Assemble",
        "Verify",
        "Ordered commit",
    ]
    head = first.text("#head")
    first.wait_other("#head", head)  # by itself
    first.wait_other("#percent", "0.0\u202f%")
    first.wait("#stages .badge:not(:empty)")
    first.wait(f"#fault-table code:text-is('{RULE}')")
    first.wait("#peer-table .badge.bad")
    assert any("\u2060–\u2060" in text for text in first.texts("#peer-table td:nth-child(6)"))
    for view in views:
        view.shoot("syncing")
    assert MARKUP in first.text("#peer-table")
    assert first.page.query_selector("main img") is None
    close(views)


def test_who_does_not_see_the_page_is_told_the_same(watched: Watched) -> None:
    """Every rule of axe holds, contrast in light and dark included; all that moves has a name and a value."""
    from axe_playwright_python.sync_playwright import Axe

    views = opened(watched, watched.deceived)
    for view in views:
        view.wait_state("stuck")
        found = Axe().run(view.page).response["violations"]
        assert found == [], (view.look, [(each["id"], each["nodes"][0]["html"]) for each in found])
    roles = views[0].page.locator
    for landmark in ("banner", "main", "contentinfo"):
        assert views[0].page.get_by_role(landmark).count() == 1
    assert roles("table > caption").count() == 2
    assert roles("[role=status][aria-live=polite]").inner_text().startswith("Stuck. Block 0 cannot")
    bars = views[0].page.get_by_role("progressbar").or_(views[0].page.get_by_role("meter"))
    assert bars.count() == 1 + 2 * 5
    for bar in bars.all():
        assert bar.get_attribute("aria-label")
        assert bar.get_attribute("aria-valuetext")
    close(views)


def test_a_node_that_is_stuck_says_why(watched: Watched) -> None:
    for node, name, says in (
        (watched.deceived, "stuck-liar", f"{watched.liar.name} for {RULE}"),
        (watched.alone, "stuck-alone", "No peers"),
    ):
        views = opened(watched, node)
        for view in views:
            view.wait_state("stuck")
            assert says in view.text("#says")
            view.shoot(name)
        close(views)


def test_at_the_head_it_says_so(watched: Watched) -> None:
    watched.syncing.wait_head(BLOCKS - 1, HEAD_SECONDS)
    views = opened(watched, watched.syncing)
    for view in views:
        view.wait_state("head")
        assert view.text("#percent") == "100.0\u202f%"
        assert view.text("#head") == view.text("#target") == str(BLOCKS - 1)
        view.shoot("head")
    close(views)


def test_a_node_that_is_gone_is_said_to_be_gone_and_is_found_again(watched: Watched) -> None:
    url = f"http://127.0.0.1:{watched.alone.http_port}/"
    view = View(watched.browser, url, "desktop-light")
    view.wait_state("stuck")
    assert watched.alone.stop() == 0
    assert "Traceback" not in watched.alone.text()
    view.wait("#link[data-is=lost]")
    assert "No answer since" in view.text("#link")
    view.shoot("gone")
    watched.alone.restart()
    view.wait("#link[data-is=live]", START_SECONDS)
    view.close()
