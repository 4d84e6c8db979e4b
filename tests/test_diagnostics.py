"""What language servers and linters say of changes: only what is new, in time or later, and however they misbehave."""

import json
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.config import DiagnosticsTable
from agent.diagnostics.diagnostics import Diagnostics, Verdict
from agent.diagnostics.finding import Finding, Usable
from agent.diagnostics.linter import read
from agent.diagnostics.problem import Told, fresh, keys, lines, problem
from agent.diagnostics.programs import ServerProgram, filled, programs
from agent.workspace.local import LocalWorkspace
from jumar import servers

SERVER = Path(__file__).with_name("languageserver.py")
RUFF = shutil.which("ruff", path=str(Path(sys.executable).parent)) or "ruff"


class Bench:
    """A work tree, and the programs that are asked of its files."""

    def __init__(self, folder: Path, sandbox: str = "off") -> None:
        self.root = folder / "tree"
        self.bin = folder / "bin"
        self.root.mkdir()
        self.bin.mkdir()
        self.environment = {"PATH": str(self.bin), "HOME": str(folder)}
        self.workspace = LocalWorkspace(
            self.root, self.root, spill=folder / "spill", environment=self.environment, sandbox=sandbox
        )
        self._held: list[Diagnostics] = []

    def install(self, name: str, *how: str) -> None:
        """Have a program on the PATH that is the scripted server."""
        self.script(name, f"exec {sys.executable} -I -S {SERVER} {' '.join(how)}")

    def script(self, name: str, line: str) -> None:
        """Have a program on the PATH that is a line of the shell."""
        program = self.bin / name
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)

    def bring(self) -> None:
        """From now on the programs are the project's own."""
        self.bin = self.root / ".venv" / "bin"
        self.bin.mkdir(parents=True)

    def finding(self, **how: object) -> Finding:
        """Return what finds the programs."""
        return Finding(self.root, self.environment, **({"sandboxed": self.workspace.sandbox != "none"} | how))  # type: ignore[arg-type]

    def diagnostics(self, seconds: float = 20) -> Diagnostics:
        """Return what a session holds."""
        self._held.append(Diagnostics(self.workspace, self.finding(), seconds))
        return self._held[-1]

    def write(self, diagnostics: Diagnostics, name: str, text: str) -> None:
        """Change a file as a tool does."""
        with diagnostics.around([self.workspace.locate(name)]):
            (self.root / name).write_text(text)

    async def changed(self, diagnostics: Diagnostics, name: str, text: str) -> Verdict:
        """Change a file, and return what is said of it."""
        self.write(diagnostics, name, text)
        return await diagnostics.verdict()

    async def close(self) -> None:
        """End all."""
        for diagnostics in self._held:
            await diagnostics.close()
        await self.workspace.close()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.close()


@pytest.mark.parametrize("how", ["versioned", "unversioned"])
async def test_only_what_a_change_brings_is_told_wherever_the_lines_have_gone(bench: Bench, how: str) -> None:
    bench.install("ty", how)
    diagnostics = bench.diagnostics()
    (bench.root / "a.py").write_text("x\nBAD old\n")
    first = await bench.changed(diagnostics, "a.py", "new\nx\nBAD old\nBAD new\n")
    assert first.words == "New problems since this step's changes:\na.py:4: error: it is bad [bad] (ty)"
    assert (await bench.changed(diagnostics, "a.py", "x\nBAD new\n\nBAD old\n")).words == "No new problems (ty)."
    assert (await bench.changed(diagnostics, "a.py", "x\n")).words == "No new problems (ty)."
    again = await bench.changed(diagnostics, "a.py", "BAD new\n")
    assert again.problems == ("a.py:1: error: it is bad [bad] (ty)",)
    assert await diagnostics.came_late() == ()
    assert diagnostics.standing() == [("ty", "running")]


async def test_what_a_change_breaks_in_another_file_is_told(bench: Bench) -> None:
    bench.install("ty")
    diagnostics = bench.diagnostics()
    assert (await bench.changed(diagnostics, "a.py", "x\n")).problems == ()
    assert (await bench.changed(diagnostics, "a.py", "BREAKS other.py\n")).problems == (
        "other.py:1: error: it is bad [bad] (ty)",
    )
    assert (await bench.changed(diagnostics, "a.py", "BREAKS other.py \n")).problems == ()


async def test_the_files_of_a_step_are_told_of_together_and_as_they_are_at_its_end(bench: Bench) -> None:
    bench.install("ty")
    diagnostics = bench.diagnostics()
    bench.write(diagnostics, "a.py", "BAD\n")
    bench.write(diagnostics, "b.py", "BAD\n")
    bench.write(diagnostics, "a.py", "good\n")
    assert (await diagnostics.verdict()).problems == ("b.py:1: error: it is bad [bad] (ty)",)


