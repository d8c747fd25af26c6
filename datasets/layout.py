"""Pictures without a manifest: what their folders say, written down as the manifest that would say the same."""

import io
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from datasets.names import is_beside_the_point, legible, plain
from datasets.rows import BadManifest
from datasets.tables import csv_lines, path_cell

COLUMNS = ("anonymized", "original", "group", "source", "method", "scope")
PICTURE_ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}
OTHER_PICTURES = {".tif", ".tiff", ".heic", ".heif", ".gif", ".bmp", ".jfif", ".avif"}
ORIGINALS = {"original", "originals"}  # what the folder of the originals is called
LAYOUTS = "SOURCE/SCOPE_METHOD/NAME with the originals in SOURCE/originals/NAME, or originals/NAME and anonymized/NAME"

Row = tuple[str, str, str, str, str, str]
Originals = dict[tuple[str, str], list[PurePosixPath]]


def manifest_by_layout(names: Iterable[str]) -> io.StringIO:
    """The manifest of pictures that lie in one of the LAYOUTS, anywhere below the root.

    Raises BadManifest where one lies elsewhere: what is not understood is not left out without a word.
    """
    paths = sorted({PurePosixPath(plain(name)) for name in names if not is_beside_the_point(name)})
    pictures = [path for path in paths if path.suffix.lower() in PICTURE_ENDINGS]
    if unsaid := next((path for path in paths if legible(str(path)) != str(path)), None):
        raise BadManifest(f"the name {legible(str(unsaid))} is not UTF-8; rename the file.")
    if other := next((path for path in paths if path.suffix.lower() in OTHER_PICTURES), None):
        raise BadManifest(f"{other} is a picture that is no .jpg, .png or .webp; convert it or take it out.")
    originals: Originals = {}
    for path in pictures:
        if path.parent.name.lower() in ORIGINALS:
            originals.setdefault(_key(path), []).append(path)
    rows = [_row(path, originals) for path in pictures if path.parent.name.lower() not in ORIGINALS]
    if not rows:
        raise BadManifest(f"there is no manifest.csv, and no anonymized picture lies as in {LAYOUTS}.")
    return io.StringIO("".join(csv_lines(COLUMNS, rows)), newline="")


def _key(path: PurePosixPath) -> tuple[str, str]:
    """Where an original's versions look for it: the folder above its own, and its name without the ending."""
    return str(path.parent.parent), path.stem.lower()


def _original(path: PurePosixPath, originals: Originals) -> PurePosixPath | None:
    """The original of the very same name, else that of the same name but for ending and case."""
    alike = originals.get(_key(path), [])
    same = [each for each in alike if each.name == path.name] or alike
    if len(same) > 1:
        named = ", ".join(map(str, same))
        raise BadManifest(f"there is no manifest.csv, and {path} may belong to any of {named}: rename all but one.")
    return same[0] if same else None


def _row(path: PurePosixPath, originals: Originals) -> Row:
    folder, above = path.parent.name, path.parent.parent
    original = _original(path, originals)
    if folder.lower() == "anonymized":
        if original is None:
            raise BadManifest(f"there is no manifest.csv, and {path} has no original of the same name beside it.")
        return path_cell(str(path)), path_cell(str(original)), "", "", "", ""
    scope, underscore, method = folder.partition("_")
    if not (scope and underscore and method and above.name):
        raise BadManifest(f"there is no manifest.csv, and {path} lies in none of the layouts {LAYOUTS}.")
    group = "" if original else f"{above.name}/{path.stem}"
    return path_cell(str(path)), path_cell(str(original)) if original else "", group, above.name, method, scope


def sample_lines() -> Iterator[str]:
    """A manifest to begin with: two versions of one original, and a picture without one."""
    return csv_lines(
        (*COLUMNS, "parameters"),
        [
            ("anonymized/blur/street.jpg", "originals/street.jpg", "", "My photos", "blur", "face", '{"radius": 9}'),
            ("anonymized/mask/street.jpg", "originals/street.jpg", "", "My photos", "mask", "face", ""),
            ("anonymized/blur/market.jpg", "", "market", "My photos", "blur", "global", '{"radius": 4}'),
        ],
    )
