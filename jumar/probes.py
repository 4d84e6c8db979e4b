"""Owns the probes: twenty short requests that show how well a server calls tools, and what each must come to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agent.messages import Answer, Call, Message, Prompt, Reply
from agent.model import Request, ToolOffer

SESSION = "jumar-doctor"
_SHORT, _LONG = 3_072, 8_192  # tokens that an answer may have; a model that thinks needs most of them for that
_AROUND = 200  # tokens of a request that its template adds
_SYSTEM = (
    "A program tests you. Where a tool can do or find out what is asked, call it at once and say nothing. "
    "Otherwise answer in one short sentence and call no tool. Never make up what a tool could tell."
)


def _object(properties: Mapping[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": False}


def _text(description: str = "") -> dict[str, Any]:
    return {"type": "string", "description": description} if description else {"type": "string"}


_WHOLE = {"type": "integer"}
_READ = ToolOffer("read_file", "Read a text file of the project.", _object({"path": _text("from the project's root")}))
_SEARCH = ToolOffer(
    "search_code",
    "Find a word in all files of the project.",
    _object({"word": _text(), "limit": {**_WHOLE, "minimum": 1, "maximum": 100}}, ("limit",)),
)
_TESTS = ToolOffer("run_tests", "Run the project's tests and tell how they end.", _object({"folder": _text()}, ("folder",)))
_PROJECT = (_READ, _SEARCH, _TESTS)
_STATION = ToolOffer("station", "Tell the code of a town's weather station.", _object({"town": _text()}))
_NOTE = ToolOffer("write_note", "Keep a text, exactly as it is given.", _object({"text": _text("the whole text")}))
_ISSUE = ToolOffer(
    "file_issue",
    "File an issue.",
    _object(
        {
            "title": _text(),
            "labels": {"type": "array", "items": {"type": "string", "enum": ["bug", "docs", "speed"]}, "minItems": 1},
            "priority": {**_WHOLE, "minimum": 1, "maximum": 5},
            "assignee": _text("a login; left out where nobody is named"),
        },
        ("assignee",),
    ),
)
_DEPLOY = ToolOffer(
    "deploy",
    "Deploy a service.",
    _object(
        {
            "service": _object({"name": _text(), "port": {**_WHOLE, "minimum": 1, "maximum": 65535}, "tls": {"type": "boolean"}}),
            "retries": {
                "type": "array",
                "items": _object({"status": _WHOLE, "seconds": {"type": "number"}}),
                "description": "in the order given",
            },
            "stage": {"type": "string", "enum": ["test", "canary", "live"]},
        }
    ),
)
_CONTACT = ToolOffer(
    "add_contact",
    "Add a person to the address book.",
    _object({"name": _text(), "town": _text(), "motto": _text()}),
)
_MEETING = ToolOffer(
    "plan_meeting",
    "Plan a meeting.",
    _object(
        {
            "day": {"type": "string", "enum": ["mon", "tue", "wed", "thu", "fri"]},
            "start": _object({"hour": {**_WHOLE, "maximum": 23}, "minute": {**_WHOLE, "maximum": 59}}),
            "guests": {"type": "array", "items": _text()},
            "room": _text("left out where none is named"),
            "weekly": {"type": "boolean"},
        },
        ("room", "weekly"),
    ),
)

# What breaks on its way most often: quotes in quotes, backslashes that look like escapes, line ends, and what is not ASCII.
_RULE = """    rule_{0:02} = re.compile(r"^\\s*(?:'{0}'|\\"{1}\\")\\\\n$")  # C:\\new\\{1}\\t{0} & <b>\\u00e9</b>"""
_LETTERS = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"),
    *("nu", "xi", "omicron", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
)
_RULES = "\n".join(_RULE.format(number, letter) for number, letter in enumerate(_LETTERS))
_CODE = f'def table(path="C:\\\\temp"):\n{_RULES}\n\treturn {{"it\'s": "a \\"test\\"", `x`: "$HOME\\n"}}'
_STEP = """{0}. 第{0}步：把「{1}」写进 "配置\\{1}.json" — naïve café №{0} {2} 'größe' ≤ {3}％，ok？"""
_STEPS = zip("读写测改撤合回看找算记存发收开关起停问答查补试清", "🙂🧗🏔🪢🐛🔧📄🧪🌧🎮🧵🏁🌱🔀🔖🩹🧭🦶🍃📁🥡🎫🤖🪛", strict=True)
_WORLD = "\n".join(_STEP.format(number, word, face, number * 7) for number, (word, face) in enumerate(_STEPS, 1))
_TABLE = "\n".join(
    f"Item {number:03}: shelf {number * 37 % 89}, box {number * 53 % 97}, weight {number * 7 % 31} kg." for number in range(120)
)


