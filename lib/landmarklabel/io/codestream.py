"""How large compressed pixels say that they are: what a decoder makes room for, whatever the header around them says.

JPEG: ITU-T T.81, B.2.2 (frame header). JPEG-LS: ITU-T T.87, C.2.2. JPEG 2000: ITU-T T.800, A.5.1 (SIZ).
"""

from __future__ import annotations

import struct

# Frame headers of JPEG (all but DHT, JPG and DAC, which lie among them) and of JPEG-LS.
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
# Markers without a length: TEM, and RST0 to SOI.
_BARE = {0x01, *range(0xD0, 0xD9)}
_JPEG_2000 = b"\xff\x4f\xff\x51"


def declared_size(stream: bytes) -> tuple[int, int] | None:
    """(width, height) that the first frame of a JPEG, JPEG-LS or JPEG 2000 stream declares; None of any other.

    >>> declared_size(b"\\xff\\xd8\\xff\\xc0\\x00\\x0b\\x08\\x00\\x02\\x00\\x03\\x01\\x01\\x11\\x00")
    (3, 2)
    """
    start = stream.find(_JPEG_2000, 0, 4096)  # within a JP2 file there are boxes before it
    if start >= 0:
        return _jpeg_2000(stream[start : start + 24])
    return _jpeg(stream) if stream.startswith(b"\xff\xd8") else None


def _jpeg_2000(head: bytes) -> tuple[int, int] | None:
    if len(head) < 24:
        return None
    right, bottom, left, top = struct.unpack(">4I", head[8:24])
    return right - left, bottom - top


def _jpeg(stream: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker == 0xFF or marker in _BARE:  # a byte of filling, or a marker alone
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAMES:
            height, width = struct.unpack(">2H", stream[at + 5 : at + 9])
            return width, height
        at += 2 + struct.unpack(">H", stream[at + 2 : at + 4])[0]
    return None
