"""Who may reach a server, decided before it starts: its address, its certificate, and the tokens that people get."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
import ssl
from pathlib import Path

from .errors import ConfigError

#: Environment variable that may hold tokens, in place of a file.
TOKENS = "LANDMARKLABEL_TOKENS"

#: What a token lets its holder do: look and ask models; also save labels; also everything else.
ROLES = ("reader", "annotator", "admin")


def require_safe_address(host: str, tokens: bool, told_once: bool, told_twice: bool) -> None:
    """Refuse to let the network in without tokens, unless two options ask for it.

    Args:
        host: to listen on.
        tokens: whether there are any.

    Raises:
        ConfigError: it is not a loopback address, there is no token, and not both options were given.
    """
    if tokens or is_loopback(host) or (told_once and told_twice):
        return
    raise ConfigError(
        f"--host {host} lets the network in, and there are no tokens; give --token-file FILE (`landmarklabel token` "
        "makes tokens), or both of --no-tokens and --anyone-may-change-everything"
    )


def is_loopback(host: str) -> bool:
    """Whether only the machine itself reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_certificate(certificate: Path | None, key: Path | None) -> tuple[Path, Path] | None:
    """The two files of a TLS certificate; None if there are to be none.

    Raises:
        ConfigError: one of them is missing, or they do not belong together.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise ConfigError("--tls-cert and --tls-key belong together; give both")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as problem:
        raise ConfigError(f"{certificate} and {key} are no TLS certificate and its key ({problem})") from None
    return certificate, key


def new_token(name: str, role: str) -> tuple[str, str]:
    """A new token, and its line for the token file, which holds a digest only.

    Raises:
        ConfigError: there is no such role, or the name is not one word.
    """
    if role not in ROLES:
        raise ConfigError(f"role {role}: expected one of {', '.join(ROLES)}")
    if not re.fullmatch(r"[\w.@+-]{1,64}", name):
        raise ConfigError(f"name {name!r}: expected one word of up to 64 letters, digits and . @ + - _")
    token = secrets.token_urlsafe(24)
    return token, f"{role} {name} sha256:{hashlib.sha256(token.encode()).hexdigest()}"
