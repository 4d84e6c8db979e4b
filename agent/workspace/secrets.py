"""Owns which files are called as those are that hold keys and passwords: told from names, never from what stands in them."""

import re
from collections.abc import Sequence

_SPARE = r"(?:~|\.(?:bak|backup|old|orig|save|sav|swp|swo|tmp|copy|\d{1,3}))+"  # what editors and people put behind a name
_KEPT = r"(?:json5?|ya?ml|toml|ini|cfg|conf|config|env|properties|xml|csv|txt|db|sqlite3?|plist|tfrc\.json|ps1xml)"
_STAGE = r"(?:prod|production|dev|development|staging|stage|test|testing|local|live|qa|uat|ci)"
# Beside a name that says "secret" these are programs and prose, which speak of secrets and hold none.
PROSE = (
    r"(?:py|pyi|pyx|ipynb|go|rs|c|h|cc|cpp|hpp|cs|java|kt|kts|scala|swift|rb|php|pl|lua|r|jl|dart|zig|ex|exs|erl|hs|ml|clj|"
    r"js|mjs|cjs|jsx|ts|mts|cts|tsx|vue|svelte|css|scss|html?|md|mdx|rst|adoc|sh|bash|zsh|fish|ps1|sql|tf|proto|svg|png|lock)"
)
_PROSE = re.compile(rf".*\.{PROSE}")
_NAMED = re.compile(
    "|".join(
        (
            # Settings with secrets in them, but for those that show what such a file looks like.
            r"\.env(?:rc)?",
            r"\.env[._-](?!.*(?:example|sample|template|dist|defaults|schema)$).+",
            r"(?!.*(?:example|sample|template)).+\.env",
            rf"(?:.*[._-])?secrets?(?:[._-]{_STAGE})?\.{_KEPT}|\.secrets?|secrets?",
            r"\.dev\.vars|local\.settings\.json|(?!.*(?:example|sample|template)).+\.tfvars(?:\.json)?",
            # Keys, whatever format they are in.
            r"id_(?:rsa|dsa|ecdsa|ed25519|xmss)(?:_sk)?(?:[_-][^.]*)?(?:\.(?:pem|key|ppk))?|identity",
            r"(?!(?:cacert|ca-bundle|ca-certificates|chain|fullchain)\.|.*(?:^|[._-])pub(?:lic)?(?:[._-]|key)).+\.(?:pem|key)",
            r".+\.(?:p12|pfx|pkcs12|p8|pk8|ppk|jks|jceks|bks|keystore|truststore|keytab|kdb|kdbx|agekey|ovpn|asc\.key)",
            r"secring\.gpg|master\.key|privkey\.der|.*private[._-]?key(?:\.(?:txt|der|json|asc))?",
            # What programs log in with.
            rf"(?:.*[._-])?credentials?(?:[._-]{_STAGE})?(?:\.{_KEPT})?",
            r".*service[._-]?account.*\.json|.*firebase-adminsdk.*\.json|client[._-]secrets?.*\.json|auth\.json",
            r"[._]netrc|\.npmrc|\.pypirc|\.git-credentials|\.gitcookies|\.htpasswd|\.htdigest|\.pgpass|pgpass\.conf|\.my\.cnf",
            r"\.mylogin\.cnf|\.s3cfg|\.boto|\.dockercfg|\.dockerconfigjson|\.terraformrc|terraform\.rc|cookies\.(?:txt|sqlite)",
            r"(?:.*\.)?kubeconfig(?:\.ya?ml)?",
            r"(?:.*[._-])?(?:token|passwords?|passwd|passphrase)(?:\.(?:txt|json|ya?ml|ini|cfg|conf|csv))?|\.?vault[._-]?pass.*",
            r"g?shadow-?",
            # What was typed, keys among it.
            r"\.[a-z_]+_history|fish_history",
            # All that a plan of machines knows, passwords too.
            r".*\.tfstate",
        )
    )
)
_FOLDERS = frozenset({".ssh", ".aws", ".gnupg", ".azure", ".gcloud", ".password-store", ".secrets", "secrets"})
_OPEN = re.compile(r".*\.pub|known_hosts.*|authorized_keys.*|readme.*|\.git(?:ignore|keep|attributes)")  # that nobody hides
_LISTS = frozenset({("etc", "passwd"), ("etc", "passwd-")})  # of a machine's users, without what they log in with
_PAIRS = frozenset(
    {(".docker", "config.json"), (".kube", "config"), (".m2", "settings.xml"), (".gem", "credentials"), ("gh", "hosts.yml")}
)


def is_folder_of_secrets(name: str) -> bool:
    """Whether all that a folder of this name holds is secret; the package `secrets` of a program is none."""
    return name in _FOLDERS and name != "secrets"


def are_of_secret(names: Sequence[str]) -> bool:
    """Whether a file is called as secrets are; `names` are the parts of its path from the workspace down, their case folded."""
    if not names:
        return False
    name = names[-1]
    if _PROSE.fullmatch(name) or _OPEN.fullmatch(name) or tuple(names[-2:]) in _LISTS:
        return False
    if _NAMED.fullmatch(name) or tuple(names[-2:]) in _PAIRS or not _FOLDERS.isdisjoint(names[:-1]):
        return True
    spared = re.sub(f"{_SPARE}$", "", name)
    return spared != name and are_of_secret((*names[:-1], spared.removeprefix(".") if ".sw" in name else spared))
