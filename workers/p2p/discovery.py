"""Finds peers by Kademlia: asks those who speak it for more, tells those who ask of whom we have met.

What is told over a connection, either way, is at least as public as the connection: a peer across the Internet hears
of no address in a private network, and whatever it says of such is not believed.
"""

import logging
import secrets
from collections import Counter

import trio

from workers.p2p import kad, keys, protocols
from workers.p2p.addresses import Address
from workers.p2p.dialer import PEERS_WANTED
from workers.p2p.host import CannotReach, Host
from workers.p2p.kad import BadKad, Told
from workers.p2p.peers import Back, Peers
from workers.p2p.streams import BadAnswer, MessageReader, Stream, StreamBroken

LOOK_SECONDS = 2.0
NOTE_SECONDS = 30.0  # between two looks at where a connected peer can be dialled
ASK_SECONDS_MIN = (
    5.0  # between two questions to one peer; twice as long with each that brought no news
)
ASK_SECONDS_MAX = 600.0
ASKS_MAX = 4  # peers asked at once
ANSWER_SECONDS = 10.0
IDLE_SECONDS = 10.0  # a stream without a request is ended
STREAMS_MAX, STREAMS_PER_PEER_MAX = 64, 4  # served at once
REQUESTS_MAX, REQUESTS_SECONDS = 60, 30.0  # of one peer within so long
TELLERS_MAX = 100  # whose last answers are kept

log = logging.getLogger("hera.p2p")


