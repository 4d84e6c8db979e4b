"""Owns registries: which hosts the programs that install packages fetch from, unless a person set them otherwise."""

from collections.abc import Mapping
from types import MappingProxyType

_PYTHON = ("pypi.org", "files.pythonhosted.org")
_NODE = ("registry.npmjs.org", "registry.yarnpkg.com")
_RUST = ("index.crates.io", "static.crates.io", "crates.io")
_RUBY = ("rubygems.org", "index.rubygems.org")
_JAVA = ("repo.maven.apache.org", "repo1.maven.org")
_GRADLE = (*_JAVA, "plugins.gradle.org", "plugins-artifacts.gradle.org", "services.gradle.org", "downloads.gradle.org")

# No host where anybody may keep what they like, but for composer, whose packages lie at GitHub: what a command may fetch from,
# it may send to as well.
REGISTRIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("pip", "pip3", "pipx", "uv", "uvx", "poetry", "pdm", "hatch", "pipenv"), _PYTHON),
        **dict.fromkeys(("npm", "npx", "pnpm", "pnpx", "yarn", "bun", "bunx", "corepack"), _NODE),
        "deno": ("jsr.io", "npm.jsr.io", "deno.land", *_NODE),
        "cargo": _RUST,
        "rustup": ("static.rust-lang.org",),
        "go": ("proxy.golang.org", "sum.golang.org"),
        **dict.fromkeys(("gem", "bundle", "bundler"), _RUBY),
        "composer": ("packagist.org", "repo.packagist.org", "api.github.com", "codeload.github.com"),
        **dict.fromkeys(("mvn", "mvnw"), _JAVA),
        **dict.fromkeys(("gradle", "gradlew"), _GRADLE),
        **dict.fromkeys(("dotnet", "nuget"), ("api.nuget.org", "globalcdn.nuget.org")),
        "mix": ("hex.pm", "repo.hex.pm", "builds.hex.pm"),
        **dict.fromkeys(("dart", "flutter"), ("pub.dev",)),
        "conda": ("repo.anaconda.com", "conda.anaconda.org"),
    }
)