async def test_what_comes_late_is_told_later_and_is_not_waited_for(bench: Bench) -> None:
    bench.install("ty")
    bench.write(patient := bench.diagnostics(), "a.py", "x\n")
    assert (await patient.verdict()).clean == ("ty",)
    hasty = bench.diagnostics(0.05)
    verdict = await bench.changed(hasty, "a.py", "LATE BAD\n")
    assert verdict.words == "ty has not answered yet: what it finds is told with a later step."
    bench.write(hasty, "a.py", "LATE BAD \n")
    with pytest.raises(StopIteration) as over:  # it gives way to nothing
        hasty.verdict().send(None)
    assert over.value.value.late == ("ty",)
    (bench.root / "go").touch()
    for checking in hasty._checkings.values():
        while (busy := checking.busy) is not None:
            await busy
    assert await hasty.came_late() == ("a.py:1: error: it is bad [bad] (ty)",)
    assert await hasty.came_late() == ()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("crash", "it ended: it hurts"),
        ("flood", "it says more than anybody can hear"),
    ],
)
async def test_a_server_that_misbehaves_is_given_up_and_harms_nothing(bench: Bench, how: str, why: str) -> None:
    bench.install("ty", how)
    diagnostics = bench.diagnostics()
    (bench.root / "a.py").write_text("BAD\n")
    assert (await bench.changed(diagnostics, "a.py", "BAD BAD\n")).words == ""
    assert diagnostics.standing() == [("ty", f"given up: {why}")]
    assert diagnostics.notes() == [f"the language server ty was given up after 3 failures: {why}"]
    assert diagnostics.notes() == []
    assert (await bench.changed(diagnostics, "a.py", "BAD\n")).words == ""


@pytest.mark.parametrize("how", ["silent", "hang"])
async def test_a_server_that_hangs_holds_nothing_up_and_ends_with_the_session(bench: Bench, how: str) -> None:
    bench.install("ty", how)
    diagnostics = bench.diagnostics(0.3)
    assert (await bench.changed(diagnostics, "a.py", "BAD\n")).late == ("ty",)
    await diagnostics.close()
    assert diagnostics.standing() == [("ty", "not started")]


async def test_a_server_that_crashes_is_started_again(bench: Bench) -> None:
    bench.install("ty", "crash-once")
    diagnostics = bench.diagnostics()
    assert (await bench.changed(diagnostics, "a.py", "BAD\n")).problems == ("a.py:1: error: it is bad [bad] (ty)",)
    assert diagnostics.standing() == [("ty", "running, failures: 1, the last: it ended")]


async def test_the_server_of_a_file_that_is_read_is_ready_before_it_is_changed(bench: Bench) -> None:
    bench.install("ty")
    diagnostics = bench.diagnostics()
    diagnostics.near([bench.workspace.locate("a.py"), bench.workspace.locate("notes.txt")])
    [checking] = diagnostics._checkings.values()
    assert checking.busy is not None
    await checking.busy
    assert diagnostics.standing() == [("ty", "running")]


async def test_a_server_of_the_project_s_own_changes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "auto")
    if bench.workspace.sandbox == "none":
        await bench.close()
        pytest.skip(f"no sandbox holds here: {'; '.join(bench.workspace.holding.reasons)}")
    bench.bring()
    bench.install("ty", "plant")
    verdict = await bench.changed(bench.diagnostics(), "a.py", "BAD\n")
    assert verdict.problems == ("a.py:1: error: it is bad [bad] (ty)",)
    assert sorted(path.name for path in bench.root.iterdir()) == [".venv", "a.py"]
    await bench.close()


@pytest.mark.parametrize("sandbox", ["off", "auto"])
async def test_ruff_says_by_its_server_what_is_new_in_a_project_that_uses_it(tmp_path: Path, sandbox: str) -> None:
    bench = Bench(tmp_path, sandbox)
    if sandbox == "auto" and bench.workspace.sandbox == "none":
        await bench.close()
        pytest.skip(f"no sandbox holds here: {'; '.join(bench.workspace.holding.reasons)}")
    if sandbox == "auto":
        bench.bring()
    bench.script("ruff", f'exec {shlex.quote(RUFF)} "$@"')
    diagnostics = bench.diagnostics()
    (bench.root / "a.py").write_text("import os\n")
    assert (await bench.changed(diagnostics, "a.py", "import os\n\nx = y\n")).words == ""
    (bench.root / "ruff.toml").touch()
    verdict = await bench.changed(diagnostics, "a.py", "\nimport os\n\nx = z\n")
    assert verdict.problems == ("a.py:4: error: Undefined name `z` [F821] (ruff)",)
    assert diagnostics.standing() == [("ruff", "running")]
    await bench.close()


