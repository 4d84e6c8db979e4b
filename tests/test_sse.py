"""Owns the proof that an event stream means the same however it is cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Fault, ModelError
from agent.providers.sse import Events

STREAM = (
    'data: {"a":"你好 🌙"}\n\n: a comment\n\ndata:{"b":1}\nevent: x\nid: 7\n\n'
    "data: one\ndata: two\n\nretry: 5\n\ndata\n\ndata: [DONE]\n\n"
)
MEANT = ['{"a":"你好 🌙"}'.encode(), b'{"b":1}', b"one\ntwo", b"", b"[DONE]"]


def read(pieces: list[bytes]) -> list[bytes]:
    events = Events()
    return [payload for piece in pieces for payload in events.feed(piece)] + events.end()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_and_every_cut_gives_the_same_events(end: str) -> None:
    raw = STREAM.replace("\n", end).encode()
    assert read([raw]) == MEANT
    assert read([raw[place : place + 1] for place in range(len(raw))]) == MEANT
    for place in range(len(raw) + 1):
        assert read([raw[:place], raw[place:]]) == MEANT


@given(st.lists(st.integers(0, len(STREAM.encode()) + 30), max_size=9), st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_cuts_give_the_same_events(places: list[int], end: str) -> None:
    raw = STREAM.replace("\n", end).encode()
    cuts = [0, *sorted(places), len(raw)]
    assert read([raw[start:stop] for start, stop in pairwise(cuts)]) == MEANT


def test_characters_that_only_look_like_line_ends_stay_inside_the_event() -> None:
    payload = "a\u2028b\x0bc\x85d\x1ee".encode()
    assert read([b"data: " + payload + b"\n\n"]) == [payload]


def test_an_event_is_there_as_soon_as_its_last_line_end_is() -> None:
    assert Events().feed(b"data: x\r\r") == [b"x"]
    assert Events().feed(b"data: x\n\n") == [b"x"]


def test_a_byte_order_mark_and_empty_lines_before_an_event_are_no_part_of_it() -> None:
    assert read([b"\xef\xbb\xbfdata: x\n\n\n\n\ndata: y\n\n"]) == [b"x", b"y"]


def test_only_one_space_after_the_colon_is_taken_away() -> None:
    assert read([b"data:  x \n\n"]) == [b" x "]


def test_what_the_stream_ended_in_is_given_out_at_its_end() -> None:
    assert read([b"data: x\n\ndata: [DONE]"]) == [b"x", b"[DONE]"]
    assert read([b"data: x\n\n: half a comm"]) == [b"x"]


def test_an_endless_event_ends_the_stream() -> None:
    events = Events(largest=1000)
    events.feed(b"data: " + b"x" * 900)
    with pytest.raises(ModelError) as caught:
        events.feed(b"x" * 200)
    assert caught.value.fault is Fault.GARBLED
    with pytest.raises(ModelError):
        read([b"data: xxx\n"] * 2_000_000)
