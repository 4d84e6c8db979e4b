"""Owns telling a session outside of the screen: as Markdown, as one HTML page, or as JSON. All of it is safe to look at."""

import json
import os
import re
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, assert_never, get_args

from agent.blocks import Block, DiffBlock, PlanBlock, TableBlock, TerminalBlock, TextBlock
from agent.errors import UsageError
from agent.safe import safe_json, safe_line, safe_text
from tui.entries import Answered, Called, Checked, Entry, Noted, Over, Said, Thought
from tui.story import Story
from tui.words import Words

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

Form = Literal["md", "html", "json"]
FORMS: tuple[Form, ...] = get_args(Form)
_PLAN = {"open": "[ ]", "doing": "[~]", "done": "[x]", "dropped": "[-]"}
# A page asks nobody for anything: what the model wrote cannot tell a server that it was read.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #888; --accent: #3b6fd4; --good: #1a7f37; --bad: #c2353b; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 52rem; margin: 2.5rem auto; padding: 0 1.2rem; overflow-wrap: anywhere; }
pre, code { font: 13px/1.5 ui-monospace, monospace; }
pre { overflow-x: auto; padding: .7rem .9rem; border: 1px solid var(--line); border-radius: 6px; }
.said { border-left: 3px solid var(--accent); padding-left: .9rem; font-weight: 600; white-space: pre-wrap; margin: 2rem 0 1rem; }
.thought, .note, .over, header { color: var(--soft); } .thought { font-style: italic; white-space: pre-wrap; }
details { margin: .7rem 0; } summary { cursor: pointer; } summary b { font-weight: 600; }
.add { color: var(--good); } .del { color: var(--bad); } .hunk { color: var(--soft); }
table { border-collapse: collapse; } td, th { border: 1px solid var(--line); padding: .2rem .6rem; }
"""


@dataclass(frozen=True, slots=True)
class Exporting:
    """A session as it is told."""

    story: Story
    session: str
    words: Words

    def write(self, form: Form, file: Path) -> None:
        """Write it into a new file. Raises UsageError; what is there already stays."""
        text = {"md": self.markdown, "html": self.html, "json": self.json}[form]()
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as opened:
                opened.write(text)
        except FileExistsError:
            raise UsageError(self.words("export.exists", file=safe_line(str(file)))) from None
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else "") or str(error)
            raise UsageError(self.words("export.failed", file=safe_line(str(file)), why=why)) from error

    @property
    def _title(self) -> str:
        said = next((entry.text for entry in self.story.entries if isinstance(entry, Said)), "")
        return safe_line(self.story.title or said.strip().partition("\n")[0][:80] or self.session)

    # Markdown.

    def markdown(self) -> str:
        """Return it as Markdown."""
        head = [f"# {_plain(self._title)}", f"_{self.session} · {safe_line(self.story.model)}_"]
        return "\n\n".join([*head, *filter(None, map(self._markdown, self.story.entries))]) + "\n"

    def _markdown(self, entry: Entry) -> str:
        match entry:
            case Said():
                return "\n".join(f"> {line}" for line in safe_text(entry.text).split("\n"))
            case Thought():
                return f"<details><summary>{escape(self.words('thought.title'))}</summary>\n\n{_fence(entry.text)}\n\n</details>"
            case Answered():
                return safe_text(entry.text)
            case Called():
                return "\n\n".join([f"**{_plain(_head(entry))}**", *(_fence(text, kind) for text, kind in _texts(entry))])
            case Noted() | Checked() | Over():
                return f"_{_plain(self._noted(entry))}_"
        assert_never(entry)

    # HTML.

    def html(self) -> str:
        """Return it as one page that needs nothing but itself."""
        from markdown_it import MarkdownIt  # not before the first frame is seen, which has nothing for it

        parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
        body = "\n".join(filter(None, (self._html(entry, parser) for entry in self.story.entries)))
        title = escape(self._title)
        told = escape(f"{self.session} · {safe_line(self.story.model)}")
        return (
            f'<!doctype html>\n<html lang="{self.words.language}"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><meta name="referrer" content="no-referrer">'
            f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{_STYLE}</style></head>\n'
            f"<body><header><h1>{title}</h1><p>{told}</p></header>\n{body}\n</body></html>\n"
        )

    def _html(self, entry: Entry, parser: "MarkdownIt") -> str:
        match entry:
            case Said():
                return f'<div class="said">{escape(safe_text(entry.text))}</div>'
            case Thought():
                title = escape(self.words("thought.title"))
                thought = escape(safe_text(entry.text))
                return f'<details class="thought"><summary>{title}</summary>{thought}</details>'
            case Answered():
                return f"<div>{parser.render(safe_text(entry.text))}</div>"
            case Called():
                inside = "".join(f"<pre>{_coloured(text, kind)}</pre>" for text, kind in _texts(entry))
                opened = " open" if any(isinstance(block, DiffBlock) for block in entry.blocks) else ""
                return f"<details{opened}><summary>{escape(_head(entry))}</summary>{inside}</details>"
            case Noted() | Checked() | Over():
                return f'<p class="note">{escape(self._noted(entry))}</p>'
        assert_never(entry)

    def _noted(self, entry: Noted | Checked | Over) -> str:
        match entry:
            case Noted():
                return safe_line(self.words.told(entry.text))
            case Checked():
                told = "note.check_passed" if entry.event.exit_code == 0 else "note.check_failed"
                return self.words(told, command=safe_line(entry.event.command), code=entry.event.exit_code)
            case Over():
                event = entry.event
                took = self.words.counted("turn.took", event.steps, steps=event.steps, seconds=round(event.seconds))
                reason = f": {safe_line(self.words.told(event.reason))}" if event.reason else ""
                told = "turn.verified" if event.verified else "turn.not_verified"
                checked = "" if event.verified is None or event.status != "done" else f" · {self.words(told)}"
                return f"{self.words(f'turn.{event.status}')}{reason} · {took}{checked}"
        assert_never(entry)

    # JSON.

    def json(self) -> str:
        """Return it as one JSON object."""
        whole = {
            "session": self.session,
            "title": self.story.title,
            "model": self.story.model,
            "usage": asdict(self.story.usage),
            "cost": self.story.cost,
            "entries": [self._row(entry) for entry in self.story.entries],
        }
        return safe_json(json.dumps(whole, ensure_ascii=False, indent=1)) + "\n"

    def _row(self, entry: Entry) -> dict[str, Any]:
        match entry:
            case Said():
                return {"kind": "said", "turn": entry.turn, "text": entry.text, "by": "check" if entry.by_check else "person"}
            case Thought():
                return {"kind": "thought", "text": entry.text}
            case Answered():
                return {"kind": "answered", "text": entry.text}
            case Called():
                return {
                    "kind": "called",
                    "tool": entry.tool,
                    "subject": entry.subject,
                    "status": entry.status if entry.state == "over" else entry.state,
                    "action": entry.action,
                    "undone": entry.undone,
                    "reply": entry.reply,
                    "blocks": [asdict(block) for block in entry.blocks],
                }
            case Noted() | Checked() | Over():
                return {"kind": "noted", "text": self._noted(entry)}
        assert_never(entry)


def form_of(name: str) -> Form | None:
    """Return the form that a name, or the end of a file's name, stands for."""
    ending = {"markdown": "md", "htm": "html"}.get(name, name)
    return next((form for form in FORMS if form == ending), None)


