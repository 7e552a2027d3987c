"""Keeps us connected: dials the given peers for ever, and while there are few those of the address book and those that
others told of."""

import logging
from collections.abc import Callable, Mapping, Sequence

import trio

from workers.log import fields, log
from workers.metrics import Figures
from workers.p2p.addresses import Address
from workers.p2p.book import Book
from workers.p2p.files import FileBroken
from workers.p2p.host import CannotReach, Host
from workers.p2p.peers import DIAL_SECONDS_MAX, DIAL_SECONDS_MIN, Back, Peers

TICK_SECONDS = 1.0
DIALS_MAX = 8  # at once
PEERS_WANTED = 16  # with so many, only the given peers are dialled
FAR_SECONDS_MAX = 300.0  # between two tries to reach a peer that was not given
HEARSAY_TRIES = 3  # to reach a peer that we were told of and never met
SAVE_SECONDS = 30.0
ALONE_SECONDS = 60.0  # between two lines that say that there is nobody


def by_peer(given: Sequence[Address], own: str) -> dict[str, tuple[Address, ...]]:
    """Group addresses by PeerID; our own is left out with a line in the log."""
    found: dict[str, tuple[Address, ...]] = {}
    for address in given:
        assert address.peer_id is not None, "parse_peer requires it"
        if address.peer_id == own:
            log.warning("This peer is this node itself: skipped", extra=fields(addr=str(address)))
            continue
        found[address.peer_id] = (*found.get(address.peer_id, ()), address.transport)
    return found


class Dialer:
    """Dials in the background; ``peers`` is told who is connected."""

    def __init__(
        self,
        host: Host,
        peers: Peers,
        book: Book,
        given: Mapping[str, tuple[Address, ...]],
        learned: Callable[[], Mapping[str, tuple[Address, ...]]] = dict,
        figures: Figures | None = None,
    ) -> None:
        self._figures = figures or Figures()
        for outcome in ("ok", "failed"):
            self._figures.count("hera_p2p_dials_total", 0, outcome=outcome)
        self._host = host
        self._peers = peers
        self._book = book
        self._given = dict(given)
        self._learned = learned
        self._backs: dict[str, Back] = {}
        self._dialling: set[str] = set()
        self._why = ""
        self._said_alone_at = -ALONE_SECONDS

    async def run(self) -> None:
        """Dial, note and save until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._save_sometimes)
            while True:
                now = trio.current_time()
                self._note_connected()
                for peer, candidates in self._due(now):
                    self._dialling.add(peer)
                    nursery.start_soon(self._dial, peer, candidates)
                self._say_if_alone(now)
                await trio.sleep(TICK_SECONDS)

    def save(self) -> None:
        """Write the book with who is connected now; a disk that refuses is one line in the log."""
        for peer in self._host.peers():
            if peer not in self._given:
                self._book.note(peer, self._host.addresses_of(peer))
        try:
            self._book.save()
        except OSError as error:
            log.error("Cannot save the address book", extra=fields(why=str(error)))

    def _due(self, now: float) -> list[tuple[str, tuple[Address, ...]]]:
        connected = set(self._host.peers())
        wanted = dict(self._given)
        if len(connected) < PEERS_WANTED:
            book = self._book.known()
            wanted = book | wanted
            for peer, told in self._learned().items():
                is_worth_it = peer in book or self._back(peer).times < HEARSAY_TRIES
                if is_worth_it and peer not in self._given:
                    wanted[peer] = (*wanted.get(peer, ()), *told)
        due = [
            (peer, candidates)
            for peer, candidates in wanted.items()
            if peer not in connected
            and peer not in self._dialling
            and peer != self._host.peer_id
            and now >= self._back(peer).until
            and not self._peers.is_left_alone(peer, now)
        ]
        due.sort(key=lambda each: (each[0] not in self._given, self._back(each[0]).times))
        return due[: DIALS_MAX - len(self._dialling)] if len(self._dialling) < DIALS_MAX else []

    async def _dial(self, peer: str, candidates: tuple[Address, ...]) -> None:
        try:
            is_hearsay = peer not in self._given
            address = await self._host.dial(peer, candidates, is_hearsay=is_hearsay)
        except CannotReach as error:
            self._figures.count("hera_p2p_dials_total", outcome="failed")
            seconds = self._back(peer).fail(trio.current_time())
            self._why = f"{peer}: {error}"
            log.log(
                logging.INFO if peer in self._given else logging.DEBUG,
                "Cannot reach peer",
                extra=fields(peer=peer, why=str(error), again_in_s=round(seconds)),
            )
        else:
            self._figures.count("hera_p2p_dials_total", outcome="ok")
            # A connection that ends at once must not be dialled at once again.
            self._back(peer).until = trio.current_time() + DIAL_SECONDS_MIN
            self._back(peer).times = 0
            self._book.note(peer, [address, *candidates])
            self._note_connected()
        finally:
            self._dialling.discard(peer)

    def _note_connected(self) -> None:
        before = len(self._peers)
        if self._peers.update(self._host.peers()):
            log.info("Peers", extra=fields(len=len(self._peers), before=before))

    def _say_if_alone(self, now: float) -> None:
        if len(self._peers) or now - self._said_alone_at < ALONE_SECONDS or self._dialling:
            return
        self._said_alone_at = now
        if self._given or self._book.known():
            alone = self._peers.left_alone(now)
            log.warning(
                "no peer answers; trying again", extra=fields(last=self._why, left_alone=alone)
            )
        else:
            log.warning(
                "no peers: give --p2p-peers /ip4/HOST/tcp/7777/p2p/PEER_ID, or wait for one to connect"
            )

    async def _save_sometimes(self) -> None:
        while True:
            await trio.sleep(SAVE_SECONDS)
            self.save()
            wanted = {*self._given, *self._book.known(), *self._learned(), *self._dialling}
            self._backs = {peer: back for peer, back in self._backs.items() if peer in wanted}

    def _back(self, peer: str) -> Back:
        seconds_max = DIAL_SECONDS_MAX if peer in self._given else FAR_SECONDS_MAX
        return self._backs.setdefault(peer, Back(DIAL_SECONDS_MIN, seconds_max))


def open_book(book: Book) -> Book:
    """Load the address book; one that cannot be used is one line in the log and then empty."""
    try:
        book.load()
    except FileBroken as error:
        log.warning("The address book is not used", extra=fields(why=str(error)))
    return book
