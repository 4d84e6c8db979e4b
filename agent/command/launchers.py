"""Owns how programs that start other programs take their options, so that what they start can be found behind these."""

from dataclasses import dataclass, field

from agent.command.options import Options


@dataclass(frozen=True, slots=True)
class Launcher:
    """A program that starts the rest of its arguments, after its options and operands."""

    options: Options = field(default_factory=Options)
    operands: int = 0
    alone: bool = False  # without a command it starts nothing; else a shell, or what it reads


_ARCHITECTURE = Launcher(
    Options(
        "B3RFIXZLST0::hV",
        "32bit fdpic-funcptrs short-inode addr-compat-layout addr-no-randomize whole-seconds sticky-timeouts read-implies-exec "
        "mmap-page-zero 3gb 4gb uname-2.6 verbose show:: help version",
    )
)
_UV = (
    "extra: all-extras no-extra: no-dev group: no-group: no-default-groups only-group: all-groups module only-dev no-editable "
    "editable exact env-file: no-env-file with: with-editable: with-requirements: isolated active no-sync locked frozen script "
    "gui-script all-packages package: no-project python: index: default-index: index-url: extra-index-url: find-links: no-index "
    "upgrade upgrade-package: resolution: prerelease: refresh refresh-package: reinstall reinstall-package: no-cache cache-dir: "
    "offline quiet verbose color: directory: project: config-file: no-config native-tls no-progress help from: link-mode: "
    "constraints: overrides: no-build no-binary no-build-package: no-binary-package: config-setting: no-python-downloads "
    "managed-python no-managed-python allow-insecure-host: dev exclude-newer: torch-backend: index-strategy: keyring-provider:"
)
UV = Options("mse:p:w:i:f:UP:nqvhC:", _UV)
_CONTAINER = (
    "add-host: annotation: attach: blkio-weight: cap-add: cap-drop: cgroup-parent: cgroupns: cidfile: cpu-period: cpu-quota: "
    "cpu-shares: cpus: cpuset-cpus: cpuset-mems: detach detach-keys: device: disable-content-trust dns: dns-option: dns-search: "
    "domainname: entrypoint: env: env-file: expose: gpus: group-add: health-cmd: health-interval: health-retries: "
    "health-timeout: help hostname: init interactive ip: ip6: ipc: isolation: label: label-file: link: log-driver: log-opt: "
    "mac-address: memory: memory-swap: memory-swappiness: mount: name: net: network: network-alias: no-healthcheck "
    "oom-kill-disable oom-score-adj: pid: pids-limit: platform: privileged publish: publish-all pull: quiet read-only restart: "
    "rm runtime: security-opt: shm-size: sig-proxy stop-signal: stop-timeout: storage-opt: sysctl: tmpfs: tty ulimit: user: "
    "userns: uts: volume: volume-driver: volumes-from: workdir: no-deps service-ports use-aliases build remove-orphans index: "
    "no-tty no-TTY"
)
CONTAINER = Options("a:c:de:h:il:m:p:Pqtu:v:w:T", _CONTAINER)
CONTAINER_FRONT = Options(
    "c:DH:l:vf:p:",
    "config: context: debug host: log-level: tls tlscacert: tlscert: tlskey: tlsverify version file: "
    "project-name: profile: project-directory: env-file: ansi: progress: url: remote connection: identity: root:",
)
SHELL = Options(
    "abefhkmnptuvxBCEHPTDcilrso:O:",
    "rcfile: init-file: login noprofile norc posix restricted verbose noediting debugger dump-strings dump-po-strings "
    "pretty-print version help command: init-command: no-config private interactive",
)
ENV = Options(
    "iu:C:S:v0",
    "ignore-environment unset: chdir: split-string: debug null block-signal:: default-signal:: ignore-signal:: "
    "list-signal-handling argv0: help version",
)
XARGS = Options(
    "0a:d:E:e::I:i::L:l::n:P:prs:txoJ:R:S:",
    "null arg-file: delimiter: eof:: replace:: max-lines:: max-args: open-tty interactive no-run-if-empty max-chars: verbose "
    "show-limits exit max-procs: process-slot-var: help version",
)
SUDO = Options(
    "ABbEeHhiKklNnPSsVvC:g:p:R:D:r:t:T:U:u:a:c:h:",
    "askpass background bell preserve-env:: edit set-home help login remove-timestamp reset-timestamp list no-update "
    "non-interactive preserve-groups stdin shell version validate close-from: group: host: prompt: chroot: chdir: role: type: "
    "command-timeout: other-user: user: auth-type: login-class:",
)
SU = Options(
    "c:fg:G:lmps:Pu:w:hVT",
    "command: session-command: fast group: supp-group: login preserve-environment pty no-pty shell: user: whitelist-environment: "
    "help version",
)
SSH = Options("46AaCfGgKkMNnqsTtVvXxYyB:b:c:D:E:e:F:I:i:J:L:l:m:O:o:P:p:Q:R:S:W:w:")
WATCH = Options(
    "bcCdefgn:pq:rs:tvwxh",
    "beep color no-color differences:: errexit chgexit interval: precise equexit: no-rerun shotsdir: no-title no-linenumbers "
    "no-wrap exec help version",
)
FLOCK = Options(
    "c:eFnosuw:E:xhV",
    "shared exclusive unlock nonblock nb timeout: wait: conflict-exit-code: close no-fork command: verbose fcntl help version",
)
SCRIPT = Options(
    "ac:eE:fI:B:O:T:m:o:qt::hV",
    "append command: return echo: flush force log-in: log-io: log-out: log-timing: logging-format: output-limit: quiet timing:: "
    "help version",
)
PARALLEL = Options(
    "0a:C:d:E:I:i::j:kL:l::M:mN:n:P:pqrS:s:tuvXxD:",
    "null arg-file: colsep: delimiter: replace:: jobs: max-procs: keep-order max-args: max-replace-args: max-lines:: max-chars: "
    "interactive quote no-run-if-empty sshlogin: sshloginfile: verbose xargs exit bar progress eta dry-run dryrun pipe "
    "pipepart block: recstart: recend: group ungroup line-buffer tag tagstring: joblog: results: halt: halt-on-error: timeout: "
    "delay: load: memfree: nice: retries: resume resume-failed workdir: wd: env: header: trim: link xapply shuf semaphore "
    "semaphorename: id: fg bg wait tmpdir: no-notice will-cite plain profile: files compress linebuffer lb citation help version",
)
NPX = Options(
    "p:c:yqw:",
    "package: call: yes no no-install quiet shell: workspace: workspaces include-workspace-root prefix: help version "
    "ignore-existing registry: cache: userconfig: silent loglevel:",
)
GIT = Options(
    "C:c:pPhv",
    "exec-path:: git-dir: work-tree: namespace: super-prefix: config-env: attr-source: paginate no-pager bare "
    "no-replace-objects no-lazy-fetch literal-pathspecs glob-pathspecs noglob-pathspecs icase-pathspecs no-optional-locks "
    "no-advice html-path man-path info-path list-cmds: version help",
)
HYPERFINE = Options(
    "w:m:M:r:s:p:C:c:P:D:L:S:Niu:n:hV",
    "warmup: min-runs: max-runs: runs: setup: reference: reference-name: prepare: conclude: cleanup: parameter-scan: "
    "parameter-step-size: parameter-list: shell: ignore-failure:: style: sort: time-unit: export-asciidoc: export-csv: "
    "export-json: export-markdown: export-orgmode: show-output output: input: command-name: min-benchmarking-time: help version",
)
GDB = Options(
    long="args batch batch-silent quiet q silent nx n nh nw nowindows tui readnow readnever cd: data-directory: d: directory: "
    "s: symbols: e: exec: se: c: core: p: pid: x: command: ix: init-command: ex: eval-command: iex: init-eval-command: b: baud: "
    "l: tty: return-child-result version help configuration write statistics early-init-command: early-init-eval-command: "
    "eix: eiex: interpreter: i: ui: fullname f return-child-result",
    bare=True,
)

