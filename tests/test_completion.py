"""Files, commands and earlier prompts are completed at the cursor, quickly and for every name that a tree can hold."""

import asyncio
import subprocess
from pathlib import Path

import pytest
from textual import events
from textual.content import Content

from tests.fakes import ScriptedServer
from tests.runs import Person
from tests.screens import screen_of
from tui.completion import Offer, Wish, commands, files, mention, wish
from tui.files import Files
from tui.matching import Fit, Index
from tui.prompt import Prompt


def best(paths: list[str], query: str) -> list[str]:
    """Return the paths that fit, the best first."""
    return [fit.path for fit in Index(paths).best(query, 50)]


def test_the_name_of_a_file_weighs_more_than_its_folders() -> None:
    assert best(["prompt/deep/other.py", "tui/prompt.py", "agent/my_prompt.py"], "prompt")[0] == "tui/prompt.py"


def test_letters_fit_in_their_order_wherever_they_stand() -> None:
    assert best(["tests/test_undo_commands.py", "tests/test_undo.py", "agent/loop.py"], "tuc") == ["tests/test_undo_commands.py"]


def test_a_slash_is_looked_for_in_the_whole_path() -> None:
    assert best(["a/b/main.py", "b/main.py", "main.py"], "b/ma") == ["b/main.py", "a/b/main.py"]


def test_letters_of_any_case_fit_and_signs_of_patterns_are_only_signs() -> None:
    assert best(["README.md", "a+b(c).txt", "x.[y]"], "readme") == ["README.md"]
    assert best(["README.md", "a+b(c).txt", "aab.txt"], "+b(") == ["a+b(c).txt"]
    assert best(["README.md", "x[y]^.md"], "[y]^") == ["x[y]^.md"]
    assert best(["a\\b.txt", "ab.txt"], "\\") == ["a\\b.txt"]


def test_names_of_all_languages_and_strange_ones_fit() -> None:
    assert best(["docs/说明.md", "İstanbul.txt", "new\nline.py", "\udcff.bin"], "说") == ["docs/说明.md"]
    assert best(["docs/说明.md", "new\nline.py", "newline.py"], "newl")[0] in {"newline.py", "new\nline.py"}
    assert best(["İstanbul.txt"], "st") == ["İstanbul.txt"]


def test_nothing_fits_what_is_nowhere_and_everything_fits_nothing() -> None:
    assert best(["a.py", "b.py"], "zz") == []
    assert best(["b.py", "a/c.py"], "") == ["b.py", "a/c.py"]


def test_the_places_of_the_letters_are_those_that_are_shown() -> None:
    [fit] = Index(["src/deep/calculator.py"]).best("clc", 5)
    assert [fit.path[place] for place in fit.places] == ["c", "l", "c"]
    assert all(place >= len("src/deep/") for place in fit.places)


def test_a_stopped_search_ends() -> None:
    assert Index([f"file{number}.py" for number in range(9000)]).best("zzz", 5, lambda: True) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("look at @cal", Wish("file", 8, "cal")),
        ("@", Wish("file", 0, "")),
        ('see @"a b', Wish("file", 4, "a b")),
        ("(@x", Wish("file", 1, "x")),
        ("mail me@home", None),
        ("@done ", None),
        ("/mo", Wish("command", 0, "mo")),
        ("/model x", None),
        ("//etc", None),
        ("see /etc", None),
    ],
)
def test_what_is_asked_for_at_the_cursor(text: str, wanted: Wish | None) -> None:
    assert wish([text], 0, len(text)) == wanted


def test_a_path_with_blanks_is_quoted_and_a_folder_can_be_gone_on_from() -> None:
    assert mention("a.py") == "@a.py "
    assert mention("a b/c.py") == '@"a b/c.py" '
    assert mention("src/") == "@src/"
    assert mention("my src/") == '@"my src/'
    assert "\x1b" not in mention("a\x1b]52;c;x\x07.py")


def test_a_path_that_is_too_long_keeps_its_end() -> None:
    [shown] = files([Fit("very/long/folder/文件夹/name.py", ())], 14)
    assert shown.label.plain.startswith("…")
    assert shown.label.plain.endswith("/name.py")
    assert shown.label.cell_length <= 14


def test_a_hostile_name_is_shown_and_does_nothing() -> None:
    [shown] = files([Fit("[@click=app.quit]\x1b[2J\u202e.py", (0,))], 80)
    assert isinstance(shown.label, Content)
    assert "\x1b" not in shown.label.plain
    assert "\u202e" not in shown.label.plain
    assert "[@click=app.quit]" in shown.label.plain


def test_commands_that_begin_so_come_first() -> None:
    offers = [Offer("compact", "shorten", "hint"), Offer("model", "choose"), Offer("mode", "how much may run")]
    assert [one.text for one in commands(offers, "mo")] == ["/model ", "/mode "]
    assert [one.text for one in commands(offers, "ct")] == ["/compact "]
    assert [one.final for one in commands(offers, "com")] == [False]


def repository(root: Path, *tracked: str) -> None:
    """Make a folder a repository."""
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    if tracked:
        subprocess.run(["git", "add", *tracked], cwd=root, check=True)