@dataclass(frozen=True, slots=True)
class Probe:
    """One request. `calls` says whether one must come or never may; where it says nothing, that is not judged.

    `expected` are arguments that the call must have, `wanted` words that must stand in the answer. Where `follows` names a
    probe, its call is answered with `replies`, one after the other.
    """

    name: str
    text: str
    tools: tuple[ToolOffer, ...] = ()
    calls: Literal["must", "never", ""] = ""
    expected: Mapping[str, Any] = field(default_factory=dict)
    wanted: tuple[str, ...] = ()
    follows: str = ""
    replies: tuple[str, ...] = ()
    system: str = _SYSTEM
    limit: int = _SHORT

    def request(self, first: "Probe | None" = None, answer: Answer | None = None) -> Request:
        """Return what is asked; of a probe that follows, with the answer to the first one, or with calls as they should be."""
        messages: tuple[Message, ...] = (Prompt(self.text),)
        if first is not None:
            if answer is None or not answer.calls:
                name = first.tools[0].name
                calls = [Call(f"functions.{name}:{number}", name, given) for number, given in enumerate(_CALLED[first.name])]
                answer = Answer("", tuple(calls))
            told = [Reply(call.id, call.name, self._reply(number)) for number, call in enumerate(answer.calls)]
            messages = (Prompt(first.text), answer, *told)
        return Request(self.system, messages, self.tools, SESSION, self.limit)

    @property
    def most(self) -> int:
        """Return the tokens of the prompt at most: no tokenizer in use needs more than these for such texts."""
        offered = sum(len(json.dumps(tool.parameters)) + len(tool.description) + len(tool.name) for tool in self.tools)
        told = "".join((self.system, self.text, *self.replies))
        before = 0
        if self.follows:
            first = BY_NAME[self.follows]
            told += first.text
            before = first.limit
        foreign = sum(not character.isascii() for character in told)
        return _AROUND + before + (offered + len(told) - foreign) * 2 // 3 + 3 * foreign

    def _reply(self, number: int) -> str:
        return self.replies[number] if number < len(self.replies) else "unknown"


_TOWNS = "Which codes have the weather stations of Lima and of Oslo? Look both up at once, with two calls in the same answer."
PROBES = (
    Probe(
        "words",
        "Name the twelve months of the year in order, one a line, each followed by its number of days.",
        system="Answer briefly, in plain text.",
    ),
    Probe("cache-first", "Which item is last in the list? Answer with its number alone.", system=f"A list.\n\n{_TABLE}"),
    Probe("cache-again", "Which item is last in the list? Answer with its number alone.", system=f"A list.\n\n{_TABLE}"),
    Probe("port", "Which port does the file config/server.toml name?", _PROJECT, "must"),
    Probe(
        "port-told",
        "",
        _PROJECT,
        wanted=("48213",),
        follows="port",
        replies=('[server]\nhost = "localhost"\nport = 48213\n',),
    ),
    Probe("word", "Is the word legacy_login still used anywhere in this project?", _PROJECT, "must"),
    Probe("tests", "Do the tests of this project pass right now?", _PROJECT, "must"),
    Probe("sum", "How much is 17 and 25?", _PROJECT, "never"),
    Probe("list", "What is a linked list?", _PROJECT, "never"),
    Probe("ready", "Say the word: ready", _PROJECT, "never"),
    Probe("thanks", "Thank you, that was all for today.", _PROJECT, "never"),
    Probe("towns", _TOWNS, (_STATION,), "must"),
    Probe(
        "towns-told",
        "",
        (_STATION,),
        wanted=("QX71", "VB40"),
        follows="towns",
        replies=("The code is QX71.", "The code is VB40."),
    ),
    Probe("files", "Read the files a.toml, b.toml and c.toml, all three with calls in the same answer.", (_READ,), "must"),
    Probe(
        "issue",
        "File an issue with the title: Crash on empty input. It is a bug and about docs, and its priority is 2.",
        (_ISSUE,),
        "must",
        {"labels": ["bug", "docs"], "priority": 2},
    ),
    Probe(
        "deploy",
        "Deploy the service gate, port 8443, with tls, to canary. After a status 429 retry in 1.5 seconds, after 503 in 4.",
        (_DEPLOY,),
        "must",
        {
            "service": {"name": "gate", "port": 8443, "tls": True},
            "retries": [{"status": 429, "seconds": 1.5}, {"status": 503, "seconds": 4}],
            "stage": "canary",
        },
    ),
    Probe(
        "contact",
        "Add to the address book: name Zoë Łukasz-Çelik, town 東京, motto «naïve – 不怕慢 🙂».",
        (_CONTACT,),
        "must",
        {"name": "Zoë Łukasz-Çelik", "town": "東京"},
    ),
    Probe(
        "meeting",
        "Plan a meeting on Wednesday at 9:05 with ada and linus.",
        (_MEETING,),
        "must",
        {"day": "wed", "start": {"hour": 9, "minute": 5}, "guests": ["ada", "linus"]},
    ),
    Probe(
        "long-code",
        f"Keep as a note, character for character, all between the lines of ====:\n====\n{_CODE}\n====",
        (_NOTE,),
        "must",
        {"text": _CODE},
        limit=_LONG,
    ),
    Probe(
        "long-world",
        f"Keep as a note, character for character, all between the lines of ====:\n====\n{_WORLD}\n====",
        (_NOTE,),
        "must",
        {"text": _WORLD},
        limit=_LONG,
    ),
)
BY_NAME = {probe.name: probe for probe in PROBES}
_CALLED = {"port": ('{"path": "config/server.toml"}',), "towns": ('{"town": "Lima"}', '{"town": "Oslo"}')}

# One after the other: whether anything comes at all, and what is kept from one request to the next, which others would disturb.
ALONE = ("words", "cache-first", "cache-again")


def chains() -> list[tuple[Probe, ...]]:
    """Return the other probes, each with what follows it; the chains may run at the same time."""
    followers = {probe.follows: probe for probe in PROBES if probe.follows}
    firsts = [probe for probe in PROBES if not probe.follows and probe.name not in ALONE]
    return [(first, followers[first.name]) if first.name in followers else (first,) for first in firsts]
