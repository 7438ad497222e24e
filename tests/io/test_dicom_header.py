"""Headers without pixels and without the patient: what they keep, and what they lose."""

from __future__ import annotations

from pathlib import Path

import dicom_files
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary, keyword_for_tag

from landmarklabel.errors import ConfigError, ImageError
from landmarklabel.io import read_radiograph
from landmarklabel.io.dicom import require_radiograph
from landmarklabel.io.dicom_header import without_identity, write_header
from landmarklabel.io.headers import read_geometry
from landmarklabel.urls import default_folder, require_url

UIDS = {"StudyInstanceUID": "1.2.3.4", "SeriesInstanceUID": "1.2.3.5"}
_TEXTS = ("PN", "LO", "SH", "ST", "LT", "UT", "UC", "AE", "AS", "DA", "DT", "TM")


def test_no_text_date_or_name_of_the_standard_is_kept(tmp_path: Path) -> None:
    """Whatever attribute it stands in, also nested and private."""
    image = pydicom.dcmread(dicom_files.write(tmp_path / "x.dcm", np.zeros((3, 4), int), **UIDS))
    values = {"DA": "19010203", "TM": "010203", "DT": "19010203", "AS": "077Y"}
    for tag, (vr, *_) in DicomDictionary.items():
        if vr in _TEXTS and tag > 0x00080000 and keyword_for_tag(tag):
            setattr(image, keyword_for_tag(tag), values.get(vr, "SECRET"))
    image.add_new(0x00091001, "LO", "SECRET")
    nested = pydicom.dataset.Dataset()
    nested.PatientName = "SECRET"
    image.RequestAttributesSequence = [nested]
    kept = without_identity(image, "pseudonym")
    kept.save_as(tmp_path / "kept.dcm", write_like_original=False)
    content = (tmp_path / "kept.dcm").read_bytes()
    for secret in (b"SECRET", b"19010203", b"010203", b"077Y"):
        assert secret not in content
    assert pydicom.dcmread(tmp_path / "kept.dcm").PatientID == "pseudonym"


@settings(max_examples=10)
@given(
    imager=st.one_of(st.none(), st.tuples(st.floats(0.01, 2), st.floats(0.01, 2))),
    pixel=st.one_of(st.none(), st.tuples(st.floats(0.01, 2), st.floats(0.01, 2))),
    photometric=st.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
    placed=st.booleans(),
)
def test_the_image_stays_the_same(
    imager: tuple[float, float] | None,
    pixel: tuple[float, float] | None,
    photometric: str,
    placed: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Pixels, spacing, window and world are the file's; of the header alone, the world is the same, too."""
    folder = tmp_path_factory.mktemp("header")
    attributes = {"PhotometricInterpretation": photometric, "WindowCenter": 2000, "WindowWidth": 999, **UIDS}
    for keyword, spacing in (("ImagerPixelSpacing", imager), ("PixelSpacing", pixel)):
        if spacing is not None:
            attributes[keyword] = [f"{step:.6g}" for step in spacing]
    if placed:
        attributes |= {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1], "ImagePositionPatient": [10, -20, 30.5]}
    stored = np.random.default_rng(0).integers(0, 4096, (6, 5))
    path = dicom_files.write(folder / "x.dcm", stored, **attributes)
    header = without_identity(pydicom.dcmread(path))
    header.save_as(folder / "kept.dcm", write_like_original=False)
    write_header(header, folder / "header.dcm")
    image, kept = read_radiograph(path), read_radiograph(folder / "kept.dcm")
    assert np.array_equal(image.pixels, kept.pixels)
    assert (image.geometry, image.spacing, image.spacing_source, image.window) == (
        kept.geometry, kept.spacing, kept.spacing_source, kept.window,
    )  # fmt: skip
    assert read_geometry(folder / "header.dcm") == image.geometry
    with pytest.raises(ImageError, match="DICOM without an image"):
        read_radiograph(folder / "header.dcm")


@pytest.mark.parametrize("modality", ["CT", "MR", "US", "PT"])
def test_other_modalities_are_refused(tmp_path: Path, modality: str) -> None:
    path = dicom_files.write(tmp_path / "x.dcm", np.zeros((3, 4), int), Modality=modality)
    with pytest.raises(ImageError, match=f"x.dcm: a DICOM object of modality {modality}; expected a radiograph"):
        read_radiograph(path)


def test_a_huge_image_is_refused_by_its_header(tmp_path: Path) -> None:
    path = dicom_files.write(tmp_path / "x.dcm", np.zeros((3, 4), int), Rows=60000, Columns=60000)
    with pytest.raises(ImageError, match="x.dcm: 60000 x 60000 pixels; at most"):
        read_radiograph(path)
    header = pydicom.dcmread(path, stop_before_pixels=True)
    with pytest.raises(ImageError, match="image 1.2: 60000 x 60000 pixels"):
        require_radiograph(header, "image 1.2")


def test_a_deflated_file_is_refused(tmp_path: Path) -> None:
    """A megabyte of it may be a gigabyte, and nothing says so beforehand."""
    image = pydicom.dcmread(dicom_files.write(tmp_path / "x.dcm", np.zeros((3, 4), int)))
    image.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    image.save_as(tmp_path / "x.dcm")
    with pytest.raises(ImageError, match="x.dcm: deflated as a whole"):
        read_radiograph(tmp_path / "x.dcm")


def test_urls() -> None:
    assert require_url(" http://host:8042/dicom-web/ ") == "http://host:8042/dicom-web"
    assert default_folder("https://host/dicom-web").name.startswith("host-https-")
    assert default_folder("https://host/a") != default_folder("https://host/b")
    for url in ("ftp://host", "http://", "http://host:99999/", "http://host/?a=b", "host"):
        with pytest.raises(ConfigError, match="expected the URL of a DICOMweb server"):
            require_url(url)
    with pytest.raises(ConfigError, match="the URL of host holds a user name") as caught:
        require_url("http://anna:secret@host/dicom-web")
    assert "secret" not in str(caught.value)
