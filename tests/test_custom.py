"""Skills and commands that people write: found where they are kept, read when they are called, and nothing beyond that."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import ToolFailure
from agent.frontmatter import page
from jumar.custom import RESERVED, Custom, Customs, filled
from jumar.home import home
from tests.fakes import ScriptedServer, answer
from tests.runs import Person
from tui.commands import COMMANDS

SKILL = "---\nname: {name}\ndescription: {about}\n---\n# How\nSay {name}.\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("description: plain: with a colon # and a remark", {"description": "plain: with a colon"}),
        ("a: \"with \\\"quotes\\\" # and no remark\"\nb: 'it''s'", {"a": 'with "quotes" # and no remark', "b": "it's"}),
        ("a: >\n  folded\n  lines\n\n  apart\nb: |\n  as\n    they are", {"a": "folded lines\napart", "b": "as\n  they are"}),
        ("a: one\n  goes on\nlist:\n  - x\n  - y\nb: 2", {"a": "one goes on", "list": "- x - y", "b": "2"}),
        ("a: first\na: second\n!!python/object:os.system x\n&a *a: b\n: c", {"a": "first"}),
    ],
)
def test_front_matter_is_read_as_texts(text: str, named: dict[str, str]) -> None:
    assert page(f"---\n{text}\n---\nbody\n".encode()).named == named
    assert page(f"\ufeff---\r\n{text}\r\n...\r\nbody\n".encode()).text == "body\n"


@settings(max_examples=30)
@given(st.binary(max_size=300) | st.text("-:\n '\"|>#ab", max_size=200).map(lambda text: f"---\n{text}".encode()))
def test_whatever_stands_there_it_is_a_page(content: bytes) -> None:
    page(content)


def test_what_is_no_front_matter_is_text() -> None:
    for text in ("", "---", "a: b\n---\n", "---\na: b\n", "---\n" + "a: b\n" * 300 + "---\nrest"):
        assert page(text.encode()).named == {}
        assert page(text.encode()).text == text


class Place:
    """Somebody's home and a project."""

    def __init__(self, folder: Path) -> None:
        self.home, self.root = folder / "home", folder / "ws"
        self.home.mkdir()
        self.root.mkdir()

    def skill(self, base: Path, name: str, about: str = "does it", text: str = "") -> Path:
        folder = base / "skills" / name
        folder.mkdir(parents=True)
        (folder / "SKILL.md").write_text(text or SKILL.format(name=name, about=about))
        return folder

    def command(self, base: Path, name: str, text: str) -> None:
        (base / "commands").mkdir(parents=True, exist_ok=True)
        (base / "commands" / f"{name}.md").write_text(text)

    def customs(self, *, trusted: bool = True, cwd: str = "") -> Customs:
        environment = {"HOME": str(self.home)}
        return Customs(home(environment), environment, self.root, self.root / cwd, trusted=trusted)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_skills_of_the_person_and_of_a_trusted_project_are_found_and_the_persons_count(place: Place) -> None:
    place.skill(place.home / ".agents", "deploy", "mine")
    place.skill(place.home / ".config/jumar", "notes")
    place.skill(place.root / ".agents", "deploy", "theirs")
    place.skill(place.root / ".agents", "test-it")
    place.skill(place.root / ".claude", "not-here")
    place.skill(place.root / "sub/.claude", "below")
    assert [skill.name for skill in place.customs(trusted=False).skills.all] == ["deploy", "notes"]
    customs = place.customs(cwd="sub")
    assert [skill.name for skill in customs.skills.all] == ["below", "deploy", "notes", "test-it"]
    assert "- deploy: mine\n" in customs.skills.told(4000)
    [fault] = customs.faults
    assert fault.endswith("ws/.agents/skills/deploy is passed over: yours is called so too")


