"""Owns what the subcommands of git do: which only look, which change the repository, which reach others, which ruin."""

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from agent.command import launchers
from agent.command.addresses import hosts_of
from agent.command.deed import CHANGED, Deed, Weighed
from agent.command.flags import Allowed, Given, names, strict
from agent.command.looking import is_idle, is_secret, read_secret
from agent.command.options import take
from agent.command.parts import Part, Word
from agent.command.standing import Standing
from agent.workspace.contract import Place

_FRONT = frozenset({"--no-pager", "-P", "--no-optional-locks", "--literal-pathspecs"})
_WIDTH = (
    "stat:: numstat shortstat dirstat:: summary name-only name-status compact-summary stat-width: stat-count: stat-name-width: "
)
_DIFF = (
    _WIDTH + "patch no-patch unified:: raw patch-with-stat minimal patience histogram diff-algorithm: anchored: color:: no-color "
    "word-diff:: word-diff-regex: color-words:: color-moved:: no-renames find-renames:: find-copies:: find-copies-harder "
    "diff-filter: pickaxe-regex pickaxe-all ignore-all-space ignore-space-change ignore-space-at-eol ignore-blank-lines "
    "ignore-cr-at-eol inter-hunk-context: function-context exit-code quiet no-ext-diff no-textconv check full-index binary "
    "abbrev:: relative:: no-relative text no-prefix src-prefix: dst-prefix: cached staged merge-base submodule:: "
    "ignore-submodules:: indent-heuristic no-indent-heuristic no-color-moved cc combined-all-paths diff-merges: "
)
_DIFF_SHORT = "pusU::zMCDBRabwWS:G:l:"
_LOG = (
    _DIFF + "oneline graph all branches:: tags:: remotes:: format:: pretty:: decorate:: no-decorate author: committer: grep: "
    "all-match invert-grep regexp-ignore-case extended-regexp fixed-strings perl-regexp since: until: after: before: max-count: "
    "skip: follow reverse date: date-order author-date-order topo-order first-parent merges no-merges no-abbrev-commit "
    "abbrev-commit simplify-by-decoration full-history left-right cherry-pick cherry-mark cherry relative-date source "
    "walk-reflogs boundary ancestry-path min-parents:: max-parents:: not count numbered email objects no-walk no-mailmap "
    "use-mailmap mailmap no-notes notes:: left-only right-only parents children glob: exclude: "
)
_LOG_SHORT = _DIFF_SHORT.replace("s", "") + "n:gicmL:EFPq"
_ROWS = "format: sort: count: points-at: contains: no-contains: merged: no-merged: color:: ignore-case column:: "

