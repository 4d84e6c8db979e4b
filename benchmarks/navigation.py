"""Owns the table of what it costs to find one's way: `python benchmarks/navigation.py [FOLDER]`, with Django where none is given.

Twelve questions on a large package are answered twice: by an agent that has `search` and `read`, and by one that has `symbols`,
`outline` and `read` with `symbol=`. Both are programs, and know what they do: the first greps for definitions, reads windows of
lines and not files, looks at nothing twice, and where there are two ways takes the one that turned out cheaper. What is true is
told by Python's own parser; an answer that is not exactly that ends the run.
"""

import ast
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agent.code.index import Index
from agent.estimate import of_message
from agent.messages import Answer, Call, Reply
from agent.tool import AnyTool, Context
from agent.workspace.local import LocalWorkspace
from tools.outline import Outline
from tools.read import Read
from tools.search import Search
from tools.symbols import Symbols

PACKAGE = "django==5.2.8"
GOAL = 0.4
WINDOW = 40  # lines that are read at once
ABOVE = 20  # lines above a hit that are read to see what it stands in
Found = frozenset[tuple[str, ...]]
HEAD = re.compile(r"(\s*)(?:async\s+)?(?:def|class)\s+(\w+)")


@dataclass(slots=True)
class Agent:
    """One agent's calls on the way to an answer, and what they and their replies cost."""

    place: LocalWorkspace
    tools: dict[str, AnyTool]
    calls: int = 0
    tokens: int = 0
    seen: dict[str, dict[int, str]] = field(default_factory=dict)  # the lines that were read, by file

    async def call(self, tool_name: str, /, **given: object) -> str:
        """Call a tool and return its reply."""
        tool = self.tools[tool_name]
        arguments = tool.arguments.model_validate(given)
        reply = (await tool.run(arguments, Context(self.place, lambda text: None, nobody))).text
        said = Call(str(self.calls), tool_name, arguments.model_dump_json(exclude_defaults=True))
        self.calls += 1
        self.tokens += of_message(Answer("", calls=(said,))) + of_message(Reply(said.id, tool_name, reply))
        return reply

    async def grep(self, pattern: str, path: str, **given: object) -> list[tuple[str, int, str]]:
        """Search, and return path, line and text of each hit."""
        text = await self.call("search", pattern=pattern, path=path, **given)
        parts = [line.split(":", 2) for line in text.splitlines() if re.match(r"[^\[:]+:\d+:", line)]
        return [(path, int(number), line) for path, number, line in parts]

    async def look(self, path: str, first: int, count: int) -> dict[int, str]:
        """Read lines, those alone that were not read yet, and return all that were."""
        lines = self.seen.setdefault(path, {})
        missing = [number for number in range(max(1, first), first + count) if number not in lines]
        if missing:
            text = await self.call("read", path=path, offset=missing[0], limit=missing[-1] - missing[0] + 1)
            for row in text.splitlines():
                number, tab, line = row.partition("\t")
                if tab and number.isdigit():
                    lines[int(number)] = line
        return lines


async def nobody(question: str, options: tuple[str, ...]) -> str:
    raise AssertionError(question)


@dataclass(frozen=True, slots=True)
class Question:
    """One question: its words, and who answers it. The ways of the first agent are tried, and the cheapest one counts."""

    words: str
    truth: Callable[[Path], Found]
    by_search: tuple[Callable[[Agent], Awaitable[Found]], ...]
    by_symbols: Callable[[Agent], Awaitable[Found]]


@dataclass(frozen=True, slots=True)
class Row:
    words: str
    by_search: int
    calls_by_search: int
    by_symbols: int
    calls_by_symbols: int


# What is true.


def modules(root: Path, below: str) -> Iterator[tuple[str, ast.Module]]:
    start = root / below
    for path in sorted(start.rglob("*.py")) if start.is_dir() else [start]:
        yield path.relative_to(root).as_posix(), ast.parse(path.read_bytes())


def within(tree: ast.AST, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], ast.AST]]:
    """Yield every node with the names of the definitions that it stands in."""
    for node in ast.iter_child_nodes(tree):
        yield above, node
        # What stands before the body, decorators and defaults, belongs to the definition too.
        inside = (*above, node.name) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else above
        yield from within(node, inside)


