"""What can be set of the gateway, as MONAI Label's ``--conf NAME VALUE``; ``landmarklabel serve`` has the options."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from conf_values import number, whole, yes_or_no
from landmarklabel.errors import ConfigError

#: The names of the settings.
SETTINGS = (
    "token_file", "open_to_all", "allow_origins", "max_upload_mb", "max_model_mb", "body_timeout", "infer_workers",
    "infer_waiting", "infer_timeout",
)  # fmt: skip


@dataclass(frozen=True)
class GatewayOptions:
    """Settings of the gateway.

    Attributes:
        token_file: of ROLE NAME TOKEN lines; tokens may also come from the environment.
        open_to_all: without tokens, answer others than this machine, too.
        allow_origins: of web pages elsewhere that may ask.
        max_upload_mb, max_model_mb: megabytes of a file, or a model, that is sent.
        body_timeout: seconds without a byte after which a request is given up.
        infer_workers: threads for inference, at least two.
        infer_waiting: how many inferences may wait.
        infer_timeout: seconds after which one is given up.
    """

    token_file: str | None = None
    open_to_all: bool = False
    allow_origins: tuple[str, ...] = ()
    max_upload_mb: float = 128.0
    max_model_mb: float = 2048.0
    body_timeout: float = 20.0
    infer_workers: int = 2
    infer_waiting: int = 256
    infer_timeout: float = 120.0

    @classmethod
    def of(cls, conf: Mapping[str, str]) -> GatewayOptions:
        """From MONAI Label's settings.

        Raises:
            ConfigError: a value is not what it should be.
        """
        origins = tuple(part.strip() for part in conf.get("allow_origins", "").split(",") if part.strip())
        for origin in origins:
            if not _is_origin(origin):
                raise ConfigError(f"allow_origins {origin}: expected https://HOST or https://HOST:PORT")
        return cls(
            token_file=conf.get("token_file") or None,
            open_to_all=yes_or_no(conf, "open_to_all"),
            allow_origins=origins,
            max_upload_mb=number(conf, "max_upload_mb", cls.max_upload_mb),
            max_model_mb=number(conf, "max_model_mb", cls.max_model_mb),
            body_timeout=number(conf, "body_timeout", cls.body_timeout),
            infer_workers=whole(conf, "infer_workers", max(2, min(4, os.cpu_count() or 2)), least=2),
            infer_waiting=whole(conf, "infer_waiting", cls.infer_waiting, least=1),
            infer_timeout=number(conf, "infer_timeout", cls.infer_timeout),
        )


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and text == f"{parts.scheme}://{parts.netloc}"
