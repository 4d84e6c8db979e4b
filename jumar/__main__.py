"""Owns the first moment: whose code may be imported, before any of it is."""

import gc
import os
import sys

_OURS = ("agent", "prompts", "tools", "tui")


def clean_path(path: list[str], pythonpath: str, here: str, first: str | None) -> list[str]:
    """Return `path` without what the surroundings put there: PYTHONPATH's entries, the working folder and ''.

    `here` is the folder that holds our packages; it stays, first, even when PYTHONPATH names it.
    `first` is what Python itself put in front (the working folder under `-m`), or None where it put nothing.
    """
    real = os.path.realpath
    unwanted = {real(entry or os.curdir) for entry in pythonpath.split(os.pathsep)} if pythonpath else set()
    if first is not None:
        unwanted.add(real(first or os.curdir))
    unwanted.add(real(here))  # it comes back in front
    return [here, *(entry for entry in path if entry and real(entry) not in unwanted)]


def _settle() -> None:
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib costs a fifth of the start
    first = sys.path[0] if sys.path and not sys.flags.safe_path else None
    sys.path[:] = clean_path(sys.path, os.environ.get("PYTHONPATH", ""), here, first)
    for name in _OURS:
        if not os.path.isdir(os.path.join(here, name)):  # noqa: PTH112, PTH118 - as above
            sys.exit(f"jumar: its own package {name!r} is missing from {here}; install it again, apart from others")


def _take_no_plugins() -> None:
    """Have pydantic load nobody else's code, and not look through all that is installed for it: a tenth of the start."""
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    # The setting spares the plugins, but not the search. Should the module be called otherwise one day, the setting still holds.
    loader = type(sys)("pydantic.plugin._loader")
    vars(loader)["get_plugins"] = tuple
    sys.modules[loader.__name__] = loader


def main() -> int:
    """Run the command line; the console script's entry."""
    _settle()
    if sys.argv[1:] == ["--version"]:
        from jumar import __version__

        try:
            print(f"jumar {__version__}", flush=True)
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return 141 if isinstance(error, BrokenPipeError) else 1
        return 0
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # an end without a traceback, until a run sees to its own
    _take_no_plugins()
    gc.disable()  # all that is imported stays; `Headless` turns it on again
    from jumar.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
