"""That searching finds the same with ripgrep and without."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ctypes import CDLL
from functools import partial
from pathlib import Path

import pytest

from agent.errors import ToolFailure
from agent.workspace.contract import Found, Located, Place, View
from agent.workspace.globs import matching
from agent.workspace.lines import LARGEST
from agent.workspace.local import LocalWorkspace
from agent.workspace.locating import Locating
from agent.workspace.paths import Paths
from agent.workspace.plain import Plain
from agent.workspace.ripgrep import Ripgrep
from agent.workspace.sandbox import shim
from agent.workspace.search import Engine, Query, Stop, search
from agent.workspace.walk import Walk, spec

FILES = {
    ".git/config": b"needle\n",
    ".github/workflows/ci.yml": b"run: needle\n",
    ".gitignore": b"*.log\n!keep.log\nnode_modules/\n/build\n",
    ".ignore": b"src\n",
    "a.py": b"needle = 1\n# Needle\nother\nneedle(2)\n",
    "b.bin": b"needle\n" + b"x" * 70_000 + b"\0",
    "bom.txt": b"\xef\xbb\xbfneedle at the start\n",
    "build/out.txt": b"needle\n",
    "crlf.txt": b"one needle\r\ntwo\r\n",
    "debug.log": b"needle\n",
    "deep/er/est/c.ts": "打字 needle\n\tÉé needle".encode(),
    "deep/.gitignore": b"secret.txt\n!debug.log\n",
    "deep/debug.log": b"needle\n",
    "deep/secret.txt": b"needle\n",
    "empty.txt": b"",
    "keep.log": b"needle\n",
    "latin.txt": b"caf\xe9 needle\n",
    "long.js": b"var x;" * 3000 + b"needle;" + b"var y;" * 3000 + b"\n",
    "node_modules/pkg/index.js": b"needle\n",
    "-dash [1].txt": b"needle\n",
    "new\nline.txt": b"needle\n",
    "src/one.js": b"1\n2\nneedle\n4\n5\nneedle\n7\n",
    "src/two.jsx": b"no\n",
    "utf16.txt": b"\xff\xfe" + "needle\nnot\n".encode("utf-16-le"),
}


def fill(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


@pytest.fixture(params=["repository", "folder"])
def tree(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    git = request.param == "repository"
    root = fill(tmp_path / "tree", {name: content for name, content in FILES.items() if git or not name.startswith(".git/")})
    # What lies above the workspace, and links, count for nothing.
    (tmp_path / ".gitignore").write_text("*\n")
    (root / "link.py").symlink_to("a.py")
    (root / "loop").symlink_to(".")
    return root


def ripgrep(root: Path) -> Ripgrep:
    found = Ripgrep.installed(root)
    assert found is not None
    return found


def engines(root: Path) -> list[Engine]:
    return [ripgrep(root), Plain()]


async def both(query: Query) -> dict[str, int]:
    """Search with both engines, expect the same of them, and return the counts."""
    one, other = [await search(engine, query) for engine in engines(query.root)]
    assert one == other
    return dict(one.counts)


async def test_what_is_ignored_binary_or_linked_is_not_searched(tree: Path) -> None:
    assert await both(Query("needle", tree, [tree])) == {
        "-dash [1].txt": 1,
        ".github/workflows/ci.yml": 1,
        "a.py": 2,
        "bom.txt": 1,
        "crlf.txt": 1,
        "deep/debug.log": 1,
        "deep/er/est/c.ts": 2,
        "keep.log": 1,
        "latin.txt": 1,
        "long.js": 1,
        "new\nline.txt": 1,
        "src/one.js": 2,
        "utf16.txt": 1,
    }


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("needle$", 12),
        ("^needle", 10),
        (r"\bneedle\(\d\)", 1),
        ("É.", 1),
        ("^.. needle", 1),
        ("(?<=one )needle", 1),
        ("[[]|x*y{2}", 0),
        ("", 33),
        ("needle|other", 17),
        (r"\w\w needle", 3),
        ("--files", 0),
    ],
)
async def test_both_engines_take_the_same_regular_expressions(tree: Path, pattern: str, count: int) -> None:
    assert sum((await both(Query(pattern, tree, [tree]))).values()) == count


@pytest.mark.parametrize("context", [0, 1, 3])
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
async def test_both_engines_tell_the_same_lines(tree: Path, context: int, limit: int) -> None:
    query = Query("needle", tree, [tree], context=context, limit=limit)
    assert sum((await both(query)).values()) == 16
    found = await search(Plain(), query)
    assert sum(not line.context for line in found.matches) == min(limit, 16)


async def test_lines_come_with_their_neighbours_in_order(tree: Path) -> None:
    for engine in engines(tree):
        found = await search(engine, Query("needle", tree, [tree / "src"], context=1))
        assert [(line.path, line.line, line.text, line.context) for line in found.matches] == [
            ("src/one.js", 2, "2", True),
            ("src/one.js", 3, "needle", False),
            ("src/one.js", 4, "4", True),
            ("src/one.js", 5, "5", True),
            ("src/one.js", 6, "needle", False),
            ("src/one.js", 7, "7", True),
        ]


async def test_of_a_long_line_the_surroundings_of_the_match_are_told(tree: Path) -> None:
    for engine in engines(tree):
        (line,) = (await search(engine, Query("needle", tree, [tree / "long.js"]))).matches
        assert "needle" in line.text
        assert len(line.text) == 402


async def test_case_can_be_ignored(tree: Path) -> None:
    assert (await both(Query("NEEDLE", tree, [tree / "a.py"], ignore_case=True))) == {"a.py": 3}
    assert (await both(Query("éé", tree, [tree / "deep"], ignore_case=True))) == {"deep/er/est/c.ts": 1}
    assert (await both(Query("NEEDLE", tree, [tree]))) == {}


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("*.py", {"a.py"}),
        ("*.log", {"keep.log", "deep/debug.log"}),
        ("*.{py,js}", {"a.py", "long.js", "src/one.js"}),
        ("src/*", {"src/one.js"}),
        ("/src/*.js", {"src/one.js"}),
        ("**/*.ts", {"deep/er/est/c.ts"}),
        ("deep/**", {"deep/er/est/c.ts", "deep/debug.log"}),
        ("deep/", {"deep/er/est/c.ts", "deep/debug.log"}),
        ("?.[pt][ys]", {"a.py", "deep/er/est/c.ts"}),
        ("*.js/", set()),
        ("src", set()),
        ("ROOT/src/*.js", {"src/one.js"}),
        ("!ROOT/**", set()),
        (
            "!{src,deep,.github}",
            {"-dash [1].txt", "a.py", "bom.txt", "crlf.txt", "keep.log", "latin.txt", "long.js", "new\nline.txt", "utf16.txt"},
        ),
        ("{src,deep}/**", {"src/one.js", "deep/er/est/c.ts", "deep/debug.log"}),
        (
            "!*.txt",
            {".github/workflows/ci.yml", "a.py", "deep/debug.log", "deep/er/est/c.ts", "keep.log", "long.js", "src/one.js"},
        ),
    ],
)
async def test_a_glob_narrows_and_brings_nothing_back(tree: Path, glob: str, expected: set[str]) -> None:
    glob = glob.replace("ROOT", str(tree))
    assert (await both(Query("needle", tree, [tree], glob=glob))).keys() == expected


async def test_what_is_asked_for_by_name_is_searched_even_if_ignored(tree: Path) -> None:
    assert await both(Query("needle", tree, [tree / "node_modules"])) == {"node_modules/pkg/index.js": 1}
    assert await both(Query("needle", tree, [tree / "debug.log"])) == {"debug.log": 1}
    assert await both(Query("needle", tree, [tree / "deep"])) == {"deep/debug.log": 1, "deep/er/est/c.ts": 2}
    assert await both(Query("needle", tree, [tree / "b.bin", tree / "utf16.txt"])) == {"utf16.txt": 1}


async def test_what_may_not_be_seen_is_not_even_counted(tree: Path) -> None:
    query = Query("needle", tree, [tree / "src", tree / "a.py"], shown=lambda paths: [one for one in paths if "src" in one])
    assert await both(query) == {"src/one.js": 2}


async def test_a_file_too_large_to_show_is_counted_and_named_or_said_to_be_missing(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"needle\n" * 3 + (b"x" * 127 + b"\n") * (LARGEST // 128))
    (tmp_path / "b.txt").write_text("needle\n")
    query = Query("needle", tmp_path, [tmp_path], limit=2)
    found = await search(ripgrep(tmp_path), query)
    assert found.counts == {"a.log": 3, "b.txt": 1}
    assert [one.path for one in found.matches] == ["b.txt"]
    assert found.large == ("a.log",)
    assert not found.partial
    plain = await search(Plain(), query)
    assert plain.counts == {"b.txt": 1}
    assert plain.partial


async def test_outside_the_workspace_paths_are_told_whole(tree: Path, tmp_path: Path) -> None:
    outside = fill(tmp_path / "outside", {"x.txt": b"needle\n"})
    assert await both(Query("needle", tree, [outside])) == {str(outside / "x.txt"): 1}


@pytest.mark.parametrize("pattern", ["(", "[", "*a", "(?P<x>a)(?P<x>b)", "(?<=a", r"\p{Foo}"])
async def test_a_bad_pattern_is_a_failure_of_one_line(tree: Path, pattern: str) -> None:
    for engine in engines(tree):
        with pytest.raises(ToolFailure, match=r"^The pattern is no regular expression: [^\n]+\.$"):
            await search(engine, Query(pattern, tree, [tree]))


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"\d{1000}{1000}", "The pattern is too large: "),
        ("(", "unclosed group"),
        ("(?<=a*)b", "length of lookbehind assertion is not limited"),
    ],
)
async def test_ripgrep_says_what_is_wrong_with_a_pattern(tmp_path: Path, pattern: str, words: str) -> None:
    with pytest.raises(ToolFailure, match=words) as told:
        await search(ripgrep(tmp_path), Query(pattern, tmp_path, [tmp_path]))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("glob", ["foo:bar.txt", "include:x", "a,b}", "{a,}.txt", "{,a}*", "[[]x", "é?.txt", "?.*", "*.{txt,py}"])
async def test_a_glob_of_any_kind_is_read_alike(tmp_path: Path, glob: str) -> None:
    names = ["foo:bar.txt", "include:x", "a,b}", "a.txt", ".txt", "[x", "éé.txt", "é.py", "a/é.x"]
    root = fill(tmp_path, dict.fromkeys(names, b"needle\n"))
    counts = await both(Query("needle", root, [root], glob=glob))
    assert counts.keys() == {name for name in names if matching(glob)(name)} != set()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[[:alpha:]]oo", {"foo"}),
        ("[^[:alpha:]]oo", {"1oo", "[oo", "éoo"}),
        ("[[:digit:][:punct:]]oo", {"1oo", "[oo"}),
        ("[[]oo", {"[oo"}),
        ("[[({]oo", {"[oo"}),
        ("[f[]oo", {"foo", "[oo"}),
        (r"[\[\]]oo", {"[oo"}),
        ("[]f]oo", {"foo"}),
    ],
)
async def test_classes_mean_the_same_to_both_engines(tmp_path: Path, pattern: str, expected: set[str]) -> None:
    root = fill(tmp_path, {name: name.encode() for name in ("foo", "1oo", "[oo", "éoo")})
    assert (await both(Query(pattern, root, [root]))).keys() == expected


@pytest.mark.parametrize("pattern", ["[a[f]]oo", r"[\w&&f]", "[a-z--b]", "[[:^alpha:]]", "[a~~b]"])
async def test_what_would_mean_something_else_to_python_is_a_failure_that_says_so(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ToolFailure, match="is not known here"):
        await search(Plain(), Query(pattern, tmp_path, [tmp_path]))


FOR_EVER = "(a+)+$"


async def test_a_pattern_that_takes_for_ever_is_ended_when_its_time_is_up(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": b"aa\n", "b": b"a" * 40 + b"!\n"})
    for seconds in (0.5, 2, 8):  # on a busy machine the first is over before anything was read
        found = await search(Plain(), Query(FOR_EVER, root, [root], seconds=seconds))
        assert found.partial
        if found.counts:
            break
    assert found.counts == {"a": 1}
    assert [match.text for match in found.matches] == ["aa"]


class Heard(Stop):
    """Says when a program begins."""

    def __init__(self, began: Callable[[], object]) -> None:
        super().__init__(1000)
        self._began = began

    @contextmanager
    def holding(self, program: subprocess.Popen[bytes]) -> Iterator[None]:
        with super().holding(program):
            self._began()
            yield


async def test_a_pattern_that_takes_for_ever_holds_nothing_up_and_can_be_stopped(tmp_path: Path) -> None:
    root = fill(tmp_path, {"b": b"a" * 40 + b"!\n"})
    began = asyncio.Event()
    stop = Heard(partial(asyncio.get_running_loop().call_soon_threadsafe, began.set))
    async with asyncio.timeout(10):
        searching = asyncio.create_task(asyncio.to_thread(Plain().search, Query(FOR_EVER, root, [root]), stop))
        await began.wait()
        stop.now()
        assert (await searching).partial


@pytest.mark.parametrize("glob", ["[a", "{a,b", "[z-a]", "{a,b}" * 10, "x" * 3000])
async def test_a_bad_glob_is_a_failure_that_names_it(tree: Path, glob: str) -> None:
    for engine in engines(tree):
        with pytest.raises(ToolFailure, match=re.escape(glob[:60])):
            await search(engine, Query("x", tree, [tree], glob=glob))


@pytest.mark.parametrize("glob", ["/etc/*.conf", "!/etc/*", "../*.py", "src/../../*.py"])
async def test_a_glob_that_leads_out_is_a_failure_that_says_so(tree: Path, glob: str) -> None:
    for engine in engines(tree):
        with pytest.raises(ToolFailure, match="globs are relative to the workspace"):
            await search(engine, Query("x", tree, [tree], glob=glob))


async def test_a_program_of_the_workspace_or_the_person_changes_nothing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "rgrc").write_text("--invert-match\n")
    monkeypatch.setenv("RIPGREP_CONFIG_PATH", str(tree / "rgrc"))
    assert await both(Query("needle", tree, [tree / "src"])) == {"src/one.js": 2}


async def test_a_search_whose_time_is_up_says_that_it_is_partial(tree: Path) -> None:
    for engine in engines(tree):
        assert (await search(engine, Query("needle", tree, [tree], seconds=0))).partial


@pytest.mark.skipif(not hasattr(os, "mkfifo") or os.geteuid() == 0, reason="root reads everything")
async def test_what_cannot_be_read_makes_the_answer_partial(tree: Path) -> None:
    (tree / "src" / "one.js").chmod(0)
    for engine in engines(tree):
        assert (await search(engine, Query("needle", tree, [tree]))).partial


class Slow:
    """Runs a program that would go on for long, as ripgrep would on a slow disk."""

    def __init__(self, program: Path, started: asyncio.Event) -> None:
        self._inner = Ripgrep(program)
        self._started = started
        self._loop = asyncio.get_running_loop()
        self.ended = asyncio.Event()

    def search(self, query: Query, stop: Stop) -> Found:
        self._loop.call_soon_threadsafe(self._started.set)
        try:
            return self._inner.search(query, stop)
        finally:
            self._loop.call_soon_threadsafe(self.ended.set)

    def files(self, query: Query, stop: Stop) -> tuple[list[str], bool]:
        return self._inner.files(query, stop)


def test_where_there_is_no_time_to_see_all_files_some_are_listed(tmp_path: Path) -> None:
    for age, name in enumerate(("a.py", "b.py", "c.py")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, ns=(age, age))
    program = tmp_path / "rg"
    program.write_text(
        "#!/bin/sh\n[ \"$8\" = --sortr=modified ] && exec sleep 1000\nprintf './a.py\\0./c.py\\0./b'\nexec sleep 1000\n"
    )
    program.chmod(0o755)
    listed = Ripgrep(program).files(Query("", tmp_path, [tmp_path]), Stop(0.6))
    assert listed == ([str(tmp_path / "c.py"), str(tmp_path / "a.py")], True)


async def test_cancelling_ends_the_program(tree: Path, tmp_path: Path) -> None:
    program = tmp_path / "rg"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    slow = Slow(program, asyncio.Event())
    task = asyncio.create_task(search(slow, Query("x", tree, [tree])))
    async with asyncio.timeout(10):
        await slow._started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await slow.ended.wait()


@pytest.mark.parametrize("start", [".", "src", "build", "deep"])
def test_both_engines_list_the_same_files(tree: Path, start: str) -> None:
    listed = [engine.files(Query("", tree, [tree / start]), Stop(10)) for engine in engines(tree)]
    one, other = (sorted(files) for files, _ in listed)
    assert one == other == sorted(Walk(tree).files(tree / start))
    assert one
    assert [partial for _, partial in listed] == [False, False]
    for age, path in enumerate(reversed(one)):
        os.utime(path, ns=(age, age))
    assert [engine.files(Query("", tree, [tree / start]), Stop(10))[0] for engine in engines(tree)] == [one, one]
    some, _ = ripgrep(tree).files(Query("", tree, [tree], glob="*.txt"), Stop(10))
    assert {Path(path).suffix for path in some} == {".txt"}


def test_a_listed_file_is_located_as_any_other(tree: Path, tmp_path: Path) -> None:
    odd = {
        "credentials.json": b"",
        "Makefile": b"",
        ".env": b"",
        "caf\u00e9.py": b"",
        "state/a.py": b"",
        "secrets/sub/b.bin": b"",
    }
    fill(tree, odd | {".ssh/sub/key": b"", ".docker/config.json": b""})
    hidden = (tree / "state", tree / "src" / "one.js")
    paths = Paths(tree, tree / "src", spill=tmp_path / "spill", add_dirs=(), hidden=hidden, person=tree)
    locate = Locating(paths)
    every = [path for path in (*tree.rglob("*"), tree / "loop" / "a.py", tmp_path / "beyond.py") if not path.is_dir()]
    assert len(every) > 30
    for path in every:
        assert locate(str(path)) == paths.locate(str(path))


def test_a_listed_file_is_as_secret_and_hidden_by_any_spelling_of_its_folder(tmp_path: Path) -> None:
    root, etc = tmp_path / "root", tmp_path / "etc"
    names = ("Own/state/log.py", "own/STATE/log.py", ".ssh./a", ".\u017fsh/a", ".AWS /x y/a", "id_rsa ", ".env.", "sub/a.py")
    fill(root, dict.fromkeys(names, b""))
    fill(etc, {"passwd": b"", "a.py": b""})
    paths = Paths(root, root, spill=tmp_path / "spill", add_dirs=(etc,), hidden=(root / "OWN" / "State",), person=None)
    listed = [str(path) for path in (*root.rglob("*"), *etc.rglob("*")) if path.is_file()]
    locate = Locating(paths)
    assert {path: locate(path) for path in listed} == {path: paths.locate(path) for path in listed}
    open_ = View(lambda located: not located.secret, plain=True)
    assert sorted(Locating(paths).shown(open_, listed)) == [str(etc / "a.py"), str(root / "sub/a.py")]


def test_of_what_is_listed_that_is_shown_which_may_be(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path, spill=tmp_path / "spill", add_dirs=(), hidden=(tmp_path / "state",), person=tmp_path)
    folders = ("", "src/", ".github/", "secrets/", ".ssh/", "state/", "node_modules/.claude/")
    stems = (
        "a",
        "a.b",
        "A-1",
        "_",
        ".env",
        ".env.a",
        "id_rsa",
        "AGENTS",
        "sitecustomize",
        "secret",
        "private-key",
        "caf\u00e9",
        "a b",
    )
    ends = ("", ".py", ".PY", ".md", ".ts", ".pem", ".json", ".txt", ".pth", ".py.bak", ".lock", ".py ", "\n.py")
    listed = [f"{tmp_path}/{folder}{stem}{end}" for folder in folders for stem in stems for end in ends]
    asked: list[str] = []

    def shows(located: Located) -> bool:
        asked.append(located.asked)
        return located.place is Place.INSIDE and not located.secret

    known = {path: paths.locate(path) for path in listed}
    for plain in (True, False):
        found = Locating(paths).shown(View(shows, plain=plain), listed)
        assert found == [path for path in listed if known[path].place is Place.INSIDE and not known[path].secret]
    # Of what lies inside by a name that means nothing it is not asked; of the rest it is, and of all where a rule may be of any.
    spared = [path for path in listed if asked.count(path) == 1]
    assert f"{tmp_path}/src/a.b.py" in spared
    assert all(known[path].place is Place.INSIDE and not known[path].secret for path in spared)


@pytest.mark.skipif(not sys.platform.startswith("linux") or shim.version(CDLL(None)) < 1, reason="the kernel has no Landlock")
@pytest.mark.parametrize("begins", ["outside", "root/own"])
async def test_a_folder_that_becomes_a_link_while_it_is_searched_shows_nothing_else(tmp_path: Path, begins: str) -> None:
    """A command beside the turn can flip them so often that one search in ten would come upon it."""
    root, elsewhere = tmp_path / "root", tmp_path / begins
    fill(root, {"a/x.txt": b"needle here\n", "b/x.txt": b"needle here\n", "other.txt": b"needle\n"})
    fill(elsewhere, {"x.txt": b"needle and a secret\n"})

    def flip() -> None:
        (root / "a").rename(root / "was")
        (root / "a").symlink_to(elsewhere)

    def shows(located: Located) -> bool:
        if located.real.parent.name == "a":
            somebody.submit(flip).result()
        return True

    somebody = ThreadPoolExecutor(1)  # whose rights are not those of the search
    somebody.submit(int).result()

    for engine in engines(root):
        place = LocalWorkspace(root, root, spill=tmp_path / "spill", environment={}, hidden=(elsewhere,), engine=engine)
        found = await place.search(
            "needle", paths=[place.locate(".")], glob="", context=0, ignore_case=False, limit=9, view=View(shows)
        )
        assert {match.path for match in found.matches} >= {"b/x.txt", "other.txt"}
        assert not [match for match in found.matches if "secret" in match.text]
        assert found.partial
        await place.close()
        (root / "a").unlink()
        (root / "was").rename(root / "a")
    somebody.shutdown()


def test_walking_a_tree_yields_its_files_once(tree: Path) -> None:
    found = list(Walk(tree).files(tree))
    assert len(found) == len(set(found))
    assert str(tree / "src/two.jsx") in found
    assert not [path for path in found if "/.git/" in path or "node_modules" in path or "loop" in path]


def test_rules_end_where_another_repository_begins(tmp_path: Path) -> None:
    fill(tmp_path, {".git/HEAD": b"", ".gitignore": b"*.log\n", "sub/.git": b"gitdir: x\n", "sub/a.log": b"", "b.log": b""})
    assert list(Walk(tmp_path).files(tmp_path / "sub")) == [str(tmp_path / "sub/a.log")]
    assert sorted(Walk(tmp_path).files(tmp_path)) == [str(tmp_path / ".gitignore"), str(tmp_path / "sub/a.log")]


HOSTILE_GLOBS = ["*a*a*a*a*a*a*a*a*b", "**/a/" * 9 + "b", "**/" * 40 + "b", "*?[a-c]*[!x]*[ab]*?*a*b", "{a,*a}" * 8 + "b"]
HOSTILE_PATHS = ["a" * 200, "a/" * 200 + "c", "aaaaa/" * 40]


@pytest.mark.parametrize("glob", HOSTILE_GLOBS)
def test_no_glob_and_no_gitignore_takes_long(glob: str) -> None:
    began = time.process_time()
    rules = spec(glob.encode())
    assert not any(rules.match_file(path) for path in HOSTILE_PATHS)
    assert not any(map(matching(glob), HOSTILE_PATHS))
    assert time.process_time() - began < 1


def test_a_gitignore_that_is_huge_or_no_file_takes_no_long_time(tmp_path: Path) -> None:
    fill(tmp_path, {"a/.gitignore": b"*a" * 500_000, "b/.gitignore": b"".join(b"*%d\n" % number for number in range(150_000))})
    os.mkfifo(tmp_path / ".gitignore")
    began = time.process_time()
    assert len(list(Walk(tmp_path).files(tmp_path))) == 2
    assert time.process_time() - began < 5


def test_an_odd_line_of_a_gitignore_leaves_the_others_alone(tmp_path: Path) -> None:
    rules = b"[z-a]\n[a-\\]\nsp2\\ \nfoo\\\n!\n*.log\r\n[!a]x\n"
    fill(tmp_path, {".gitignore": rules, "a.log": b"", "sp2 ": b"", "foo\\": b"", "d/x": b"", "bx": b"", "ax": b""})
    found = {path.removeprefix(f"{tmp_path}/") for path in Walk(tmp_path).files(tmp_path)}
    assert found == {".gitignore", "foo\\", "d/x", "ax"}


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("", "any/thing", True),
        ("*a*a*b", "xaxaxb", True),
        ("*a*ab*b", "aaabab", True),
        ("*[ab]*?c", "abbc", True),
        ("*a*ba", "aba", True),
        ("*a*a*", "bab", False),
        ("a/**/b/**/c", "a/b/x/b/y/c", True),
        ("a/**/b/*/**/c", "a/b/c", False),
        ("**/**/x", "x", True),
        ("{a,b{c,d}}*{e,f}", "bdxf", True),
        ("{a,b{c,d}}*{e,f}", "bxf", False),
        ("{**/x,y}.py", "a/b/x.py", True),
        (r"\{a,b\}", "{a,b}", True),
        ("[{]a,b", "{a,b", True),
        ("*.py", "a/b.py", True),
        ("a/*.py", "a/b/c.py", False),
        ("a/**/c.py", "a/c.py", True),
        ("a/**/c.py", "a/b/b/c.py", True),
        ("a.c", "abc", False),
        (r"\*.py", "x.py", False),
        (r"\*.py", "*.py", True),
        ("[!a].py", "b.py", True),
        ("[!a].py", "a.py", False),
        ("[]]", "]", True),
        ("x[!a]y", "x/y", False),
        ("{a,b/c}.txt", "b/c.txt", True),
        ("!*.py", "a.txt", True),
        ("!*.py", "a.py", False),
        ("!tests", "tests/deep/a.py", False),
        ("!tests", "src/tests/a.py", False),
        ("!src/*", "src/deep/er/a.py", False),
        ("!src/deep", "other/src/deep/a.py", True),
        ("!tests", "mytests/a.py", True),
        ("!.*", ".github/workflows/ci.yml", False),
        ("!.*", "../a.py", True),
        ("tests", "tests/a.py", False),
        ("a,b}", "a,b}", True),
        ("./src/*", "src/x", True),
    ],
)
def test_globs_match_as_in_gitignore(glob: str, path: str, expected: bool) -> None:
    assert matching(glob)(path) is expected
