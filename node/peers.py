"""``hera peers``: shows how the peers of a node stand, and takes the operator's bans. The node may run meanwhile."""

import json
import time
from pathlib import Path
from typing import Any

import click

from node.config import ConfigError
from workers.p2p import keys
from workers.p2p.book import Book
from workers.p2p.files import FileBroken
from workers.p2p.ledger import Ledger, Orders
from workers.p2p.score import Standing


def show(folder: Path, *, as_json: bool) -> int:
    """Print every known peer of the node in ``folder``, the worst first; ConfigError where there is no node."""
    ledger, book = _ledger(folder), Book(folder)
    try:
        book.load()
        rows = _rows(ledger.standings(), ledger.orders(), book, time.time())
    except FileBroken as error:
        raise ConfigError(str(error)) from None
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        _print_lines(rows)
    return 0


def ban(folder: Path, peer: str, why: str) -> int:
    """Refuse ``peer`` from now on; a running node sends it away within seconds."""
    orders = _orders(folder, peer)
    orders.ban(peer, why)
    return _order(folder, orders, f"{peer} is banned; a running node sends it away within seconds")


def unban(folder: Path, peer: str) -> int:
    """Take back a ban, the operator's or the node's own, and forget the peer's faults."""
    orders = _orders(folder, peer)
    orders.unban(peer)
    return _order(folder, orders, f"{peer} is not banned any more; its faults are forgotten")


def _ledger(folder: Path) -> Ledger:
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; give the node's --db-path")
    return Ledger(folder)


def _orders(folder: Path, peer: str) -> Orders:
    try:
        keys.parse_peer_id(peer)
        return _ledger(folder).orders()
    except (FileBroken, keys.BadPeerId) as error:
        raise ConfigError(str(error)) from None


def _order(folder: Path, orders: Orders, said: str) -> int:
    try:
        Ledger(folder).order(orders)
    except OSError as error:
        raise ConfigError(f"cannot write the bans in {folder}: {error.strerror}") from None
    click.echo(said)
    return 0


def _rows(
    standings: dict[str, Standing], orders: Orders, book: Book, now: float
) -> list[dict[str, Any]]:
    known = book.known()
    rows = []
    for peer in dict.fromkeys((*standings, *orders.banned, *known)):
        standing = standings.get(peer, Standing())
        rows.append(
            {
                "peer": peer,
                "state": _state(peer, standing, orders, now),
                "score": round(standing.score(now), 1),
                "reasons": dict(standing.reasons.most_common()),
                "last": standing.last,
                "bytes_per_second": round(standing.bytes_per_second),
                "addresses": [str(address) for address in known.get(peer, ())],
            }
        )
    return sorted(rows, key=lambda row: (row["state"] == "good", -row["score"], row["peer"]))


def _state(peer: str, standing: Standing, orders: Orders, now: float) -> str:
    if peer in orders.banned:
        why = orders.banned[peer]
        return "banned by the operator" + (f": {why}" if why else "")
    if orders.pardoned.get(peer, 0.0) > standing.blamed_at:
        return "good"
    if standing.is_banned(now):
        return f"banned for {round((standing.banned_until - now) / 60)} min"
    if standing.is_left_alone(now):
        return f"quarantined for {round(standing.until - now)} s"
    return "good"


def _print_lines(rows: list[dict[str, Any]]) -> None:
    """One line a peer, however wide the terminal is: a PeerID that is cut off cannot be banned."""
    if not rows:
        click.echo("no peers are known yet")
    for row in rows:
        reasons = ", ".join(f"{rule} ×{count}" for rule, count in row["reasons"].items())
        speed = f"{row['bytes_per_second'] // 1000} kB/s" if row["bytes_per_second"] else "-"
        click.echo(
            f"{row['peer']}  score {row['score']:3.0f}  {speed:>10}  {row['state']}  {reasons or '-'}"
        )
