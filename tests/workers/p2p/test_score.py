"""How faults are weighed and forgotten, and what is kept of them on disk."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from node.cli import cli
from tests.workers.p2p.test_keys import JUNO_PEER_ID
from workers.exits import EX_CONFIG
from workers.p2p import keys
from workers.p2p.files import FileBroken
from workers.p2p.ledger import BANS, SCORES, Ledger
from workers.p2p.score import (
    BAN_SECONDS,
    FORGET_SECONDS,
    HALF_LIFE_SECONDS,
    LIES_MAX,
    QUARANTINE_SECONDS_MAX,
    QUARANTINE_SECONDS_MIN,
    REASONS_MAX,
    WEAKNESS_SECONDS,
    Standing,
)

LIE = "events.commitment"


def test_one_lie_is_a_quarantine_and_counts_once_however_often_it_is_found() -> None:
    standing = Standing()
    assert standing.blame(LIE, 1, 0.0).seconds == QUARANTINE_SECONDS_MIN
    assert standing.blame(LIE, 1, 10.0).seconds == QUARANTINE_SECONDS_MIN - 10
    assert standing.is_left_alone(59.0)
    assert not standing.is_left_alone(61.0)
    assert standing.reasons == {LIE: 2}
    standing.blame("stream.reset", 1, 20.0)  # by ourselves: the connection of one who lied is ended
    assert standing.last == LIE


def test_each_lie_costs_twice_as_long_and_too_many_are_a_ban() -> None:
    standing, now, waits = Standing(), 0.0, []
    for _ in range(LIES_MAX):
        waits.append(standing.blame(LIE, 1, now).seconds)
        now = standing.until
    assert waits == [min(60 * 2**n, QUARANTINE_SECONDS_MAX) for n in range(LIES_MAX)]
    assert not standing.is_banned(now)
    verdict = standing.blame(LIE, 1, now)
    assert verdict.is_banned
    assert verdict.seconds == BAN_SECONDS
    assert standing.is_banned(now + BAN_SECONDS - 1)
    assert not standing.is_banned(now + BAN_SECONDS)


def test_lies_are_forgotten_after_a_day_without_one() -> None:
    standing, now = Standing(), 0.0
    for _ in range(3 * LIES_MAX):
        assert standing.blame(LIE, 1, now).seconds == QUARANTINE_SECONDS_MIN
        now += FORGET_SECONDS + 1
    assert standing.banned_until == 0.0


@pytest.mark.parametrize("rule", ["stream.slow", "stream.reset", "fin.missing", "answer.empty"])
def test_a_weakness_now_and_then_has_no_consequence_and_never_a_ban(rule: str) -> None:
    standing = Standing()
    for n in range(100):
        now = (n + 1) * HALF_LIFE_SECONDS
        assert [standing.blame(rule, 1, now).seconds for _ in range(50)] == [0.0] * 50
    now, verdicts = 200 * HALF_LIFE_SECONDS, []
    for _ in range(200):
        verdicts.append(standing.blame(rule, 1, now))
        now = max(now, standing.until) + WEAKNESS_SECONDS
    assert any(verdict.seconds for verdict in verdicts), "but many soon after each other have one"
    assert not any(verdict.is_banned for verdict in verdicts)


def test_who_is_one_of_two_suspects_is_not_left_alone_for_the_first_doubt() -> None:
    standing = Standing()
    assert standing.blame("header.block_hash", 2, 0.0).seconds == 0
    assert [standing.blame("header.block_hash", 2, 0.0).seconds > 0 for _ in range(3)][-1]


@given(
    st.lists(st.tuples(st.sampled_from([LIE, "stream.slow"]), st.integers(1, 3), st.floats(0, 1e6)))
)
def test_a_score_only_shrinks_with_time_and_is_bounded(
    faults: list[tuple[str, int, float]],
) -> None:
    standing, now = Standing(), 0.0
    for rule, suspects, later in faults:
        now += later
        standing.blame(rule, suspects, now)
        assert 0 <= standing.score(now) <= 200
        assert standing.score(now + HALF_LIFE_SECONDS) <= standing.score(now) / 2 + 1e-9
    assert Standing.from_json(json.loads(json.dumps(standing.to_json()))) == standing


def test_the_reasons_kept_are_bounded() -> None:
    standing = Standing()
    for n in range(3 * REASONS_MAX):
        standing.blame(f"rule.{n}", 1, 0.0)
    assert len(standing.reasons) == REASONS_MAX


@pytest.mark.parametrize(
    "values",
    [3, {"points": "x"}, {"points": float("nan")}, {"until": -1}, {"reasons": []}, {"lies": True}],
)
def test_what_is_no_standing_is_refused(values: object) -> None:
    with pytest.raises(ValueError, match=r"is not|are not|below"):
        Standing.from_json(values)


# ---- on disk -------------------------------------------------------------------------------------------------------


def test_the_ledger_gives_back_what_it_was_given_and_writes_only_changes(tmp_path: Path) -> None:
    standing = Standing()
    standing.blame(LIE, 1, 1000.0)
    ledger = Ledger(tmp_path)
    assert ledger.standings() == {}
    assert ledger.save({JUNO_PEER_ID: standing})
    assert not ledger.save({JUNO_PEER_ID: standing})
    assert Ledger(tmp_path).standings() == {JUNO_PEER_ID: standing}


def test_the_operators_orders_are_heard_once_each_time_they_change(tmp_path: Path) -> None:
    node, operator = Ledger(tmp_path), Ledger(tmp_path)
    assert node.new_orders() is None
    orders = operator.orders()
    orders.ban(JUNO_PEER_ID, "spam")
    operator.order(orders)
    heard = node.new_orders()
    assert heard is not None
    assert heard.banned == {JUNO_PEER_ID: "spam"}
    assert node.new_orders() is None
    orders.unban(JUNO_PEER_ID)
    operator.order(orders)
    heard = node.new_orders()
    assert heard is not None
    assert not heard.banned
    assert heard.pardoned.keys() == {JUNO_PEER_ID}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (SCORES, "{"),
        (SCORES, '{"format": 1, "peers": []}'),
        (SCORES, '{"format": 1, "peers": {"a": 3}}'),
        (BANS, '{"format": 9}'),
        (BANS, '{"format": 1, "banned": []}'),
        (BANS, '{"format": 1, "banned": {"no-id": ""}}'),
        (BANS, '{"format": 1, "pardoned": {"' + JUNO_PEER_ID + '": "x"}}'),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    ledger = Ledger(tmp_path)
    with pytest.raises(FileBroken, match=name):
        ledger.standings() if name == SCORES else ledger.orders()


# ---- hera peers ----------------------------------------------------------------------------------------------------


def hera(*words: str) -> Result:
    return CliRunner().invoke(cli, ["peers", *words])


def test_hera_peers_shows_scores_reasons_and_bans(tmp_path: Path) -> None:
    other = keys.generate().peer_id
    standing = Standing()
    standing.blame("stream.slow", 1, 4e9)
    Ledger(tmp_path).save({JUNO_PEER_ID: standing})
    assert hera("ban", other, "--why", "spam", "--db-path", str(tmp_path)).exit_code == 0
    rows = json.loads(hera("list", "--json", "--db-path", str(tmp_path)).output)
    assert [(row["peer"], row["state"]) for row in rows] == [
        (other, "banned by the operator: spam"),
        (JUNO_PEER_ID, "good"),
    ]
    assert rows[1]["reasons"] == {"stream.slow": 1}
    shown = hera("list", "--db-path", str(tmp_path)).output
    assert "stream.slow ×1" in shown
    assert "banned by the operator: spam" in shown
    assert hera("unban", other, "--db-path", str(tmp_path)).exit_code == 0
    assert "banned" not in hera("list", "--db-path", str(tmp_path)).output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("list", "--db-path", "nowhere"), "no such folder"),
        (("ban", "no-id", "--db-path", "."), "no base58 character"),
        (("ban", JUNO_PEER_ID, "--db-path", "nowhere"), "no such folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_78(words: tuple[str, ...], said: str) -> None:
    result = hera(*words)
    assert result.exit_code == EX_CONFIG
    assert said in result.output
    assert result.output.count("\n") == 1
