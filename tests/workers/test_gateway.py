"""The local gateway answers over real HTTP as Starknet's own does, recorded files byte for byte."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from starknet.devnet import Devnet
from workers.gateway.gateway import application, serve
from workers.gateway.generated import Generated
from workers.gateway.recorded import Recorded
from workers.gateway.source import ChainSource, GatewayError

Json = dict[str, Any]
CLASS = 0xABC


@contextmanager
def served(source: ChainSource) -> Iterator[httpx.Client]:
    """Serve a chain on a free port of this machine in a thread."""
    url: list[str] = []
    ready, stop = threading.Event(), threading.Event()

    def listening(at: str) -> None:
        url.append(at)
        ready.set()

    thread = threading.Thread(
        target=serve, args=(source, "127.0.0.1", 0), kwargs={"listening": listening, "stop": stop}
    )
    thread.start()
    try:
        assert ready.wait(10)
        with httpx.Client(base_url=f"{url[0]}/feeder_gateway/", trust_env=False) as client:
            yield client
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Blocks 0, 1 and 2; 2 has no signature, and 5 stands alone."""
    root = tmp_path_factory.mktemp("recorded")
    for number in (0, 1, 2, 5):
        write(root / "block" / f"{number}.json", {"block_hash": hex(0xB0 + number)}, indent=3)
        write(root / "state_update" / f"{number}.json", {"new_root": hex(number)})
        if number != 2:
            write(root / "signature" / f"{number}.json", {"signature": [hex(number), "0x1"]})
    write(root / "class" / "0x0abc.json", {"abi": [], "big": 2**200})
    write(root / "compiled_class" / "0xabc.json", {"bytecode": []})
    write(root / "public_key" / "pk.json", "0x123")
    return root


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    with served(Recorded(folder)) as opened:
        yield opened


def write(path: Path, value: object, indent: int | None = None) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=indent))


@pytest.mark.parametrize(
    ("query", "file"),
    [
        ("get_block?blockNumber=1", "block/1.json"),
        ("get_block?blockNumber=5", "block/5.json"),
        ("get_block?blockNumber=latest", "block/1.json"),
        ("get_block?blockNumber=pending", "block/1.json"),
        ("get_block", "block/1.json"),
        ("get_block?blockHash=0xb2", "block/2.json"),
        ("get_block?blockHash=0x00b2", "block/2.json"),
        ("get_state_update?blockNumber=2", "state_update/2.json"),
        ("get_state_update?blockNumber=2&includeBlock=false", "state_update/2.json"),
        ("get_signature?blockNumber=0", "signature/0.json"),
        ("get_class_by_hash?classHash=0xabc", "class/0x0abc.json"),
        ("get_class_by_hash?classHash=0x000abc&blockNumber=pending", "class/0x0abc.json"),
        ("get_compiled_class_by_class_hash?classHash=0xabc", "compiled_class/0xabc.json"),
        ("get_public_key", "public_key/pk.json"),
    ],
)
def test_a_file_is_served_byte_for_byte(
    client: httpx.Client, folder: Path, query: str, file: str
) -> None:
    answer = client.get(query)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.content == (folder / file).read_bytes()


def test_a_block_and_its_state_update_come_in_one_answer(
    client: httpx.Client, folder: Path
) -> None:
    answer = client.get("get_state_update?blockNumber=1&includeBlock=true").json()
    assert answer == {
        "block": json.loads((folder / "block/1.json").read_text()),
        "state_update": json.loads((folder / "state_update/1.json").read_text()),
    }


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("get_block?blockNumber=7", "StarknetErrorCode.BLOCK_NOT_FOUND", "Block number 7 was not found."),
        ("get_block?blockHash=0x7", "StarknetErrorCode.BLOCK_NOT_FOUND", "Block hash 0x7 was not found."),
        ("get_signature?blockNumber=2", "StarknetErrorCode.BLOCK_NOT_FOUND", "Block number 2 was not found."),
        (
            "get_state_update?blockNumber=7&includeBlock=true",
            "StarknetErrorCode.BLOCK_NOT_FOUND",
            "Block number 7 was not found.",
        ),
        (
            "get_class_by_hash?classHash=0x07",
            "StarknetErrorCode.UNDECLARED_CLASS",
            "Class with hash 0x7 is not declared.",
        ),
        (
            "get_compiled_class_by_class_hash?classHash=0x7",
            "StarknetErrorCode.UNDECLARED_CLASS",
            "Class with hash 0x7 is not declared.",
        ),
    ],
)  # fmt: skip
def test_what_is_not_there_gets_starknets_own_error(
    client: httpx.Client, query: str, code: str, message: str
) -> None:
    answer = client.get(query)
    assert answer.status_code == 400
    assert answer.json() == {"code": code, "message": message}


