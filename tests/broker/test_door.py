"""Workers of other machines: a key on the list works, all else is refused, logged and bounded. Real sockets."""

import logging
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from broker import curve, door
from broker.curve import BrokerKeys, Passport
from broker.door import Listen, Rows
from broker.endpoint import EndpointError
from broker.link import BrokerLost, Link, Refused
from broker.protocol import MESSAGE_VERSION, Command, head
from broker.router import serve
from tests.broker.brokers import OnSocket, get, give
from tests.broker.samples import PARTS, TOPICS, WHOLES, WIDE, Whole, part

REALM = "SN_TEST"
ROWS = {"join": Rows(frozenset({"wide"}), frozenset({"wholes"}))}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def passport(folder: Path, broker: BrokerKeys, realm: str = REALM) -> Passport:
    """Make a worker's keys that nobody allows yet."""
    curve.new(folder, broker.public)
    return curve.load_passport(folder, realm)


@pytest.fixture
def keys(tmp_path: Path) -> BrokerKeys:
    curve.new(tmp_path / "keys")
    return curve.load_broker(tmp_path / "keys")


@pytest.fixture
def far(tmp_path: Path, keys: BrokerKeys) -> Passport:
    """Return a passport that is on the list."""
    made = passport(tmp_path / "far", keys)
    curve.allow(keys.folder, curve.worker(made.public, "far", ["join"]))
    return made


@pytest.fixture
def listen(keys: BrokerKeys) -> Listen:
    return Listen(f"tcp://127.0.0.1:{free_port()}", keys, ROWS, REALM)


@pytest.fixture
def inside(folder: Path, listen: Listen, far: Passport) -> Iterator[OnSocket]:
    """A broker with a door, as a worker of its own machine sees it."""
    found = OnSocket(folder, listen)
    yield found
    found.close()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.link.HELLO_S", 2.0)


@pytest.fixture
def bare() -> Iterator["zmq.Socket[bytes]"]:
    """A socket that says what it is told to."""
    context = zmq.Context()
    found = context.socket(zmq.DEALER)
    found.set(zmq.LINGER, 0)
    yield found
    found.close()
    context.term()


def show(bare: "zmq.Socket[bytes]", far: Passport, listen: Listen) -> None:
    bare.set(zmq.CURVE_SERVERKEY, far.broker)
    bare.set(zmq.CURVE_PUBLICKEY, far.public)
    bare.set(zmq.CURVE_SECRETKEY, far.secret)
    bare.connect(listen.endpoint)


def wait_for(holds: Callable[[], object]) -> None:
    for _ in range(500):
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError("it never came")


