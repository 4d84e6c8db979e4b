"""What a test run printed reaches the model failures first and whole, its passes counted, and says where only a part ran."""

import re
import time
from pathlib import Path

import pytest

from agent.command.checking import checking, narrowed
from agent.folding import folded, is_check, partly, passed
from agent.tool import Context
from agent.workspace.local import LocalWorkspace
from tools.shell import Shell, ShellArguments

PRINTED = Path(__file__).parent / "printed"  # by real runners, but for go, jest and vitest, which are as documented


def printed(name: str) -> str:
    return (PRINTED / f"{name}.txt").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "failures", "summary"),
    [
        (
            "pytest-v",
            ["ERROR at setup of test_errs", "assert left == right", "E       ValueError: second"],
            "2 failed, 60 passed",
        ),
        ("pytest-x", ["assert left == right"], "1 failed, 60 passed"),
        ("unittest-v", ["ERROR: test_b (test_u.Adding.test_b)", "AssertionError: 0 != 2"], "FAILED (failures=1, errors=1"),
        ("node-tap", ["not ok 41 - first fails\n  ---", "error: 'second'"], "# fail 2"),
        ("cargo", ["---- tests::second_fails stdout", "left: 1\n right: 2"], "test result: FAILED. 3 passed; 2 failed"),
        (
            "go-v",
            ["=== RUN   TestMends\n    calc_test.go:14", "got 2, want 4\n--- FAIL: TestMends", "got 0\n--- FAIL: Tab"],
            "FAIL",
        ),
        ("jest", ["● sum › adds two\n\n    expect(received)", "at Object.<anonymous>"], "Tests:       1 failed, 5 passed"),
        ("vitest", ["FAIL  test/sum.test.ts > sum > adds two\nAssertionError"], "Tests  1 failed | 5 passed (6)"),
    ],
)
def test_failures_come_first_and_whole_and_the_summary_stays(name: str, failures: list[str], summary: str) -> None:
    text = printed(name)
    told = folded(text, always=True)
    assert len(told) < len(text)
    before, counted, after = told.partition("lines that tell of passes are left out]")
    assert counted
    for part in failures:
        assert part.replace("Tab", "TestTable") in before
        assert part.replace("Tab", "TestTable") not in after
    assert summary in after
    assert passed(text) is False


def test_what_passed_is_counted_and_nothing_else_is_lost() -> None:
    told = folded(printed("pytest-v"))
    assert "[61 lines that tell of passes are left out]" in told
    assert "test_adds" not in told
    kept = set(told.split("\n"))
    for line in printed("pytest-v").split("\n"):
        assert line in kept or re.search(r"::\S+ (PASSED|SKIPPED)", line), line


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("mypy", "a.py:7: error: Incompatible", "Found 61 errors in 1 file"), ("ruff", "I001 [*] Import block", "Found 4")],
)
def test_of_a_long_list_of_problems_the_first_are_told_and_the_others_counted(name: str, first: str, last: str) -> None:
    told = folded(printed(name), most=1, always=True)
    assert told.startswith(first)
    assert "more failures are not told here: " in told
    assert last in told
    whole = folded(printed(name), always=True)
    assert [line for line in whole.split("\n") if line.strip()] == [line for line in printed(name).split("\n") if line.strip()]
    assert passed(printed(name)) is False


def test_a_line_that_begins_like_a_pass_and_tells_of_a_failure_is_kept() -> None:
    fell = ("✓ step two FAILED: 3 of 4", "  ✓ 7 passing, 2 failing")
    text = "\n".join([*(f"  ✓ adds {number}" for number in range(90)), *fell, "", "  88 passing (2s)", "  2 failing"])
    told = folded(text, always=True)
    assert all(line in told for line in fell)
    assert "[90 lines that tell of passes are left out]" in told


def test_the_first_failure_is_told_whole_and_the_others_are_named() -> None:
    told = folded(printed("pytest-v"), most=1)
    assert 'raise RuntimeError("fixture")' in told
    assert "[2 more failures are not told here: test_first_fails; test_second_fails]" in told
    assert "left, right = helper" not in told


def test_what_is_short_or_no_test_run_is_told_as_it_is() -> None:
    assert folded(printed("pytest-k")) == ""
    assert folded("a line that was printed\n" * 500) == ""
    assert folded("a line of a log\n" * 2000 + "3 passed in 0.1s\n" + "and what came then\n" * 200) == ""
    assert not is_check("3 passed the door in 5 rows\nok\nFAIL\n")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pytest-x", "it stopped once 1 failed"),
        ("pytest-k", "63 tests were deselected"),
        ("cargo-name", "4 tests were filtered out"),
        ("jest", "only what matches /sum|words/i"),
        ("pytest-v", ""),
        ("cargo", ""),
    ],
)
def test_a_run_of_a_part_says_so(name: str, words: str) -> None:
    assert partly(printed(name)) == words


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("pytest -q tests/test_a.py::test_b -n 2", "tests/test_a.py::test_b"),
        ("cd x && .venv/bin/python -m pytest --lf 2>&1 | tail -5", "--lf"),
        ("timeout 60 python3 -m unittest -v tests.test_a", "tests.test_a"),
        ("go test -run TestA ./...", "-run TestA"),
        ("go test ./calc", "./calc"),
        ("npx jest src/sum.test.js", "src/sum.test.js"),
        ("pytest -q -n 4 tests", ""),
        ("go test ./... -v", ""),
        ("python -m unittest discover -v", ""),
    ],
)
def test_a_command_that_asks_for_a_part_is_known(command: str, words: str) -> None:
    assert narrowed(command) == words


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("..\n2 passed in 0.01s\n", True),
        ("no tests ran in 0.01s\n", False),
        ("Ran 3 tests in 0.001s\n\nOK\n", True),
        ("ok  \texample.com/a\t0.1s\n", True),
        ("FAIL\texample.com/a [build failed]\nok  \texample.com/b\t0.1s\n", False),
        ("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n", True),
        ("# tests 3\n# pass 3\n# fail 0\n", True),
        ("Success: no issues found in 3 source files\n", True),
        ("hello\n", None),
    ],
)
def test_whether_a_run_passed_is_read_from_its_end(text: str, good: bool | None) -> None:
    assert passed(text) is good


