"""What the documents claim, held against the program."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import TypeAdapter

from agent.config import EndpointTable, ModelTable, load
from agent.endpoints import BUILT_IN
from agent.events.event import schema
from agent.policy import TABLE
from agent.route import Route, routes
from agent.rules import Decision, Rule
from jumar import commands
from jumar.arguments import COMMANDS, run_parser
from jumar.inputs import AnyMessage
from jumar.wiring import find_tools
from tests.runs import valid

ROOT = Path(__file__).parent.parent
DOCS = [
    ROOT / name
    for name in (
        "README.md",
        "README.zh.md",
        "docs/config.md",
        "docs/headless.md",
        "docs/models.md",
        "docs/navigation.md",
        "docs/permissions.md",
        "docs/screen.md",
        "docs/undo.md",
        "docs/watch.md",
        "SECURITY.md",
        "ARCHITECTURE.md",
    )
]


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)
def test_every_option_and_command_that_is_named_is_there(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = document.read_text("utf-8")
    spans = re.findall(r"`([^`\n]+)`", text) + [
        line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.split("\n")
    ]
    ours = [span for span in spans if span.startswith(("-", "jumar", " ")) and "git " not in span and "kill" not in span]
    for name in COMMANDS:
        with pytest.raises(SystemExit):
            commands.run(name, ["--help"])
    flags = r"(?<![\w'-])(--?[A-Za-z][a-z-]*)\b"
    known = {*re.findall(flags, run_parser().format_help()), *re.findall(flags, capsys.readouterr().out)}
    named = {flag for span in ours for flag in re.findall(flags, span)}
    assert named <= known, named - known
    meant = {name for span in ours for name in re.findall(r"\bjumar ([a-z]+)", span)}
    assert meant <= set(COMMANDS), meant - set(COMMANDS)


def test_both_readmes_say_the_same_to_a_shell() -> None:
    english, chinese = (
        [re.sub(r'#.*|"[^"]*"|your-repository|你的仓库', "", block) for block in blocks(name, "sh")]
        for name in ("README.md", "README.zh.md")
    )
    assert [re.sub(r"\s+", " ", block) for block in english] == [re.sub(r"\s+", " ", block) for block in chinese]
    rows = [
        re.findall(r"^\| ([\d ·]+) \|", (ROOT / name).read_text("utf-8"), re.MULTILINE) for name in ("README.md", "README.zh.md")
    ]
    assert rows[0] == rows[1]
    told = {int(code) for row in rows[0] for code in row.split(" · ")}
    assert told == {int(code) for code in re.findall(r"\b\d+\b", run_parser().format_help().partition("exit codes:")[2])}


def test_every_mode_is_in_the_table() -> None:
    for name in ("README.md", "README.zh.md"):
        rows = re.findall(r"^\| `.*?\|", (ROOT / name).read_text("utf-8"), re.MULTILINE)
        assert {mode for row in rows for mode in re.findall(r"`(\w+)`", row)} == {mode.value for mode in TABLE}


def test_links_lead_somewhere() -> None:
    for document in DOCS:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), (document.name, target)


def test_the_example_of_settings_can_be_used(tmp_path: Path) -> None:
    [example] = blocks("docs/config.md", "toml")
    (tmp_path / "config.toml").write_text(example)
    settings = load(tmp_path / "config.toml")
    first, second = routes(settings, {"LAB_KEY": "k"})
    assert isinstance(first, Route)
    assert isinstance(second, Route)
    assert (first.endpoint.name, first.endpoint.server, second.endpoint.name) == ("lab", "vllm", "moonshot-intl")
    assert set(EndpointTable.model_fields) == {key for one in settings.endpoints.values() for key in one.model_fields_set}
    assert set(ModelTable.model_fields) == {key for one in settings.overrides.values() for key in one.model_fields_set}
    tools = find_tools()
    rules = [Rule.read(text, Decision.ALLOW, "allow") for text in settings.allow] + [
        Rule.read(text, Decision.DENY, "deny") for text in settings.deny
    ]
    assert {rule.tool for rule in rules} <= set(tools)


def test_every_endpoint_and_variable_that_is_built_in_is_told() -> None:
    table = (ROOT / "docs/config.md").read_text("utf-8").partition("Built in are:")[2].partition("\n\nKimi Code")[0]
    for endpoint in BUILT_IN:
        row = next(line for line in table.splitlines() if f"`{endpoint.name}`" in line)
        assert {variable.name for variable in endpoint.variables} <= set(re.findall(r"`(\w+)`", row)), endpoint.name
        told = set(re.findall(r"\d{4,}", row))
        assert not endpoint.keyless or str(urlsplit(endpoint.base_url).port) in told
    addresses = {name for endpoint in BUILT_IN for variable in endpoint.variables for name in variable.addresses}
    assert addresses <= set(re.findall(r"`(\w+)`", table))


def test_the_example_of_a_result_fits_the_schema() -> None:
    [example] = blocks("docs/headless.md", "json")
    valid([json.loads(example)])
    required = schema()["$defs"]["RunFinished"]["properties"]
    assert set(json.loads(example)) == set(required)


def test_the_messages_of_a_program_are_taken() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(AnyMessage)
    examples = re.findall(r"^\| `(\{.*?\})`", (ROOT / "docs/headless.md").read_text("utf-8"), re.MULTILINE)
    named = {"prompt", "steer", "decide", "answer", "cancel", "hurry", "compact", "uncompact", "undo", "rewind", "redo"}
    assert {adapter.validate_json(example).type for example in examples} == named