def test_a_skill_tells_what_it_says_and_its_files_and_nothing_that_lies_elsewhere(place: Place, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("OUTSIDE")
    folder = place.skill(place.root / ".agents", "deploy")
    (folder / "scripts").mkdir()
    (folder / "scripts/run.py").write_text("print('run')\n")
    (folder / ".env").write_text("KEY=HIDDEN")
    (folder / "binary").write_bytes(b"\0\1")
    (folder / "out").symlink_to(tmp_path / "secret.txt")
    away = tmp_path / "away"
    away.mkdir()
    (away / "SKILL.md").write_text(SKILL.format(name="away", about="OUTSIDE"))
    (folder.parent / "away").symlink_to(away)
    skills = place.customs().skills
    assert [skill.name for skill in skills.all] == ["deploy"]
    told = skills.read("deploy")
    assert told.startswith("# Skill deploy, of the project\n\n# How\nSay deploy.")
    assert "scripts/run.py" in told
    assert skills.read("deploy", "scripts/run.py") == "print('run')\n"
    for file in ("out", "../../../../secret.txt", str(tmp_path / "secret.txt"), ".env", "binary", "scripts", "nothing"):
        with pytest.raises(ToolFailure):
            skills.read("deploy", file)
    with pytest.raises(ToolFailure, match="There is no skill 'away'; there are deploy"):
        skills.read("away")


def test_skills_that_cannot_be_used_are_passed_over_with_a_word_and_the_list_is_bounded(place: Place) -> None:
    base = place.root / ".agents"
    place.skill(base, "no-words", text="only text")
    place.skill(base, "odd", text="---\nname: ../odd\ndescription: x\n---\n")
    (base / "skills/folder/SKILL.md").mkdir(parents=True)
    place.skill(base, "quiet", text="---\ndescription: for people\ndisable-model-invocation: true\n---\nSay it.")
    for number in range(80):
        place.skill(base, f"s{number:02}", "\x1b[31mlong " + "word " * 400)
    customs = place.customs()
    assert sorted(fault.rpartition("passed over: ")[2] for fault in customs.faults) == [
        "SKILL.md is no plain file there",
        "it has no description",
        "its name is not of letters, digits and dashes",
    ]
    for number in range(150):
        (base / f"skills/t{number:03}").mkdir()
    assert any(fault.endswith("more than 200 skills: those behind t115 are passed over") for fault in place.customs().faults)
    told = customs.skills.told(6000)
    assert len(told) < 7000
    assert "and 20 more: s60, s61" in told
    assert "\x1b" not in told
    assert "quiet" not in told
    with pytest.raises(ToolFailure):
        customs.skills.read("quiet")
    assert customs.said("/quiet now") == "# Skill quiet, of the project\n\nSay it.\n\nDo it as this skill says. now"


@pytest.mark.parametrize(
    ("text", "argument", "said"),
    [
        ("Mend $1 in $2, not $3.", "'a b' c", "Mend a b in c, not ."),
        ("All: $ARGUMENTS.", "x $1 `id` $(id)", "All: x $1 `id` $(id)."),
        ("No place.", "for this", "No place.\n\nfor this"),
        (r"It costs \$1, $10 and $ARGUMENTSX; $1.", "it's", "It costs $1, $10 and $ARGUMENTSX; it's."),
        ("!`touch ran` @secret $1", "", "!`touch ran` @secret "),
    ],
)
def test_what_follows_a_command_is_put_in_its_places_and_nothing_is_run(text: str, argument: str, said: str) -> None:
    assert filled(text, argument) == said


def test_a_very_long_text_behind_a_command_takes_no_time() -> None:
    began = time.process_time()
    assert filled("$1", "x" * (1 << 19)) == "x" * (1 << 19)
    assert time.process_time() - began < 1


def test_commands_are_found_with_their_words_and_none_takes_the_name_of_jumars_own(place: Place) -> None:
    place.command(place.home / ".agents", "mend", "---\ndescription: mine\nargument-hint: FILE\n---\nMend $1.")
    place.command(place.root / ".agents", "mend", "theirs")
    place.command(place.root / ".agents", "undo", "Delete all.")
    place.command(place.root / ".agents", "bad name", "x")
    place.command(place.root / ".agents", "look", "# Look at it\nDo $ARGUMENTS")
    (place.root / ".env").write_text("KEY=1")
    (place.root / ".agents" / "commands" / "leak.md").symlink_to("../../.env")
    customs = place.customs()
    assert customs.all == (
        Custom("look", "Look at it", "[WORDS]", own=False, kind="command"),
        Custom("mend", "mine", "FILE", own=True, kind="command"),
    )
    assert [fault.rpartition(": ")[2] for fault in customs.faults][1] == "/undo is jumar's own"
    assert customs.said("/mend a.py") == "Mend a.py."
    for prompt in ("/undo", "/nothing x", "//mend x", "say /mend x", "/mend/x", "/home/x is full"):
        assert customs.said(prompt) == prompt
    assert place.customs(trusted=False).said("/look x") == "/look x"


def test_jumar_keeps_the_names_of_its_commands() -> None:
    assert {one.name for one in COMMANDS} <= RESERVED


async def test_a_run_tells_of_skills_reads_them_and_takes_a_command_as_its_prompt(tmp_path: Path) -> None:
    async with ScriptedServer([answer(calls=[("skill", {"name": "deploy"})]), answer("Done."), answer("Done.")]) as server:
        person = Person(tmp_path, server.base_url)
        folder = person.root / ".agents/skills/deploy"
        folder.mkdir(parents=True)
        (folder / "SKILL.md").write_text(SKILL.format(name="deploy", about="how it goes out"))
        commands = person.home / ".agents/commands"
        commands.mkdir(parents=True)
        (commands / "ship.md").write_text("Ship $1 to everybody.")
        ended = await person.trusted("-p", "/ship this")
        assert ended.code == 0, ended.err
        (commands / "empty.md").write_text("---\ndescription: says nothing\n---\n")
        prompts = "".join(json.dumps({"type": "prompt", "text": text}) + "\n" for text in ("/empty", "/ship that"))
        ended = await person.trusted("--input-format", "stream-json", "--output-format", "stream-json", stdin=prompts)
        assert ended.code == 0, ended.err
        assert any(line["type"] == "warned" and "/empty says nothing" in line["text"] for line in ended.lines)
        first, second, third = server.bodies()
    assert "skill" in [tool["function"]["name"] for tool in first["tools"]]
    prompt = first["messages"][1]["content"]
    assert "- deploy: how it goes out" in prompt
    assert prompt.endswith("Ship this to everybody.")
    assert "Say deploy." in second["messages"][-1]["content"]
    assert third["messages"][-1]["content"].endswith("Ship that to everybody.")