def test_of_two_runs_both_have_to_tell_that_they_passed() -> None:
    assert passed("ERROR: file or directory not found: x\nAll checks passed!\n", 2) is None
    assert passed("2 passed in 0.01s\nAll checks passed!\n", 2) is True
    assert passed("1 failed in 0.01s\nAll checks passed!\n", 2) is False


@pytest.mark.parametrize("line", ["=" * 300_000, "_ " * 150_000, "ok 1 - " * 50_000, "1 passed, " * 30_000, "x\n" * 150_000])
def test_output_made_to_take_long_does_not(line: str) -> None:
    began = time.process_time()
    folded(f"{line}\n1 passed in 0.1s\n" + "=== RUN x\n" * 5000)
    partly(line)
    assert time.process_time() - began < 1


async def test_a_long_run_reaches_the_model_folded_the_person_whole_and_the_file_too(tmp_path: Path) -> None:
    (tmp_path / "out").write_text(printed("pytest-x"))
    workspace = LocalWorkspace(tmp_path, tmp_path, spill=tmp_path / "spill", environment={"PATH": "/usr/bin:/bin"})
    result = await Shell().run(ShellArguments(command="cat out; exit 1"), Context(workspace, lambda _: None, _nobody))
    await workspace.close()
    assert result.text.startswith("_______________________________ test_first_fails")
    assert "[only a part of the suite ran: it stopped once 1 failed]\n[exit 1" in result.text
    found = re.search(r"\[this is what matters of it, and (\S+) holds all of it\]", result.text)
    assert found
    assert Path(found[1]).read_text() == printed("pytest-x")
    assert getattr(result.blocks[0], "output", "") == printed("pytest-x")


async def _nobody(question: str, options: tuple[str, ...]) -> str:
    raise AssertionError(question)


@pytest.mark.parametrize(
    "command",
    [
        "pytest -q",
        "cd a && PYTHONPATH=. timeout 9 .venv/bin/python3.11 -m pytest > out 2>&1",
        "uv run ruff check . && uv run mypy",
        "npm run test:unit -- --ci",
        "npx tsc --noEmit",
        "make -j4 check",
        "make",
        "cargo clippy --all-targets",
        "go vet ./...",
        "python3 test_calc.py",
        "node sum.test.js",
        "node --test",
        "set -o pipefail; pytest | tail -3",
        "python manage.py test",
        "bash -lc 'cd a && pytest -q'",
        "bash -euo pipefail -c 'pytest | tail -3'",
        "cd a || exit 1; trap 'rm -f x' EXIT; pytest",
        "ruff check . && pytest && echo ok",
    ],
)
def test_a_command_that_checks_is_known_and_its_exit_code_taken(command: str) -> None:
    found = checking(command)
    assert found is not None
    assert found.decides


@pytest.mark.parametrize(
    "command",
    [
        "pytest | tail -3",
        "pytest || true",
        "true || pytest",
        "pytest; echo done",
        "pytest &",
        "bash -c 'pytest || true'",
        "timeout 9 sh -c 'pytest | tail -3'",
        "eval 'pytest; true'",
        "script -qc pytest log",
        "pytest -q; ruff check .",
        "set -o pipefail; set +o pipefail; pytest | tail",
        "trap 'exit 0' EXIT; pytest",
        "exit 0; pytest",
        "alias pytest=true; pytest",
        "ruff check --exit-zero .",
        "python3 -m pylint --exit-zero a",
        "make -i test",
        f"pytest{' ' * 9000}|| true",
    ],
)
def test_a_check_whose_exit_code_is_hidden_decides_nothing_by_it(command: str) -> None:
    found = checking(command)
    assert found is not None
    assert not found.decides


@pytest.mark.parametrize(
    "command",
    [
        "ls",
        "echo pytest",
        "git commit -m 'make test'",
        "pip install pytest",
        "ruff --version",
        "npm install",
        "npm run dev",
        "cat a",
        "pytest --collect-only=x",
        "python3 -m pytest --setup-plan",
        "ruff format .",
        "make -t test",
        "cd /nowhere/else && pytest",
        "npm test --if-present",
        "npx jest --passWithNoTests",
        "ssh host pytest",
        "ssh host 'cd project && pytest'",
    ],
)
def test_what_checks_nothing_is_not_taken_for_a_check(command: str) -> None:
    assert checking(command, root=Path("/home/of/project")) is None


def test_running_what_was_changed_is_a_check_and_so_is_what_the_project_names() -> None:
    assert checking("python3 src/calc.py 1 2") is None
    assert checking("python3 src/calc.py 1 2", changed={"src/calc.py"}) is not None
    assert checking("./tool.sh", changed={"tool.sh"}) is not None
    assert checking("./verify.sh --all") is None
    assert checking("./verify.sh --all", known={"./verify.sh"}) is not None
    assert checking("./a.sh | ./b.sh", known={"./a.sh | ./b.sh"}) is not None
