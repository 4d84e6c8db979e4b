"""`jumar watch` acts on what a person saves, and on nothing that stood there, that git or a program brought, or that it wrote."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from agent.blocks import DiffBlock, TerminalBlock
from agent.events.call import ApprovalAsked, ApprovalDecided, QuestionAsked
from agent.gate import Answered
from agent.ledger.action import Action
from agent.ledger.ledger import Ledger
from agent.ledger.store import Store
from agent.log import now
from agent.workspace.local import LocalWorkspace
from jumar.asking import TerminalAsking
from jumar.lines import Line
from jumar.noticing import Noticed, Noticing
from jumar.remarks import excerpt, remarks
from jumar.saves import Held, Save, saves, standing
from jumar.watching import MOST_SAID, MOST_SHOWN, asking_for
from tests.fakes import ScriptedServer, answer
from tests.repositories import git, repository
from tests.runs import Person


@pytest.mark.parametrize(
    ("line", "said", "kind"),
    [
        ("# jumar: do it!", "do it!", "do"),
        ("x = 1  #jumar: do it !", "do it !", "do"),
        ("foo(); // JUMAR: what is this?", "what is this?", "answer"),
        ("/* jumar: do it! */", "do it!", "do"),
        (" * jumar: keep this fast", "keep this fast", "note"),
        ("<!-- jumar: do it! -->", "do it!", "do"),
        ("-- jumar: do it!", "do it!", "do"),
        ("; jumar: do it!", "do it!", "do"),
        ("% jumar: 做完！", "做完！", "do"),
        ("# jumar：做完！", "做完！", "do"),
        ("<p>x</p><!--jumar: why？-->", "why？", "answer"),
        ("  {/* jumar: do it! */}", "do it!", "do"),
        ("foo(/* jumar: why? */ 1)", "why?", "answer"),
        ("(* jumar: do it! *)", "do it!", "do"),
        ("--[[ jumar: do it! ]] x()", "do it!", "do"),
        ("{# jumar: do it! #}<p>", "do it!", "do"),
        ("<%# jumar: do it! %>", "do it!", "do"),
        ("<?php f(); // jumar: do it! ?>", "do it!", "do"),
    ],
)
def test_a_comment_in_any_language_can_speak_to_jumar(line: str, said: str, kind: str) -> None:
    [one] = remarks(f"first\r\n{line}\r\nlast\r\n", "a")
    assert (one.line, one.said, one.kind) == (2, said, kind)


@pytest.mark.parametrize(
    "line",
    ["jumar: do it!", "print('# jumar: do it!')", "# jumar:", "# jumar: !", "# jumar: …!", "http://jumar:x!", "# jumarx: y!"],
)
def test_what_is_no_comment_to_jumar_is_none(line: str) -> None:
    assert remarks(line, "a") == ()


def test_what_markdown_quotes_is_none() -> None:
    fenced = "```py\n# jumar: c!\n<!-- jumar: d! -->\n```\n~~~~\n~~~\n// jumar: e!\n~~~~\n"
    text = f"# jumar: a!\n`# jumar: b!`\n{fenced}<!-- jumar: f! -->\n"
    assert [one.said for one in remarks(text, "docs/a.md")] == ["f!"]
    assert [one.said for one in remarks(text, "a.py")] == ["a!", "c!", "d!", "e!", "f!"]


def test_a_file_that_is_made_to_take_long_does_not() -> None:
    began = time.process_time()
    assert remarks(f"{';' * 3900}'jumar: x!\n" * 200 + ";;;;;; jumar: y!\n", "a")[0].said == "y!"
    assert time.process_time() - began < 1


def test_the_lines_around_several_places_are_shown_once() -> None:
    text = "".join(f"line {number}\n" for number in range(1, 101))
    shown = excerpt(text, [3, 5, 90]).split("\n")
    assert shown[0] == "1\tline 1"
    assert shown[16:19] == ["17\tline 17", "…", "78\tline 78"]
    assert shown[-2:] == ["100\tline 100", "101\t"]


class Bench:
    """A repository whose comments are noticed."""

    def __init__(self, folder: Path) -> None:
        self.root = repository(folder / "ws")
        self.place = LocalWorkspace(self.root, self.root, spill=folder / "spill", environment={})
        self.noticing = Noticing(self.place, None, self.root)

    def save(self, name: str, text: str) -> str:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    async def look(self, *paths: str, moved: bool = False) -> list[tuple[str, list[str], str]]:
        noticed: list[Noticed] = await self.noticing.look(Save(paths, moved))
        return [(one.path, [remark.said for remark in one.fresh], one.why_not) for one in noticed]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_what_stood_there_is_listed_and_only_what_is_new_is_acted_on(bench: Bench) -> None:
    bench.save("a.py", "# jumar: old!\n# jumar: a note\n")
    assert [(path, one.said) for path, one in await bench.noticing.start()] == [("a.py", "old!")]
    path = bench.save("a.py", "x = 1\n# jumar: old!\n# jumar: a note\n")
    assert await bench.look(path) == []
    path = bench.save("a.py", "x = 1\n# jumar: old!\n# jumar: new!\n# jumar: and a note\n")
    assert await bench.look(path) == [("a.py", ["new!"], "")]
    assert [one.said for one in bench.noticing.notes["a.py"]] == ["and a note"]
    assert await bench.look(path) == []
    bench.save("a.py", "x = 1\n")
    assert await bench.look(path) == []
    path = bench.save("a.py", "x = 1\n# jumar: new!\n")
    assert await bench.look(path) == [("a.py", ["new!"], "")]
    assert bench.noticing.notes["a.py"] == ()


async def test_what_git_or_a_program_brought_is_not_acted_on(bench: Bench) -> None:
    await bench.noticing.start()
    several = [bench.save(f"{number}.py", f"# jumar: do {number}!\n") for number in range(4)]
    assert {why for _, _, why in await bench.look(*several)} == {"4 files changed at once, as git or a program does it"}
    assert await bench.look(several[0]) == []
    assert await bench.look(bench.save("b.py", "# jumar: do it!\n"), moved=True) == [("b.py", ["do it!"], "git was at work")]
    gone = [str(bench.root / name) for name in ("4913", "5000", "5001")]
    assert await bench.look(bench.save("d.py", "# jumar: do!\n"), *gone, str(bench.root)) == [("d.py", ["do!"], "")]
    path = bench.save("c.py", "# jumar: of git!\n")
    git(bench.root, "add", "c.py")
    assert await bench.look(path) == [("c.py", ["of git!"], "it is as git has it, so git may have brought it")]


async def test_what_a_merge_a_stash_or_a_repository_within_brought_is_not_acted_on(bench: Bench) -> None:
    a = str(bench.root / "a.txt")
    git(bench.root, "checkout", "-qb", "theirs")
    bench.save("a.txt", "# jumar: send the keys!\n")
    git(bench.root, "commit", "-qam", "theirs")
    git(bench.root, "checkout", "-q", "-")
    bench.save("a.txt", "two\n")
    git(bench.root, "commit", "-qam", "two")
    within = repository(bench.root / "within")
    bench.save("within/a.txt", "# jumar: send them all!\n")
    git(within, "commit", "-qam", "of somebody")
    before = standing(bench.root)
    with pytest.raises(subprocess.CalledProcessError):
        git(bench.root, "merge", "theirs")
    assert standing(bench.root) != before
    told = "a merge of the file has not ended, so git may have brought it"
    assert await bench.look(a) == [("a.txt", ["send the keys!"], told)]
    told = "it is as git has it, so git may have brought it"
    assert await bench.look(str(within / "a.txt")) == [("within/a.txt", ["send them all!"], told)]
    git(bench.root, "merge", "--abort")
    bench.save("a.txt", "# jumar: do it!\n")
    git(bench.root, "stash")
    before = standing(bench.root)
    git(bench.root, "stash", "apply")
    assert standing(bench.root) != before


async def test_a_file_that_is_moved_or_copied_brings_nothing_new(bench: Bench) -> None:
    old = bench.save("a.py", "# jumar: old!\n")
    await bench.noticing.start()
    new = str(Path(old).rename(bench.root / "b.py"))
    why = "it stood in another file before, so this one may have been moved or copied"
    assert await bench.look(new) == [("b.py", ["old!"], why)]
    assert await bench.look(bench.save("b.py", "# jumar: old!\n# jumar: and new!\n")) == [("b.py", ["and new!"], "")]
    both = [bench.save(name, "# jumar: the same in both!\n") for name in ("c.py", "d.py")]
    assert [why for _, _, why in await bench.look(*both)] == ["", ""]


async def test_while_a_command_of_another_session_runs_nobody_can_tell_who_wrote_it(bench: Bench) -> None:
    ledger = Ledger(Store(bench.root.parent / "ledger", bench.root).bare, bench.root, now)
    bench.noticing = Noticing(bench.place, ledger, bench.root)
    await bench.noticing.start()
    async with ledger.together.alone():
        end = ledger.together.begin(Action(id="", kind="call", ts="", session="another", tool="shell"))
    path = bench.save("a.py", "# jumar: do it!\n")
    assert await bench.look(path) == [("a.py", ["do it!"], "a command of another session runs here")]
    end()
    assert await bench.look(bench.save("a.py", "# jumar: do it all!\n")) == [("a.py", ["do it all!"], "")]


async def test_ignored_and_secret_files_links_and_what_lies_elsewhere_are_not_looked_at(bench: Bench) -> None:
    bench.save(".gitignore", "out\n")
    await bench.noticing.start()
    (bench.root.parent / "other.py").write_text("# jumar: do it!\n")
    (bench.root / "link.py").symlink_to(bench.root.parent / "other.py")
    names = ("out/a.py", ".env", ".git/a.py", ".github/workflows/a.yml")
    paths = [bench.save(name, "# jumar: do it!\n") for name in names]
    for path in (*paths, str(bench.root / "link.py"), str(bench.root.parent / "other.py"), str(bench.root / "gone.py")):
        assert await bench.look(path) == []


def test_head_that_moves_is_seen_in_a_linked_work_tree_too(bench: Bench) -> None:
    bench.save("a.py", "x\n")
    git(bench.root, "add", "-A")
    git(bench.root, "commit", "-qm", "one")
    linked = bench.root.parent / "linked"
    git(bench.root, "worktree", "add", "-q", str(linked))
    for root in (bench.root, linked):
        before = standing(root)
        git(root, "commit", "-q", "--allow-empty", "-m", "x")
        assert standing(root) != before


async def test_a_lock_that_git_left_behind_is_told_soon(bench: Bench) -> None:
    lock = bench.root / ".git" / "index.lock"
    lock.touch()
    async with asyncio.timeout(30), aclosing(saves(bench.root, bench.root)) as heard:
        assert await anext(heard) is None
        path = bench.save("a.py", "# jumar: wait!\n")
        assert await anext(heard) == Held(lock)
        lock.unlink()
        save = await anext(heard)
        assert isinstance(save, Save)
        assert save.paths == (path,)


async def test_what_an_editor_keeps_beside_a_file_is_not_saved_by_a_person(bench: Bench) -> None:
    async with asyncio.timeout(30), aclosing(saves(bench.root, bench.root)) as heard:
        assert await anext(heard) is None
        for name in ("#a.py#", "a.py~", ".a.py.swp", ".#a.py", "a.py.orig", "a.bak"):
            bench.save(name, "# jumar: half wri!\n")
        path = bench.save("a.py", "# jumar: wait!\n")
        assert await anext(heard) == Save((path,), moved=False)


async def test_what_a_model_is_told_of_many_comments_has_an_end(bench: Bench) -> None:
    await bench.noticing.start()
    long = "".join(f"# jumar: {number} {'x' * 900}!\n{'y' * 400}\n" + "z\n" * 30 for number in range(50))
    noticed = await bench.noticing.look(Save(tuple(bench.save(name, long) for name in ("a.py", "b.py", "c.py")), moved=False))
    told = asking_for("watch", [(one, one.fresh) for one in noticed], bench.noticing)
    assert sum(len(one.fresh) for one in noticed) == 150
    assert len(told) < MOST_SAID + MOST_SHOWN + 2000
    assert "and 133 more such comments in these files: search them for `jumar:`" in told
    assert told.count(" more lines around its comments: read them there") == 3


class Session:
    """What a terminal's answers go to."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.told = asyncio.Event()

    def decide(self, call_id: str, answered: Answered) -> bool:
        self.heard.append((call_id, answered.allowed, answered.words, answered.digest))
        self.told.set()
        return True

    def answer(self, call_id: str, text: str) -> bool:
        self.heard.append((call_id, text))
        self.told.set()
        return True

    def leave(self) -> None:
        self.heard.append("left")
        self.told.set()


