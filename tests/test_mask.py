"""Secrets are masked in whatever form they come out, and nothing else is."""

import base64
import json
import re
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.blocks import DiffBlock, TerminalBlock, TextBlock
from agent.events.call import ApprovalAsked, ToolFinished, ToolProgressed
from agent.events.conversation import TurnFinished, TurnStarted
from agent.events.event import Event, encode
from agent.events.news import Informed, Warned
from agent.events.run import Verified
from agent.events.step import RequestRetried
from agent.mask import MASKED, Mask, without_keys
from agent.masking import Masking

KEY = 'sk-canary/0123+4567=89&ab cd"ef'


@pytest.mark.parametrize(
    "form",
    [
        KEY,
        quote(KEY),
        quote(KEY, safe=""),
        re.sub("%..", lambda match: match[0].lower(), quote(KEY, safe="")),
        quote_plus(KEY),
        json.dumps(KEY)[1:-1],
        json.dumps(KEY)[1:-1].replace("/", "\\/"),
        KEY.encode().hex(),
        KEY.encode().hex().upper(),
    ],
)
def test_a_secret_is_masked_in_every_form(form: str) -> None:
    told = Mask([KEY]).text(f"before {form} after")
    assert told == f"before {MASKED} after"


@given(st.binary(max_size=7), st.binary(max_size=7), st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]))
def test_a_secret_in_the_midst_of_what_is_base64_is_masked(before: bytes, after: bytes, encode: Callable[[bytes], bytes]) -> None:
    key = "canary-key-of-31-characters-äöü"
    told = Mask([key]).text(encode(before + key.encode() + after).decode())
    assert MASKED in told
    assert len(told) <= len(MASKED) + 28  # of the key nothing is left but what its neighbours share with it


def test_a_long_secret_is_masked_in_base64_that_is_broken_into_lines() -> None:
    value = "".join(f"{number:x}Zq9" for number in range(40))
    for text, width in ((value, 76), (f"{value}\n", 76), (value, 64)):
        whole = base64.b64encode(text.encode()).decode()
        broken = "\n".join(whole[at : at + width] for at in range(0, len(whole), width))
        told = Mask((value,)).text(f"x\n{broken}\ny")
        left = [line for line in told.split("\n") if len(line.replace(MASKED, "")) > 8]
        assert left == [], left


def test_a_secret_that_holds_another_is_masked_whole() -> None:
    assert Mask(["abcdefgh1", "abcdefgh1-and-more"]).text("abcdefgh1-and-more abcdefgh1") == f"{MASKED} {MASKED}"


@given(st.text(), st.text(min_size=8), st.text())
def test_no_secret_is_left_and_a_text_without_one_stays_the_very_same(before: str, key: str, after: str) -> None:
    assert key not in Mask([key]).text(before + key + after).replace(MASKED, "\0")
    assert Mask([KEY]).text(before + after) == before + after


@pytest.mark.parametrize(
    ("name", "value", "masked"),
    [
        ("OPENAI_API_KEY", "sk-0123456789", True),
        ("GITHUB_TOKEN", "ghp_abcdefgh1234", True),
        ("AWS_SECRET_ACCESS_KEY", "/wJalrXUtnFEMI/K7MDENG", True),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE", True),
        ("DB_PASSWORD", "correct horse battery staple", True),
        ("DATABASE_URL", "postgres://app:hunter22-of-app@db/app", True),
        ("POSTGRES_PASSWORD", "postgres", False),
        ("DATABASE_URL", "postgres://app:postgres@db/app", False),
        ("MAX_TOKENS", "1000000000000000", False),
        ("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring", False),
        ("SSH_KEY_PATH", "/usr/bin/env", False),
        ("API_KEY", "short", False),
        ("HOME", "/home/somebody1", False),
    ],
)
def test_of_an_environment_what_is_secret_is_masked_and_no_everyday_word(name: str, value: str, masked: bool) -> None:
    told = Mask.of({name: value}).text(f"x {value} x")
    assert (told != f"x {value} x") is masked
    assert not masked or value.rpartition(":")[2].partition("@")[0] not in told


