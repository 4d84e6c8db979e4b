"""Rules come from the person, from what they remembered, and from a repository that may only narrow."""

import json
import os
from pathlib import Path

import pytest

from agent import config
from agent.errors import UsageError
from agent.rules import Decision, Rule
from jumar.home import Home
from jumar.rulebook import PROJECT, Rulebook
from jumar.status import told as status_told
from jumar.wiring import find_tools
from tests.fakes import ScriptedServer, answer
from tests.runs import Person

SETTINGS = config.Config(allow=("shell(make *)",), ask=("shell(make deploy)",), deny=("read(secrets/*)",))


@pytest.fixture
def book(tmp_path: Path) -> Rulebook:
    root = tmp_path / "root"
    (root / ".jumar").mkdir(parents=True)
    return Rulebook(Home(tmp_path / "config", tmp_path / "state"), root, find_tools())


def allow(text: str) -> tuple[Rule, ...]:
    return (Rule.read(text, Decision.ALLOW, "x"),)


def told(book: Rulebook, *, trusted: bool = True) -> list[str]:
    return [f"{rule.decision} {rule} {rule.source}" for rule in book.rules(SETTINGS, trusted=trusted).rules]


def test_each_rule_says_where_it_comes_from(book: Rulebook) -> None:
    (book.root / PROJECT).write_text('ask = ["edit(ci/*)"]\ndeny = ["shell(npm publish *)"]\n')
    book.keep("always", allow("shell(pytest *)"))
    book.keep("workspace", allow("network(pip)"))
    assert told(book) == [
        "allow shell(make *) config.toml",
        "ask shell(make deploy) config.toml",
        "deny read(secrets/*) config.toml",
        "allow shell(pytest *) what you allowed always",
        "allow network(pip) what you allowed in this work tree",
        "ask edit(ci/*) .jumar/rules.toml",
        "deny shell(npm publish *) .jumar/rules.toml",
    ]
    elsewhere = Rulebook(book.home, book.root.parent, book.tools)
    assert "allow network(pip) what you allowed in this work tree" not in told(elsewhere)
    assert "allow shell(pytest *) what you allowed always" in told(elsewhere)


def test_nothing_of_a_repository_is_read_before_it_is_trusted_and_it_never_widens(book: Rulebook) -> None:
    (book.root / PROJECT).write_text('allow = ["shell"]\ndeny = ["edit"]\n')
    assert not any("rules.toml" in line for line in told(book, trusted=False))
    held = book.rules(SETTINGS)
    assert [str(rule) for rule in held.rules if rule.source == str(PROJECT)] == ["edit"]
    assert held.warnings == (".jumar/rules.toml: what it allows is passed over; a repository's rules may only narrow",)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"deny = 3", "may hold two lists of rules"),
        (b"mode = 'yolo'", "may hold two lists of rules"),
        (b"deny = [", "is no TOML"),
        (b"\xff", "is no TOML"),
        (b"a." * 30_000 + b"a = 1", "is no TOML: it has names of too many parts"),
        (b"deny = ['what is this']", "is no rule"),
        (b"deny = ['reed(x)']", "did you mean 'read'"),
        (b"#" * (300 << 10), "larger than 256 KiB"),
    ],
)
def test_rules_of_a_repository_that_cannot_be_read_are_no_hole(book: Rulebook, raw: bytes, words: str) -> None:
    (book.root / PROJECT).write_bytes(raw)
    with pytest.raises(UsageError, match=words):
        book.rules(SETTINGS)


