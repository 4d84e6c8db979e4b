"""Owns what a person may type: the options of a run, and what is wrong with them."""

import argparse
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NoReturn, cast

from agent.safe import safe_line
from jumar import __version__
from jumar.options import OutputFormat, RunOptions

COMMANDS = {
    "actions": "list what was done in this work tree",
    "checks": "list what checks this work tree, and take over what its files propose",
    "demo": "see it build a game from a recording, without a key",
    "diff": "print what an action changed, or a range of them",
    "doctor": "ask a model twenty short questions: how well it works with jumar, and what mends it",
    "endpoints": "list the servers that are known, and where their keys are",
    "ledger": "verify, export, prune or count the ledger",
    "login": "store the key of an endpoint",
    "logout": "remove it",
    "record": "make a recording of a session",
    "redo": "bring back what was undone last",
    "replay": "play a recording, without a model",
    "rescue": "bring back what an action did to branches, HEAD, stashes and index",
    "rewind": "go back to before an action",
    "rules": "list the rules, explain what becomes of a command, test, forget",
    "schema": "print the JSON Schema of every event",
    "sessions": "list the sessions",
    "show": "show an action, whole",
    "status": "say what holds here: trust, sandbox, ledger, mode, rules, model",
    "trust": "trust a work tree, so that its files may be read",
    "undo": "take actions back, whichever, alone or together",
    "watch": "act on comments such as `# jumar: …!` in files as you save them",
    "web": "show the screen in a browser, on this machine alone",
    "why": "say which action, prompt and model wrote a line",
}
EFFORTS = ("on", "off", "none", "minimal", "low", "medium", "high", "xhigh", "max")
MODES = ("plan", "ask", "edits", "auto", "yolo")
_EXIT_CODES = """\
exit codes: 0 done · 1 error · 2 usage · 3 needs a person (untrusted) · 4 an action was denied · 5 a limit was reached
6 the check failed · 7 the schema was not met · 75 the provider failed, try again · 77 authentication
129 SIGHUP · 130 SIGINT · 143 SIGTERM · 141 nobody reads stdout any more"""


_USAGE = "jumar [OPTION ...]\n       jumar -p PROMPT [OPTION ...]\n       jumar COMMAND [OPTION ...]"

_DESCRIPTION = "An autonomous coding agent for the terminal: alone it shows the screen, with -p it prints, for scripts."

NOT_OF_THE_SCREEN = (
    "image",
    "output_schema",
    "output_file",
    "max_steps",
    "max_tokens",
    "timeout",
    "verify",
    "patch",
    "revert_on_fail",
    "output_format",
    "quiet",
)


class Parser(argparse.ArgumentParser):
    """Answers a wrong command line with one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and where help is."""
        self.exit(2, f"jumar: {safe_line(message)}; see {self.prog} --help\n")

    def hide(self, name: str) -> None:
        """Leave an option out of the help."""
        for action in self._actions:
            if action.dest == name:
                action.help = argparse.SUPPRESS

    def demand_heeded(self, given: argparse.Namespace, names: Iterable[str], who: str) -> None:
        """End with 2 where an option was given that would not be heeded."""
        for action in self._actions:
            if action.dest in names and getattr(given, action.dest) != action.default:
                self.error(f"{action.option_strings[-1]} is for a run with -p: {who} would not heed it")


def run_parser(
    prog: str = "jumar", usage: str = _USAGE, description: str = _DESCRIPTION, unheeded: Collection[str] = ()
) -> Parser:
    """Return the options of a run; a command that is led as one does not show those that are `unheeded` there."""
    commands = ["commands:", *(f"  {name:11}{what}" for name, what in COMMANDS.items()), ""] if prog == "jumar" else []
    top = Parser(
        prog=prog,
        usage=usage,
        description=description,
        epilog="\n".join([*commands, _EXIT_CODES]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"jumar {__version__}")
    top.add_argument("-p", "--prompt", metavar="TEXT", help="what to do; - reads it from stdin; piped stdin is appended")
    top.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="FILE",
        help="a picture that the model is shown with the prompt; again for more",
    )
    add = top.add_argument_group("what it may do").add_argument
    add(
        "--mode",
        choices=MODES,
        default="",
        help="plan: reading only · ask: changes need a rule, or a program that answers · edits · auto: all that can be undone, "
        "the default where a sandbox holds · yolo: all",
    )
    add("--allow", action="append", default=[], metavar="RULE", help="such as 'shell(pytest *)' or 'edit(src/*)'")
    add("--deny", action="append", default=[], metavar="RULE", help="beats every --allow")
    add("--trust", action="store_true", help="trust this work tree for this run; jumar trust remembers it")
    add("--add-dir", action="append", default=[], metavar="DIR", help="a further folder that belongs to the workspace")
    add("-C", dest="cwd", default=".", metavar="DIR", help="work there")
    add = top.add_argument_group("what comes out").add_argument
    add(
        "--output-format",
        choices=("text", "json", "stream-json"),
        default="text",
        help="json: one result · stream-json: one event a line",
    )
    add("--input-format", choices=("text", "stream-json"), default="text", help="stream-json: one message a line on stdin")
    add("--deltas", action="store_true", help="with stream-json, also tell what streams")
    add("--output-schema", metavar="FILE", help="the final answer must be JSON that fits this schema")
    add("-o", dest="output_file", metavar="FILE", help="write the final answer there too")
    add("--patch", metavar="FILE", help="write what the run changed as a patch")
    add("--revert-on-fail", action="store_true", help="where it ends with another code than 0, put back what it changed")
    add("-q", "--quiet", action="store_true", help="no progress on stderr")
    add = top.add_argument_group("when it stops").add_argument
    add("--max-steps", type=_count, metavar="N", help="requests to the model")
    add("--max-tokens", type=_count, metavar="N", help="tokens of prompts and answers together")
    add("--timeout", type=seconds, metavar="SECONDS", help="of all of it")
    add("--verify", default="", metavar="CMD", help="must pass at the end; a failure goes back to the model, 3 times at most")
    add = top.add_argument_group("sessions and models").add_argument
    add("-c", "--continue", dest="go_on", action="store_true", help="go on with the latest session of this work tree")
    add("-r", "--resume", default="", metavar="ID", help="go on with this session")
    add("--fork", action="store_true", help="go on from a copy")
    add("--ephemeral", action="store_true", help="keep no session")
    add(
        "-m",
        "--model",
        action="append",
        default=[],
        metavar="NAME",
        help="MODEL, ENDPOINT:MODEL (see jumar endpoints) or local:FILE.gguf; again: who goes on where those before fail",
    )
    add("--effort", choices=EFFORTS, default="", help="how much the model thinks, in a word that it takes")
    add("--context", type=window, metavar="TOKENS", help="how much the first model holds, in place of what its server says")
    for name in unheeded:
        top.hide(name)
    return top


