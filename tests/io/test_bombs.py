"""Small files that would be large in memory are refused by what they declare, before they are decoded."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom.encaps import encapsulate

from landmarklabel.errors import ImageError
from landmarklabel.io import read_radiograph
from landmarklabel.io.codestream import declared_size
from landmarklabel.io.raster import MAX_PIXELS

SIDE = 30_000


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 20), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def tiff(width: int, height: int, bits: int, samples: int) -> bytes:
    """A header alone, of one strip."""
    tags = [
        (256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, samples),
        (278, 4, height), (279, 4, 4), (339, 3, 3),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + bytes(4)


def nrrd(width: int, height: int, values: int) -> bytes:
    fields = {
        "type": "double", "dimension": 3, "sizes": f"{values} {width} {height}", "kinds": "vector domain domain",
        "endian": "little", "encoding": "gzip",
    }  # fmt: skip
    return "\n".join(["NRRD0004", *(f"{key}: {value}" for key, value in fields.items()), "", ""]).encode()


def mha(width: int, height: int) -> bytes:
    return f"ObjectType = Image\nNDims = 2\nDimSize = {width} {height}\nElementType = MET_DOUBLE\n".encode() + (
        b"ElementDataFile = LOCAL\n" + bytes(9)
    )


FILES = {
    "wide.png": png(SIDE, SIDE),
    "not quite as wide.png": png(9000, 9000),
    "wide.tif": tiff(SIDE, SIDE, 8, 1),
    "of a depth that Pillow has not.tif": tiff(SIDE, SIDE, 32, 3),
    "wide.nrrd": nrrd(SIDE, SIDE, 3),
    "many values.nrrd": nrrd(200, 200, 1_000_000),
    "wide.mha": mha(SIDE, SIDE),
    "BMP": b"BM" + struct.pack("<IIIIiiHHIIiiII", 60, 0, 54, 40, SIDE, SIDE, 1, 24, 0, 0, 0, 0, 0, 0),
}


@pytest.mark.parametrize("name", FILES)
def test_what_declares_too_much_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    with pytest.raises(ImageError, match="at most|values a pixel|exceeds limit"):
        read_radiograph(path)


def test_a_compressed_nifti_is_followed_no_further_than_an_image_goes(tmp_path: Path) -> None:
    path = tmp_path / "small.nii"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5), np.uint8)), str(path))
    block = zlib.compressobj(9, wbits=31)
    parts = [block.compress(path.read_bytes() + bytes(1 << 26))]
    path = tmp_path / "x.nii.gz"
    path.write_bytes(b"".join([*parts, block.flush()]))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ImageError, match="bytes when decompressed"):
        read_radiograph(path)


def test_reading_bombs_takes_no_memory(tmp_path: Path) -> None:
    """In a process that may have no more than a gigabyte beside what the libraries take."""
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    program = """
import resource, sys
from pathlib import Path
from landmarklabel.errors import ImageError
from landmarklabel.io import read_radiograph
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in Path(sys.argv[1]).iterdir():
    try:
        read_radiograph(path)
    except ImageError:
        pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    result = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert int(result.stdout) < 300_000  # kilobytes; the smallest of them would take 80 MB a copy, most 900


@pytest.mark.parametrize("ending", ["jpg", "jp2"])
@pytest.mark.parametrize("size", [(3, 2), (640, 481)])
def test_declared_sizes_of_real_streams(tmp_path: Path, ending: str, size: tuple[int, int]) -> None:
    path = tmp_path / f"x.{ending}"
    Image.new("L", size, 7).save(path)
    assert declared_size(path.read_bytes()) == size


@pytest.mark.parametrize(
    "stream", [b"", b"\xff\xd8", b"\xff\xd8\xff\xc0\0", b"RLE", b"\xff\x4f\xff\x51\0", b"\xff\xd8" * 9]
)
def test_streams_that_declare_nothing(stream: bytes) -> None:
    assert declared_size(stream) is None


def test_dicom_whose_compressed_pixels_are_larger_than_it_says(tmp_path: Path) -> None:
    pixels = np.full((40, 50), 9, np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(tmp_path / "x.dcm"))
    Image.new("L", (4000, 4000)).save(tmp_path / "x.jpg")
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    dataset.PixelData = encapsulate([(tmp_path / "x.jpg").read_bytes()])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    dataset.save_as(tmp_path / "x.dcm")
    with pytest.raises(ImageError, match=r"its header says 50 x 40 pixels, its compressed data \(4000, 4000\)"):
        read_radiograph(tmp_path / "x.dcm")


def test_the_largest_film_is_read() -> None:
    """14 x 17 inches at 50 um."""
    assert round(14 * 25.4 / 0.05) * round(17 * 25.4 / 0.05) < MAX_PIXELS