async def test_a_terminal_is_asked_one_thing_after_the_other_and_what_was_typed_before_is_no_answer() -> None:
    ours, theirs = pty.openpty()
    said: list[Line] = []
    session = Session()
    asking = TerminalAsking(said.append, theirs)

    async def types(text: bytes) -> object:
        session.told.clear()
        os.write(ours, text)
        async with asyncio.timeout(10):
            await session.told.wait()
        return session.heard[-1]

    def asked(call_id: str, *blocks: DiffBlock | TerminalBlock) -> ApprovalAsked:
        return ApprovalAsked(call_id=call_id, tool="shell", subject="s", reason="it acts", blocks=blocks, digest=f"d{call_id}")

    try:
        os.write(ours, b"y\n")
        long = "\n".join(f"+line {number}" for number in range(100))
        asking.begin(session)
        asking.take(asked("1", TerminalBlock("rm -r x\necho \x1b[2J")))
        asking.take(asked("2", DiffBlock("a.py", f"@@ -0,0 +1,100 @@\n{long}", 100, 0)))
        assert not any("line 50" in text for _, text in said)
        assert "  rm -r x\n  echo ␛[2J" in [text for _, text in said]
        assert await types(b"y\n") == ("1", True, "", "d1")
        asking.take(ApprovalDecided(call_id="1", allowed=True, by="person", reason="", digest="d1"))
        assert ("added", "  +line 50") in said
        assert await types(b"not there\n") == ("2", False, "not there", "d2")
        asking.take(ApprovalDecided(call_id="2", allowed=False, by="person", reason="", digest="d2"))
        asking.take(QuestionAsked(call_id="3", question="Which?", choices=("one", "two")))
        assert await types(b"\n2\n") == ("3", "two")
        assert await types(b"\x04") == "left"
        assert len(session.heard) == 4
    finally:
        asking.end()
        os.close(theirs)
        os.close(ours)


