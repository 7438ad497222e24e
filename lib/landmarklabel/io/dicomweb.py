"""A DICOM archive over DICOMweb: radiographs found by QIDO-RS, fetched by WADO-RS, documents stored by STOW-RS.

``dicomweb-client`` speaks the protocol. This module adds what a slow, wrong or hostile archive makes necessary: a bound
on the size and time of every answer, and one sentence for whatever goes wrong, in which nobody is named.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from dicomweb_client import DICOMwebClient
from pydicom.dataset import Dataset
from pydicom.uid import UID
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth

from ..errors import NotFoundError, RefusedError, RemoteError
from ..urls import require_url

#: Modalities that are asked for: computed and digital radiography.
MODALITIES = ("CR", "DX")

_PAGE = 500

# Statuses that say nothing of what was asked for: who asks, that it is too much just now, that a server behind is away.
_BUSY = (401, 408, 425, 429, 502, 503, 504)


@dataclass(frozen=True)
class Limits:
    """What an answer of the archive may take.

    Attributes:
        bytes: of one answer, unpacked: an image, or the headers of a series.
        wait_s: until the archive says something, or something more.
        answer_s: until the answer is complete.
    """

    bytes: int = 512 << 20
    wait_s: float = 20.0
    answer_s: float = 300.0


@dataclass(frozen=True)
class Series:
    """A series in the archive.

    Attributes:
        study: StudyInstanceUID.
        uid: SeriesInstanceUID.
        instances: how many it has, where the archive says so, else 0.
        description: SeriesDescription.
    """

    study: str
    uid: str
    instances: int = 0
    description: str = ""


class Archive:
    """A DICOMweb server.

    Args:
        url: where its services QIDO-RS, WADO-RS and STOW-RS begin, such as ``http://127.0.0.1:8042/dicom-web``.
        user, password: for HTTP basic authentication, if it wants that.
        limits: of every answer.

    Raises:
        ConfigError: the URL is none, or holds a password.
    """

    def __init__(self, url: str, user: str = "", password: str = "", limits: Limits | None = None) -> None:
        self.url = require_url(url)
        self._limits = limits or Limits()
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _BoundedAdapter(self._limits))
        if user:
            self._session.auth = HTTPBasicAuth(user, password)
        self._client = DICOMwebClient(self.url, session=self._session)
        self._client.set_http_retry_params(retry=False)  # a reader waits; whoever can wait tries again

    def series(self, modality: str, description: str = "") -> Iterator[Series]:
        """All series of a modality, or those of them with that description.

        Raises:
            RemoteError: the archive does not answer as it should.
        """
        filters = {"Modality": modality, **({"SeriesDescription": description} if description else {})}
        seen: set[str] = set()
        while True:
            with self._said("searched for series", gone="offers no search there"):
                page = self._client.search_for_series(
                    search_filters=filters, limit=_PAGE, offset=len(seen), fields=["SeriesDescription"]
                )
                found = [_series(Dataset.from_json(each)) for each in page]
            new = [series for series in found if series.uid not in seen and UID(series.uid).is_valid]
            seen |= {series.uid for series in found}
            # Attributes that an archive has no index of, it ignores as a filter.
            yield from (series for series in new if description in ("", series.description))
            if len(page) < _PAGE or not new:
                return

    def headers(self, series: Series) -> list[Dataset]:
        """Headers of the instances of a series, without pixels and other bulk data.

        Raises:
            RemoteError: the archive does not answer as it should.
        """
        with self._said("asked for the headers of a series"):
            return [
                Dataset.from_json(each, bulk_data_uri_handler=lambda _: None)
                for each in self._client.retrieve_series_metadata(series.study, series.uid)
            ]

    def instance(self, study: str, series: str, uid: str) -> Dataset:
        """One instance as it is stored, pixels and all.

        Raises:
            NotFoundError: the archive has it no more.
            RefusedError: the archive answers, but not with this instance.
            RemoteError: the archive does not answer.
        """
        with self._said(f"asked for {uid}"):
            dataset = self._client.retrieve_instance(study, series, uid, media_types=(("application/dicom", "*"),))
        if str(dataset.get("SOPInstanceUID")) != uid:
            raise RefusedError(f"the DICOM server {self.url} answered with another instance than {uid}")
        return dataset

    def documents(self, series: Series) -> list[Dataset]:
        """The instances of a series of reports or segmentations.

        Raises:
            RemoteError: the archive does not answer as it should.
        """
        with self._said("asked for a series"):
            return list(self._client.retrieve_series(series.study, series.uid))

    def store(self, document: Dataset) -> None:
        """Store an instance. It may be there already.

        Raises:
            RemoteError: the archive does not answer as it should, or refuses it.
        """
        with self._said(f"sent {document.SOPInstanceUID}"):
            answer = self._client.store_instances([document])
        stored = answer.get("ReferencedSOPSequence") or ()
        if document.SOPInstanceUID not in {each.ReferencedSOPInstanceUID for each in stored}:
            reasons = {int(each.get("FailureReason") or 0) for each in answer.get("FailedSOPSequence") or ()}
            why = ", ".join(f"0x{reason:04X}" for reason in sorted(reasons)) or "no reason given"
            raise RefusedError(f"the DICOM server {self.url} refused {document.SOPInstanceUID} ({why})")

    @contextmanager
    def _said(self, what: str, gone: str = "has it no more") -> Iterator[None]:
        """Turn whatever goes wrong into one sentence."""
        try:
            yield
        except requests.HTTPError as problem:
            status = problem.response.status_code
            if status in (404, 410):
                raise NotFoundError(f"the DICOM server {self.url}, {what}, {gone} ({status})") from None
            hint = "; set its user name and password" if status in (401, 403) else ""
            error = RemoteError if status in _BUSY else RefusedError
            raise error(f"the DICOM server {self.url}, {what}, answered {status}{hint}") from None
        except _TooMuchError as problem:
            raise RefusedError(f"the DICOM server {self.url}, {what}, {problem}") from None
        except requests.exceptions.SSLError:
            raise RemoteError(f"the DICOM server {self.url} has no certificate that this machine trusts") from None
        except requests.Timeout:
            raise RemoteError(f"the DICOM server {self.url}, {what}, did not answer in time") from None
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            raise RemoteError(f"the DICOM server {self.url} can't be reached") from None
        except Exception as problem:  # answers that are no DICOM fail in any way
            kind = type(problem).__name__
            raise RefusedError(f"the DICOM server {self.url}, {what}, gave no DICOMweb answer ({kind})") from problem


def _series(entry: Dataset) -> Series:
    instances = entry.get("NumberOfSeriesRelatedInstances")
    description = str(entry.get("SeriesDescription") or "")
    return Series(str(entry.StudyInstanceUID), str(entry.SeriesInstanceUID), int(instances or 0), description)


class _TooMuchError(Exception):
    """An answer beyond the limits."""


class _BoundedAdapter(HTTPAdapter):
    """Gives up on answers that are too large or take too long, while they come."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        options["timeout"] = self._limits.wait_s
        end = time.monotonic() + self._limits.answer_s
        response = super().send(request, *args, **options)
        chunks = response.raw.stream

        def bounded(*arguments: Any, **named: Any) -> Iterator[bytes]:
            size = 0
            for chunk in chunks(*arguments, **named):
                size += len(chunk)
                if size > self._limits.bytes:
                    response.close()
                    raise _TooMuchError(f"sends more than the {self._limits.bytes} bytes that are taken")
                if time.monotonic() > end:
                    response.close()
                    raise _TooMuchError(f"takes longer than {self._limits.answer_s:g} s")
                yield chunk

        response.raw.stream = bounded  # type: ignore[method-assign]
        return response
