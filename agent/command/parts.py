"""Owns the values of a command that was read: its parts, their words, and where their output goes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a part. `text` is what the program would get where the word is literal, else what was written."""

    text: str
    literal: bool = True  # bash changes nothing in it: no expansion, no glob, no brace, no tilde
    glob: bool = False  # not literal, but only for `*`, `?` or `[...]`: it becomes names of files


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where input comes from or output goes to; `target` is a file, a descriptor or the text of a here-document."""

    operator: str  # as written, with its descriptor: "2>", ">>", "<", "2>&", "<<<", ...
    target: Word


@dataclass(frozen=True, slots=True)
class Part:
    """One simple command. `words` begins with the program's name and is empty where there are only assignments."""

    source: str  # as it was written
    words: tuple[Word, ...]
    assigns: tuple[str, ...] = ()  # the names of variables set in front of it, or alone
    redirects: tuple[Redirect, ...] = ()
    wrapped: bool = False  # another part runs it: env, xargs, bash -c, find -exec, a substitution ...

    @property
    def literal(self) -> bool:
        """Whether it is one argument vector that is known to the letter."""
        return bool(self.words) and not self.assigns and all(word.literal for word in self.words)

    @property
    def argv(self) -> tuple[str, ...]:
        """The texts of its words."""
        return tuple(word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class Script:
    """A whole command as it was read. `fault` says why it may not mean what it seems to; parts may be missing then."""

    text: str
    parts: tuple[Part, ...]  # in the order of the text; those that run inside another (substitutions, subshells) too
    fault: str = ""
    plain: bool = False  # nothing but simple commands joined by && || ; | and newlines: no loops, functions, substitutions, jobs