# Of each, the flags with which it looks, whatever stands beside them.
LOOKING: Mapping[str, Allowed] = MappingProxyType(
    {
        "status": Allowed(
            "sbuvz",
            "short branch show-stash porcelain:: long verbose untracked-files:: ignore-submodules:: ignored:: column:: "
            "no-column ahead-behind no-ahead-behind renames no-renames find-renames::",
        ),
        "diff": Allowed(_DIFF_SHORT, _DIFF, numbers=True),
        "log": Allowed(_LOG_SHORT, _LOG, numbers=True),
        "show": Allowed(_LOG_SHORT + "s", _LOG, numbers=True),
        "whatchanged": Allowed(_LOG_SHORT, _LOG, numbers=True),
        "rev-list": Allowed(_LOG_SHORT, _LOG, numbers=True),
        "shortlog": Allowed("nsecw", _LOG.replace("committer: ", "committer ") + "summary numbered email", numbers=True),
        "diff-tree": Allowed(_DIFF_SHORT + "rtcm", _DIFF + "root no-commit-id", numbers=True),
        "diff-files": Allowed(_DIFF_SHORT + "q", _DIFF),
        "diff-index": Allowed(_DIFF_SHORT + "m", _DIFF),
        "blame": Allowed(
            "bcfelL:npstwCM", "root show-stats porcelain line-porcelain show-name show-number show-email date: abbrev:: since::"
        ),
        "annotate": Allowed("L:lt"),
        "ls-files": Allowed(
            "cdmoistzuktvfx:",
            "cached deleted modified others ignored stage unmerged killed directory no-empty-directory error-unmatch "
            "exclude-standard exclude: full-name abbrev:: debug eol deduplicate format: recurse-submodules",
        ),
        "ls-tree": Allowed("drtlz", "long name-only name-status object-only full-name full-tree abbrev:: format:"),
        "rev-parse": Allowed(
            "q",
            "verify quiet short:: abbrev-ref:: symbolic symbolic-full-name all branches:: tags:: remotes:: show-toplevel "
            "show-prefix show-cdup git-dir git-common-dir absolute-git-dir is-inside-git-dir is-inside-work-tree "
            "is-bare-repository is-shallow-repository show-superproject-working-tree end-of-options since:: until:: "
            "show-object-format:: default: revs-only no-revs flags no-flags not git-path: path-format:",
        ),
        "describe": Allowed(
            "",
            "all tags contains abbrev:: candidates: exact-match debug long match: exclude: always first-parent dirty:: broken::",
        ),
        "name-rev": Allowed("", "tags refs: exclude: all name-only no-undefined always"),
        "merge-base": Allowed("a", "all octopus independent is-ancestor fork-point"),
        "cat-file": Allowed("tpse", "batch-check:: batch-all-objects"),
        "for-each-ref": Allowed("", _ROWS),
        "show-ref": Allowed("qdsh", "head heads tags branches dereference hash:: verify quiet abbrev::"),
        "show-branch": Allowed(
            "ar", "all remotes current topo-order date-order sparse more:: list merge-base independent sha1-name"
        ),
        "grep": Allowed(
            "avIiwEGFPnhHlLczoqpWA:B:C:e:",
            "cached untracked exclude-standard no-exclude-standard text ignore-case word-regexp invert-match full-name "
            "extended-regexp basic-regexp perl-regexp fixed-strings line-number column files-with-matches name-only "
            "files-without-match null only-matching count color:: no-color break heading show-function function-context context: "
            "after-context: before-context: max-depth: and or not all-match quiet threads: recursive max-count:",
            numbers=True,
        ),
        "count-objects": Allowed("vH", "verbose human-readable"),
        "check-ignore": Allowed("qvnz", "quiet verbose non-matching no-index"),
        "check-attr": Allowed("az", "all cached"),
        "cherry": Allowed("v", "abbrev::"),
        "range-diff": Allowed(_DIFF_SHORT, _DIFF + "creation-factor: no-dual-color left-only right-only"),
        "version": Allowed("", "build-options"),
        "var": Allowed(),
        "branch": Allowed(
            "lavrqi", "list all remotes verbose show-current no-color abbrev:: no-abbrev " + _ROWS.replace("count: ", "")
        ),
        "tag": Allowed("ln::i", "list " + _ROWS.replace("count: ", "")),
        "remote": Allowed("v", "verbose"),
        "stash": Allowed(_LOG_SHORT, _LOG + "include-untracked only-untracked", numbers=True),
        "reflog": Allowed(_LOG_SHORT, _LOG, numbers=True),
        "worktree": Allowed("vz", "porcelain verbose"),
        "config": Allowed(
            "lz",
            "list get get-all get-regexp get-urlmatch show-origin show-scope name-only null local global system type: "
            "bool int path includes no-includes default:",
        ),
        "notes": Allowed(),
        "clean": Allowed("ndxXqfe:", "dry-run quiet exclude: force"),
        "apply": Allowed("vp:C:R", "stat numstat summary check reverse verbose recount"),
    }
)
_SHOWS = names(
    "diff log show whatchanged diff-tree diff-files diff-index blame annotate cat-file grep stash range-diff reflog shortlog"
)
_CHANGES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("add", "stage", "rm", "mv", "update-index", "read-tree"), "it changes git's index"),
        **dict.fromkeys(("commit", "merge", "rebase", "cherry-pick", "revert", "am"), "it makes commits"),
        **dict.fromkeys(("checkout", "switch", "restore", "reset"), "it changes what is checked out"),
        **dict.fromkeys(("branch", "tag", "stash", "notes", "replace", "symbolic-ref", "bisect"), "it changes refs of git"),
        **dict.fromkeys(
            ("worktree", "init", "clean", "apply", "sparse-checkout", "rerere", "commit-tree", "write-tree", "mktree"),
            "it changes the repository",
        ),
        **dict.fromkeys(("hash-object", "unpack-objects", "pack-refs", "commit-graph", "mktag"), "it writes objects of git"),
    }
)
_RUINS = "it throws away what git could still bring back"
_FORGETS = names("gc prune reflog update-ref repack filter-branch filter-repo prune-packed maintenance")
_REACHES: Mapping[str, str] = MappingProxyType(
    {
        "push": "it publishes commits, which nothing here can take back",
        "send-pack": "it publishes commits, which nothing here can take back",
        "send-email": "it sends mail, which nothing here can take back",
        "request-pull": "it asks another repository",
        "clone": "it fetches a repository",
        "svn": "it reaches another repository",
        "p4": "it reaches another repository",
        "lfs": "it may fetch files, or send them",
        "credential": "it asks for credentials",
        **dict.fromkeys(
            ("fetch", "pull", "ls-remote", "fetch-pack", "remote-http", "remote-https"), "it fetches from a repository"
        ),
        **dict.fromkeys(("archive",), "it fetches from a repository"),
    }
)
_SETS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "remote": names("add set-url rename remove rm set-head set-branches"),
        "submodule": names("set-url set-branch deinit absorbgitdirs"),
    }
)
_SIGNED = re.compile(r"%(?:[-+ ]|[<>|]+\([^)]*\))*G|%\(signature")  # formats for which git starts who looks at signatures
_READS_CONFIG = frozenset({"l", "list", "get", "get-all", "get-regexp", "get-urlmatch"})
_SETTINGS = "other programs act on what git's settings say"


