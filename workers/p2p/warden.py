"""Keeps banned peers out, does what the operator orders, and writes down how the peers stand."""

import trio

from workers.log import fields, log
from workers.p2p.files import FileBroken
from workers.p2p.host import Host
from workers.p2p.ledger import Ledger
from workers.p2p.peers import Peers
from workers.p2p.score import Standing

LOOK_SECONDS = 2.0
SAVE_SECONDS = 5.0


class Warden:
    """Looks at the connections and at the operator's file every two seconds."""

    def __init__(self, host: Host, peers: Peers, ledger: Ledger) -> None:
        self._host = host
        self._peers = peers
        self._ledger = ledger
        host.inbound.is_banned = lambda peer: peers.is_banned(peer, trio.current_time())

    async def run(self) -> None:
        """Watch until cancelled."""
        saved_at = trio.current_time()
        while True:
            now = trio.current_time()
            self._obey()
            for peer in self._host.peers():
                if self._peers.is_banned(peer, now):
                    log.debug("A banned peer is sent away", extra=fields(peer=peer))
                    await self._host.disconnect(peer)
            if now - saved_at >= SAVE_SECONDS:
                saved_at = now
                self.save()
            await trio.sleep(LOOK_SECONDS)

    def save(self) -> None:
        """Write how the peers stand; a disk that refuses is one line in the log."""
        try:
            self._ledger.save(self._peers.standings)
        except OSError as error:
            log.error("Cannot save how the peers stand", extra=fields(why=str(error)))

    def _obey(self) -> None:
        try:
            orders = self._ledger.new_orders()
        except FileBroken as error:
            log.warning("The operator's bans are not used", extra=fields(why=str(error)))
            return
        if orders is not None:
            self._peers.obey(orders.banned, orders.pardoned)
            log.info("Bans", extra=fields(banned=len(orders.banned)))


def open_standings(ledger: Ledger) -> dict[str, Standing]:
    """How the peers stood; a file that cannot be used is one line in the log and then empty."""
    try:
        return ledger.standings()
    except FileBroken as error:
        log.warning("How the peers stood is not known any more", extra=fields(why=str(error)))
        return {}
