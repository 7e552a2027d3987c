"""Keys in files: made for their owner alone, never overwritten, and refused in one line when they are not in order."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from broker import curve
from broker.curve import Allowed, KeysError

KEY = bytes(range(32))


def broker_in(folder: Path) -> Path:
    curve.new(folder)
    return folder


def worker_in(folder: Path) -> Path:
    curve.new(folder, KEY)
    return folder


def test_keys_are_made_for_this_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        public = curve.new(tmp_path / "a" / "keys")
    finally:
        os.umask(before)
    folder = tmp_path / "a" / "keys"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "secret.key").stat().st_mode) == 0o600
    assert (folder / "public.key").read_text() == f"{public.hex()}\n"
    assert curve.load_broker(folder).public == public
    assert curve.allowed(folder) == {}


def test_a_workers_keys_name_their_broker(tmp_path: Path) -> None:
    public = curve.new(tmp_path / "keys", KEY)
    passport = curve.load_passport(tmp_path / "keys", "realm")
    assert (passport.public, passport.broker, passport.realm) == (public, KEY, "realm")


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    broker = curve.load_broker(broker_in(tmp_path / "b"))
    passport = curve.load_passport(worker_in(tmp_path / "w"), "")
    for keys in (broker, passport):
        assert str(keys.secret) not in repr(keys)


@pytest.mark.parametrize("name", ["secret.key", "public.key", "broker.key", "allowed"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / name).write_text("mine")
    with pytest.raises(KeysError, match="is there already: choose another folder"):
        curve.new(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda keys: keys.chmod(0o750), "others may enter it; run chmod 700"),
        (lambda keys: (keys / "secret.key").chmod(0o640), "others may read it; run chmod 600"),
        (lambda keys: (keys / "secret.key").unlink(), "does not exist: hera keys new makes it"),
        (lambda keys: (keys / "secret.key").write_text("00" * 31), "holds no key: 64 hex digits"),
        (lambda keys: (keys / "secret.key").write_bytes(b"\xff" * 64), "holds no key"),
        (lambda keys: (keys / "broker.key").write_text("zz" * 32), "holds no key"),
        (
            lambda keys: (keys / "broker.key").unlink(),
            "does not exist: hera keys new with --broker makes it",
        ),
    ],
)
def test_keys_that_are_not_in_order_are_refused_in_one_line(
    tmp_path: Path, spoil: Callable[[Path], object], why: str
) -> None:
    keys = worker_in(tmp_path / "keys")
    spoil(keys)
    with pytest.raises(ValueError, match=why) as refused:
        curve.load_passport(keys, "")
    assert str(keys) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keys: No such file"):
        curve.load_broker(tmp_path / "keys")


def test_a_worker_is_allowed_once_under_its_own_name(tmp_path: Path) -> None:
    keys = broker_in(tmp_path / "keys")
    before = curve.stamp(keys)
    curve.allow(keys, Allowed(KEY, "far", ("verify", "assemble")))
    assert curve.stamp(keys) != before
    assert curve.allowed(keys) == {KEY: Allowed(KEY, "far", ("verify", "assemble"))}
    with pytest.raises(KeysError, match="this key is there already, as far"):
        curve.allow(keys, Allowed(KEY, "other", ("verify",)))
    with pytest.raises(KeysError, match='"far" is there already'):
        curve.allow(keys, Allowed(bytes(32), "far", ("verify",)))
    assert {path.name for path in keys.iterdir()} == {"secret.key", "public.key", "allowed"}


def test_the_list_may_be_written_by_hand(tmp_path: Path) -> None:
    keys = broker_in(tmp_path / "keys")
    (keys / "allowed").write_text(f"# mine\n\n{KEY.hex().upper()}  far verify  # in the cellar\n")
    assert curve.allowed(keys) == {KEY: Allowed(KEY, "far", ("verify",))}
    (keys / "allowed").unlink()
    assert curve.allowed(keys) == {}


@pytest.mark.parametrize(
    "line",
    ["far verify", "00 far verify", f"{'00' * 32} far", f"{'00' * 32} far,verify", "\0"],
)
def test_a_line_of_the_list_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    keys = broker_in(tmp_path / "keys")
    (keys / "allowed").write_text(f"# mine\n{line}\n")
    with pytest.raises(KeysError, match="allowed:2 is not KEY NAME ROW,ROW"):
        curve.allowed(keys)


def test_a_broker_does_not_take_a_workers_keys(tmp_path: Path) -> None:
    keys = worker_in(tmp_path / "keys")
    with pytest.raises(KeysError, match="holds a worker's keys"):
        curve.load_broker(keys)
    with pytest.raises(KeysError, match="holds a worker's keys"):
        curve.allow(keys, Allowed(KEY, "far", ("verify",)))
