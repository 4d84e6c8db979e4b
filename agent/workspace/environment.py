"""Owns what commands may know of the person's environment: a list of what passes, and nothing that is a secret."""

import re
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path, PurePath

_PASSES = """
PATH HOME LANG LANGUAGE TZ USER LOGNAME SHELL TMPDIR
XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_HOME XDG_STATE_HOME
VIRTUAL_ENV CONDA_PREFIX CONDA_DEFAULT_ENV PYTHONPATH PYENV_ROOT PYENV_VERSION POETRY_HOME UV_CACHE_DIR PIP_CACHE_DIR
JAVA_HOME M2_HOME MAVEN_HOME GRADLE_HOME GRADLE_USER_HOME SDKMAN_DIR ANDROID_HOME ANDROID_SDK_ROOT DOTNET_ROOT
GOPATH GOROOT GOBIN GOCACHE GOMODCACHE GOFLAGS GOPROXY CARGO_HOME CARGO_TARGET_DIR RUSTUP_HOME RUSTFLAGS
NVM_DIR NVM_BIN VOLTA_HOME PNPM_HOME BUN_INSTALL DENO_DIR GEM_HOME GEM_PATH RBENV_ROOT HOMEBREW_PREFIX
CC CXX CFLAGS CXXFLAGS CPPFLAGS LDFLAGS MAKEFLAGS PKG_CONFIG_PATH CMAKE_PREFIX_PATH
HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy no_proxy
SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS
"""
_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_CREDENTIAL_IN_URL = re.compile(r"://[^/\s]*@|[^/\s]:[^/\s]*@")
_SHORTEST_KEY = 8  # characters; anything shorter stands in many places by chance
_NEEDED = frozenset({"HOME", "PATH"})
_SET_DUMPABLE = 4
_ENVIRONMENT_AT = 47  # of what follows the name in /proc/self/stat: where the environment begins, and where it ends
_ALWAYS = {
    "TERM": "dumb",
    "NO_COLOR": "1",
    "CI": "1",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "DEBIAN_FRONTEND": "noninteractive",
    "PYTHONUNBUFFERED": "1",
}
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


def without(environment: Mapping[str, str], names: Collection[str], keys: Collection[str]) -> dict[str, str]:
    """Return the environment without these variables, and without any that holds one of the keys."""
    long = [key for key in keys if len(key) >= _SHORTEST_KEY]
    return {
        name: value
        for name, value in environment.items()
        if name not in names and (name in _NEEDED or not any(key in value for key in long))
    }


def is_secret(name: str) -> bool:
    """Whether a variable is called as secrets are."""
    return bool(_SECRET.search(name))


def seal(also: Collection[str] = ()) -> None:
    """Keep commands from reading our own environment in /proc: close us to the person's other processes, and wipe secrets there.

    `also` are variables that hold secrets and are not called so. What Python knows of the environment stays as it is.
    """
    if sys.platform != "linux":
        return
    import ctypes  # as in `kin`

    with suppress(OSError, ValueError, IndexError):
        listed = Path("/proc/self/environ").read_bytes()
        numbers = Path("/proc/self/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        begin, end = int(numbers[_ENVIRONMENT_AT]), int(numbers[_ENVIRONMENT_AT + 1])
        if listed and end - begin >= len(listed) and ctypes.string_at(begin, len(listed)) == listed:
            at = begin
            for entry in listed.split(b"\0"):
                name, _, value = entry.partition(b"=")
                called = name.decode("utf-8", "replace")
                if called in also or is_secret(called) or _CREDENTIAL_IN_URL.search(value.decode("utf-8", "replace")):
                    ctypes.memset(at + len(name) + 1, 0, len(value))
                at += len(entry) + 1
    ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)


def for_commands(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a command: what the list lets pass, and what makes programs ask nobody and page nothing."""
    passes = frozenset(_PASSES.split())
    passed = {
        name: value
        for name, value in environment.items()
        if (name in passes or name.startswith("LC_")) and not _SECRET.search(name) and not _CREDENTIAL_IN_URL.search(value)
    }
    # A relative entry would let a repository supply the programs.
    absolute = [entry for entry in passed.get("PATH", "").split(":") if PurePath(entry).is_absolute()]
    return passed | _ALWAYS | {"PATH": ":".join(absolute) or _PATH}