def link(main: Path, linked: Path) -> None:
    """Make another work tree of a repository."""
    names = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *names, "commit", "-qm", "begin"], cwd=main, check=True)
    subprocess.run(["git", "worktree", "add", "-q", str(linked)], cwd=main, check=True)


async def listed(root: Path, cwd: Path | None = None) -> set[str]:
    """Return all that can be completed in a tree."""
    return {fit.path for fit in (await Files(root, cwd or root).index()).best("", 1000)}


async def test_the_list_holds_what_git_does_not_ignore(tmp_path: Path) -> None:
    for name in ("kept.py", "gone.py", "new.py", "a b/c.py", "build/x.o"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".gitignore").write_text("build/\n")
    repository(tmp_path, "kept.py", "gone.py")
    (tmp_path / "gone.py").unlink()
    assert await listed(tmp_path) == {".gitignore", "kept.py", "new.py", "a b/", "a b/c.py"}


async def test_the_list_is_made_without_git_and_from_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").touch()
    (tmp_path / "src" / "deep").mkdir()
    (tmp_path / "src" / "deep" / "b.py").touch()
    (tmp_path / "top.py").touch()
    assert await listed(tmp_path) == {"src/", "src/a.py", "src/deep/", "src/deep/b.py", "top.py"}
    assert await listed(tmp_path, tmp_path / "src") == {"a.py", "deep/", "deep/b.py", "../top.py"}
    assert await listed(tmp_path, tmp_path / "src" / "deep") == {"b.py", "../a.py", "../../top.py"}


async def test_a_linked_work_tree_lists_its_own_files(tmp_path: Path) -> None:
    main, linked = tmp_path / "main", tmp_path / "linked"
    main.mkdir()
    (main / "a.py").touch()
    repository(main, "a.py")
    link(main, linked)
    (linked / "ignored.log").touch()
    (linked / ".gitignore").write_text("*.log\n")
    assert await listed(linked) == {"a.py", ".gitignore"}


async def test_a_repository_cannot_have_a_program_run_by_listing(tmp_path: Path) -> None:
    repository(tmp_path)
    (tmp_path / ".git" / "config").write_text(f"[core]\n\tfsmonitor = touch {tmp_path}/ran\n")
    (tmp_path / "a.py").touch()
    assert await listed(tmp_path) == {"a.py"}


async def test_a_file_is_completed_with_the_keyboard(person: Person, server: ScriptedServer) -> None:
    (person.root / "my notes").mkdir()
    (person.root / "my notes" / "plan.md").touch()
    async with screen_of(person) as screen:
        await screen.pilot.press(*"see @plan")
        await screen.see("my notes/plan.md")
        await screen.pilot.press("tab")
        await screen.until(lambda: screen.app.query_one(Prompt).text == 'see @"my notes/plan.md" ')
        await screen.pilot.press(*"@calc")
        await screen.see("test_calc.py")
        await screen.pilot.press("down", "enter")
        await screen.until(lambda: screen.app.query_one(Prompt).text == 'see @"my notes/plan.md" @test_calc.py ')
        assert server.requests == []


@pytest.mark.parametrize(
    ("rest", "keys", "became"),
    [("cost", "enter", "What was used"), ("st", "down tab", "/status ")],
)
async def test_keys_for_the_list_are_for_what_was_typed_and_not_for_what_was_listed_before(
    person: Person, rest: str, keys: str, became: str
) -> None:
    async with screen_of(person) as screen:
        prompt = screen.app.query_one(Prompt)
        await screen.pilot.press("/")
        await screen.see("/help ")
        for letter in rest:  # all in one go, so that nobody has heard of them when the key comes
            prompt.insert(letter)
        for key in keys.split():
            await prompt._on_key(events.Key(key, None))
        await screen.until(lambda: prompt.text == became or became in screen.text)


async def test_a_file_is_completed_with_the_mouse(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person) as screen:
        await screen.pilot.press(*"@calc")
        await screen.see("test_calc.py")
        await screen.pilot.click("#completion", offset=(4, 1))
        await screen.until(
            lambda: screen.app.query_one(Prompt).text == "@test_calc.py " and screen.app.query_one(Prompt).has_focus
        )


async def test_escape_closes_the_list_and_it_stays_closed(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person) as screen:
        await screen.pilot.press(*"@ca")
        await screen.see("test_calc.py")
        await screen.pilot.press("escape", "l")
        await screen.until(lambda: "test_calc.py" not in screen.text)
        await screen.pilot.press(*" @te")
        await screen.see("test_calc.py")


async def test_a_new_file_can_be_completed_once_the_list_is_old(tmp_path: Path) -> None:
    kept = Files(tmp_path, tmp_path, fresh=0)
    (tmp_path / "old.py").touch()
    assert len(await kept.index()) == 1
    (tmp_path / "new.py").touch()
    async with asyncio.timeout(10):
        while len(await kept.index()) < 2:  # noqa: ASYNC110 - an old list is good enough until the new one is made
            await asyncio.sleep(0.001)
