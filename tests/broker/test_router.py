"""The broker process against real worker processes: kill -9 at each point, rubbish on the socket, silence."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from broker.codec import encode
from broker.link import Link
from broker.protocol import MESSAGE_VERSION, Command, head, parse, unpack_map
from broker.router import serve
from tests.broker.brokers import OnSocket, get, give, kill, line, python
from tests.broker.samples import PARTS, WHOLES, WIDE, Whole, part

WORKER = """
import sys, time
from broker.link import Link
from tests.broker.samples import WHOLES, WIDE, Whole
link = Link(sys.argv[1], sys.argv[2], takes=(WIDE,), gives=(WHOLES,))
delivery = None
while delivery is None:
    delivery = link.take(1)
print("taken", delivery.message.number, flush=True)
if sys.argv[3] == "done":
    link.done((delivery.ticket,), (Whole(delivery.message.number, ("a",)), Whole(delivery.message.number, ("b",))))
    link.stats()  # the broker has read it
    print("done", flush=True)
time.sleep(600)
"""


def test_killed_between_take_and_done_its_message_goes_to_another_at_once(
    on_socket: OnSocket,
) -> None:
    with (
        on_socket.link("source", gives=(WIDE,)) as source,
        on_socket.link("end", takes=(WHOLES,)) as end,
    ):
        give(source, part(7))
        worker = python(WORKER, on_socket.endpoint, "w", "take")
        assert line(worker) == "taken 7"
        with on_socket.link("heir", takes=(WIDE,)) as heir:
            kill(worker)
            killed = time.monotonic()
            delivery = get(heir)
            assert time.monotonic() - killed < 2
            assert (delivery.message, delivery.deliveries) == (part(7), 2)
            assert end.take(0.1) is None


def test_killed_after_done_its_outputs_are_there_exactly_once(on_socket: OnSocket) -> None:
    with (
        on_socket.link("source", gives=(WIDE,)) as source,
        on_socket.link("end", takes=(WHOLES,), credit=4) as end,
        on_socket.link("heir", takes=()) as heir,
    ):
        give(source, part(7))
        worker = python(WORKER, on_socket.endpoint, "w", "done")
        assert [line(worker), line(worker)] == ["taken 7", "done"]
        kill(worker)
        assert [get(end).message for _ in range(2)] == [Whole(7, ("a",)), Whole(7, ("b",))]
        assert end.take(0.2) is None
        assert heir.stats()["topics"]["wide"]["items"] == 0


def test_a_worker_that_stopped_without_dying_is_taken_for_dead(on_socket: OnSocket) -> None:
    with on_socket.link("source", gives=(WIDE,)) as source:
        give(source, part(7))
        worker = python(WORKER, on_socket.endpoint, "w", "take")
        assert line(worker) == "taken 7"
        with on_socket.link("heir", takes=(WIDE,)) as heir:
            os.kill(worker.pid, signal.SIGSTOP)
            assert get(heir).message.number == 7
        kill(worker)


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"\x01"],
        [b"\x01\x04\xc1"],
        [b"\x01\xff\x90"],
        [head(Command.WORK, 1, "wide", 1)],
        [head(Command.DONE, [1], [])],
        [head(Command.DONE, ["x"], [])],
        [head(Command.DONE, [], [["wholes", 1, 2]]), b"one frame"],
        [head(Command.DONE, [], [["wholes", 1, 0]])],
        [head(Command.DONE, [], [["wide", 1, 1]]), b"not given"],
        [head(Command.DONE, [], [5])],
        [head(Command.AGAIN, 77, 0)],
        [head(Command.GIVE, "wide", 1, 0), b"not given"],
        [head(Command.GIVE, "wholes", 1, 0)],
        [head(Command.GIVE, "wholes", 5, 0), b"ahead"],
        [b"\x01\x04" + b"x" * (2 << 20)],
        [head(Command.STATS, 1)] + [b""] * 70_000,
    ],
    ids=range(17),
)
def test_rubbish_costs_its_sender_the_connection_and_nobody_else(
    on_socket: OnSocket, frames: list[bytes]
) -> None:
    with raw(on_socket, head(Command.HELLO, "bad", MESSAGE_VERSION, [], ["wholes"], 1)) as socket:
        socket.send_multipart(frames)
        assert socket.recv_multipart()[0][1] == Command.STRANGER
    with (
        on_socket.link("source", gives=(WIDE,)) as source,
        on_socket.link("worker", takes=(WIDE,)) as worker,
    ):
        give(source, part(1))
        assert get(worker).message == part(1)
        assert "bad" not in worker.stats()["workers"]
        assert worker.stats()["topics"]["wholes"]["items"] == 0


def test_a_status_that_cannot_be_read_is_as_good_as_none(on_socket: OnSocket) -> None:
    with (
        raw(on_socket, head(Command.HELLO, "odd", MESSAGE_VERSION, [], [], 1)) as socket,
        on_socket.link("asker") as asker,
    ):
        socket.send(head(Command.BEAT, b"\xc1 no msgpack"))
        assert socket.recv()[1] == Command.PULSE
        assert asker.stats()["workers"]["odd"]["status"] == {}


def test_a_broker_shows_what_it_knows_to_the_process_that_it_runs_in(tmp_path: Path) -> None:
    stop, looks = threading.Event(), list[dict[str, Any]]()

    def look(figures: dict[str, Any]) -> None:
        looks.append(figures)
        stop.set()

    serve(f"ipc://{tmp_path}/run/broker", (WIDE,), stop=stop.is_set, look=look)

    assert looks[0]["workers"] == {}
    assert set(looks[0]["topics"]) == {WIDE.name}


def test_a_gift_that_comes_twice_is_kept_once(on_socket: OnSocket) -> None:
    with raw(on_socket, head(Command.HELLO, "source", MESSAGE_VERSION, [], ["wide"], 1)) as socket:
        for sequence in (1, 2, 1, 2, 2, 3):
            socket.send_multipart([head(Command.GIVE, "wide", sequence, sequence), b"body"])
        socket.send(head(Command.STATS, 1))
        while (answer := socket.recv())[1] != Command.FIGURES:
            assert answer[1] == Command.KEPT
        figures = unpack_map(parse(answer)[1][1])
        assert figures["topics"]["wide"]["items"] == 3


def test_work_finished_twice_gives_its_outputs_once_and_the_rest_goes_to_another(
    on_socket: OnSocket,
) -> None:
    with (
        on_socket.link("source", gives=(WIDE,)) as source,
        on_socket.link("end", takes=(WHOLES,), credit=4) as end,
        raw(
            on_socket, head(Command.HELLO, "w", MESSAGE_VERSION, ["wide"], ["wholes"], 2)
        ) as socket,
    ):
        give(source, part(1), part(2))
        tickets = [parse(socket.recv_multipart()[0])[1][0] for _ in range(2)]
        done = [head(Command.DONE, tickets[:1], [["wholes", 1, 1]]), *encode(Whole(1, ()))]
        socket.send_multipart(done)
        socket.send_multipart(done)
        assert socket.recv()[1] == Command.STRANGER
        assert get(end).message == Whole(1, ())
        assert end.take(0.1) is None
        with on_socket.link("heir", takes=(WIDE,)) as heir:
            assert get(heir).message == part(2)
            assert heir.stats()["topics"]["wide"]["items"] == 1


@contextmanager
def raw(broker: OnSocket, hello: bytes) -> Iterator[zmq.SyncSocket]:
    """Speak as a worker that may say anything; it is welcome."""
    context = zmq.Context()
    with context.socket(zmq.DEALER) as socket:
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.RCVTIMEO, 5000)
        socket.connect(broker.endpoint)
        socket.send(hello)
        assert socket.recv()[1] == Command.WELCOME
        yield socket
    context.term()


def test_large_bodies_arrive_unchanged(on_socket: OnSocket) -> None:
    body = os.urandom(3 << 20)
    with (
        on_socket.link("source", gives=(WIDE,)) as source,
        on_socket.link("worker", takes=(WIDE,)) as worker,
    ):
        for number in range(5):
            message = type(part(0))(number, "large", type(part(0).body)(body))
            give(source, message)
            delivery = get(worker)
            assert delivery.message == message
            worker.done((delivery.ticket,))


def test_a_dead_source_leaves_no_trace_in_a_full_topic(on_socket: OnSocket) -> None:
    source = on_socket.link("source", gives=(PARTS,))
    give(source, *[part(number) for number in range(4)])
    assert source.give(part(4))
    assert not source.flush(0.2)
    source.abandon()
    with on_socket.link("worker", takes=(PARTS,), credit=4) as worker:
        worker.done([get(worker).ticket for _ in range(4)])
        assert worker.take(0.2) is None
        assert worker.stats()["topics"]["parts"]["items"] == 0


def test_serve_ends_when_told_to(folder: Path) -> None:
    endpoint = f"ipc://{folder}/broker"
    stop = threading.Event()
    thread = threading.Thread(target=lambda: serve(endpoint, (WIDE,), stop=stop.is_set))
    thread.start()
    with Link(endpoint, "worker", takes=(WIDE,)):
        stop.set()
        thread.join(5)
        assert not thread.is_alive()