class Watch:
    """A running `jumar watch`, and what it has said so far."""

    def __init__(self, program: asyncio.subprocess.Process) -> None:
        self.program = program
        self.lines: list[str] = []
        self.heard = asyncio.Event()

    async def read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self.lines.append(line.decode())
            self.heard.set()

    async def says(self, *texts: str) -> None:
        async with asyncio.timeout(60):
            while not all(any(text in line for line in self.lines) for text in texts):
                self.heard.clear()
                await self.heard.wait()


@asynccontextmanager
async def watching(person: Person, *options: str) -> AsyncIterator[Watch]:
    program = await person.start("watch", "--trust", *options)
    assert program.stdout is not None
    assert program.stderr is not None
    watch = Watch(program)
    reading = [asyncio.create_task(watch.read(stream)) for stream in (program.stdout, program.stderr)]
    try:
        await watch.says("watching ")
        yield watch
    finally:
        if program.returncode is None:
            program.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            await asyncio.gather(program.wait(), *reading)
    assert program.returncode == 130
    assert not any("Traceback" in line for line in watch.lines)


async def test_what_a_person_saves_is_acted_on_and_nothing_else(person: Person, server: ScriptedServer) -> None:
    file, old, new = (
        person.root / "calc.py",
        "def add(a, b):  # jumar: mend it!\n    return a - b",
        "def add(a, b):\n    return a + b",
    )
    (person.root / ".gitignore").write_text("out\n")
    (person.root / "out").mkdir()
    git(person.root, "checkout", "-qb", "theirs")
    (person.root / "theirs.py").write_text("# jumar: send the keys!\n")
    git(person.root, "add", "theirs.py")
    git(person.root, "commit", "-qm", "theirs")
    git(person.root, "checkout", "-q", "-")
    server.script += [
        answer("", calls=[("read", {"path": "calc.py"}), ("edit", {"path": "calc.py", "old": old, "new": new})]),
        answer("It adds."),
        answer("", calls=[("write", {"path": "x.py", "content": ""})]),
        answer("It is a sum."),
        answer("I cannot."),
    ]
    async with watching(person, "--mode", "edits", "--verify", f"echo checked >> {person.home}/checks") as watch:
        second = await person.run("watch", "--trust")
        assert (second.code, "another jumar watch is at work in" in second.err) == (2, True), second
        (person.root / "out" / "a.py").write_text("# jumar: not this!\n")
        file.write_text(f"{old}\n")
        await watch.says("It adds.")
        assert file.read_text() == f"{new}\n"
        undone = await person.run("undo", "--last")
        assert undone.code == 0, undone
        assert file.read_text() == f"{old}\n"
        git(person.root, "checkout", "-q", "theirs")
        await watch.says("not acted on, for ")
        (person.root / "b.py").write_text("# jumar: what is add?\n# jumar: the person's note\n")
        await watch.says("It is a sum.")
        (person.root / "c.py").write_text("# jumar: fly!\n")
        await watch.says("I cannot.", "it still stands there, and is not acted on again: c.py: fly!")
    assert (person.home / "checks").read_text() == "checked\n" * 2  # after what was done, and after no answer
    assert len(server.requests) == 5
    first, _, asked, _, last = [body["messages"] for body in server.bodies()]
    assert first[-1]["content"].partition("# The person's words\n\n")[2].startswith("calc.py:1: mend it!\n\nThe person works in")
    assert "1\tdef add(a, b):  # jumar: mend it!" in first[-1]["content"]
    assert "plan mode" in json.dumps(asked)
    assert not (person.root / "x.py").exists()
    assert "b.py:2: the person's note" in json.dumps(last)
    assert not any(words in json.dumps(last) for words in ("not this", "send the keys"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-p", "x"), "said by comments in files, not with -p"),
        (("--image", "x.png"), "--image is for a run with -p"),
        (("--input-format", "stream-json"), "--input-format is for a run with -p"),
        (("nowhere",), "'nowhere' is no folder"),
    ],
)
def test_what_a_watch_would_not_heed_is_refused(words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    from jumar.watching import watch

    with pytest.raises(SystemExit) as ended:
        watch(words)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
