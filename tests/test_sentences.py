"""What the engine says is said in the language of the person."""

import re
import tomllib
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

import tui
from agent.command.losses import losses
from agent.effects import Effect
from agent.events.call import Decider
from agent.ledger.action import ActionKind
from agent.policy import Ground, Mode, judge
from agent.rules import Decision, Question, Rule
from agent.workspace.contract import Confinement, Located, Place
from tests.fakes import ScriptedServer, answer
from tests.runs import Person
from tests.screens import screen_of
from tests.test_commands import corpus, paths, weighed
from tui.words import LANGUAGES, catalogue

__all__ = ["paths"]  # a fixture

_FOLDER = Path(tui.__file__).parent / "catalogue"
_CHINESE = catalogue("zh")
_ENGLISH = re.compile(r"\b(?:it|which|the|that|mode|what)\b")
_GROUNDS = (Ground(sandbox=True, kept=True), Ground(), Ground(kept=True), Ground(sandbox=True))
_SPOKEN = list(LANGUAGES)


def _names(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", _SPOKEN)
def test_every_sentence_keeps_its_values(language: str) -> None:
    tables = tomllib.loads((_FOLDER / f"sentences.{language}.toml").read_text("utf-8"))
    wrong = [key for table in tables.values() for key, text in table.items() if _names(key) != _names(text)]
    assert wrong == []


def test_every_reason_of_the_corpus_is_said_in_chinese(paths: object) -> None:
    found: set[str] = set()
    for _, text in corpus():
        command = weighed(text, paths)  # type: ignore[arg-type]
        question = Question("shell", Effect.EXEC, text, command=command)
        found |= {command.why, *(one.why for one in command.parts), *losses(command)}
        found |= {judge(mode, question, (), ground).reason for mode in Mode for ground in _GROUNDS}
    assert len(found) > 200
    assert [reason for reason in sorted(found) if not _is_chinese(reason)] == []


def test_every_other_reason_of_the_policy_is_said_in_chinese() -> None:
    places = [Located("x", Path("/x"), place, "x", secret=secret) for place in Place for secret in (False, True)]
    rules = [Rule.read("edit(src/*)", decision, "config.toml") for decision in Decision]
    questions = [
        Question("edit", effect, "src/x", (place,), doubted=doubted, unheld=unheld)
        for effect in Effect
        for place in places
        for doubted in (False, True)
        for unheld in (False, True)
    ]
    reasons = {judge(mode, one, (rule,), Ground()).reason for mode in Mode for one in questions for rule in rules}
    assert [reason for reason in sorted(reasons) if not _is_chinese(reason)] == []


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize("git", [False, True])
@pytest.mark.parametrize("hosts", [(), ("*",), ("pypi.org", "x.dev")])
def test_every_confinement_is_said_so_that_a_person_knows_what_it_means(writes: bool, git: bool, hosts: tuple[str, ...]) -> None:
    confined = str(Confinement(writes=writes, git=git, hosts=hosts))
    assert _is_chinese(confined)
    assert catalogue("en").told(confined).startswith("a sandbox: ")


def test_whoever_decides_and_whatever_is_undone_has_words() -> None:
    assert {f"preview.by_{by}" for by in get_args(Decider)} <= set(_CHINESE.texts)
    assert {f"timeline.kind_{kind}" for kind in get_args(ActionKind) if kind != "call"} <= set(_CHINESE.texts)
    assert {f"mode.called_{mode}" for mode in Mode} <= set(_CHINESE.texts)


@pytest.mark.parametrize(
    ("english", "said"),
    [
        ("the limit of steps was reached", "已达步数上限"),
        ("it runs make", "会运行 make"),
        ("plan mode is read-only, and this call is not: it reads", "计划模式只读，而这个调用不是：只读取"),
        (
            "plan mode is read-only, and this call is not: it writes to /a, b, which is never touched",
            "计划模式只读，而这个调用不是：会写入一律不碰的 /a, b",
        ),
        ("auto mode asks: who knows", "自动模式需要询问：who knows"),
        ("nobody knows this one", "nobody knows this one"),
        ("nightly mode asks: it reads", "nightly mode asks: it reads"),
        ("it runs ", "it runs "),
        ("the network is closed to it", "它不能访问网络"),
        ("There is no a.py; beside it there is b.py.", "没有 a.py；旁边有 b.py"),
        (
            "Nothing was written to a.b. Of the 3 edits, number 2 does not fit, so none was made: old and new are the same.",
            "a.b 没有改动。3 处修改中第 2 处不合，所以一处也没有做：原文和新文相同",
        ),
        ("it reads {path}, which is called as secrets are", "会读取 {path}，文件名像是密钥"),
    ],
)
def test_what_is_known_is_said_and_the_rest_stays(english: str, said: str) -> None:
    assert _CHINESE.told(english) == said
    assert catalogue("en").told(english) == english


def test_a_hostile_value_cannot_make_it_slow() -> None:
    text = "plan mode is read-only, and this call is not: " + "it reads , which " * 200 + "it"
    assert _CHINESE.told(text)
    deep = "plan mode is read-only, and this call is not: " * 160 + "it reads"
    assert _CHINESE.told(deep).endswith("it reads")


async def test_a_chinese_screen_says_why_it_asks_and_how_a_turn_ended_in_chinese(person: Person, server: ScriptedServer) -> None:
    person.environment["LANG"] = "zh_CN.UTF-8"
    server.script += [answer("", calls=[("shell", {"command": "sudo make install"})]), answer("好。")]
    async with screen_of(person, mode="edits") as screen:
        await screen.say("装上")
        await screen.see("会以另一个用户的身份运行", "没有沙箱", "编辑模式")
        await screen.heard()
        await screen.pilot.press("r", "enter")
        await screen.see("好。", "未运行：你已拒绝")
        assert not _ENGLISH.search(screen.text), screen.text


def _is_chinese(english: str) -> bool:
    said = _CHINESE.told(english)
    return said != english and not _ENGLISH.search(said)
