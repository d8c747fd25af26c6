"""What a picture's file says beyond its pixels, cut away without decoding or re-encoding it.

A file from outside may tell where it was taken (GPS), by whom and with which camera, and may carry a thumbnail of the
face that was painted over. The walkers keep a short list of parts that a decoder needs and drop all others, known or
not, with whatever follows the end of the picture (a second picture, a ZIP, what a cropping tool left behind).

ICC profiles and PNG's colour chunks stay until the colours have been read by them; `shown_as_it_came` drops these too.
Not looked for: data hidden inside the compressed pixels, which only re-encoding would remove.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from datasets.refusals import Refusal

MAX_PARTS = 65_536  # segments or chunks: an honest file of 40 MB has some thousands
MAX_SCANS = 200  # progressive JPEG: encoders write about 10; each costs the decoder a pass over the whole picture


class PictureRefused(Refusal):
    """The file is not taken. The message tells whoever sent it what is wrong and what to do."""


@dataclass(frozen=True)
class Still:
    """One picture's file without metadata, and what its headers say. Nothing was decoded to learn it."""

    format: str
    width: int  # as stored: orientation is not applied
    height: int
    orientation: int  # EXIF's 1-8
    data: bytes


def without_metadata(data: bytes) -> Still:
    """The same compressed pixels in the shortest honest container. Raises PictureRefused."""
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg_without_metadata(data)
    if data.startswith(_PNG_SIGNATURE):
        return _png_without_metadata(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp_without_metadata(data)
    raise PictureRefused("not a JPEG, PNG or WebP picture; convert it to one of these")


def shown_as_it_came(still: Still) -> bytes:
    """The same coded pixels for people, when their numbers are sRGB's: no word on colours is left.

    A turned JPEG says so in an EXIF header that holds nothing else; other turned pictures lose what turns them here.
    """
    if still.format == "JPEG":
        segments = [bytes((0xFF, kind)) + body for kind, body in _jpeg_segments(still.data) if kind not in _TOLD]
        return b"".join([still.data[:2], _turning(still.orientation), *segments, b"\xff\xd9"])
    if still.format == "PNG":
        kept = [still.data[start:end] for kind, start, end in _png_chunks(still.data) if kind not in _PNG_TOLD]
        return b"".join([_PNG_SIGNATURE, *kept, _PNG_END])
    return _webp_of([each for each in _webp_chunks(still.data) if each[0] != b"ICCP"], flags=_WEBP_ALPHA)


def _turning(orientation: int) -> bytes:
    """The shortest EXIF segment that has this orientation; empty where nothing is turned."""
    if orientation == 1:
        return b""
    entry = struct.pack(">HHIHH", _ORIENTATION, 3, 1, orientation, 0)
    tiff = b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    return struct.pack(">BBH", 0xFF, _APP1, 2 + 6 + len(tiff)) + b"Exif\0\0" + tiff


def _truncated(name: str) -> PictureRefused:
    return PictureRefused(f"truncated {name}: the file ends in the middle of the picture; export it again")


def _damaged(name: str, what: str) -> PictureRefused:
    return PictureRefused(f"damaged {name}: {what}; export it again")


def _animated() -> PictureRefused:
    return PictureRefused("animated pictures are not accepted; save one frame")


_ORIENTATION = 0x0112


def _orientation(exif: bytes) -> int:
    """Read the way browsers do: one SHORT in the first directory, else 1. XMP's copy of it is not asked."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (n_entries,) = struct.unpack_from(order + "H", tiff, directory)
        for k in range(n_entries):
            tag, kind, count, value = struct.unpack_from(order + "HHIH", tiff, directory + 2 + 12 * k)
            if tag == _ORIENTATION:
                return value if (kind, count) == (3, 1) and 1 <= value <= 8 else 1
    except struct.error:  # a directory that leads out of the block: no orientation is better than no picture
        return 1
    return 1


# JPEG: ITU-T T.81, annex B.

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_TOLD = {_APP1, _APP2}  # orientation and ICC profile
_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SOF_SHOWN = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive: arithmetic and lossless JPEG open in no browser
_TABLES = {0xC4, 0xDB, 0xDD}  # DHT, DQT, DRI

# A marker that starts or ends something. Within a scan FF00 is a data byte, FF01 and FFD0-FFD7 stand alone, and FF may
# be repeated before any marker. One pattern serves between segments too: there decoders skip whatever it skips.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")


def _jpeg_without_metadata(data: bytes) -> Still:
    parts = [data[:2]]
    width = height = n_scans = 0
    orientation: int | None = None
    for marker, segment in _jpeg_segments(data):
        if marker in _SOF:
            if width or marker not in _SOF_SHOWN or len(segment) < 8:
                raise _damaged("JPEG", "it has a frame header that browsers cannot show")
            height, width = struct.unpack_from(">HH", segment, 3)
        if marker == _SOS:
            n_scans += 1
        if marker == _APP1 and orientation is None and segment[2:].startswith(b"Exif\0\0"):
            orientation = _orientation(segment[2:])
        if kept := _kept_of_segment(marker, segment):
            parts += [bytes((0xFF, marker)), kept]
    if n_scans == 0:
        raise _damaged("JPEG", "it has no picture in it")
    if n_scans > MAX_SCANS:
        raise PictureRefused(f"JPEG of {n_scans} scans; at most {MAX_SCANS} are allowed: save it as a baseline JPEG")
    return Still("JPEG", width, height, orientation or 1, b"".join([*parts, b"\xff\xd9"]))


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and what follows it, length bytes first, up to the first picture's end.

    The compressed data of a scan belongs to its SOS. A phone's MPO file has further pictures after the end, such as a
    depth or gain map: not reached, the first one is what browsers show.
    """
    at = 2
    for _ in range(MAX_PARTS):
        found = _MARKER.search(data, at)
        if found is None:
            raise _truncated("JPEG")
        marker, start = data[found.end() - 1], found.end()
        if marker == _EOI:
            return
        length = int.from_bytes(data[start : start + 2])
        at = start + length
        if start + 2 > len(data) or at > len(data):
            raise _truncated("JPEG")
        if marker == _SOI or length < 2:
            raise _damaged("JPEG", f"marker {marker:02X} at byte {start} makes no sense")
        if marker == _SOS:
            after_scan = _MARKER.search(data, at)
            if after_scan is None:
                raise _truncated("JPEG")
            at = after_scan.start()
        yield marker, data[start:at]
    raise _damaged("JPEG", f"it has more than {MAX_PARTS} segments")


def _kept_of_segment(marker: int, segment: bytes) -> bytes:
    """The part of the segment that decides pixels or colours, with its length bytes; empty if none does."""
    if marker in _SOF or marker in _TABLES or marker == _SOS:
        return segment
    if marker == _APP0 and segment[2:].startswith(b"JFIF\0") and len(segment) >= 16:
        return b"\x00\x10" + segment[2:14] + b"\x00\x00"  # its last bytes: a thumbnail of 0 x 0
    if marker == _APP14 and segment[2:].startswith(b"Adobe") and len(segment) >= 14:
        return b"\x00\x0e" + segment[2:14]  # says whether colours are RGB, YCbCr, CMYK or YCCK
    if marker == _APP2 and segment[2:].startswith(b"ICC_PROFILE\0") and len(segment) > 16:
        return segment
    return b""


# PNG: W3C, third edition.

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"
# What the samples mean, with the only lengths allowed, so that nothing else travels in them.
_PNG_COLOUR = {b"cHRM": 32, b"cICP": 4, b"gAMA": 4, b"sRGB": 1}
# Not kept though harmless, as no browser's pixels depend on them: bKGD (the page is the background), hIST, pHYs, sBIT
# and sPLT.
_PNG_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"iCCP"}
_PNG_TOLD = {b"iCCP", *_PNG_COLOUR}
_PNG_PALETTE = 3  # IHDR's colour type
_PNG_CRITICAL = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}