LAUNCHERS: dict[str, Launcher] = {
    "nice": Launcher(Options("n:0123456789", "adjustment: help version"), alone=True),
    "ionice": Launcher(Options("c:n:p:P:tu:hV", "class: classdata: pid: pgid: ignore uid: help version"), alone=True),
    "timeout": Launcher(Options("k:s:vfp", "kill-after: signal: verbose foreground preserve-status help version"), 1),
    "gtimeout": Launcher(Options("k:s:vfp", "kill-after: signal: verbose foreground preserve-status help version"), 1),
    "time": Launcher(Options("f:o:apqvVh", "format: output: append portability quiet verbose help version"), alone=True),
    "gtime": Launcher(Options("f:o:apqvVh", "format: output: append portability quiet verbose help version"), alone=True),
    "nohup": Launcher(Options("", "help version"), alone=True),
    "setsid": Launcher(Options("cfwhV", "ctty fork wait help version"), alone=True),
    "stdbuf": Launcher(Options("i:o:e:", "input: output: error: help version"), alone=True),
    "chroot": Launcher(Options("u:g:G:", "groups: userspec: skip-chdir help version"), 1),
    "command": Launcher(Options("pvV"), alone=True),
    "builtin": Launcher(alone=True),
    "exec": Launcher(Options("cla:"), alone=True),
    "doas": Launcher(Options("C:Lnsu:a:"), alone=False),
    "pkexec": Launcher(Options("u:", "user: disable-internal-agent keep-cwd help version")),
    "chrt": Launcher(
        Options(
            "abfdiorvhVmp:T:P:D:R",
            "all-tasks batch deadline ext fifo idle other rr max pid: sched-runtime: sched-period: sched-deadline: reset-on-fork "
            "verbose help version",
        ),
        1,
        alone=True,
    ),
    "taskset": Launcher(Options("apchV", "all-tasks pid cpu-list help version"), 1, alone=True),
    "prlimit": Launcher(
        Options(
            "p:o:c::d::e::f::i::l::m::n::q::r::s::t::u::v::x::y::hV",
            "pid: output: noheadings raw verbose core:: data:: nice:: fsize:: sigpending:: memlock:: rss:: nofile:: msgqueue:: "
            "rtprio:: stack:: cpu:: nproc:: as:: locks:: rttime:: help version",
        ),
        alone=True,
    ),
    "runcon": Launcher(Options("ct:u:r:l:", "compute type: user: role: range: help version"), 0),
    "setpriv": Launcher(
        Options(
            "dh",
            "dump nnp no-new-privs ambient-caps: inh-caps: bounding-set: ruid: euid: rgid: egid: reuid: regid: clear-groups "
            "keep-groups init-groups groups: list-caps securebits: pdeathsig: selinux-label: apparmor-profile: landlock-access: "
            "landlock-rule: seccomp-filter: reset-env ptracer: help version",
        ),
        alone=True,
    ),
    "unshare": Launcher(
        Options(
            "m::u::i::n::p::U::C::T::fcrR:w:S:G:l:hV",
            "mount:: uts:: ipc:: net:: pid:: user:: cgroup:: time:: fork map-user: map-group: map-users: map-groups: "
            "map-root-user map-current-user map-auto kill-child:: mount-proc:: mount-binfmt:: propagation: setgroups: root: wd: "
            "setuid: setgid: monotonic: boottime: keep-caps load-interp: owner: map-subids forward-signals help version",
        )
    ),
    "nsenter": Launcher(
        Options(
            "at:m::u::i::n::N:p::C::U::T::S:G:cr::w::W:FZehV",
            "all target: mount:: uts:: ipc:: net:: net-socket pid:: cgroup:: user:: user-parent time:: setuid: setgid: "
            "setuid-by-owner preserve-credentials keep-caps root:: wd:: wdns: no-fork join-cgroup follow-context env help "
            "version",
        )
    ),
    "systemd-run": Launcher(
        Options(
            "p:tPqGu:dSE:rH:M:hC:",
            "property: pty pty-late pipe quiet collect unit: description: slice: slice-inherit expand-environment: "
            "remain-after-exit send-sighup service-type: uid: gid: nice: working-directory: same-dir same-root-dir setenv: "
            "path-property: socket-property: timer-property: on-active: on-boot: on-startup: on-unit-active: on-unit-inactive: "
            "on-calendar: on-clock-change on-timezone-change shell user system scope no-block wait host: machine: "
            "no-ask-password background: job-mode: json: ignore-failure help version",
        ),
        alone=True,
    ),
    "run0": Launcher(
        Options(
            "u:g:D:M:hV",
            "unit: property: description: slice: slice-inherit user: group: nice: chdir: setenv: background: pty pipe machine: "
            "via-shell empower no-ask-password shell-prompt-prefix: help version",
        )
    ),
    "strace": Launcher(
        Options(
            "a:b:cCdDe:E:fFhiI:knNo:O:p:P:qrs:S:tTu:U:vVwxX:yYzZA",
            "argv0: columns: detach-on: trace: abbrev: verbose: raw: signal: status: read: write: fault: inject: kvm: env: "
            "follow-forks output-separately interruptible: output: summary-syscall-overhead: attach: trace-path: quiet:: "
            "relative-timestamps:: string-limit: summary-sort-by: absolute-timestamps:: syscall-times:: user: "
            "summary-columns: no-abbrev version summary-wall-clock strings-in-hex:: const-print-style: decode-fds:: "
            "decode-pids:: successful-only failed-only summary-only summary stack-traces:: stack-trace-frame-limit: "
            "output-append-mode daemonize:: debug instruction-pointer seccomp-bpf syscall-limit: syscall-number tips:: "
            "always-show-pid secontext:: help",
        ),
        alone=True,
    ),
    "ltrace": Launcher(
        Options(
            "a:A:bcCD:e:fF:ghil:Ln:o:p:rs:StTu:Vw:x:X:",
            "align: config: demangle debug: indent: library: output: where: no-signals help version",
        ),
        alone=True,
    ),
    "valgrind": Launcher(Options("hqvd", ""), alone=True),
    "fakeroot": Launcher(Options("l:s:i:ub:hv", "lib: faked: save: load: unknown-is-real fd-base: help version")),
    "dbus-run-session": Launcher(Options("", "config-file: dbus-daemon: help version"), alone=True),
    "choom": Launcher(Options("n:p:hV", "adjust: pid: help version"), alone=True),
    "faketime": Launcher(Options("mf:hp:v", "help version exclude-monotonic date-prog: disable-shm"), 1),
    "unbuffer": Launcher(Options("p")),
    "rlwrap": Launcher(Options("", ""), alone=True),
    "chronic": Launcher(Options("ve"), alone=True),
    "ifne": Launcher(Options("n"), alone=True),
    "tini": Launcher(Options("sp:vweghl", "version"), alone=True),
    "dumb-init": Launcher(Options("cr:vhV", "single-child rewrite: verbose help version"), alone=True),
    "gosu": Launcher(Options(), 1, alone=True),
    "su-exec": Launcher(Options(), 1, alone=True),
    "caffeinate": Launcher(Options("disumt:w:"), alone=True),
    "xvfb-run": Launcher(
        Options(
            "ae:f:hln:p:s:w:",
            "auto-servernum auto-display error-file: auth-file: help listen-tcp server-num: xauth-protocol: server-args: wait:",
        ),
        alone=True,
    ),
    "cgexec": Launcher(Options("g:bh", "sticky help"), alone=True),
    "cpulimit": Launcher(
        Options("l:p:e:P:c:vzifmh", "limit: pid: exe: path: cpu: verbose lazy include-children foreground monitor help"),
        alone=True,
    ),
    "setarch": _ARCHITECTURE,
    "linux32": _ARCHITECTURE,
    "linux64": _ARCHITECTURE,
    "i386": _ARCHITECTURE,
    "x86_64": _ARCHITECTURE,
    "busybox": Launcher(Options("", "list list-full help install:"), alone=True),
    "toybox": Launcher(Options("", "long help version"), alone=True),
    "uvx": Launcher(UV, alone=True),
    "bunx": Launcher(Options("p:", "package: bun silent verbose no-install"), alone=True),
    "proxychains": Launcher(Options("qf:"), alone=True),
    "proxychains4": Launcher(Options("qf:"), alone=True),
    "torsocks": Launcher(Options("u:p:i:ad:q", "user: pass: isolate shell port: address: debug quiet"), alone=True),
    "tsocks": Launcher(alone=True),
}