@pytest.mark.parametrize(
    "query",
    [
        "get_block?blockNumber=-1",
        "get_block?blockNumber=0x1",
        "get_block?blockNumber=18446744073709551616",
        "get_block?blockNumber=newest",
        "get_block?blockHash=12",
        "get_block?blockHash=0x",
        "get_block?blockHash=0xzz",
        "get_class_by_hash",
        "get_class_by_hash?classHash=0x" + "f" * 64,
        "get_class_by_hash?classHash=0x" + "f" * 500,
        "get_state_update?blockNumber=1&includeBlock=maybe",
    ],
)
def test_a_bad_parameter_is_called_malformed(client: httpx.Client, query: str) -> None:
    answer = client.get(query)
    assert answer.status_code == 400
    assert answer.json()["code"] == "StarkErrorCode.MALFORMED_REQUEST"


def test_it_says_that_it_is_alive(client: httpx.Client) -> None:
    assert client.get("is_alive").text == "FeederGateway is alive!"


def test_a_large_answer_is_compressed_only_for_those_who_can_read_it(
    tmp_path: Path, folder: Path
) -> None:
    write(tmp_path / "block" / "0.json", {"block_hash": "0x1", "filler": "0x0" * 5000})
    with served(Recorded(tmp_path)) as opened:
        packed = opened.get("get_block?blockNumber=0")
        plain = opened.get("get_block?blockNumber=0", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content == (tmp_path / "block/0.json").read_bytes()


def test_recorded_sepolia_ends_at_7_and_mainnet_at_9(fixtures: Path) -> None:
    assert Recorded(fixtures / "sepolia").latest() == 7
    assert Recorded(fixtures / "mainnet").latest() == 9


def test_a_recorded_chain_is_served_unchanged(fixtures: Path) -> None:
    sepolia = fixtures / "sepolia"
    with served(Recorded(sepolia)) as opened:
        for number in range(8):
            for kind in ("block", "state_update", "signature"):
                answer = opened.get(f"get_{kind}?blockNumber={number}")
                assert answer.content == (sepolia / kind / f"{number}.json").read_bytes()
        for path in (sepolia / "class").iterdir():
            answer = opened.get(f"get_class_by_hash?classHash={path.stem}")
            assert answer.content == path.read_bytes()
        key = opened.get("get_public_key").json()
    assert key == "0x1252b6bce1351844c677869c6327e80eae1535755b611c66b8f46e595b40eea"


def test_the_devnet_is_served_as_it_is_generated() -> None:
    devnet = Devnet(seed=5, length=3)
    with served(Generated(Devnet(seed=5, length=3))) as opened:
        block, state_update, signature = devnet.block(2)
        assert opened.get("get_block?blockNumber=latest").json() == block
        assert opened.get(f"get_block?blockHash={block['block_hash']}").json() == block
        both = opened.get("get_state_update?blockNumber=2&includeBlock=true").json()
        assert both == {"block": block, "state_update": state_update}
        assert opened.get("get_signature?blockNumber=2").json() == signature
        declared = devnet.block(1)[1]["state_diff"]["declared_classes"][0]["class_hash"]
        known = devnet.class_definition(int(declared, 16))
        assert opened.get(f"get_class_by_hash?classHash={declared}").json() == known
        casm = devnet.compiled_class(int(declared, 16))
        path = "get_compiled_class_by_class_hash"
        assert opened.get(f"{path}?classHash={declared}").json() == casm
        assert opened.get("get_public_key").json() == hex(devnet.public_key)
        assert opened.get("get_block?blockNumber=3").status_code == 400


def test_a_folder_without_a_chain_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="is not a folder"):
        Recorded(tmp_path / "nowhere")
    with pytest.raises(GatewayError, match="holds no recorded block"):
        Recorded(tmp_path)
    write(tmp_path / "block" / "first.json", {})
    with pytest.raises(GatewayError, match=r"first\.json is not named after a number"):
        Recorded(tmp_path)


def test_a_busy_port_is_one_clear_line(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(GatewayError, match=f"127.0.0.1 port {port}.*choose another port"):
            serve(Recorded(folder), "127.0.0.1", port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_code_0(folder: Path, number: signal.Signals) -> None:
    program = (
        "import sys; from pathlib import Path;"
        "from workers.gateway.gateway import serve; from workers.gateway.recorded import Recorded;"
        f"serve(Recorded(Path({str(folder)!r})), '127.0.0.1', 0,"
        "listening=lambda url: print(url, flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    with process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with httpx.Client(trust_env=False) as client:  # its connection stays open meanwhile
            assert client.get(f"{url}/feeder_gateway/is_alive").status_code == 200
            process.send_signal(number)
            assert process.wait(10) == 0


def test_only_the_paths_of_a_feeder_gateway_exist(client: httpx.Client) -> None:
    assert client.get("get_transaction?transactionHash=0x1").status_code == 404
    assert client.post("get_block?blockNumber=1").status_code == 405
    assert len(application(Generated(Devnet(length=0))).routes) == 7