def _head(entry: Called) -> str:
    state = entry.status if entry.state == "over" else entry.state
    told: list[str] = [state] if state != "done" else []
    told += [f"exit {entry.exit_code}"] if entry.exit_code else []
    told += [f"#{entry.action}"] if entry.action else []
    told += ["undone"] if entry.undone else []
    more = f" ({', '.join(told)})" if told else ""
    return safe_line(f"{entry.tool} {entry.subject.partition(chr(10))[0]}".rstrip() + more)


def _texts(entry: Called) -> list[tuple[str, str]]:
    """Return what a call showed, or else replied, and the language of each."""
    if entry.blocks:
        return [_text(block) for block in entry.blocks]
    return [(safe_text(entry.reply), "")] if entry.reply else []


def _text(block: Block) -> tuple[str, str]:
    match block:
        case TextBlock():
            return safe_text(block.text), re.sub(r"[^\w+-]", "", block.language)
        case DiffBlock():
            return safe_text(f"{block.path}  +{block.added} -{block.removed}\n{block.diff}"), "diff"
        case TerminalBlock():
            ended = f"\n[exit {block.exit_code}]" if block.exit_code else ""
            return safe_text(f"$ {block.command}\n{block.output.rstrip()}{ended}"), ""
        case TableBlock():
            return "\n".join(" | ".join(map(safe_line, row)) for row in (block.head, *block.rows)), ""
        case PlanBlock():
            return "\n".join(f"{_PLAN[item.state]} {safe_line(item.text)}" for item in block.items), ""
    assert_never(block)


def _fence(text: str, language: str = "") -> str:
    text = safe_text(text)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip(chr(10))}\n{fence}"


def _plain(text: str) -> str:
    """Return a line in which Markdown finds nothing to do."""
    return re.sub(r"([\\`*_\[\]<>#|~&])", r"\\\1", text)


def _coloured(text: str, kind: str) -> str:
    if kind != "diff":
        return escape(text)
    classes = {"+": "add", "-": "del", "@": "hunk"}
    lines = (
        f'<span class="{classes[line[0]]}">{escape(line)}</span>' if line[:1] in classes else escape(line)
        for line in text.split("\n")
    )
    return "\n".join(lines)