def test_no_link_and_no_pipe_stands_for_the_rules_of_a_repository(book: Rulebook, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.toml").write_text("deny = []")
    (book.root / PROJECT).symlink_to(tmp_path / "elsewhere.toml")
    with pytest.raises(UsageError, match="cannot be read"):
        book.rules(SETTINGS)
    (book.root / PROJECT).unlink()
    os.mkfifo(book.root / PROJECT)
    assert not book.rules(SETTINGS).warnings


def test_what_is_remembered_is_kept_privately_once_and_can_be_forgotten(book: Rulebook) -> None:
    for _ in range(2):
        book.keep("workspace", allow("shell(pytest *)"))
    assert json.loads(book.home.rules.read_text()) == {"always": [], "workspaces": {str(book.root): ["shell(pytest *)"]}}
    assert book.home.rules.stat().st_mode & 0o777 == 0o600
    assert book.forget("shell(pytest *)")
    assert not book.forget("shell(pytest *)")
    assert json.loads(book.home.rules.read_text()) == {"always": [], "workspaces": {}}
    book.home.rules.write_text("{")
    with pytest.raises(UsageError, match="is not as jumar wrote it"):
        book.rules(SETTINGS)


async def test_rules_are_listed_explained_tested_and_forgotten(person: Person) -> None:
    book = Rulebook(Home(person.home / ".config/jumar", person.home / ".local/state/jumar"), person.root, find_tools())
    book.keep("always", allow("shell(pytest *)"))
    assert (await person.run("rules")).out == "allow  shell(pytest *)  (what you allowed always)\n"
    explained = await person.run("rules", "explain", "cd src && pytest -x; curl example.org", "--mode", "ask", "--json")
    told = json.loads(explained.out)
    assert told["decision"] == "ask"
    assert {part["source"]: part["rule"] for part in told["parts"]}["pytest -x"] == "shell(pytest *)"
    pushed = await person.run("rules", "explain", "git push --force && npm publish")
    assert "could not be undone: commits at the other repository that it pushes over; what it publishes" in pushed.out
    (person.root / "expected").write_text("# what we expect\nallow: pytest -x\nask: curl example.org\ndeny: pytest\n")
    tested = await person.run("rules", "test", "expected", "--mode", "ask")
    assert (tested.code, tested.out.splitlines()[-1]) == (1, "2 of 3 as expected")
    assert tested.out.startswith("expected:4: pytest: allow, not deny: ")
    (person.root / "expected").write_text("perhaps: pytest\n")
    assert (await person.run("rules", "test", "expected")).err.startswith("jumar: expected:1: write allow, ask or deny")
    assert (await person.run("rules", "forget", "shell(pytest *)")).out == "forgotten: shell(pytest *)\n"
    assert (await person.run("rules", "forget", "shell(pytest *)")).code == 2
    assert (await person.run("rules", "explain")).code == 2


async def test_status_says_what_holds(person: Person) -> None:
    told = json.loads((await person.run("status", "--json")).out)
    assert (told["trusted"], told["sandbox"], told["mode"], told["model"]) == (False, "none", "ask", "test-model")
    await person.run("trust")
    plain = await person.run("status")
    assert "trusted" in plain.out
    assert "sandbox    none" in plain.out


def test_status_in_a_session_that_trusts_for_once_says_so(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(person.home))
    (person.root / ".jumar").mkdir()
    (person.root / PROJECT).write_text('deny = ["shell(touch *)"]\n')
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "JUMAR_HOME"):
        monkeypatch.delenv(name, raising=False)
    told = dict(line for line in status_told(str(person.root)) if line[0])
    assert "not trusted" in told["work tree"]
    assert "0 deny" in told["rules"] or "deny" not in told["rules"]
    told = dict(line for line in status_told(str(person.root), trusted=True) if line[0])
    assert told["work tree"].endswith("trusted for this session alone")
    assert "1 deny" in told["rules"]


async def test_a_rule_of_the_repository_denies_in_every_mode(person: Person, server: ScriptedServer) -> None:
    (person.root / ".jumar").mkdir()
    (person.root / PROJECT).write_text('deny = ["shell(touch *)"]\nallow = ["shell"]\n')
    server.script += [answer("", calls=[("shell", {"command": "env touch x"})]), answer("I see.")]
    run = await person.trusted("-p", "x", "--mode", "yolo", "--output-format", "stream-json")
    assert run.code == 4
    assert run.result["denied"][0]["reason"].startswith("Not run: the rule shell(touch *) of .jumar/rules.toml says so")
    assert any(line["type"] == "warned" and "passed over" in line["text"] for line in run.lines)
    assert not (person.root / "x").exists()
