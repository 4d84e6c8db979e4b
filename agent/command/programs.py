"""Owns the programs that only look, and the flags with which they do: what is not named here is not known to."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agent.command.flags import Allowed


@dataclass(frozen=True, slots=True)
class Program:
    """A program that only looks. `operands` says what stands beside its flags.

    "paths"; "pattern", which is none unless a flag gives it, then paths; "words", none a path; "none"; "one" path; "numbers";
    "format" of a date; "anything", where nothing is a flag.
    """

    allowed: Allowed
    operands: str = "paths"
    shows: bool = True  # it prints what stands in files, so that a secret would be known
    patterns: frozenset[str] = frozenset()  # the flags that give the pattern
    roams: frozenset[str] = frozenset()  # the flags with which it goes where nobody named it: below folders, along links


def _looks(
    short: str = "",
    long: str = "",
    operands: str = "paths",
    *,
    shows: bool = True,
    numbers: bool = False,
    patterns: str = "",
    roams: str = "",
) -> Program:
    return Program(Allowed(short, long, numbers), operands, shows, frozenset(patterns.split()), frozenset(roams.split()))


_GREP = _looks(
    "EFGPivwxye:f@cLlm:oqsbHhnTZA:B:C:arRIUz",
    "extended-regexp fixed-strings basic-regexp perl-regexp regexp: file@ ignore-case no-ignore-case invert-match word-regexp "
    "line-regexp count color:: colour:: files-without-match files-with-matches max-count: only-matching quiet silent "
    "no-messages byte-offset with-filename no-filename label: line-number initial-tab null after-context: before-context: "
    "context: text binary-files: exclude: exclude-dir: include: recursive dereference-recursive line-buffered binary null-data",
    "pattern",
    numbers=True,
    patterns="e regexp f file",
    roams="r R recursive dereference-recursive",
)
_RG = _looks(
    "e:f@iSsFPUvwxclm:oqHhnNA:B:C:t:T:g:d:j:LuaI.pr:E:M:0b",
    "regexp: file@ ignore-case smart-case case-sensitive fixed-strings pcre2 multiline multiline-dotall invert-match word-regexp "
    "line-regexp count count-matches files-with-matches files-without-match max-count: only-matching quiet with-filename "
    "no-filename line-number no-line-number column no-column after-context: before-context: context: type: type-not: glob: "
    "iglob: max-depth: maxdepth: threads: follow no-follow unrestricted text hidden no-hidden no-ignore no-ignore-vcs "
    "no-ignore-parent no-ignore-dot no-config no-messages files type-list heading no-heading pretty replace: encoding: "
    "max-columns: max-columns-preview max-filesize: null byte-offset color: colors: json stats trim sort: sortr: vimgrep "
    "passthru passthrough one-file-system crlf null-data context-separator: engine: auto-hybrid-regex include-zero "
    "no-require-git require-git line-buffered block-buffered mmap no-mmap version",
    "pattern",
    patterns="e regexp f file files type-list",
    roams="L follow u unrestricted . hidden",
)
_SUM = _looks("btz", "binary text tag zero")

PROGRAMS: Mapping[str, Program] = MappingProxyType(
    {
        "ls": _looks(
            "aAbBcCdfFgGhHiklLmnNopqQrRsStTuUvw:xXZ1I:",
            "all almost-all author escape block-size: ignore-backups color:: directory classify:: file-type format: full-time "
            "group-directories-first no-group human-readable si dereference-command-line dereference hide: indicator-style: "
            "inode ignore: kibibytes literal numeric-uid-gid hide-control-chars show-control-chars quote-name quoting-style: "
            "reverse recursive size sort: time: time-style: tabsize: width: context zero",
            shows=False,
        ),
        "cat": _looks("AbeEnstTuv", "show-all number-nonblank show-ends number squeeze-blank show-tabs show-nonprinting"),
        "head": _looks("c:n:qvz", "bytes: lines: quiet silent verbose zero-terminated", numbers=True),
        "tail": _looks("c:n:qvz", "bytes: lines: quiet silent verbose zero-terminated", numbers=True),
        "wc": _looks("clLmw", "bytes chars lines max-line-length words total:"),
        "nl": _looks("b:d:f:h:i:l:n:ps:v:w:", "body-numbering: line-increment: number-format: number-separator: number-width:"),
        "tac": _looks("brs:", "before regex separator:"),
        "rev": _looks(),
        "cut": _looks("b:c:d:f:nsz", "bytes: characters: delimiter: fields: complement only-delimited output-delimiter:"),
        "paste": _looks("d:sz", "delimiters: serial zero-terminated"),
        "tr": _looks("cCdst", "complement delete squeeze-repeats truncate-set1", "words"),
        "fold": _looks("bsw:", "bytes spaces width:"),
        "expand": _looks("it:", "initial tabs:"),
        "fmt": _looks("w:su", "width: split-only uniform-spacing"),
        "column": _looks("tns:o:c:N:R:Jx", "table separator: output-separator: table-columns: json"),
        "sort": _looks(
            "bdfgiMhnRrVck:mst:uz",
            "ignore-leading-blanks dictionary-order ignore-case general-numeric-sort ignore-nonprinting month-sort "
            "human-numeric-sort numeric-sort reverse version-sort check:: key: merge stable field-separator: unique "
            "zero-terminated sort: parallel:",
        ),
        "uniq": _looks(
            "cdDif:s:uw:z",
            "count repeated all-repeated:: ignore-case skip-fields: skip-chars: unique check-chars: group::",
            "one",
        ),
        "comm": _looks("123z", "check-order nocheck-order output-delimiter: total zero-terminated"),
        "join": _looks("a:e:i1:2:j:o:t:v:", "ignore-case header check-order nocheck-order"),
        "diff": _looks(
            "abBcC:dEiI:L:nNpqrstTuU:wW:x:yZ",
            "text ignore-space-change ignore-blank-lines minimal ignore-tab-expansion ignore-case ignore-matching-lines: rcs "
            "new-file show-c-function brief recursive report-identical-files expand-tabs unified:: context:: ignore-all-space "
            "side-by-side width: suppress-common-lines ignore-trailing-space color:: strip-trailing-cr exclude: normal "
            "no-dereference label:",
            roams="r recursive",
        ),
        "cmp": _looks("bi:ln:s", "print-bytes ignore-initial: verbose bytes: quiet silent"),
        "md5sum": _SUM,
        "sha1sum": _SUM,
        "sha224sum": _SUM,
        "sha256sum": _SUM,
        "sha384sum": _SUM,
        "sha512sum": _SUM,
        "b2sum": _SUM,
        "cksum": _looks(),
        "stat": _looks("Lfc:t", "dereference file-system format: printf: terse", shows=False),
        "file": _looks("bihLNr0", "brief mime mime-type mime-encoding no-dereference dereference no-pad raw extension"),
        "du": _looks(
            "0aAbcd:hHklLmPsSt:x",
            "null all apparent-size bytes total max-depth: human-readable si dereference-args dereference no-dereference "
            "separate-dirs summarize threshold: time:: time-style: one-file-system exclude: block-size: inodes",
            shows=False,
        ),
        "df": _looks(
            "aB:hHiklPTt:x:", "all block-size: human-readable si inodes local portability print-type type: total", shows=False
        ),
        "tree": _looks(
            "adflxL:P:I:qNQpughsDFvtcUrnCAS",
            "dirsfirst filesfirst prune noreport du gitignore matchdirs ignore-case si timefmt: sort:: charset: filelimit:",
            shows=False,
            roams="l",
        ),
        "basename": _looks("as:z", "multiple suffix: zero", "words"),
        "dirname": _looks("z", "zero", "words"),
        "realpath": _looks(
            "emLPqsz",
            "canonicalize-existing canonicalize-missing logical physical quiet strip no-symlinks zero "
            "relative-to@ relative-base@",
            shows=False,
        ),
        "readlink": _looks(
            "femnqsvz",
            "canonicalize canonicalize-existing canonicalize-missing no-newline quiet silent verbose zero",
            shows=False,
        ),
        "which": _looks("as", "", "words"),
        "type": _looks("afptP", "", "words"),
        "od": _looks("A:j:N:t:vw::abcdfilosx", "address-radix: skip-bytes: read-bytes: format: output-duplicates width::"),
        "hexdump": _looks("bcCdn:os:vxX"),
        "hd": _looks("n:s:v"),
        "xxd": Program(Allowed(long="a b c: e E g: i l: o: p ps s: u", bare=True), "one"),
        "strings": _looks("afn:t:e:dwo", "all print-file-name bytes: radix: encoding: data include-all-whitespace", numbers=True),
        "base64": _looks("diw:", "decode ignore-garbage wrap:", "one"),
        "base32": _looks("diw:", "decode ignore-garbage wrap:", "one"),
        "grep": _GREP,
        "egrep": _GREP,
        "fgrep": _GREP,
        "rg": _RG,
        "fd": _looks(
            "HIsiagp0e:t:E:d:F1L",
            "hidden no-ignore no-ignore-vcs case-sensitive ignore-case absolute-path glob fixed-strings full-path print0 "
            "extension: type: exclude: max-depth: min-depth: color: changed-within: changed-before: size: follow "
            "max-results: quiet",
            "pattern",
            shows=False,
            roams="L follow",
        ),
        "fdfind": _looks("HIsiagp0e:t:E:d:F1", "hidden no-ignore extension: type: exclude: max-depth:", "pattern", shows=False),
        "echo": _looks(operands="anything"),
        "true": _looks(operands="anything"),
        "false": _looks(operands="anything"),
        ":": _looks(operands="anything"),
        "pwd": _looks("LP", "", "none"),
        "exit": _looks("", "", "numbers"),
        "sleep": _looks("", "", "numbers"),
        "seq": _looks("f:s:w", "format: separator: equal-width", "numbers"),
        "date": _looks("uRI::d:", "utc universal rfc-email iso-8601:: date: rfc-3339:", "format"),
        "id": _looks("gGnruz", "group groups name real user zero", "none"),
        "whoami": _looks("", "", "none"),
        "groups": _looks("", "", "none"),
        "logname": _looks("", "", "none"),
        "uname": _looks("asnrvmpio", "all kernel-name nodename kernel-release kernel-version machine operating-system", "none"),
        "arch": _looks("", "", "none"),
        "nproc": _looks("", "all ignore:", "none"),
        "hostname": _looks("s", "short", "none"),
        "uptime": _looks("ps", "pretty since", "none"),
        "free": _looks("bkmghwtl", "human wide total", "none"),
        "tty": _looks("s", "silent quiet", "none"),
        "env": _looks("0", "null", "none"),
        "printenv": _looks("0", "null", "words"),
        "cal": _looks("13jmsy", "", "numbers"),
        "jq": _looks(
            "nrjacsCMSe",
            "null-input raw-output join-output ascii-output compact-output slurp color-output monochrome-output sort-keys "
            "exit-status tab indent: raw-input raw-output0 stream seq",
            "pattern",
        ),
    }
)

# What they say of themselves may depend on a repository: where several versions of them are kept, it says which one runs.
VERSIONED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **dict.fromkeys(("python", "python3", "pip", "pip3", "rustc", "cargo"), frozenset({"--version", "-V"})),
        **dict.fromkeys(("node", "gcc", "g++", "clang"), frozenset({"--version", "-v"})),
        **dict.fromkeys(
            ("make", "cmake", "rg", "jq", "bash", "git", "fd", "uv", "ruff", "deno", "php"), frozenset({"--version"})
        ),
        "go": frozenset({"version"}),
        "java": frozenset({"-version", "--version"}),
        "javac": frozenset({"-version", "--version"}),
        **dict.fromkeys(("perl", "ruby"), frozenset({"-v", "--version"})),
    }
)