def on_terminal() -> bool:
    """Whether a person sits before all that we hear and say; the screen is painted on stderr."""
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def need_terminal(parser: Parser) -> None:
    """End with 2 where there is nothing that the screen could be shown on."""
    if not on_terminal():
        parser.error("--screen needs a terminal; without it everything is printed")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def window(text: str) -> int:
    """Return how many tokens a person says that a model holds."""
    count = _count(text)
    if not 1024 <= count <= 1 << 30:
        raise argparse.ArgumentTypeError(f"{text!r} tokens are no model's context; say it in tokens, such as 32768")
    return count


def seconds(text: str) -> float:
    """Return a number of seconds that a person typed."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return number


def _demand_file(parser: Parser, option: str, name: str | None) -> None:
    """End with 2 where nothing can be written under that name; later it would have cost a run."""
    if name is None:
        return
    if name in {"-", ""} or Path(name).is_dir():
        parser.error(f"{option} {name!r} is no file; stdout holds the answer, and nothing else")
    if not Path(name).absolute().parent.is_dir():
        parser.error(f"the folder of {option} {name!r} does not exist")


def options_of(parser: Parser, given: argparse.Namespace, *, terminal: bool = False) -> RunOptions:
    """Return the options that a person gave; ends with 2 where they do not go together.

    Before a terminal, a person who gives no prompt gets the screen.
    """
    streamed = given.input_format == "stream-json"
    screen = terminal and not streamed and given.prompt is None and given.output_format == "text"
    if not streamed and not screen and given.prompt is None:
        parser.error("say what to do: jumar -p TEXT; or see it work without a key: jumar demo")
    parser.demand_heeded(given, NOT_OF_THE_SCREEN if screen else (), "the screen")
    if streamed and given.prompt is not None:
        parser.error("--input-format stream-json takes its prompts from stdin, not from -p")
    if streamed and given.image:
        parser.error("--input-format stream-json takes pictures with its messages, not from --image")
    if streamed and given.output_format != "stream-json":
        parser.error("--input-format stream-json needs --output-format stream-json")
    if given.deltas and given.output_format != "stream-json":
        parser.error("--deltas needs --output-format stream-json")
    if given.go_on and given.resume:
        parser.error("-c and -r exclude each other")
    if given.fork and not (given.go_on or given.resume):
        parser.error("--fork needs -c or -r")
    if given.ephemeral and (given.go_on or given.resume):
        parser.error("--ephemeral begins a session that is not kept; it does not go with -c or -r")
    cwd = Path(given.cwd)
    if not cwd.is_dir():
        parser.error(f"-C {given.cwd!r} is no folder")
    for folder in given.add_dir:
        if not Path(folder).is_dir():
            parser.error(f"--add-dir {folder!r} is no folder")
    _demand_file(parser, "-o", given.output_file)
    _demand_file(parser, "--patch", given.patch)
    return RunOptions(
        prompts=None if streamed or screen else (given.prompt,),
        screen=screen,
        cwd=cwd.resolve(),
        images=tuple(Path(name) for name in given.image),
        add_dirs=tuple(Path(folder).resolve() for folder in given.add_dir),
        output_format=cast("OutputFormat", given.output_format),
        deltas=given.deltas,
        output_schema=Path(given.output_schema) if given.output_schema else None,
        output_file=Path(given.output_file) if given.output_file else None,
        mode=given.mode,
        allow=tuple(given.allow),
        deny=tuple(given.deny),
        max_steps=given.max_steps,
        max_tokens=given.max_tokens,
        seconds=given.timeout,
        verify=given.verify,
        patch=Path(given.patch) if given.patch else None,
        revert_on_fail=given.revert_on_fail,
        trust=given.trust,
        ephemeral=given.ephemeral,
        resume="-" if given.go_on else given.resume,
        fork=given.fork,
        models=tuple(name for name in given.model if name),
        effort=given.effort,
        context=given.context,
        quiet=given.quiet,
    )