async def test_a_server_of_python_says_what_is_new(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "auto")
    if bench.workspace.sandbox == "none":
        await bench.close()
        pytest.skip(f"no sandbox holds here: {'; '.join(bench.workspace.holding.reasons)}")
    bench.bring()
    bench.script("pylsp", f"exec {shlex.quote(sys.executable)} -m pylsp")
    diagnostics = bench.diagnostics()
    (bench.root / "a.py").write_text("import os\n")
    verdict = await bench.changed(diagnostics, "a.py", "\nimport os\n\nx = y\n")
    assert verdict.problems == ("a.py:4: error: undefined name 'y' (pylsp)",)
    assert diagnostics.standing() == [("pylsp", "running")]
    await bench.close()


async def test_a_linter_steps_in_for_a_server_that_was_given_up(bench: Bench) -> None:
    bench.script("ruff", f'[ "$1" = check ] && exec {RUFF} "$@"; echo "no such command" >&2; exit 2')
    (bench.root / "pyproject.toml").write_text("[tool.ruff]\n")
    diagnostics = bench.diagnostics()
    (bench.root / "a.py").write_text("import os\n")
    for name in "yz":
        verdict = await bench.changed(diagnostics, "a.py", f"\nimport os\n\nx = {name}\n")
        assert verdict.problems == (f"a.py:4: warning: Undefined name `{name}` [F821] (ruff)",)
    assert diagnostics.standing()[1] == ("ruff", "runs after each change")


async def test_a_linter_that_says_nothing_of_use_is_given_up(bench: Bench) -> None:
    bench.script("shellcheck", "echo nonsense")
    (bench.root / ".shellcheckrc").touch()
    diagnostics = bench.diagnostics()
    for number in range(3):
        await bench.changed(diagnostics, "a.sh", f"echo {number}\n")
    assert diagnostics.standing()[0][1].startswith("given up: ")


def test_a_program_of_the_work_tree_is_only_asked_where_a_sandbox_holds(bench: Bench) -> None:
    own = bench.root / "app" / "node_modules" / ".bin" / "eslint"
    own.parent.mkdir(parents=True)
    own.write_text("")
    own.chmod(0o755)
    (bench.root / "app" / "eslint.config.js").touch()
    file = bench.root / "app" / "src" / "a.js"
    assert bench.finding(sandboxed=False).linter_for("javascript", file) is None
    found = bench.finding(sandboxed=True).linter_for("javascript", file)
    assert found is not None
    assert (found.executable, found.folder) == (str(own), bench.root / "app")
    assert bench.finding(sandboxed=True).linter_for("javascript", bench.root / "a.js") is None
    bench.environment["PATH"] = str(own.parent)
    finding = bench.finding(sandboxed=False)
    [eslint] = [program for program in finding.linters if program.name == "eslint"]
    assert "no sandbox holds here" in str(finding.usable(eslint, file))


def test_of_two_servers_the_one_that_the_project_has_settings_for_is_asked(bench: Bench) -> None:
    for name in ("pyright-langserver", "ty", "ruff"):
        bench.script(name, "exit 1")
    file = bench.root / "a.py"

    def names(**how: object) -> list[str]:
        return [usable.program.name for usable in bench.finding(**how).servers_for("python", file)]

    assert names(sandboxed=True) == ["pyright"]
    assert names(sandboxed=False) == ["ty"]
    assert names(sandboxed=True, left_out=["pyright", "ty"]) == []
    (bench.root / "pyproject.toml").write_text("[tool.ty]\n[tool.ruff.lint]\n")
    assert names(sandboxed=True) == ["ty", "ruff"]
    began = time.process_time()
    (bench.root / "pyproject.toml").write_text(f"{'a.' * 400_000}a = 1\n[tool.ruff]\n")  # to parse it takes very long
    assert names(sandboxed=True) == ["pyright", "ruff"]
    assert time.process_time() - began < 1
    (bench.root / "pyproject.toml").unlink()
    (bench.root / "elsewhere.toml").write_text("[tool.ty]\n")
    (bench.root / "pyproject.toml").symlink_to("elsewhere.toml")
    assert names(sandboxed=True) == ["pyright"]
    (bench.root / "pyproject.toml").unlink()
    (bench.root / "pyproject.toml").write_text("a = " + "[" * 100_000)
    assert names(sandboxed=True) == ["pyright"]


