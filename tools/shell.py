"""Owns the tool that runs commands."""

from typing import ClassVar, Literal

from pydantic import Field

from agent.blocks import Block, TerminalBlock
from agent.effects import Effect
from agent.errors import ToolFailure
from agent.tool import Arguments, Context, Result, Tool
from agent.workspace.contract import Background, Ended


class ShellArguments(Arguments):
    """What to run, or which background process to look after."""

    command: str = Field("", description="The bash command, for action run.")
    timeout: float = Field(120, gt=0, le=1800, description="Seconds until it is ended; default 120, at most 1800.")
    background: bool = Field(default=False, description="Start it and go on at once: for servers and watchers.")
    action: Literal["run", "list", "read", "kill"] = Field(
        "run", description="Default run. Of background processes: list them, read one's new output, kill one."
    )
    id: str = Field("", description="The background process to read or kill, such as bg1.")


class Shell(Tool[ShellArguments]):
    """Run a bash command in the workspace. Each runs in a fresh shell: cd and variables do not last.
    stdin is closed: nothing can be typed in, so pass flags such as -y. What a command leaves running is ended with it;
    use background=true for servers and watchers, then action read, list or kill. Of long output the start and the end
    are returned, of a long test run its failures, and the file that has all of it. To look for and read files, search,
    find and read are better."""

    arguments = ShellArguments
    effect: ClassVar[Effect] = Effect.EXEC
    editable: ClassVar[str] = "command"

    def effect_of(self, arguments: ShellArguments) -> Effect:
        """Looking after background processes changes nothing outside, and ending them is no more than they were allowed for."""
        return Effect.EXEC if arguments.action == "run" else Effect.READ

    def subject(self, arguments: ShellArguments) -> str:
        """Return the command, or what is done to which process."""
        return arguments.command if arguments.action == "run" else f"{arguments.action} {arguments.id}".rstrip()

    def command(self, arguments: ShellArguments) -> str:
        """Return the command, where one is run."""
        return arguments.command if arguments.action == "run" else ""

    def running(self, command: str, seconds: float) -> ShellArguments:
        """Return the arguments that run a command to its end."""
        return ShellArguments(command=command, timeout=seconds)

    async def preview(self, arguments: ShellArguments, context: Context) -> tuple[Block, ...]:
        """Show the command."""
        _check(arguments)
        return (TerminalBlock(self.subject(arguments)),)

    async def run(self, arguments: ShellArguments, context: Context) -> Result:
        """Run, start, list, read or kill. Raises ToolFailure."""
        _check(arguments)
        workspace = context.workspace
        match arguments.action:
            case "list":
                lines = [f"{_state(one)}: {one.command}" for one in workspace.background()]
                return Result("\n".join(lines) or "No background process was started.")
            case "read":
                printed = workspace.output(arguments.id)
                (one,) = [one for one in workspace.background() if one.id == arguments.id]
                return _looked(one, printed)
            case "kill":
                killed = await workspace.kill(arguments.id)
                return _looked(killed, workspace.output(arguments.id))
            case "run" if arguments.background:
                started = await workspace.start(arguments.command, context.confined)
                words = f"Started as {started.id}; action=read with id={started.id} tells what it prints."
                if workspace.sandbox != "none" and context.confined.held and not context.confined.hosts:
                    words += " The sandbox closes its ports to all others: what tries a server must run in one command with it."
                return Result(words, (TerminalBlock(arguments.command),))
            case "run":
                return _ran(arguments, await workspace.run(arguments.command, arguments.timeout, context.told, context.confined))


def _check(arguments: ShellArguments) -> None:
    if arguments.action == "run" and not arguments.command.strip():
        raise ToolFailure("Nothing was run: command is missing.")
    if arguments.action in {"read", "kill"} and not arguments.id:
        raise ToolFailure(f"Nothing was done: action {arguments.action} needs the id of a background process; list names them.")


def _ran(arguments: ShellArguments, ended: Ended) -> Result:
    lines = [ended.folded or ended.output.removesuffix("\n") or "(no output)"]
    if ended.folded:
        where = f", and {ended.spill} holds all of it" if ended.spill is not None else ""
        lines.append(f"[this is what matters of it{where}]")
    elif ended.omitted:
        where = f"; read {ended.spill} for all of it" if ended.spill is not None else ""
        lines.append(f"[{ended.omitted} bytes of output left out{where}]")
    if ended.partly:
        lines.append(f"[only a part of the suite ran: {ended.partly}]")
    if ended.leftovers:
        lines.append(f"[{_left(ended.leftovers)} ended; background=true keeps a server running]")
    if ended.timed_out:
        lines.append(
            f"[it was still running after {arguments.timeout:g} s and was ended; "
            "raise timeout, or use background=true for what does not end by itself]"
        )
    if ended.guarded:
        lines.append(f"[it was ended: {ended.guarded}; that is more than a command may take, so do it in smaller parts]")
    lines.append(f"[exit {ended.exit_code} · {ended.seconds:.2f} s]")
    block = TerminalBlock(arguments.command, ended.output, ended.exit_code, ended.seconds)
    return Result("\n".join(lines), (block,), exit_code=ended.exit_code, stopped=ended.stopped)


def _left(count: int) -> str:
    return "1 process that it left running was" if count == 1 else f"{count} processes that it left running were"


def _looked(one: Background, printed: str) -> Result:
    words = printed.removesuffix("\n") or "(nothing new)"
    return Result(f"{words}\n[{_state(one)}]", (TerminalBlock(one.command, printed, one.exit_code, one.seconds),))


def _state(one: Background) -> str:
    return f"{one.id} {'running' if one.running else f'exit {one.exit_code}'} · {one.seconds:.1f} s"
