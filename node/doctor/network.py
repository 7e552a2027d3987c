"""Checks of what is beyond this process: ports, the gateway, its clock and its chain, peers."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path

import psutil

from broker import endpoint
from node import locks
from node.config import Config, ConfigError
from node.doctor.findings import Finding, Patient, fail, ok, warn
from node.public_key import require_pinned
from workers import listening
from workers.feeder.client import FeederError, Gateway
from workers.p2p import addresses
from workers.p2p.addresses import Address
from workers.p2p.book import Book
from workers.p2p.files import FileBroken
from workers.store.opening import exists
from workers.store.reader import Reader

SKEW_SECONDS_WARN = 10.0
SKEW_SECONDS_FAIL = 300.0  # certificates and blocks' times are judged by this clock
DIAL_SECONDS_MAX = 8.0
GATEWAY_SECONDS_MAX = 8.0
PEERS_MAX = 32  # that are dialled


# ---- ports ------------------------------------------------------------------------------------------------------


def ports(patient: Patient) -> Iterator[Finding]:
    """Each port that the node is to listen on is free, or the running node's own."""
    config = patient.config
    if config.http:
        take = partial(_http, config.http_host, config.http_port, "HTTP", "http")
        yield _port(config, "http", config.http_port, take)
    if config.metrics:
        take = partial(_http, config.metrics_host, config.metrics_port, "metrics", "metrics")
        yield _port(config, "metrics", config.metrics_port, take)
    if config.broker_listen is not None:
        told = config.broker_listen
        yield _port(config, "broker", endpoint.address_of(told)[1], partial(_broker_port, told))
    for address in map(addresses.parse_listen, config.p2p_addr if config.p2p else ()):
        yield _port(config, "p2p", address.port, partial(_p2p, address))


class _Taken(Exception):
    """The port cannot be had; the text is what the node would say."""


def _port(config: Config, name: str, port: int, take: Callable[[], None]) -> Finding:
    try:
        take()
    except _Taken as error:
        owner = _owner(port)
        if owner is not None and _is_ours(owner, config.run_folder):
            return ok("ports", f"{name}: {port}, which the running node has")
        who = "" if owner is None else f"process {owner.pid} ({owner.name()}) has it"
        return fail("ports", str(error), who)
    return ok("ports", f"{name}: {port or 'any'} is free")


def _http(host: str, port: int, what: str, option: str) -> None:
    try:
        listening.bind(host, port).close()
    except listening.CannotListen as error:
        raise _Taken(listening.cannot_serve(what, option, error)) from None


def _broker_port(told: str) -> None:
    host, port = endpoint.address_of(told)
    try:
        listening.bind(host, port).close()
    except listening.CannotListen as error:
        why = getattr(error.__cause__, "strerror", None) or str(error)
        raise _Taken(str(endpoint.not_listened(told, why))) from None


def _p2p(address: Address) -> None:
    from workers.p2p import host

    try:
        host.require_free(address, _resolved(address))
    except host.CannotListen as error:
        raise _Taken(str(error)) from None


def _resolved(address: Address) -> Address:
    from workers.p2p import host

    if not address.is_name:
        return address
    family = addresses.FAMILIES[address.kind]
    try:
        found = socket.getaddrinfo(address.host, None, family=family, type=socket.SOCK_STREAM)
        return addresses.from_resolved(address, [(row[0], str(row[4][0])) for row in found])[0]
    except (OSError, IndexError):
        raise host.no_such_name(address) from None


def _owner(port: int) -> psutil.Process | None:
    """Who listens on a port, as far as this user may know."""
    try:
        for each in psutil.net_connections("tcp"):
            if not each.laddr or not each.pid:
                continue
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port:
                return psutil.Process(each.pid)
    except psutil.Error:
        return None
    return None


def _is_ours(owner: psutil.Process, run_folder: Path) -> bool:
    """Whether a process is of the node of this database: all of them keep its lock open."""
    try:
        return str(run_folder / locks.PROCESSES) in {file.path for file in owner.open_files()}
    except psutil.Error:
        return False


def broker(patient: Patient) -> Iterator[Finding]:
    """A worker on another machine reaches its node's broker."""
    told = patient.config.broker_elsewhere
    if told is None:
        return
    try:
        socket.create_connection(endpoint.address_of(told), timeout=DIAL_SECONDS_MAX).close()
    except OSError as error:
        hint = "is the node up with --broker-listen, and the way to it open?"
        yield fail("broker", f"{told}: {error.strerror or error}", hint)
    else:
        yield ok("broker", f"{told} is listened on")