def test_what_comes_in_pieces_is_masked_wherever_it_is_cut() -> None:
    text = f"a line\n{KEY} and {KEY[:5]} and more\n"
    for first in range(len(text)):
        for second in range(first, len(text), 3):
            masked = Mask([KEY]).flow()
            told = masked(text[:first]) + masked(text[first:second]) + masked(text[second:])
            assert told == f"a line\n{MASKED} and {KEY[:5]} and more\n"


def test_what_only_begins_like_a_secret_is_told_with_what_comes_next() -> None:
    masked = Mask([KEY]).flow()
    assert masked("look: sk-can") == "look: "
    assert masked("not be") == "sk-cannot be"


def test_masking_costs_next_to_nothing() -> None:
    mask = Mask([f"secret-number-{number}-{'x' * 40}" for number in range(40)])
    text = "an ordinary line of output, of which there are many\n" * 2000
    began = time.process_time()
    masked = mask.flow()
    assert mask.text(text) == text
    for _ in range(20):
        masked(text[:1000])
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "key",
    [
        "sk-ant-api03-abcdefghijklmnop",
        "sk_live_abcdefghijklmnop12",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "github_pat_abcdefghijklmnopqrstuvwxyz",
        "AKIAIOSFODNN7EXAMPLE",
        "xoxb-123456789012-abcdefgh",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.abcdefghijkl",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\ndef\n-----END OPENSSH PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nabc, cut here",
    ],
)
def test_a_report_shows_nothing_that_has_the_form_of_a_key(key: str) -> None:
    assert without_keys(f"refused: {key}") == f"refused: {MASKED}"


@given(st.text(alphabet="abcdefghij .,:/-_", max_size=200))
def test_ordinary_words_are_no_keys(text: str) -> None:
    assert without_keys(text) == text or "sk-" in text


def test_what_comes_in_is_masked_and_what_runs_is_shown_as_it_is() -> None:
    masking = Masking(Mask([KEY]))
    command = f"curl -H 'x: {KEY}'"
    blocks = (TerminalBlock(command, f"got {KEY}\n", 0), DiffBlock("a", f"-{KEY}\n+new", 1, 1), TextBlock(KEY))
    finished = masking.event(
        ToolFinished(call_id="1", tool="shell", status="done", reply=f"got {KEY}", subject=command, blocks=blocks)
    )
    assert isinstance(finished, ToolFinished)
    assert finished.reply.startswith(f"got {MASKED}\n[")
    assert finished.subject == command
    assert finished.blocks == (
        TerminalBlock(command, f"got {MASKED}\n", 0),
        DiffBlock("a", f"-{MASKED}\n+new", 1, 1),
        TextBlock(MASKED),
    )
    asked = ApprovalAsked(call_id="1", tool="shell", subject=command, reason="", blocks=(TerminalBlock(command),), digest="")
    assert masking.event(asked) == asked


@pytest.mark.parametrize(
    "event",
    [
        Warned(text=KEY),
        RequestRetried(step=1, attempt=1, seconds=1, reason=KEY),
        TurnFinished(turn=1, status="failed", text="", reason=KEY),
        TurnStarted(turn=1, prompt="x", preface=KEY),
        TurnStarted(turn=1, prompt=KEY, by="check"),
        Verified(command="x", exit_code=1, output=KEY, round=1),
        Informed(kind="shell", title="x", told=KEY, step=1, blocks=(TerminalBlock("x", KEY),)),
        Informed(kind="problems", title=f"a.py:1: error: {KEY}", told=KEY, step=1),
        ToolProgressed(call_id="1", text=KEY),
    ],
)
def test_no_event_that_tells_of_the_world_holds_a_secret(event: Event) -> None:
    line = encode(Masking(Mask([KEY])).event(event), seq=1, ts="", session_id="")
    assert MASKED.encode() in line
    assert json.dumps(KEY, ensure_ascii=False)[1:-1].encode() not in line


def test_a_secret_that_a_command_prints_in_two_goes_is_not_told_in_halves() -> None:
    masking = Masking(Mask([KEY]))
    told = [masking.event(ToolProgressed(call_id="1", text=text)) for text in (f"x {KEY[:9]}", f"{KEY[9:]} y")]
    assert "".join(event.text for event in told if isinstance(event, ToolProgressed)) == f"x {MASKED} y"