def _png_without_metadata(data: bytes) -> Still:
    parts: list[bytes | memoryview] = [_PNG_SIGNATURE]
    width = height = colour = 0
    orientation = 1
    lengths: dict[bytes, int] = {}
    whole = memoryview(data)
    for kind, start, end in _png_chunks(data):
        if (kind == b"IHDR") != (len(parts) == 1):
            raise _damaged("PNG", "IHDR has to come first, and once")
        if kind == b"IHDR":
            if end - start != 25:
                raise _damaged("PNG", "IHDR has the wrong length")
            width, height, colour = struct.unpack_from(">IIxB", data, start + 8)
        lengths[kind] = end - start - 12
        if kind == b"IDAT" and colour == _PNG_PALETTE and not lengths.get(b"PLTE"):
            raise _damaged("PNG", "its palette is missing")
        if kind == b"acTL":
            raise _animated()
        if kind == b"eXIf":
            orientation = _orientation(data[start + 8 : end - 4])
        if kind in _PNG_KEPT or _PNG_COLOUR.get(kind) == end - start - 12:
            parts.append(whole[start:end])
    if colour == _PNG_PALETTE and 3 * lengths.get(b"tRNS", 0) > lengths.get(b"PLTE", 0):
        raise _damaged("PNG", "it says of more colours than its palette has how far they are see-through")
    return Still("PNG", width, height, orientation, b"".join([*parts, _PNG_END]))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk, checksum checked, up to and without IEND."""
    whole = memoryview(data)
    start = len(_PNG_SIGNATURE)
    for _ in range(MAX_PARTS):
        end = start + 12 + int.from_bytes(data[start : start + 4])
        if end > len(data):
            raise _truncated("PNG")
        kind = data[start + 4 : start + 8]
        if zlib.crc32(whole[start + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            raise _damaged("PNG", f"the checksum at byte {end - 4} is wrong")
        if kind == b"IEND":
            return
        if kind[:1].isupper() and kind not in _PNG_CRITICAL:  # such as CgBI, Apple's own dialect
            raise _damaged("PNG", f"the chunk at byte {start} is unknown but said to be necessary")
        yield kind, start, end
        start = end
    raise _damaged("PNG", f"it has more than {MAX_PARTS} chunks")


def png_colour_chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """What the samples of a PNG mean, apart from an ICC profile: kind and content of gAMA, cHRM, sRGB and cICP."""
    for kind, start, end in _png_chunks(png):
        if kind in _PNG_COLOUR:
            yield kind, png[start + 8 : end - 4]


# WebP: RFC 9649.

_WEBP_KEPT = {b"VP8X", b"ICCP", b"ALPH", b"VP8 ", b"VP8L"}
_WEBP_ALPHA = 0x10
_WEBP_ICC_OR_ALPHA = 0x20 | _WEBP_ALPHA
_WEBP_ANIMATION = 0x02


def _webp_without_metadata(data: bytes) -> Still:
    chunks = list(_webp_chunks(data))
    kinds = [kind for kind, _ in chunks]
    extended = kinds[:1] == [b"VP8X"]
    flags = int.from_bytes(chunks[0][1][:1]) if extended else 0
    if flags & _WEBP_ANIMATION or b"ANIM" in kinds or b"ANMF" in kinds:
        raise _animated()
    if not extended:
        del chunks[1:]  # the simple layout is one chunk: decoders ignore the rest
    pictures = [_webp_size(kind, body) for kind, body in chunks if kind in (b"VP8 ", b"VP8L")]
    if len(pictures) != 1 or kinds.count(b"VP8X") > 1:
        raise _damaged("WebP", f"it has {len(pictures)} pictures in it")
    width, height = pictures[0]
    if extended and _webp_size(*chunks[0]) != (width, height):
        raise _damaged("WebP", "its headers disagree about the size")
    exif = next((body for kind, body in chunks if kind == b"EXIF"), b"")
    return Still("WEBP", width, height, _orientation(exif), _webp_of(chunks))


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    stop = 8 + int.from_bytes(data[4:8], "little")
    if stop > len(data):
        raise _truncated("WebP")
    start = 12
    for _ in range(MAX_PARTS):
        if start + 8 > stop:
            return
        end = start + 8 + int.from_bytes(data[start + 4 : start + 8], "little")
        if end > stop:
            raise _truncated("WebP")
        yield data[start : start + 4], data[start + 8 : end]
        start = end + end % 2  # chunks start at even bytes
    raise _damaged("WebP", f"it has more than {MAX_PARTS} chunks")


def _webp_size(kind: bytes, body: bytes) -> tuple[int, int]:
    if kind == b"VP8X" and len(body) == 10:
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a" and len(body) >= 10:
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    if kind == b"VP8L" and body[:1] == b"\x2f" and len(body) >= 5:
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    raise _damaged("WebP", "a header is broken")


def _webp_of(chunks: list[tuple[bytes, bytes]], *, flags: int = _WEBP_ICC_OR_ALPHA) -> bytes:
    parts = [b"WEBP"]
    for kind, body in chunks:
        if kind == b"VP8X":
            body = bytes((body[0] & flags, 0, 0, 0)) + body[4:]
        if kind in _WEBP_KEPT:
            parts += [kind, len(body).to_bytes(4, "little"), body, b"\0" * (len(body) % 2)]
    return b"RIFF" + sum(map(len, parts)).to_bytes(4, "little") + b"".join(parts)