def refusals(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [
        vars(record)["fields"]
        for record in caplog.records
        if record.getMessage() == "Connection to the broker refused"
    ]


def test_a_worker_whose_key_is_allowed_works_beside_local_ones(
    inside: OnSocket, listen: Listen, far: Passport
) -> None:
    with (
        inside.link("source", gives=(WIDE,)) as source,
        inside.link("end", takes=(WHOLES,)) as end,
        Link(listen.endpoint, "w", takes=(WIDE,), gives=(WHOLES,), passport=far) as worker,
    ):
        give(source, part(7, size=1 << 20))
        delivery = get(worker)
        assert delivery.message == part(7, size=1 << 20)
        worker.done((delivery.ticket,), (Whole(7, ("a",)),))
        assert get(end).message == Whole(7, ("a",))
        assert f"w@{far.public.hex()[:8]}" in end.stats()["workers"]


def test_a_key_that_is_not_allowed_is_refused_and_logged(
    inside: OnSocket,
    listen: Listen,
    keys: BrokerKeys,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stranger = passport(tmp_path / "stranger", keys)
    with pytest.raises(BrokerLost, match="it does not allow this worker's key"):
        Link(listen.endpoint, "w", takes=(WIDE,), passport=stranger)
    first = refusals(caplog)[0]
    assert first["key"] == stranger.public.hex()
    assert first["address"] == "127.0.0.1"
    assert first["cause"] == "its key is not allowed"


def test_a_key_is_allowed_and_taken_back_while_the_broker_runs(
    inside: OnSocket,
    listen: Listen,
    keys: BrokerKeys,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    late = passport(tmp_path / "late", keys)
    before = (keys.folder / "allowed").read_text()
    curve.allow(keys.folder, curve.worker(late.public, "late", ["join"]))
    with Link(listen.endpoint, "w", takes=(WIDE,), passport=late) as worker:
        (keys.folder / "allowed").write_text("rubbish\n")
        wait_for(lambda: "stays as it was" in caplog.text)
        with Link(listen.endpoint, "other", takes=(WIDE,), passport=late) as other:
            assert len(other.stats()["workers"]) == 2
        (keys.folder / "allowed").write_text(before)
        with inside.link("local") as local:
            wait_for(lambda: set(local.stats()["workers"]) == {"local"})
        assert "not allowed any more" in caplog.text
        worker.abandon()  # nobody answers it any more


def test_a_worker_that_knows_another_brokers_key_is_refused_and_logged(
    inside: OnSocket,
    listen: Listen,
    far: Passport,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = curve.new(tmp_path / "other")
    with pytest.raises(BrokerLost, match=r"has not the key of this worker's broker\.key"):
        Link(
            listen.endpoint,
            "w",
            takes=(WIDE,),
            passport=Passport(far.public, far.secret, other, REALM),
        )
    wait_for(lambda: refusals(caplog))
    assert refusals(caplog)[0]["cause"] == "it has not this broker's key"
    assert re.fullmatch(r"127\.0\.0\.1:\d+|unknown: .*", refusals(caplog)[0]["address"])


def test_a_plain_connection_is_refused_and_logged(
    inside: OnSocket,
    listen: Listen,
    bare: "zmq.Socket[bytes]",
    caplog: pytest.LogCaptureFixture,
) -> None:
    bare.connect(listen.endpoint)
    bare.send(head(Command.HELLO, "w", MESSAGE_VERSION, [], [], 1))
    wait_for(lambda: refusals(caplog))
    assert refusals(caplog)[0]["cause"] == "it does not speak CURVE, or was silent"
    assert not bare.poll(0)


def test_a_link_without_keys_refuses_tcp(listen: Listen) -> None:
    with pytest.raises(EndpointError, match="tcp:// without keys is refused"):
        Link(listen.endpoint, "w")


@pytest.mark.parametrize(
    ("takes", "gives", "realm", "why"),
    [
        ((PARTS,), (), REALM, "its key is allowed for join only"),
        ((), (WIDE,), REALM, "its key is allowed for join only"),
        ((WIDE,), (WHOLES,), "SN_OTHER", "it works for SN_OTHER, the node for SN_TEST"),
        ((WIDE,), (WHOLES,), "", "it works for no network, the node for SN_TEST"),
    ],
)
def test_a_worker_may_only_do_what_its_key_is_allowed_for(
    inside: OnSocket,
    listen: Listen,
    far: Passport,
    caplog: pytest.LogCaptureFixture,
    takes: Any,
    gives: Any,
    realm: str,
    why: str,
) -> None:
    shown = Passport(far.public, far.secret, far.broker, realm)
    with pytest.raises(Refused, match=why):
        Link(listen.endpoint, "w", takes=takes, gives=gives, passport=shown)
    assert refusals(caplog)[0]["key"] == far.public.hex()
    with inside.link("local") as local:
        assert set(local.stats()["workers"]) == {"local"}


def test_a_worker_cannot_take_the_name_of_a_local_one(
    inside: OnSocket, listen: Listen, far: Passport, bare: "zmq.Socket[bytes]"
) -> None:
    show(bare, far, listen)
    with inside.link("local") as local:
        hello = head(Command.HELLO, "local", MESSAGE_VERSION, ["wide"], [], 1)
        bare.send_multipart([hello, REALM.encode()])
        assert bare.poll(5000)
        answer = bare.recv_multipart()[0]
        assert answer[1] == Command.REFUSED
        assert b"its name must end in @" in answer
        assert set(local.stats()["workers"]) == {"local"}


def test_a_silent_connection_is_dropped_and_the_oldest_goes_first(
    inside: OnSocket,
    listen: Listen,
    far: Passport,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(door, "NEWCOMERS_MAX", 3)
    monkeypatch.setattr(door, "JOIN_S", 1.0)
    address = ("127.0.0.1", int(listen.endpoint.rpartition(":")[2]))
    silent = [socket.create_connection(address, timeout=10) for _ in range(20)]
    with Link(listen.endpoint, "w", takes=(WIDE,), passport=far) as worker:
        for connection in silent:
            while connection.recv(1024):  # the greeting, then the end
                pass
            connection.close()
        assert worker.stats()["workers"]
    assert len(refusals(caplog)) == door.LINES_MAX
    assert refusals(caplog)[0]["cause"] == "3 others came after it"


def test_whoever_shows_a_key_and_then_says_nothing_is_cut(
    inside: OnSocket,
    listen: Listen,
    far: Passport,
    bare: "zmq.Socket[bytes]",
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(door, "JOIN_S", 0.2)
    show(bare, far, listen)
    wait_for(lambda: refusals(caplog))
    assert refusals(caplog)[0]["cause"] == "it did not say what it is"
    assert refusals(caplog)[0]["address"].startswith("127.0.0.1:")


def test_refusals_that_were_not_shown_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    refused = door._Refusals(0.0)
    for second in range(50):
        refused.say(float(second), "why")
    refused.turn(61.0)
    assert len(refusals(caplog)) == door.LINES_MAX
    more = [r for r in caplog.records if r.getMessage().startswith("More connections")]
    assert [vars(r)["fields"] for r in more] == [{"count": 40, "seconds": 61}]
    refused.say(62.0, "again")
    assert refusals(caplog)[-1] == {"cause": "again"}


def test_a_taken_port_is_one_line(folder: Path, listen: Listen) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(listen.endpoint.rpartition(":")[2])))
        taken.listen()
        with pytest.raises(EndpointError, match="cannot be listened on") as refused:
            serve(f"ipc://{folder}/broker", TOPICS, stop=lambda: True, listen=listen)
    assert "\n" not in str(refused.value)


def test_the_log_says_where_the_door_is_and_whose(
    caplog: pytest.LogCaptureFixture, folder: Path, listen: Listen
) -> None:
    caplog.set_level(logging.INFO)
    serve(f"ipc://{folder}/broker", TOPICS, stop=lambda: True, listen=listen)
    said = [vars(r)["fields"] for r in caplog.records if r.getMessage().startswith("Listening for")]
    assert said == [{"address": listen.endpoint, "key": listen.keys.public.hex(), "allowed": 0}]