ANSWERS = {
    "eslint": [{"messages": [{"ruleId": "no-undef", "severity": 2, "message": "x is bad", "line": 2}]}],
    "stylelint": [{"warnings": [{"rule": "no-undef", "severity": "error", "text": "x is bad", "line": 2}]}],
    "rubocop": {
        "files": [{"offenses": [{"cop_name": "no-undef", "severity": "error", "message": "x is bad", "location": {"line": 2}}]}]
    },
    "shellcheck": {"comments": [{"code": "no-undef", "level": "error", "message": "x is bad", "line": 2}]},
    "ruff": [{"code": "no-undef", "message": "x is bad", "location": {"row": 2}}],
}


@pytest.mark.parametrize("name", [program.name for program in programs()[1]])
def test_what_each_linter_answers_is_read(name: str) -> None:
    [program] = [program for program in programs()[1] if program.name == name]
    [found] = read(program, json.dumps(ANSWERS[name]).encode(), ["", "  x "])
    assert (found.line, found.message, found.code, found.near) == (2, "x is bad", "no-undef", "x")
    assert found.grave == (name != "ruff")
    for wrong in (b"{", b"1", b'{"files": 1}' if program.rows[0] != "*" else b"{}"):
        with pytest.raises(ValueError):
            read(program, wrong, [])


def test_a_person_is_told_who_is_asked_of_what_lies_here_and_why_others_are_not(bench: Bench) -> None:
    bench.script("ty", "exit 1")
    (bench.root / "src").mkdir()
    (bench.root / "src" / "a.py").touch()
    (bench.root / ".venv").mkdir()
    (bench.root / ".venv" / "a.go").touch()
    settings = DiagnosticsTable(without=("pyright",))
    told = servers.told_of(servers.standings(settings, bench.workspace, bench.environment), enabled=True)
    assert told == [
        ("servers", f"asked: ty (python), {bench.bin / 'ty'}"),
        ("", "not asked: basedpyright, pylsp (it is not installed)"),
        ("", "not asked: pyright (config.toml leaves it out)"),
        ("", "not asked: ruff (the project has no settings for it)"),
    ]
    assert servers.diagnostics(DiagnosticsTable(enabled=False), bench.workspace, bench.environment) is None
    assert servers.told_of(None, enabled=True) == []
    with pytest.raises(ValueError, match="'pyrite' is no language server or linter; known are basedpyright, clangd, "):
        DiagnosticsTable(without=("pyrite",))


def test_every_program_is_complete() -> None:
    asked, linters = programs()
    assert all(program.command and program.languages and (program.config or program.roots) for program in (*asked, *linters))
    assert all(program.rows and program.line and program.message for program in linters)
    assert {"pyright", "basedpyright", "ty", "typescript", "gopls", "rust-analyzer", "clangd"} <= {one.name for one in asked}


def test_a_problem_is_new_as_often_as_it_was_not_there_before() -> None:
    text = ["  x = y", "x = y"]
    one, two = (problem(line, "no y", "E1", text, grave=True) for line in (1, 2))
    assert fresh(Counter(), [one, two]) == [one, two]
    assert fresh(keys([one]), [one, two]) == [two]
    assert fresh(keys([one, two]), [two]) == []


def test_what_is_told_is_short_and_cannot_hide_anything() -> None:
    unused = problem(1, "`a` imported but unused\nhelp: Remove unused import: `a`", "F401", [], grave=False)
    assert unused.words == "warning: `a` imported but unused [F401]"
    bad = [problem(number, "a\n\x1b[2J" + "b" * 1000, "c", [], grave=number == 30) for number in range(1, 31)]
    told = lines([Told("f.py", "ty", tuple(bad))])
    assert len(told) == 9
    assert told[0].startswith("f.py:30: error: a ")
    assert told[-1] == "and 22 more"
    assert max(map(len, told)) < 400
    assert "\x1b" not in "".join(told)


def test_the_interpreter_of_a_project_is_told_to_who_asks_for_it(bench: Bench) -> None:
    bench.script("pyright-langserver", "exit 1")
    file = bench.root / "app" / "a.py"

    def settings() -> dict[str, Any]:
        [usable] = bench.finding(sandboxed=True).servers_for("python", file)
        assert isinstance(usable.program, ServerProgram)
        return filled(usable.program.settings, usable.python)

    assert settings() == {"python": {"analysis": {"diagnosticMode": "openFilesOnly"}}}
    bench.bring()
    bench.script("python", "exit 1")
    assert settings()["python"]["pythonPath"] == str(bench.bin / "python")


def test_what_is_usable_names_the_file_that_is_started(bench: Bench) -> None:
    bench.script("ty", "exit 1")
    finding = bench.finding()
    found = {program.name: finding.usable(program, bench.root / "a.py") for program in finding.servers}
    assert isinstance(usable := found["ty"], Usable)
    assert usable.argv == (str(bench.bin / "ty"), "server")
    assert found["gopls"] == "it is not installed"
    assert found["ruff"] == "the project has no settings for it"
