"""Errors that a user can act on: one clear sentence, never a traceback.

Whatever is wrong with an image, a label, a protocol, a model or a setting is raised as a
:class:`LandmarkLabelError` whose text says what was given, what was expected, and where. The command line
prints that text and exits with status 2; the server answers it with the status of the error's class.
"""

from __future__ import annotations

from collections.abc import Iterable


class LandmarkLabelError(ValueError):
    """Something that the user gave is wrong; the message is one sentence for that user.

    Attributes:
        http_status: the status with which a server answers this error.
    """

    http_status = 400


class ImageError(LandmarkLabelError):
    """A file is not a radiograph that can be read."""

    http_status = 422


class FormatError(ImageError):
    """A file is of no image format that is read."""

    http_status = 415


class LabelError(LandmarkLabelError):
    """Landmarks that do not fit their protocol or their image."""

    http_status = 422


class ProtocolError(LandmarkLabelError):
    """A protocol file is not valid."""


class ConfigError(LandmarkLabelError):
    """A configuration or an option is not valid."""


class DataError(LandmarkLabelError):
    """A data set does not have the layout that was named."""


class ModelError(LandmarkLabelError):
    """A model file is missing, damaged, or made for something else."""

    http_status = 409


class NotFoundError(LandmarkLabelError):
    """An image, a label or a task of that name does not exist."""

    http_status = 404


class StorageError(LandmarkLabelError):
    """The disk is full, or a folder can't be written."""

    http_status = 507


class RemoteError(LandmarkLabelError):
    """Another server, such as a DICOM archive, does not answer, or not as it should."""

    http_status = 503


class RefusedError(RemoteError):
    """Another server answers, but not with what it was asked for; asking once more may not help."""


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names in a sentence: ``S, N, Or`` and, beyond ``most``, ``and 12 more``."""
    names = [str(name) for name in names]
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
