"""Checks are the person's settings or are found in the files of a project; a fold tells whether what was changed was checked."""

import json
from pathlib import Path

import pytest

from agent.blocks import TerminalBlock
from agent.checks import Check, configured, detected, tasks
from agent.config import load
from agent.effects import Effect
from agent.errors import UsageError
from agent.events.action import ActionFile, ActionRecorded, ActionsUndone
from agent.events.call import ToolFinished, ToolStarted
from agent.events.event import Event
from agent.events.news import Informed
from agent.events.run import Verified
from agent.proof import Proof
from jumar.checking import checks
from jumar.home import home
from jumar.trust import trust


def fill(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "commands"),
    [
        (
            {"pyproject.toml": "[tool.pytest.ini_options]\n[tool.ruff]\n[tool.mypy]\n"},
            ["python3 -m pytest", "ruff check", "mypy ."],
        ),
        ({"pyproject.toml": '[tool.mypy]\nfiles = ["a"]\n'}, ["mypy"]),
        ({"tests/test_a.py": "import unittest\n"}, ["python3 -m unittest"]),
        ({"package.json": '{"scripts": {"dev": "x", "lint": "y", "test": "z"}}'}, ["npm test", "npm run lint"]),
        ({"package.json": '{"scripts": {"test": "x"}}', "pnpm-lock.yaml": ""}, ["pnpm test"]),
        ({"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'}, []),
        ({"package.json": '{"scripts": {"test; rm -rf ~": "x", "build\\n": "y"}}'}, []),
        ({"Makefile": "all: x\ninstall:\ntest:\ncheck: lint\nlint:\n"}, ["make check", "make test", "make lint"]),
        ({"Cargo.toml": "", "go.mod": "module x"}, ["cargo test", "go test ./...", "go vet ./..."]),
        ({"README.md": "run pytest"}, []),
    ],
)
def test_what_a_project_checks_itself_by_is_told_from_its_files(
    tmp_path: Path, files: dict[str, str], commands: list[str]
) -> None:
    assert [check.command for check in detected(fill(tmp_path, files))] == commands


def test_other_tasks_are_no_checks(tmp_path: Path) -> None:
    fill(tmp_path, {"Makefile": "all:\ntest:\n", "package.json": '{"scripts": {"dev": "x", "test": "y"}}', "justfile": ""})
    assert tasks(tmp_path) == (("npm run", ("dev",)), ("make", ("all",)), ("just", ()))


def test_a_check_is_of_the_files_that_its_globs_name() -> None:
    check = Check("test", "pytest", ("*.py", "src/**/*.toml", "!docs/*.py"))
    assert [path for path in ("a.py", "x/b.py", "src/a/b.toml", "b.toml", "docs/c.py", "d.md") if check.covers(path)] == [
        "a.py",
        "x/b.py",
        "src/a/b.toml",
    ]
    assert Check("all", "make").covers("any.thing")


def test_the_persons_checks_hold_where_they_say(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    file = tmp_path / "config.toml"
    file.write_text(
        f'[checks.test]\ncommand = "pytest -q"\nfiles = ["*.py"]\nfolder = "{here}"\n'
        '[checks.lint]\ncommand = "ruff check"\nwhen = "edit"\nseconds = 20\n'
    )
    tables = load(file).checks
    assert configured(tables, here) == (
        Check("test", "pytest -q", ("*.py",)),
        Check("lint", "ruff check", (), "edit", 20),
    )
    assert [check.name for check in configured(tables, elsewhere)] == ["lint"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('command = " "', "it is a command"),
        ('command = "a"\nfiles = ["{a"]', "nothing closes"),
        ('command = "a"\nfolder = "here"', "no whole path"),
        ('command = "a"\nfile = ["*"]', "did you mean 'files'"),
        ('command = "a"\nwhen = "always"', "checks.test.when"),
    ],
)
def test_a_check_that_cannot_be_one_is_refused_in_one_line(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "config.toml").write_text(f"[checks.test]\n{line}\n")
    with pytest.raises(UsageError, match=words):
        load(tmp_path / "config.toml")


def started(call_id: str, effect: Effect = Effect.EXEC) -> Event:
    return ToolStarted(call_id=call_id, tool="t", subject="", effect=effect)


def recorded(call_id: str, *files: str) -> Event:
    kinds = {"+": "created", "~": "modified", "-": "deleted"}
    told = tuple(ActionFile(path=name[1:], kind=kinds[name[0]], added=1, removed=0) for name in files)  # type: ignore[arg-type]
    return ActionRecorded(action="1", seal="s", call_id=call_id, tool="t", title="", files=told)


def ran(command: str, exit_code: int, *files: str, printed: str = "") -> list[Event]:
    block = TerminalBlock(command, printed, exit_code)
    ended = ToolFinished(
        call_id="c", tool="shell", status="done", reply="", subject=command, exit_code=exit_code, blocks=(block,)
    )
    return [started("c"), *([recorded("c", *files)] if files else []), ended]


def edited(*files: str) -> list[Event]:
    ended = ToolFinished(call_id="e", tool="edit", status="done", reply="", subject="a.py")
    return [started("e", Effect.WRITE), recorded("e", *files), ended]


def saved(path: str) -> Event:
    """Somebody else changed a file."""
    files = (ActionFile(path=path, kind="modified", added=1, removed=0),)
    return Informed(kind="outside", title="", told="", step=1, count=1, files=files)


@pytest.mark.parametrize(
    ("events", "verified"),
    [
        ([], None),
        (ran("pytest -q", 0, "+__pycache__/a.pyc"), None),
        (edited("~a.py"), False),
        (edited("~a.py") + ran("pytest -q", 0), True),
        (edited("~a.py") + ran("pytest -q", 1), False),
        (edited("~a.py") + ran("pytest -q", 1) + ran("pytest -q", 0), True),
        (edited("~a.py") + ran("pytest -q", 1) + ran("ruff check", 0), False),
        (edited("~a.py") + ran("pytest -q", 0) + edited("~b.py"), False),
        (edited("~a.py") + ran("pytest -q", 0) + ran("sed -i s/a/b/ c.py", 0, "~c.py"), False),
        (edited("~a.py") + ran("pytest -q", 0) + ran("ls", 1), True),
        (ran("sed -i s/a/b/ c.py && pytest", 0, "~c.py"), True),
        (edited("~a.py") + ran("pytest | tail -1", 0), False),
        (edited("~a.py") + ran("pytest | tail -1", 0, printed="2 passed in 0.1s\n"), True),
        (edited("~a.py") + ran("pytest | tail -1", 0, printed="1 failed, 2 passed in 0.1s\n"), False),
        (edited("~a.py") + ran("python3 a.py", 0), True),
        (edited("~a.py") + ran("python3 b.py", 0), False),
        (edited("~a.py") + ran("./own.sh -v", 0), True),
        (edited("~a.py") + ran("pytest", 0) + [saved("a.py")], False),
        (edited("~a.py") + ran("pytest", 0) + [saved("b.py")], True),
        ([*edited("~a.py"), Verified(command="x", exit_code=0, output="", round=1)], True),
        (
            edited("~a.py")
            + ran("pytest", 0)
            + [ActionsUndone(action="2", title="", undoes=("1",), files=(), seal="s", step=1, told="")],
            False,
        ),
        (
            [
                *edited("~a.py"),
                Informed(kind="shell", title="", told="", step=1, call_id="p", blocks=(TerminalBlock("pytest", "", 0),)),
            ],
            True,
        ),
    ],
)
def test_what_was_changed_is_verified_where_a_check_passed_since(events: list[Event], verified: bool | None) -> None:
    proof = Proof(("./own.sh",))
    for event in events:
        proof.apply(event)
    assert proof.verified is verified


def test_what_no_check_has_seen_is_what_was_changed_since_one_ended() -> None:
    proof = Proof()
    for events, unchecked in (
        (edited("~a.py"), ("a.py",)),
        (ran("pytest -q", 0), ()),
        (edited("~b.py"), ("b.py",)),
        (ran("pytest -q", 1), ()),
        ([ActionsUndone(action="2", title="", undoes=("1",), files=(), seal="s", step=1, told="")], ("a.py", "b.py")),
    ):
        for event in events:
            proof.apply(event)
        assert proof.unchecked == unchecked


def test_what_a_check_of_the_persons_writes_takes_no_other_check_back() -> None:
    proof = Proof()
    wrote = ToolFinished(call_id="check-1-1", tool="shell", status="done", reply="", subject="pytest --cov", exit_code=0)
    for event in [*edited("~a.py"), *ran("ruff check", 1), recorded("check-1-1", "+cover.xml"), wrote]:
        proof.apply(event)
    assert proof.outcomes == {"ruff check": False, "pytest --cov": True}


def test_what_a_command_changes_once_its_check_is_over_is_not_checked() -> None:
    for command, verified in (
        ("sed -i s/a/b/ a.py && pytest", True),
        ("pytest && git commit -am x", True),
        ("pytest && sed -i s/a/b/ a.py", False),
    ):
        proof = Proof()
        for event in [*edited("~a.py"), *ran(command, 0, "~a.py")]:
            proof.apply(event)
        assert proof.verified is verified
    block = TerminalBlock("sed -i s/a/b/ a.py", "", 0)  # the person's own
    for theirs in (
        Informed(kind="shell", title="", told="", step=1, call_id="p", blocks=(block,)),
        Informed(kind="files", title="", told="", step=1, call_id="p"),  # they took a part back
    ):
        proof = Proof()
        for event in [*edited("~a.py"), *ran("pytest", 0), recorded("p", "~a.py"), theirs]:
            proof.apply(event)
        assert proof.verified is False


def test_what_commands_left_is_known_and_what_was_edited_since_is_none_of_it() -> None:
    proof = Proof()
    for event in [
        *edited("+mine.py"),
        *ran("make", 0, "+out.log", "+gone.tmp", "+made.py", "+a/__pycache__/x.pyc"),
        *ran("rm gone.tmp", 0, "-gone.tmp"),
        *edited("~made.py"),
    ]:
        proof.apply(event)
    assert list(proof.left) == ["out.log"]
    proof.begin()
    assert not proof.left
    assert proof.verified is None


def test_proposed_checks_are_listed_and_taken_over_beside_what_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = fill(tmp_path / "repository", {"pyproject.toml": "[tool.pytest.ini_options]\n", "Makefile": "check:\n"})
    monkeypatch.setenv("JUMAR_HOME", str(tmp_path / "home"))
    file = fill(tmp_path / "home", {"config.toml": "# mine\n[keys]\nside = 'f3'"}) / "config.toml"

    def told(*arguments: str) -> str:
        assert checks(["-C", str(root), *arguments]) == 0
        return capsys.readouterr().out

    with pytest.raises(UsageError, match=r"is not trusted, .*; run `jumar trust` there$"):
        told()
    trust(home({"JUMAR_HOME": str(tmp_path / "home")}), root)
    assert "by your config.toml: none\nproposed by the files here:\n  pytest       python3 -m pytest" in told()
    with pytest.raises(UsageError, match="no check 'nothing' is proposed here; there is: pytest, make-check"):
        told("--write", "nothing")
    assert told("--write", "make-check") == "checks.repository-make-check: make check\n"
    told("--write")
    assert "# mine\n[keys]\nside = 'f3'\n" in file.read_text()
    assert [check.command for check in configured(load(file).checks, root)] == ["make check", "python3 -m pytest"]
    rows = [json.loads(line) for line in told("--json").splitlines()]
    assert [(row["source"], row["command"]) for row in rows] == [("config", "make check"), ("config", "python3 -m pytest")]
    with pytest.raises(UsageError, match="propose no check that you have not"):
        told("--write")