# ---- the gateway ------------------------------------------------------------------------------------------------


def gateway(patient: Patient) -> Iterator[Finding]:
    """The gateway answers with the network's key; without need of it, its silence is a warning."""
    config = patient.config
    try:
        with _gateway(config) as asked:
            key = asked.public_key()
        require_pinned(config, asked.url, key)
    except FeederError as error:
        if _needs_gateway(config):
            yield fail(
                "gateway", str(error), "correct --feeder-url, or the way out of this machine"
            )
        else:
            yield warn("gateway", str(error), "this node does without, once its peers are reached")
        return
    except ConfigError as error:
        yield fail("gateway", str(error))
        return
    yield ok("gateway", f"{asked.url} answers")


def clock(patient: Patient) -> Iterator[Finding]:
    """This machine's clock goes as the gateway's."""
    try:
        with _gateway(patient.config) as asked:
            began = time.time()
            asked.public_key()
            now = (began + time.time()) / 2
    except FeederError:
        yield warn("clock", "not compared: the gateway does not answer")
        return
    try:
        skew = now - parsedate_to_datetime(asked.date or "").timestamp() - 0.5  # of whole seconds
    except ValueError:
        yield warn("clock", "not compared: the gateway does not tell the time")
        return
    text = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the gateway's"
    hint = "set it, and let NTP keep it: timedatectl set-ntp true"
    if abs(skew) > SKEW_SECONDS_FAIL:
        yield fail("clock", text, hint)
    elif abs(skew) > SKEW_SECONDS_WARN:
        yield warn("clock", text, hint)
    else:
        yield ok("clock", "as the gateway's")


def chain(patient: Patient) -> Iterator[Finding]:
    """The first block that is stored is the gateway's: a network of the same name may have begun anew."""
    config = patient.config
    stored = _stored_genesis(config)
    if stored is None:
        return
    try:
        with _gateway(config) as asked:
            told = asked.block_hash(0)
    except FeederError:
        yield warn("chain", "block 0 was not compared: the gateway does not answer")
        return
    if told in (None, stored):
        yield ok("chain", f"block 0 is 0x{stored.hex()}")
    else:
        yield fail(
            "chain",
            f"block 0 is stored as 0x{stored.hex()}, the gateway has 0x{told.hex() if told else ''}",
            "choose another --db-path, --network or --feeder-url",
        )


def _stored_genesis(config: Config) -> bytes | None:
    if not exists(config.db_path):
        return None
    reader = Reader(config.db_path)
    try:
        return reader.block_hash(0)
    finally:
        reader.close()


def _gateway(config: Config) -> Gateway:
    """The node's gateway, asked once and not for long."""
    return Gateway(
        config.feeder_url or config.network.feeder_url,
        threading.Event(),
        api_key=config.gw_api_key,
        timeouts_s=(GATEWAY_SECONDS_MAX,),
        tries_max=1,
    )


def _needs_gateway(config: Config) -> bool:
    reads_from_it = not config.p2p or config.p2p_feeder_node
    return reads_from_it or (config.network.public_key is None and config.public_key is None)


# ---- peers ------------------------------------------------------------------------------------------------------


def peers(patient: Patient) -> Iterator[Finding]:
    """Each peer to begin with can be reached, and is the one that its address names."""
    config = patient.config
    if not config.p2p or config.p2p_feeder_node:
        return
    try:
        book = Book(config.db_path)
        book.load()
        known = len(book.known())
    except FileBroken as error:
        yield warn("peers", str(error))
        known = 0
    if config.p2p_peers:
        yield from _dialled(config)
    elif known:
        yield ok("peers", f"{known} met before")
    else:
        yield warn("peers", "none known", "give --p2p-peers; until one calls, nothing comes in")


def _dialled(config: Config) -> Iterator[Finding]:
    from workers.p2p import probe

    given = [addresses.parse_peer(text) for text in config.p2p_peers[:PEERS_MAX]]
    failed = probe.reach(given, config.p2p_allow, config.p2p_deny, DIAL_SECONDS_MAX)
    for address in given:
        why = failed[address]
        if why is None:
            yield ok("peers", f"{address} answers")
        else:  # a node needs one
            told = fail if all(failed.values()) else warn
            yield told(
                "peers", f"{address}: {why}", "is it up, the way to it open, and its PeerID right?"
            )