def defined(root: Path, below: str) -> Iterator[tuple[str, tuple[str, ...], ast.AST]]:
    for path, tree in modules(root, below):
        for above, node in within(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield path, (*above, node.name), node


def users(root: Path, below: str, name: str) -> Found:
    found = set()
    for path, tree in modules(root, below):
        for above, node in within(tree):
            used = (isinstance(node, ast.Name) and node.id == name) or (isinstance(node, ast.Attribute) and node.attr == name)
            if used and above:
                found.add((path, above[-1]))
    return frozenset(found)


def span(node: ast.AST) -> tuple[int, int]:
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    return min([node.lineno, *(one.lineno for one in node.decorator_list)]), node.end_lineno or 0


# The agent that searches and reads.


def ends(lines: dict[int, str], first: int, indent: int) -> int | None:
    """Return the last line of a definition whose head has been read, None where its end has not been."""
    last = first
    number = first + 1
    headed = lines[first].rstrip().endswith(":")
    while number in lines:
        line = lines[number]
        deep = len(line) - len(line.lstrip())
        if not headed:  # its head is on several lines
            headed = line.rstrip().endswith(":") and deep <= indent
            last = number
        elif line.strip():
            if deep <= indent:
                return last
            last = number
        number += 1
    return None


async def body(agent: Agent, path: str, line: int, text: str) -> Found:
    """Read a definition to its end, window by window."""
    indent = len(text) - len(text.lstrip())
    read = 0
    while True:
        lines = await agent.look(path, line + read, WINDOW)
        read += WINDOW
        last = ends(lines, line, indent)
        if last is None and line + read - 1 > max(lines):
            last = max(number for number in lines if lines[number].strip())
        if last is not None:
            return frozenset((path, str(number), lines[number]) for number in range(line, last + 1))


def defining(name: str, below: str) -> Callable[[Agent], Awaitable[Found]]:
    async def way(agent: Agent) -> Found:
        hits = await agent.grep(rf"^\s*(async def|def|class) {name}\b", below, glob="*.py")
        return frozenset((path, str(line)) for path, line, _ in hits)

    return way


def whole(name: str, below: str, of: str = "") -> Callable[[Agent], Awaitable[Found]]:
    """Read one definition; `of` is the class that it stands in, where others are called so too."""

    async def way(agent: Agent) -> Found:
        pattern = rf"^\s*(async def|def|class) {name}\b" + (rf"|^class {of}\b" if of else "")
        hits = await agent.grep(pattern, below, glob="*.py")
        if of:
            at = next(number for number, hit in enumerate(hits) if hit[2].startswith(f"class {of}"))
            hits = [hit for hit in hits[at + 1 :] if hit[0] == hits[at][0]]
        return await body(agent, *hits[0])

    return way


def method_line(of: str, name: str, below: str) -> Callable[[Agent], Awaitable[Found]]:
    async def way(agent: Agent) -> Found:
        [(path, start, _), *_] = await agent.grep(rf"^class {of}\b", below, glob="*.py")
        hits = await agent.grep(rf"^class |def {name}\b", path)
        after = [hit for hit in hits if hit[1] > start]
        inside = next(hit for hit in after if not hit[2].startswith("class "))
        assert after[0] == inside
        return frozenset({(path, str(inside[1]))})

    return way


def method_by_reading(of: str, name: str, below: str) -> Callable[[Agent], Awaitable[Found]]:
    """Read a class window by window until the method has been seen."""

    async def way(agent: Agent) -> Found:
        [(path, start, _), *_] = await agent.grep(rf"^class {of}\b", below, glob="*.py")
        first = start
        while True:
            lines = await agent.look(path, first, WINDOW)
            for number in range(first, first + WINDOW):
                if re.match(rf"    (async )?def {name}\b", lines[number]):
                    return frozenset({(path, str(number))})
            first += WINDOW

    return way


def users_by_windows(name: str, below: str) -> Callable[[Agent], Awaitable[Found]]:
    """Search a name, and read upwards from each hit until it is seen what the hit stands in."""

    async def way(agent: Agent) -> Found:
        found = set()
        for path, line, text in await agent.grep(rf"\b{name}\b", below, glob="*.py", limit=400):
            if re.match(r"from |import |#|(async )?(def|class) ", text.strip()) or not text.startswith(" "):
                continue
            first = line
            while True:
                lines = await agent.look(path, first - ABOVE, ABOVE + line - first + 1)
                first = max(1, first - ABOVE)
                around = enclosing({one: lines[one] for one in range(first, line + 1)}, line)
                if around or first == 1:
                    break
            if around and is_code(lines, line, name):
                found.add((path, around))
        return frozenset(found)

    return way


def users_by_heads(name: str, below: str) -> Callable[[Agent], Awaitable[Found]]:
    """Search which files have a name, then in each of them the name and the heads of all definitions at once."""

    async def way(agent: Agent) -> Found:
        found = set()
        files = await agent.call("search", pattern=rf"\b{name}\b", path=below, glob="*.py", mode="files", limit=400)
        for path in files.splitlines():
            if not path.endswith(".py"):
                continue
            hits = await agent.grep(rf"^\s*(async def|def|class) |\b{name}\b", path, limit=1000)
            lines = {line: text for _, line, text in hits}
            for line, text in lines.items():
                bare = not re.search(rf"\b{name}\b", text) or re.match(r"from |import |#|(async )?(def|class) ", text.strip())
                if bare or not text.startswith(" "):
                    continue
                around = enclosing(lines, line)
                if around and is_code({line: text}, line, name):
                    found.add((path, around))
        return frozenset(found)

    return way


def enclosing(lines: dict[int, str], line: int) -> str:
    """Return the name of the definition that a line stands in, as far as the lines above it tell."""
    indent = len(lines[line]) - len(lines[line].lstrip())
    for number in sorted((one for one in lines if one < line), reverse=True):
        match = HEAD.match(lines[number])
        if match and len(match[1]) < indent:
            return match[2]
    return ""


def is_code(lines: dict[int, str], line: int, name: str) -> bool:
    """Whether a hit is in code: neither in a comment nor in quotes, as far as its line tells."""
    before = re.split(rf"\b{name}\b", lines[line])[0]
    return "#" not in before and before.count('"') % 2 == 0 and "``" not in before


def members_by_heads(of: str, below: str) -> Callable[[Agent], Awaitable[Found]]:
    async def way(agent: Agent) -> Found:
        [(path, start, _), *_] = await agent.grep(rf"^class {of}\b", below, glob="*.py")
        found = []
        for _, line, text in await agent.grep(r"^(class|def|async def) |^    (async )?def ", path, limit=1000):
            if line > start:
                if not text.startswith(" "):
                    break
                found.append(HEAD.match(text))
        return frozenset((match[2],) for match in found if match)

    return way


def members_by_reading(of: str, below: str) -> Callable[[Agent], Awaitable[Found]]:
    async def way(agent: Agent) -> Found:
        [hit, *_] = await agent.grep(rf"^class {of}\b", below, glob="*.py")
        heads = [HEAD.match(text) for _, _, text in await body(agent, *hit)]
        return frozenset((match[2],) for match in heads if match and len(match[1]) == 4)

    return way


def overriding(name: str, below: str) -> Callable[[Agent], Awaitable[Found]]:
    async def way(agent: Agent) -> Found:
        found = set()
        files = await agent.call("search", pattern=rf"^    def {name}\b", path=below, glob="*.py", mode="files", limit=400)
        for path in files.splitlines():
            if path.endswith(".py"):
                lines = {line: text for _, line, text in await agent.grep(rf"^class |^    def {name}\b", path)}
                found |= {(path, enclosing(lines, line)) for line, text in lines.items() if text.startswith(" ")}
        return frozenset(found)

    return way


def overriding_at_once(name: str, below: str) -> Callable[[Agent], Awaitable[Found]]:
    async def way(agent: Agent) -> Found:
        hits = await agent.grep(rf"^class |^    def {name}\b", below, glob="*.py", limit=1000)
        found, of = set(), ""
        for path, _, text in hits:
            match = HEAD.match(text)
            assert match
            if match[1]:
                found.add((path, of))
            else:
                of = match[2]
        return frozenset(found)

    return way


def overview_by_heads(below: str) -> Callable[[Agent], Awaitable[Found]]:
    async def way(agent: Agent) -> Found:
        hits = await agent.grep(r"^(async def|def|class) |^    (async )?def ", below, glob="*.py", limit=1000)
        return frozenset((path, match[2]) for path, _, text in hits if (match := HEAD.match(text)))

    return way


# The agent that asks for symbols.

PLACE = re.compile(r"^([^\s:]+):(\d+)(?:-(\d+))?: (\w+)(?: \(([\w.]+)\))?: (.*)$", re.MULTILINE)


async def places(agent: Agent, name: str, below: str) -> list[re.Match[str]]:
    text = await agent.call("symbols", name=name, path=below, what="definitions")
    return list(PLACE.finditer(text))


def asked_where(name: str, below: str) -> Callable[[Agent], Awaitable[Found]]:
    async def way(agent: Agent) -> Found:
        return frozenset((match[1], match[2]) for match in await places(agent, name, below))

    return way


def asked_whole(name: str, below: str) -> Callable[[Agent], Awaitable[Found]]:
    async def way(agent: Agent) -> Found:
        [match, *_] = await places(agent, name, below)
        text = await agent.call("read", path=match[1], symbol=name)
        rows = [row.partition("\t") for row in text.splitlines()]
        return frozenset((match[1], number, line) for number, tab, line in rows if tab)

    return way


def asked_users(name: str, below: str) -> Callable[[Agent], Awaitable[Found]]:
    async def way(agent: Agent) -> Found:
        path, found = "", set()
        for line in (await agent.call("symbols", name=name, path=below, what="uses", limit=400)).splitlines():
            if match := re.match(r"  \d+ in ([\w.]+): (.*)", line):
                if not re.match(r"(from|import) ", match[2]):
                    found.add((path, match[1].rpartition(".")[2]))
            elif line.endswith(".py"):
                path = line
        return frozenset(found)

    return way


def asked_members(of: str, below: str) -> Callable[[Agent], Awaitable[Found]]:
    async def way(agent: Agent) -> Found:
        [match, *_] = await places(agent, of, below)
        text = await agent.call("outline", path=match[1], symbol=of, depth=2)
        return frozenset((one[1],) for one in re.finditer(r"^  [\d-]+ (?:async )?def (\w+)", text, re.MULTILINE))

    return way


def asked_overriding(name: str, below: str) -> Callable[[Agent], Awaitable[Found]]:
    async def way(agent: Agent) -> Found:
        found = await places(agent, name, below)
        return frozenset((match[1], match[5].split(".")[-2]) for match in found if match[5])

    return way


def asked_overview(below: str) -> Callable[[Agent], Awaitable[Found]]:
    async def way(agent: Agent) -> Found:
        path, found = "", set()
        for line in (await agent.call("outline", path=below)).splitlines():
            if match := re.match(r" +[\d-]+ (?:async )?(?:def|class) (\w+)", line):
                found.add((path, match[1]))
            elif not line.startswith((" ", "[")):
                path = line.split(" ")[0]
        return frozenset(found)

    return way


# The questions.


def where(name: str, below: str) -> Question:
    def truth(root: Path) -> Found:
        return frozenset((path, str(span(node)[0])) for path, names, node in defined(root, below) if names[-1] == name)

    return Question(f"Where is `{name}` defined?", truth, (defining(name, below),), asked_where(name, below))


def where_of(of: str, name: str, below: str) -> Question:
    def truth(root: Path) -> Found:
        return frozenset((path, str(span(node)[0])) for path, names, node in defined(root, below) if names == (of, name))

    words = f"Where does `{of}` define `{name}`?"
    return Question(
        words, truth, (method_line(of, name, below), method_by_reading(of, name, below)), asked_where(f"{of}.{name}", below)
    )


def what(name: str, below: str, of: str = "") -> Question:
    called = f"{of}.{name}" if of else name

    def truth(root: Path) -> Found:
        for path, names, node in defined(root, below):
            if ".".join(names).endswith(called):
                first, last = span(node)
                lines = (root / path).read_text("utf-8").split("\n")
                return frozenset((path, str(number), lines[number - 1]) for number in range(first, last + 1))
        raise AssertionError(called)

    return Question(f"What does `{called}` do?", truth, (whole(name, below, of),), asked_whole(called, below))


def who(name: str, below: str) -> Question:
    ways = (users_by_windows(name, below), users_by_heads(name, below))
    words = f"Which functions in `{below}` use `{name}`?"
    return Question(words, lambda root: users(root, below, name), ways, asked_users(name, below))


def members(of: str, below: str) -> Question:
    def truth(root: Path) -> Found:
        return frozenset((names[1],) for _, names, _ in defined(root, below) if names[0] == of and len(names) == 2)

    ways = (members_by_heads(of, below), members_by_reading(of, below))
    return Question(f"Which methods has `{of}`?", truth, ways, asked_members(of, below))


def overrides(name: str, below: str) -> Question:
    def truth(root: Path) -> Found:
        every = defined(root, below)
        return frozenset((path, names[-2]) for path, names, _ in every if names[-1] == name and len(names) > 1)

    ways = (overriding(name, below), overriding_at_once(name, below))
    return Question(f"Which classes in `{below}` define `{name}`?", truth, ways, asked_overriding(name, below))


def overview(below: str) -> Question:
    def truth(root: Path) -> Found:
        return frozenset((path, names[-1]) for path, names, _ in defined(root, below) if len(names) < 3)

    return Question(f"What is in `{below}`?", truth, (overview_by_heads(below),), asked_overview(below))


OF_DJANGO = (
    where("get_object_or_404", "django"),
    where_of("DecimalField", "get_prep_value", "django/db"),
    what("get_elided_page_range", "django"),
    what("get_host", "django/http", "HttpRequest"),
    what("_save_table", "django/db", "Model"),
    who("constant_time_compare", "django"),
    who("lazy_related_operation", "django/db"),
    who("FieldDoesNotExist", "django/db"),
    who("send_robust", "django"),
    members("ModelState", "django/db/migrations"),
    overrides("deconstruct", "django/contrib"),
    overview("django/dispatch"),
)


async def asked(root: Path, questions: tuple[Question, ...], kept: Path) -> list[Row]:
    """Have both agents answer, hold their answers to be right, and return what they cost."""
    place = LocalWorkspace(root, root, spill=kept / "spill", environment={"PATH": os.environ["PATH"]})
    index = Index(kept / "code", root, nice=0)
    index.start()
    await index.built()
    searching: dict[str, AnyTool] = {"search": Search(), "read": Read()}
    asking: dict[str, AnyTool] = {"symbols": Symbols(find=index.find), "outline": Outline(), "read": Read()}
    rows = []
    for question in questions:
        truth = question.truth(root)
        assert truth, question.words
        agents = []
        for way in question.by_search:
            agent = Agent(place, searching)
            found = await way(agent)
            assert found == truth, (question.words, "by search", sorted(found ^ truth)[:5])
            agents.append(agent)
        best = min(agents, key=lambda agent: agent.tokens)
        other = Agent(place, asking)
        found = await question.by_symbols(other)
        assert found == truth, (question.words, "by symbols", sorted(found ^ truth)[:5])
        rows.append(Row(question.words, best.tokens, best.calls, other.tokens, other.calls))
    await index.close()
    return rows


def ratio(rows: list[Row]) -> float:
    """Return how much the second agent needs of what the first one does."""
    return sum(row.by_symbols for row in rows) / sum(row.by_search for row in rows)


def table(rows: list[Row]) -> str:
    """Return what it cost as a table of Markdown."""
    lines = ["| question | `search`, `read` | calls | `symbols`, `outline` | calls | of it |", "|---|--:|--:|--:|--:|--:|"]
    lines += [
        f"| {row.words} | {row.by_search} | {row.calls_by_search} | {row.by_symbols} | {row.calls_by_symbols} "
        f"| {100 * row.by_symbols / row.by_search:.0f} % |"
        for row in rows
    ]
    one, two = sum(row.by_search for row in rows), sum(row.by_symbols for row in rows)
    calls = sum(row.calls_by_search for row in rows), sum(row.calls_by_symbols for row in rows)
    return "\n".join([*lines, f"| all | {one} | {calls[0]} | {two} | {calls[1]} | {100 * two / one:.0f} % |"])


def fetched(folder: Path) -> Path:
    """Return the package, from where packages are had."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", str(folder), PACKAGE]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "tree")
    return folder / "tree"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        root = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else fetched(folder)
        rows = asyncio.run(asked(root, OF_DJANGO, folder))
    print(table(rows))
    if ratio(rows) > GOAL:
        sys.exit(f"more than {GOAL:.0%}")


if __name__ == "__main__":
    main()
