import pytest
from hypothesis import given
from hypothesis import strategies as st

from starknet.wire import delimited
from starknet.wire.delimited import MalformedBody
from starknet.wire.sync_pb2 import BlockHeadersResponse, Fin

MAX = 1 << 20


@given(st.lists(st.binary(max_size=300)))
def test_what_is_joined_splits_into_the_same_payloads(payloads: list[bytes]) -> None:
    body = delimited.join(payloads)
    assert [bytes(payload) for payload in delimited.split(body, MAX)] == payloads


@given(st.binary(max_size=60))
def test_arbitrary_bytes_split_or_are_malformed(body: bytes) -> None:
    try:
        payloads = list(delimited.split(body, 20))
    except MalformedBody:
        return
    assert delimited.join(payloads) == body


def test_messages_join_by_their_bytes() -> None:
    assert delimited.join([BlockHeadersResponse(fin=Fin())]) == b"\x02\x12\x00"


def test_spans_say_where_each_message_lies() -> None:
    body = delimited.join([b"", b"x" * 200])
    assert list(delimited.spans(body, MAX)) == [(0, 1, 1), (1, 3, 203)]


@pytest.mark.parametrize(
    "body",
    [
        b"\x05abcd",  # cut off
        b"\x80",  # length cut off
        b"\x81\x00a",  # length not in its shortest form
        b"\x80\x80\x80\x80\x80\x01",  # length of more than 35 bits
    ],
)
def test_a_broken_body_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        list(delimited.split(body, MAX))


def test_a_message_over_the_limit_is_malformed() -> None:
    body = delimited.join([b"x" * 11])
    assert len(list(delimited.split(body, 11))) == 1
    with pytest.raises(MalformedBody, match="10 allowed"):
        list(delimited.split(body, 10))