class Discovery:
    """Client and server of Kademlia; ``asks`` is false for a node that dials nobody."""

    def __init__(self, chain_id: str, host: Host, peers: Peers, *, asks: bool) -> None:
        self._names = protocols.kad_ids(chain_id)
        self._host = host
        self._peers = peers
        self._asks = asks
        self._table = kad.Table(host.peer_id)
        self._told: dict[str, Told] = {}  # by who told it
        self._met: dict[str, _Met] = {}  # who is connected and speaks Kademlia
        self._streams: Counter[str] = Counter()  # served now, by peer
        self._requests: Counter[str] = Counter()  # within the current window, by peer
        self._window_until = 0.0

    def serve(self) -> None:
        """Answer under both names. Peers of other chains may ask under the older one, and are told of ours alone."""
        for name in self._names:
            self._host.serve(name, self._answer)

    def learned(self) -> Told:
        """Who was told of and may be dialled. One teller fills no more than one answer; hearsay is not passed on."""
        now = trio.current_time()
        found: Told = {}
        for told in self._told.values():
            for peer, met_at in told.items():
                if not self._peers.is_left_alone(peer, now):
                    found.setdefault(peer, met_at)
        return found

    async def run(self) -> None:
        """Look who is connected, and ask them, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                now = trio.current_time()
                connected = self._host.peers()
                for peer in self._look(connected, now):
                    self._met[peer].is_asked = True
                    nursery.start_soon(self._ask, peer, len(connected) >= PEERS_WANTED)
                await trio.sleep(LOOK_SECONDS)

    # ---- who is here -----------------------------------------------------------------------------------------------

    def _look(self, connected: tuple[str, ...], now: float) -> list[str]:
        """Note who is connected and speaks our chain's Kademlia; return whom to ask now."""
        speaking = [peer for peer in connected if self._names[0] in self._host.protocols_of(peer)]
        self._met = {peer: self._met.get(peer) or _Met() for peer in speaking}
        for peer, met in self._met.items():
            if now >= met.note_at:
                met.note_at = now + NOTE_SECONDS
                met_at = self._host.addresses_of(peer)
                if met_at:
                    self._table.note(peer, met_at, now)
        if not self._asks:
            return []
        due = [
            peer
            for peer, met in self._met.items()
            if not met.is_asked
            and now >= met.back.until
            and not self._peers.is_left_alone(peer, now)
        ]
        return due[: max(0, ASKS_MAX - sum(met.is_asked for met in self._met.values()))]

    # ---- asking ----------------------------------------------------------------------------------------------------

    async def _ask(self, peer: str, is_enough: bool) -> None:
        """Ask a peer who is close to us, and who to a random place; what it does wrong ends the question only."""
        met = self._met[peer]
        told: Told = {}
        try:
            for key in (keys.parse_peer_id(self._host.peer_id), secrets.token_bytes(32)):
                with trio.fail_after(ANSWER_SECONDS):
                    told |= await self._find(peer, key)
        except (CannotReach, StreamBroken, BadAnswer, BadKad, trio.TooSlowError) as error:
            log.debug("%s does not tell of peers: %r", peer, error)
        finally:
            met.is_asked = False
        if self._keep(peer, told):
            met.back.succeed()
        met.back.fail(trio.current_time())
        if is_enough:
            met.back.until = trio.current_time() + ASK_SECONDS_MAX

    async def _find(self, peer: str, key: bytes) -> Told:
        stream = await self._host.open(peer, self._names[0])
        try:
            await stream.write(kad.encode_question(key))
            await stream.close_write()
            answer = await MessageReader(stream, kad.ANSWER_BYTES_MAX).next()
        finally:
            await stream.reset()
        if answer is None:
            raise BadKad("no answer")
        return kad.decode_answer(answer)

    def _keep(self, teller: str, told: Told) -> bool:
        """Keep what a peer told instead of what it told before; return whether anyone in it is new."""
        scope = self._host.scope_of(teller)
        connected = {*self._host.peers(), self._host.peer_id}
        usable: Told = {}
        for peer, met_at in told.items():
            reachable = tuple(address for address in met_at if address.scope >= scope)
            if reachable and peer not in connected and len(usable) < kad.PEERS_MAX:
                usable[peer] = reachable
        known = {peer for earlier in self._told.values() for peer in earlier}
        self._told.pop(teller, None)
        self._told[teller] = usable
        while len(self._told) > TELLERS_MAX:
            del self._told[next(iter(self._told))]
        news = usable.keys() - known
        if news:
            log.debug("%s told of %d peers that were not known", teller, len(news))
        return bool(news)

    # ---- answering -------------------------------------------------------------------------------------------------

    async def _answer(self, stream: Stream) -> None:
        """Answer the requests of one stream, and end it."""
        peer = stream.peer
        is_free = self._streams[peer] < STREAMS_PER_PEER_MAX and self._streams.total() < STREAMS_MAX
        if not is_free:
            await stream.reset()
            return
        self._streams[peer] += 1
        finished = False
        try:
            await self._converse(stream, peer)
            finished = True
        except (BadKad, BadAnswer, StreamBroken, trio.TooSlowError) as error:
            log.debug("%s is not told of peers: %r", peer, error)
        finally:
            self._streams[peer] -= 1
            if not self._streams[peer]:
                del self._streams[peer]
            await (stream.close() if finished else stream.reset())

    async def _converse(self, stream: Stream, peer: str) -> None:
        reader = MessageReader(stream, kad.REQUEST_BYTES_MAX)
        while True:
            with trio.fail_after(IDLE_SECONDS):
                request = await reader.next()
                if request is None:
                    return
                self._count(peer, trio.current_time())
                question = kad.decode_question(request)
                told = self._closest(peer, question.key) if question.key else {}
                await stream.write(kad.encode_answer(question, told, self._host.peers()))

    def _count(self, peer: str, now: float) -> None:
        """Count a request; raise ``BadKad`` for one too many."""
        if now >= self._window_until:
            self._requests.clear()
            self._window_until = now + REQUESTS_SECONDS
        self._requests[peer] += 1
        if self._requests[peer] > REQUESTS_MAX:
            raise BadKad(f"more than {REQUESTS_MAX} requests in {REQUESTS_SECONDS:.0f} s")

    def _closest(self, asker: str, key: bytes) -> Told:
        """The peers closest to ``key`` that ``asker`` can reach and that we would ask ourselves."""
        now = trio.current_time()
        scope = self._host.scope_of(asker)
        found: Told = {}
        for peer, met_at in self._table.by_distance(key, now).items():
            reachable: tuple[Address, ...] = tuple(a for a in met_at if a.scope >= scope)
            if peer != asker and reachable and not self._peers.is_left_alone(peer, now):
                found[peer] = reachable
            if len(found) == kad.PEERS_MAX:
                break
        return found


class _Met:
    """A connected peer that speaks Kademlia."""

    def __init__(self) -> None:
        self.note_at = 0.0
        self.is_asked = False
        self.back = Back(ASK_SECONDS_MIN, ASK_SECONDS_MAX)
