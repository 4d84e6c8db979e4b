"""Owns the command line: which code carries it out, and which exit code answers it."""

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from jumar.arguments import COMMANDS, on_terminal, options_of, run_parser


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line and return its exit code."""
    from agent.errors import JumarError, ModelError, UsageError
    from jumar.printers import stderr_line

    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us: what is opened next must not take its place
            handle = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(handle, "r" if name == "stdin" else "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        if arguments and arguments[0] in COMMANDS:
            from jumar import commands

            code = commands.run(arguments[0], arguments[1:])
        else:
            code = _headless(arguments)
        sys.stdout.flush()
    except OSError as error:
        # Nobody takes what is said: nothing more is, not even what still waits to be written when we end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 141
        if _nowhere():
            stderr_line("the current folder was removed; go to one that is there")
            return 2
        stderr_line(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        return 1
    except UsageError as error:
        stderr_line(str(error))
        return error.exit_code
    except JumarError as error:
        from jumar.run import code_of

        stderr_line(str(error))
        return code_of(error.fault) if isinstance(error, ModelError) else 1
    except Exception as error:
        if os.environ.get("JUMAR_DEBUG"):
            raise
        stderr_line(f"jumar itself failed: {type(error).__name__}: {error}; this is a bug, JUMAR_DEBUG=1 shows where")
        return 1
    finally:
        try:
            sys.stderr.flush()
        except OSError:  # what still waits to be written there shall not make another exit code of ours
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    return code


def _nowhere() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - as the whole start
    except FileNotFoundError:
        return True
    return False


def _headless(arguments: Sequence[str]) -> int:
    import asyncio
    from dataclasses import replace

    from agent.errors import UsageError
    from agent.safe import mended

    if arguments and not arguments[0].startswith("-"):
        known = ", ".join(COMMANDS)
        raise UsageError(f"there is no command {arguments[0]!r}; there are {known}; what to do is said with -p PROMPT")
    parser = run_parser()
    given = parser.parse_args(arguments)
    browser = os.environ.pop("JUMAR_BROWSER", "") == "1"  # jumar web started us, and nothing that we start is to hear of it
    options = options_of(parser, given, terminal=browser or on_terminal())
    if options.screen:
        from jumar.screen import FrontDesk, show

        return show(FrontDesk(options, os.environ))
    from jumar.headless import Headless
    from jumar.inputs import piped_text
    from jumar.printers import stderr_line

    if options.prompts is not None:
        piped, warning = piped_text()
        if warning:
            stderr_line(warning)
        prompt = options.prompts[0] if options.prompts != ("-",) else ""
        if piped.strip() and prompt:
            prompt = f"{prompt}\n\n<stdin>\n{piped.rstrip()}\n</stdin>"
        prompt = prompt or piped
        if not prompt.strip():
            parser.error("the prompt is empty; say what to do: jumar -p TEXT")
        options = replace(options, prompts=(mended(prompt),))
    return asyncio.run(Headless(options, os.environ, sys.stdout, sys.stderr).run())