def git(part: Part, standing: Standing, unkept: Callable[[], bool]) -> Iterator[Weighed]:
    """Weigh a part that starts git. `unkept` says that something in the folder is not kept by the ledger."""
    words = part.words[1:]
    if part.literal and part.argv[1:] == ("--version",) and not part.redirects:
        yield Weighed(part, Deed.LOOKS, "it only says which version it is", sandboxed=True)
        return
    front = take(words, launchers.GIT)
    steered = [word.text for word in words[: len(words) - len(front.rest)] if word.text not in _FRONT]
    verb = front.rest[0] if front.rest else Word("")
    rest = front.rest[1:]
    if not verb.literal or not front.sure:
        yield Weighed(part, Deed.UNREAD, "which command of git it is cannot be told")
        return
    plain = not steered and not part.assigns and all(is_idle(redirect) for redirect in part.redirects)
    if plain and (looked := _looked(part, verb.text, rest, standing)):
        yield looked
        return
    yield from _secrets(part, verb.text, rest, standing)
    if verb.text in _CHANGES or verb.text in _FORGETS:
        for folder in front.values("C", "git-dir", "work-tree"):
            path, whole = standing.meant(folder)
            if whole and any(located.place is Place.OUTSIDE for located in standing.leads(path)):
                why, lost = f"it changes a repository outside the workspace, {path}", CHANGED.format(path)
                yield Weighed(part, Deed.LEAVES, why, strays=True, lost=lost)
    yield from _other(part, verb.text, rest, unkept)


def _other(part: Part, verb: str, rest: tuple[Word, ...], unkept: Callable[[], bool]) -> Iterator[Weighed]:
    texts = [word.text for word in rest]
    first = next((text for text in texts if not text.startswith("-")), "")
    if verb == "config" or first in _SETS.get(verb, ()):
        yield Weighed(part, Deed.LEAVES, _SETTINGS)
    elif verb == "remote" and first in {"update", "show", "prune"}:
        yield Weighed(part, Deed.REACHES, "it asks another repository")
    elif verb == "submodule" and first in {"add", "update", "sync", "init"}:
        yield Weighed(part, Deed.REACHES, "it fetches other repositories", hosts_of(rest))
    elif verb in _REACHES and not (verb == "archive" and not any(text.startswith("--remote") for text in texts)):
        yield Weighed(part, Deed.REACHES, _REACHES[verb], hosts_of(rest))
    elif verb in _FORGETS and not (verb == "reflog" and first not in {"expire", "delete"}):
        yield Weighed(part, Deed.RUINS, _RUINS)
    elif verb == "worktree" and first == "remove" and any(text in {"-f", "--force"} for text in texts):
        yield Weighed(part, Deed.RUINS, "it throws away a work tree that the ledger does not keep")
    elif verb == "clean" and unkept() and any(re.fullmatch(r"-[a-zA-Z]*[xX][a-zA-Z]*", text) for text in texts):
        yield Weighed(part, Deed.RUINS, "it removes what git ignores, which the ledger does not keep")
    elif verb in _CHANGES:
        yield Weighed(part, Deed.GIT, _CHANGES[verb])
    elif verb in LOOKING:
        yield Weighed(part, Deed.WORKS, "it runs git with options that are not known only to look")
    else:
        yield Weighed(part, Deed.WORKS, "it runs git")


