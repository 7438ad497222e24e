"""Studies that are named by the URL of a server, not by a folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.parse import urlsplit

from .errors import ConfigError


def is_url(studies: str) -> bool:
    """Whether studies are named as a server, not as a folder."""
    return studies.lower().startswith(("http://", "https://"))


def require_url(url: str) -> str:
    """The URL without a last slash.

    Raises:
        ConfigError: it is none, or holds a user name or password, which would be in every log.
    """
    url = url.strip()
    parts = urlsplit(url)
    try:
        good = is_url(url) and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment:
        raise ConfigError(f"{url.partition('?')[0]}: expected the URL of a DICOMweb server: http://HOST:PORT/dicom-web")
    if parts.username or parts.password:
        raise ConfigError(
            f"the URL of {parts.hostname} holds a user name: give it and the password by MONAI_LABEL_DICOMWEB_USERNAME "
            "and MONAI_LABEL_DICOMWEB_PASSWORD"
        )
    return url.rstrip("/")


def default_folder(url: str) -> Path:
    """Where labels of a server are kept if nobody says: they are data, not a cache."""
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    parts = urlsplit(require_url(url))
    digest = hashlib.sha256(require_url(url).encode()).hexdigest()[:8]
    return home / "landmarklabel" / f"{parts.hostname}-{parts.port or parts.scheme}-{digest}"
