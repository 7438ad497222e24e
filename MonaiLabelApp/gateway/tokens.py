"""Who may come in: tokens with names and roles, from a file or from the environment.

One line a token, ``ROLE NAME TOKEN``, and ``#`` before what is no token; the name is one word. In place of the token
itself stands its digest, ``sha256:`` and 64 hexadecimal digits, so that who reads the file can't come in by it::

    admin      anna   sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    annotator  room2  6bYkVvX3gkq3m2C3h1eJ9Qp0
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import stat
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.rules import Role
from landmarklabel.errors import ConfigError

logger = logging.getLogger(__name__)

#: The environment variable that holds tokens, separated by line ends or semicolons.
VARIABLE = "LANDMARKLABEL_TOKENS"

#: A token that a person made up is guessed; one of this length that a computer drew is not.
SHORTEST = 20

_ROLES = {str(role): role for role in (Role.READER, Role.ANNOTATOR, Role.ADMIN)}


@dataclass(frozen=True)
class Caller:
    """Who sends a request; without a name where nobody has to say who they are."""

    name: str
    role: Role


@dataclass(frozen=True)
class _Token:
    digest: bytes
    caller: Caller


class Tokens:
    """A set of tokens.

    Args:
        tokens: at least one.
    """

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self._tokens = tuple(tokens)

    def __len__(self) -> int:
        return len(self._tokens)

    def caller(self, secret: str) -> Caller | None:
        """Whose token this is; None if nobody's. Takes as long for each, right or wrong."""
        digest = hashlib.sha256(secret.encode(errors="replace")).digest()
        found = None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token.caller
        return found

    @classmethod
    def read(cls, text: str, where: str) -> Tokens:
        """The tokens of a text.

        Args:
            where: it comes from, for the sentence. No token is ever part of one.

        Raises:
            ConfigError: a line is none, a name or a token is there twice, or there is no token.
        """
        tokens = []
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.partition("#")[0].split()
            if words:
                tokens.append(_read_token(words, f"{where}, line {number}"))
        if not tokens:
            raise ConfigError(f"{where} holds no token; expected lines of ROLE NAME TOKEN")
        for what, values in (
            ("name", [token.caller.name for token in tokens]),
            ("token", [token.digest for token in tokens]),
        ):
            if len(set(values)) < len(values):
                raise ConfigError(f"{where}: a {what} is there twice; each has its own")
        return cls(tokens)


def _read_token(words: Sequence[str], where: str) -> _Token:
    if len(words) != 3 or words[0] not in _ROLES:
        raise ConfigError(f"{where}: expected ROLE NAME TOKEN, with ROLE one of {', '.join(_ROLES)}")
    role, name, secret = words
    if not re.fullmatch(r"[\w.@+-]{1,64}", name):
        raise ConfigError(f"{where}: a name is up to 64 letters, digits and . @ + - _")
    if secret.startswith("sha256:"):
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", secret):
            raise ConfigError(f"{where}: expected sha256: and 64 hexadecimal digits")
        digest = bytes.fromhex(secret.removeprefix("sha256:"))
    elif len(secret) < SHORTEST:
        raise ConfigError(f"{where}: the token has {len(secret)} characters; expected at least {SHORTEST}")
    else:
        digest = hashlib.sha256(secret.encode()).digest()
    return _Token(digest, Caller(name, _ROLES[role]))


class TokenSource:
    """Where tokens come from; a file that is changed counts from the next request on.

    Args:
        file: None for the environment.

    Raises:
        ConfigError: the file can't be read, others can read tokens in it, or it is not right.
    """

    def __init__(self, file: Path | None) -> None:
        self._file, self._lock = file, threading.Lock()
        self._stamp = None if file is None else _stamp(file)
        self._tokens = _from_environment() if file is None else _from_file(file)

    def current(self) -> Tokens:
        """The tokens that count now. A file that was damaged meanwhile leaves them as they are, said in the log."""
        if self._file is None:
            return self._tokens
        with self._lock:
            stamp = _stamp(self._file)
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._tokens = _from_file(self._file)
                    logger.warning("tokens read again: %d", len(self._tokens))
                except ConfigError as problem:
                    logger.error("the tokens stay as they were: %s", problem)
            return self._tokens


def token_source(file: str | None) -> TokenSource | None:
    """The tokens that were asked for, by a file's name or by the environment; None if there are to be none.

    Raises:
        ConfigError: as of :class:`TokenSource`, or both were given.
    """
    if file and os.environ.get(VARIABLE):
        raise ConfigError(f"tokens come from a file ({file}) or from {VARIABLE}, not from both")
    if file:
        return TokenSource(Path(file))
    return TokenSource(None) if os.environ.get(VARIABLE) else None


def _from_environment() -> Tokens:
    return Tokens.read(os.environ[VARIABLE].replace(";", "\n"), VARIABLE)


def _from_file(file: Path) -> Tokens:
    try:
        text, mode = file.read_text(encoding="utf-8"), file.stat().st_mode
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(f"the token file {file} can't be read ({problem})") from None
    tokens = Tokens.read(text, str(file))
    if mode & (stat.S_IROTH | stat.S_IWOTH) and any(map(_is_plain, text.splitlines())):
        raise ConfigError(f"everybody on this machine can read the tokens in {file}; chmod 600 it, or keep digests")
    return tokens


def _is_plain(line: str) -> bool:
    """Whether a line holds a token itself, not its digest."""
    words = line.partition("#")[0].split()
    return bool(words) and not words[-1].startswith("sha256:")


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
