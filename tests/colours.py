"""Small ICC profiles of our own making (ICC.1:2001, version 2.1): three primaries or a grey, and one exponent."""

import struct

import numpy as np

_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def profile(*, gamma: float | list[float], primaries: np.ndarray | None = None, grey: bool = False) -> bytes:
    """`gamma`: an exponent, or the curve's values from 0 to 1; `primaries`: x and y of each, with D65 as white."""
    curve = _tag(b"curv", _curve(gamma))
    tags = [(b"desc", _tag(b"desc", struct.pack(">I", 5) + b"test\0" + bytes(78))), (b"wtpt", _xyz(_D50))]
    if grey:
        tags.append((b"kTRC", curve))
    else:
        assert primaries is not None
        tags += [
            (name, _xyz(column)) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), _columns(primaries), strict=True)
        ]
        tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    at, entries, bodies = 132 + 12 * len(tags), b"", b""
    for name, body in tags:
        entries += name + struct.pack(">II", at + len(bodies), len(body))
        bodies += body + bytes(-len(body) % 4)
    space = b"GRAY" if grey else b"RGB "
    header = struct.pack(
        ">I4xI4s4s4s12x4s28xIII", at + len(bodies), 0x02100000, b"mntr", space, b"XYZ ", b"acsp", *_fixed(_D50)
    )
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + entries + bodies


def _curve(gamma: float | list[float]) -> bytes:
    if isinstance(gamma, list):
        return struct.pack(f">I{len(gamma)}H", len(gamma), *(round(65535 * value) for value in gamma))
    return struct.pack(">IH", 1, round(256 * gamma))


def _tag(kind: bytes, body: bytes) -> bytes:
    return kind + bytes(4) + body


def _fixed(numbers: tuple[float, ...] | np.ndarray) -> list[int]:
    return [round(65536 * number) for number in numbers]


def _xyz(numbers: tuple[float, ...] | np.ndarray) -> bytes:
    return _tag(b"XYZ ", struct.pack(">3i", *_fixed(numbers)))


def _columns(primaries: np.ndarray) -> np.ndarray:
    """XYZ of red, green and blue under D50."""
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in [*primaries, (0.3127, 0.3290)]])
    own = xyz[:3].T * np.linalg.solve(xyz[:3].T, xyz[3])
    there, here = _BRADFORD @ xyz[3], _BRADFORD @ np.array(_D50)
    return np.asarray((np.linalg.inv(_BRADFORD) @ np.diag(here / there) @ _BRADFORD @ own).T)


def _srgb_curve() -> list[float]:
    return [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (n / 1023 for n in range(1024))]


DISPLAY_P3 = profile(gamma=_srgb_curve(), primaries=np.array([(0.680, 0.320), (0.265, 0.690), (0.150, 0.060)]))
ADOBE_LIKE = profile(gamma=2.2, primaries=np.array([(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)]))
SRGB_LIKE = profile(gamma=_srgb_curve(), primaries=np.array([(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)]))
