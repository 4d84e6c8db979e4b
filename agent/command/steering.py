"""Owns variables that steer programs: with one of them set, nothing is known of what a part does."""

import re

from agent.command.parts import Part

_STEERS = re.compile(
    r"PATH|HOME|ENV|BASH_ENV|IFS|SHELLOPTS|BASHOPTS|PS[0-4]|CDPATH|PROMPT_COMMAND|GLOBIGNORE|EXECIGNORE|SHELL|TMPDIR|BASH_.*|FUNCNEST|FPATH"
    r"|(?:LD|DYLD|GIT|PERL|RUBY|SSH|SUDO|LESS|MAN|GCONV|BUNDLE|RIPGREP|FZF|GREP|TAR|RSYNC)(?:_|(?<=PERL)5|(?<=RUBY)|(?<=LESS)|(?<=MAN)).*"
    r"|PYTHON(?:STARTUP|HOME|INSPECT|BREAKPOINT|EXECUTABLE|PLATLIBDIR|PYCACHEPREFIX|USERBASE|CASEOK)"
    r"|PAGER|EDITOR|VISUAL|BROWSER|NODE_OPTIONS|NODE_PATH|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|MAVEN_OPTS|LOCPATH|NLSPATH|TERMINFO.*"
    r"|(?:https?|all|no|ftp)_proxy|(?:HTTPS?|ALL|NO|FTP)_PROXY|RUSTC(?:_.*)?|CARGO_HOME|XDG_.*_HOME|MAKEFLAGS|PIP_.*|NPM_CONFIG_.*|UV_INDEX.*"
)
# Who commits, and when, says nothing of what is run; nor does what pages nothing and edits nothing.
_HARMLESS = re.compile(
    r"GIT_(?:AUTHOR|COMMITTER)_(?:NAME|EMAIL|DATE)|GIT_TERMINAL_PROMPT|GIT_OPTIONAL_LOCKS|MANWIDTH|PIP_(?:NO_INPUT|QUIET|DISABLE_PIP_VERSION_CHECK)"
)
_IDLE = re.compile(
    r"(?:GIT_)?PAGER=(?:cat|)(?=\s|$)|GIT(?:_SEQUENCE)?_EDITOR=(?:true|:|cat)(?=\s|$)|EDITOR=(?:true|:|cat)(?=\s|$)"
)
_DECLARES = frozenset({"export", "declare", "typeset", "local", "readonly", "unset", "read", "mapfile", "readarray", "getopts"})
_NAME = re.compile(r"[\"']?([A-Za-z_][A-Za-z0-9_]*)")


def steered(part: Part) -> str:
    """Return the variable that a part sets and that steers programs; nothing where there is none."""
    found = next((name for name in part.assigns if _steers(name, part.source)), "")
    if found or not part.words or part.words[0].text not in _DECLARES:
        return found
    for word in part.words[1:]:
        named = _NAME.match(word.text)
        if named and _steers(named[1], word.text):
            return named[1]
        if word.text.startswith("-") and "f" in word.text and part.words[0].text == "export":
            return word.text  # a function, which the next shell calls
    return ""


def _steers(name: str, source: str) -> bool:
    if not _STEERS.fullmatch(name) or _HARMLESS.fullmatch(name):
        return False
    return not any(found[0].startswith(f"{name}=") for found in _IDLE.finditer(source))