# Programs of which a word chooses to run the rest: `poetry run pytest`. None of their own options is known but these.
RUNNERS: dict[str, tuple[Options, dict[str, Options]]] = {
    "uv": (UV, {"run": UV, "tool run": UV}),
    "pipx": (
        Options("qvh", "quiet verbose global help version"),
        {
            "run": Options(
                "vq",
                "no-cache path pypackages spec: verbose quiet python: fetch-missing-python system-site-packages "
                "index-url: editable pip-args: with: backend: no-path-check help",
            )
        },
    ),
    "poetry": (
        Options("hqVnC:P:v", "help quiet version ansi no-ansi no-interaction no-plugins no-cache directory: project: verbose"),
        {"run": Options()},
    ),
    "pdm": (
        Options("hVc:vqIn", "help version config: verbose quiet ignore-python pep582 no-cache"),
        {
            "run": Options(
                "hgp:vqs", "help global project: verbose quiet site-packages env-file: no-venv venv: list json recreate"
            )
        },
    ),
    "hatch": (
        Options(
            "e:p:vqh",
            "env: project: verbose quiet color no-color interactive no-interactive data-dir: cache-dir: config: version help",
        ),
        {
            "run": Options("h", "help"),
            "env run": Options("e:i:x:f:h", "env: include: exclude: filter: force-continue ignore-compat help"),
        },
    ),
    "pipenv": (
        Options("hvqp:", "where venv py envs rm bare man support site-packages python: clear quiet verbose version help"),
        {"run": Options("h", "system pypi-mirror: help")},
    ),
    "rye": (Options("", "version env-file: help"), {"run": Options("lh", "list pyproject: env-file: help")}),
    "bundle": (
        Options("vrhV", "no-color retry: verbose help version"),
        {"exec": Options("", "keep-file-descriptors no-keep-file-descriptors gemfile: help")},
    ),
    "conda": (
        Options("hVv", "help version verbose no-plugins"),
        {"run": Options("n:p:vh", "name: prefix: verbose dev debug-wrapper-scripts cwd: no-capture-output live-stream help")},
    ),
    "npm": (NPX, {"exec": NPX, "x": NPX}),
    "pnpm": (
        Options("C:rw", "dir: recursive workspace-root filter: silent"),
        {
            "exec": Options(
                "rcC:", "recursive parallel shell-mode dir: filter: resume-from: report-summary no-reporter-hide-prefix"
            ),
            "dlx": Options("cs", "package: shell-mode silent allow-build:"),
        },
    ),
    "yarn": (Options("", "cwd: silent"), {"exec": Options(), "dlx": Options("p:q", "package: quiet")}),
    "bun": (Options("", "cwd: silent"), {"x": Options("p:", "package: bun silent verbose no-install")}),
    "rbenv": (Options(), {"exec": Options()}),
    "pyenv": (Options(), {"exec": Options()}),
    "asdf": (Options(), {"exec": Options()}),
    "mise": (
        Options("C:E:yvqj:", "cd: env: yes verbose quiet jobs: silent raw"),
        {
            "exec": Options("j:C:c:", "jobs: cd: command: raw no-prepare fresh-env"),
            "x": Options("j:C:c:", "jobs: cd: command: raw"),
        },
    ),
    "perf": (
        Options("hv", "help version debug: buildid-dir: no-pager exec-path::"),
        {
            "stat": Options(
                "ade:p:t:C:AnB:r:D:x:o:ivSGjIM:T",
                "event: pid: tid: cpu: repeat: delay: output: append detailed null verbose sync "
                "field-separator: all-cpus no-aggr interval-print: metrics: topdown per-core per-socket json no-big-num big-num",
            ),
            "record": Options(
                "ade:p:t:C:c:F:gk:m:o:qRsSvW:zN",
                "event: pid: tid: cpu: count: freq: call-graph: output: quiet verbose all-cpus no-buildid data "
                "timestamp raw-samples mmap-pages: delay: stat",
            ),
            "trace": Options("ae:o:p:t:C:svSTf:", "event: expr: output: pid: tid: cpu: summary with-summary verbose"),
        },
    ),
}
