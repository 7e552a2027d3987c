"""Where the sequencer's key comes from."""

from pathlib import Path

import pytest

from node.config import Config, ConfigError, load
from node.public_key import GatewayUnreachable, public_key
from tests.node.test_config import CUSTOM

SEPOLIA = 0x1252B6BCE1351844C677869C6327E80EAE1535755B611C66B8F46E595B40EEA


def sepolia(**flags: str) -> Config:
    return load({"network": "sepolia"} | flags, {}, cwd=Path("/"))


def never(_: object) -> int:
    raise AssertionError("nobody was to be asked")


def unreachable(_: str) -> int:
    raise GatewayUnreachable("connection refused")


def no_wait(_: float) -> bool:
    return False


def test_a_pinned_key_needs_no_gateway() -> None:
    assert public_key(sepolia(), no_wait, never) == SEPOLIA


def test_a_given_key_needs_no_gateway() -> None:
    assert public_key(load(CUSTOM | {"public-key": "0x7"}, {}), no_wait, never) == 7


def test_a_named_gateway_must_state_the_pinned_key() -> None:
    config = sepolia(**{"feeder-url": "http://127.0.0.1:1"})
    assert public_key(config, no_wait, lambda _: SEPOLIA) == SEPOLIA
    with pytest.raises(ConfigError, match="another public key than that of sepolia"):
        public_key(config, no_wait, lambda _: 7)


def test_a_silent_gateway_does_not_stop_a_network_with_a_pin() -> None:
    config = sepolia(**{"feeder-url": "http://127.0.0.1:1"})
    assert public_key(config, no_wait, unreachable) == SEPOLIA


def test_a_custom_network_has_its_gateway_asked_until_it_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    waits: list[float] = []
    asked: list[str] = []

    def ask(url: str) -> int:
        asked.append(url)
        if len(asked) < 8:
            raise GatewayUnreachable("connection refused")
        return 7

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return False

    assert public_key(load(CUSTOM, {}), wait, ask) == 7
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert set(asked) == {"http://127.0.0.1:8085/feeder_gateway/"}
    assert len([r for r in caplog.records if "asking again" in r.getMessage()]) == 7


def test_asking_ends_when_the_process_is_to_end() -> None:
    assert public_key(load(CUSTOM, {}), lambda _: True, unreachable) is None