def _looked(part: Part, verb: str, rest: tuple[Word, ...], standing: Standing) -> Weighed | None:
    """Weigh a subcommand that only looks; None where it is not known to."""
    if not standing.folders:
        return None
    allowed = LOOKING.get(verb)
    given = strict(rest, allowed) if allowed else None
    if (
        given is None
        or not all(word.literal for word in given.operands)
        or not _only_looks(verb, given, tuple(word.text for word in rest))
    ):
        return None
    shows = verb in _SHOWS and not given.flags & {"stat", "numstat", "shortstat", "name-only", "name-status", "summary"}
    operands = given.operands[1:] if verb == "grep" and "e" not in given.flags else given.operands
    lines = tuple(value for name, value in given.values if name == "L")
    here = () if standing.folders == ("",) else (Word("."),)
    for word in (*here, *operands, *lines):
        for path in _named(word.text):
            for located in standing.leads(path):
                if is_secret(located) and (shows or located.place is Place.HIDDEN):
                    return read_secret(part, located)
                if located.place in {Place.OUTSIDE, Place.HIDDEN}:
                    return None
    return Weighed(part, Deed.LOOKS, "it only reads, but git runs what the repository's settings say", sandboxed=True)


def _only_looks(verb: str, given: Given, rest: tuple[str, ...]) -> bool:
    """Whether a subcommand that can do more only looks with these; what stands first may choose what it does."""
    texts = [word.text for word in given.operands]
    first, count, flags = (texts[0] if texts else ""), len(texts), given.flags
    chooses = rest[0] if rest else ""
    if any(_SIGNED.search(value.text) for name, value in given.values if name in {"format", "pretty", "sort"}):
        return False
    match verb:
        case "branch":
            return not count or bool(flags & {"l", "list", "contains", "no-contains", "merged", "no-merged", "points-at"})
        case "tag":
            return not count or bool(flags & {"l", "list", "contains", "no-contains", "merged", "no-merged", "points-at", "n"})
        case "remote":
            return not count or (chooses == "get-url" and count == 2)
        case "stash" | "notes":
            return chooses in {"list", "show"}
        case "reflog":
            return first in {"", "show"} or not re.fullmatch(r"expire|delete|exists|list|drop|write", first)
        case "worktree":
            return chooses == "list" and count == 1
        case "config":
            if chooses in {"get", "list"}:
                return count <= 2
            if first and any(text.startswith("-") for text in rest[rest.index(first) :]):
                return False  # behind a name it is the value that is set
            return bool(flags & _READS_CONFIG) or (count == 1 and "." in first)
        case "clean":
            return bool(flags & {"n", "dry-run"}) and not flags & {"f", "force"}
        case "apply":
            return bool(flags & {"stat", "numstat", "summary", "check"})
        case _:
            return True


def _secrets(part: Part, verb: str, rest: tuple[Word, ...], standing: Standing) -> Iterator[Weighed]:
    """Yield that it shows a secret, where it does with flags that are not known."""
    if verb not in _SHOWS:
        return
    for word in rest:
        if word.literal and not word.text.startswith("-"):
            for path in _named(word.text):
                found = next((located for located in standing.leads(path) if is_secret(located)), None)
                if found is not None:
                    yield read_secret(part, found)
                    return


def _named(text: str) -> tuple[str, ...]:
    """Return the paths that an operand may be: as it stands, and behind a revision, a stage or what a pathspec begins with."""
    pieces = text.split(":")
    behind = (":".join(pieces[at:]).lstrip("/!^") for at in range(1, min(len(pieces), 4)))
    return tuple(path for path in (text if len(pieces) == 1 else "", *behind, text.rpartition(")")[2]) if path)
