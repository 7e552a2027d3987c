"""Only one broker at an endpoint, only in a folder that is this user's alone."""

import os
import re
from pathlib import Path

import pytest

from broker.endpoint import EndpointError, check_folder, held, socket_path
from broker.link import Link
from broker.router import serve
from tests.broker.samples import TOPICS


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        ("tcp://127.0.0.1:7000", "tcp:// without keys is refused"),
        ("ipc://", "not an endpoint"),
        ("ipc://*", "not an endpoint"),
        ("ipc://@abstract", "not an endpoint"),
        ("inproc://x", "not an endpoint"),
        ("ipc:///" + "x" * 107, "longer than 107 bytes"),
    ],
)
def test_other_endpoints_are_refused_in_one_line(endpoint: str, why: str) -> None:
    for use in (
        lambda: serve(endpoint, TOPICS, stop=lambda: True),
        lambda: Link(endpoint, "worker"),
        lambda: socket_path(endpoint),
    ):
        with pytest.raises(EndpointError, match=re.escape(why)) as refused:
            use()
        assert "\n" not in str(refused.value)


def test_the_folder_is_made_for_this_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    serve(f"ipc://{folder}/broker", TOPICS, stop=lambda: True)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_enter_is_refused(folder: Path) -> None:
    folder.chmod(0o750)
    for use in (
        lambda: serve(f"ipc://{folder}/broker", TOPICS, stop=lambda: True),
        lambda: Link(f"ipc://{folder}/broker", "worker"),
    ):
        with pytest.raises(EndpointError, match="others may enter it; run chmod 700"):
            use()


def test_a_folder_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(EndpointError, match="belongs to user"):
        check_folder(folder)


def test_a_link_to_a_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(folder)
    with pytest.raises(EndpointError, match="is not a folder"):
        check_folder(tmp_path / "other")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match="No such file"):
        Link(f"ipc://{tmp_path}/none/broker", "worker")


def test_a_second_broker_is_refused_and_the_first_lives_on(folder: Path) -> None:
    endpoint = f"ipc://{folder}/broker"
    with held(endpoint):
        for _ in range(2):
            with pytest.raises(EndpointError, match="another node already runs on ipc://"):
                serve(endpoint, TOPICS, stop=lambda: True)
    with held(endpoint):  # free again
        pass
