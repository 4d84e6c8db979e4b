"""The review shows all changes; what is not marked is taken back, what is marked is committed as the person would."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.fakes import ScriptedServer, answer
from tests.runs import Person
from tests.screens import Screen, screen_of
from tui.review import Review, first_line

LINES = "".join(f"line {number}\n" for number in range(1, 31))
BOTH = LINES.replace("line 2\n", "two\n").replace("line 25\n", "twenty-five\n")
EDITS = [{"old": "line 2\n", "new": "two\n"}, {"old": "line 25\n", "new": "twenty-five\n"}]


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


def named(person: Person) -> None:
    """Give the person a name for commits, and a longer file that is committed."""
    (person.home / ".gitconfig").write_text("[user]\n\tname = Ann\n\temail = ann@example.org\n")
    (person.root / "long.txt").write_text(LINES)
    git(person.root, "add", "-A")
    git(person.root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "long")


async def worked(screen: Screen, server: ScriptedServer) -> None:
    """Let a model change two places of one file, and make another."""
    calls: list[tuple[str, dict[str, Any]]] = [
        ("edit", {"path": "long.txt", "edits": EDITS}),
        ("write", {"path": "src/new.txt", "content": "new\n"}),
    ]
    server.script += [answer("", calls=calls), answer("All done.")]
    await screen.say("work")
    await screen.see("All done.")


async def reviewed(screen: Screen) -> Review:
    await screen.pilot.press("f7")
    await screen.see("Review", "2 files", "long.txt", "new.txt")
    assert isinstance(screen.app.screen, Review)
    return screen.app.screen


async def test_a_hunk_that_is_not_marked_is_taken_back_and_comes_again(person: Person, server: ScriptedServer) -> None:
    named(person)
    file = person.root / "long.txt"
    async with screen_of(person, mode="edits") as screen:
        await worked(screen, server)
        file.write_text(BOTH.replace("line 12\n", "mine\n"))
        await reviewed(screen)
        assert "mine" not in screen.text  # what the person changed is none of it
        await screen.pilot.press("down", "down", "space")
        await screen.see("◪ long.txt", "Enter takes back what is not marked: 1 part of 1 file")
        await screen.pilot.press("enter")
        await screen.see("R brings it back")
        assert file.read_text() == LINES.replace("line 2\n", "two\n").replace("line 12\n", "mine\n")
        await screen.pilot.press("R")
        await screen.until(lambda: file.read_text() == BOTH.replace("line 12\n", "mine\n"))


async def test_a_new_file_that_is_not_marked_is_removed(person: Person, server: ScriptedServer) -> None:
    named(person)
    async with screen_of(person, mode="edits") as screen:
        await worked(screen, server)
        await reviewed(screen)
        await screen.pilot.press("right", "space", "enter")
        await screen.until(lambda: not (person.root / "src" / "new.txt").exists())
        await screen.see("1 file")
        assert (person.root / "long.txt").read_text() == BOTH


async def test_marked_hunks_are_committed_with_the_message_that_the_model_proposes_and_the_person_edits(
    person: Person, server: ScriptedServer
) -> None:
    named(person)
    (person.root / "calc.py").write_text("staged\n")
    git(person.root, "add", "calc.py")
    async with screen_of(person, mode="edits") as screen:
        await worked(screen, server)
        await reviewed(screen)
        server.script.append(answer("Say two"))
        await screen.pilot.press("down", "down", "space", "c")
        await screen.see("Commit 2 parts of 2 files", "Say two")
        asked = server.requests[-1].decode()
        assert "+two" in asked
        assert "twenty-five" not in asked
        assert '"tools"' not in asked
        await screen.pilot.press("end", *" more", "ctrl+s")
        await screen.see("Committed.", "Say two more")
    assert git(person.root, "log", "-1", "--format=%s %an") == "Say two more Ann\n"
    assert git(person.root, "show", "HEAD:long.txt") == LINES.replace("line 2\n", "two\n")
    assert git(person.root, "show", "HEAD:src/new.txt") == "new\n"
    assert git(person.root, "diff", "--cached", "--name-only") == "calc.py\n"
    assert (person.root / "long.txt").read_text() == BOTH


async def test_a_model_that_fails_leaves_the_message_to_the_person(person: Person, server: ScriptedServer) -> None:
    named(person)
    async with screen_of(person, mode="edits") as screen:
        await worked(screen, server)
        await reviewed(screen)
        await screen.pilot.press("c")
        await screen.see("no message was proposed")
        await screen.pilot.press(*"mine", "ctrl+s")
        await screen.see("Committed.")
    assert git(person.root, "log", "-1", "--format=%s") == "mine\n"


async def test_a_hook_that_refuses_is_told_and_nothing_is_committed(person: Person, server: ScriptedServer) -> None:
    named(person)
    hook = person.root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho tests fail >&2\nexit 1\n")
    hook.chmod(0o755)
    async with screen_of(person, mode="edits") as screen:
        await worked(screen, server)
        await reviewed(screen)
        server.script.append(answer("Try"))
        await screen.pilot.press("c")
        await screen.see("Try")
        await screen.pilot.press("ctrl+s")
        await screen.see("tests fail")
        await screen.pilot.press("escape", "escape")
    assert git(person.root, "rev-list", "--count", "HEAD") == "2\n"


async def test_without_a_repository_no_commit_is_offered(person: Person, server: ScriptedServer) -> None:
    named(person)
    shutil.rmtree(person.root / ".git")
    async with screen_of(person, mode="edits") as screen:
        await worked(screen, server)
        await reviewed(screen)
        await screen.see("no git repository")
        await screen.pilot.press("c")
        assert "Commit" not in screen.text


async def test_a_turns_changes_are_seen_alone_and_an_empty_review_says_so(person: Person, server: ScriptedServer) -> None:
    named(person)
    async with screen_of(person, mode="edits", size=(60, 24)) as screen:
        await screen.pilot.press("f7")
        await screen.see("Nothing is changed here")
        await screen.pilot.press("escape")
        await worked(screen, server)
        server.script += [answer("", calls=[("write", {"path": "b.txt", "content": "b\n"})]), answer("And done.")]
        await screen.say("more")
        await screen.see("And done.")
        await screen.pilot.press("f7")
        await screen.see("3 files")
        await screen.pilot.press("tab")
        await screen.see("changes of turn 2", "1 file", "b.txt")
        assert all(len(line) <= 60 for line in screen.text.split("\n"))


async def test_the_editor_is_opened_where_a_hunk_changes_something(person: Person, server: ScriptedServer) -> None:
    named(person)
    async with screen_of(person, mode="edits") as screen:
        await worked(screen, server)
        review = await reviewed(screen)
        assert [first_line(review._picked[0].block, hunk) for hunk in (0, 1)] == [2, 25]
        await screen.pilot.press("down", "down", "e")
        await screen.see("there is no terminal here")
