import csv
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import demo_pictures
from datasets.anonymize import VARIANTS
from datasets.demo_pictures import (
    DemoPicturesMissing,
    Original,
    demo_originals,
    open_original,
    write_demo_pairs,
)
from datasets.rows import MANIFEST_COLUMNS
from datasets.splits import PARTS, part_of

Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    folder = tmp_path_factory.mktemp("demo") / "pairs"
    with write_demo_pairs(folder).open(newline="", encoding="utf-8") as file:
        return folder, list(csv.DictReader(file))


def by_name(name: str) -> Original:
    return next(original for original in demo_originals() if original.name == name)


def each_original() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("original", demo_originals(), ids=lambda original: original.name)


def test_there_are_at_least_ten_originals_with_names_of_their_own() -> None:
    assert len({original.name for original in demo_originals()}) == len(demo_originals()) >= 10
    assert {"astronaut", "grace_hopper"} <= {original.name for original in demo_originals()}


def test_each_part_of_a_split_holds_several_originals() -> None:
    parts = Counter(part_of(original.name) for original in demo_originals())
    assert min(parts[part] for part in PARTS) >= 2


@each_original()
def test_every_region_lies_inside_its_picture_and_leaves_some_scene(original: Original) -> None:
    width, height = open_original(original).size
    assert original.regions
    for left, top, right, bottom in original.regions:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert (right - left) * (bottom - top) < 0.7 * width * height


@each_original()
def test_every_original_says_what_is_hidden_and_under_which_licence_it_comes(original: Original) -> None:
    assert original.what
    assert re.match("CC0|Public domain|No known copyright restrictions", original.licence)
    assert original.source in {"scikit-image", "matplotlib"}


def test_every_original_opens_in_rgb() -> None:
    assert {open_original(original).mode for original in demo_originals()} == {"RGB"}


def test_the_half_clear_white_around_the_horse_lies_on_the_grey_of_the_rating_page() -> None:
    assert open_original(by_name("horse")).getpixel((0, 0)) == (177, 177, 177)


@pytest.mark.parametrize("read", [demo_originals, partial(open_original, by_name("camera"))])
def test_a_missing_package_is_named_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[], object]
) -> None:
    monkeypatch.setattr(demo_pictures, "find_spec", lambda package: None)
    with pytest.raises(DemoPicturesMissing, match=r"scikit-image is not installed.*perceptanon-studio\[demo\]"):
        read()


def test_a_picture_that_a_package_came_without_is_named() -> None:
    lost = Original(name="lost", file="lost.png", regions=((0, 0, 1, 1),), what="nothing", licence="none")
    with pytest.raises(DemoPicturesMissing, match=r"without lost\.png"):
        open_original(lost)


def test_finding_the_originals_does_not_import_the_packages_that_hold_them() -> None:
    heavy = "{'skimage', 'matplotlib'} & set(sys.modules)"
    code = f"import sys; from datasets.demo_pictures import demo_originals; demo_originals(); assert not {heavy}"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_the_manifest_has_a_row_for_every_variant_of_every_original(written: tuple[Path, Rows]) -> None:
    _, rows = written
    assert len(rows) == len(VARIANTS) * len(demo_originals()) >= 80
    assert tuple(rows[0]) == tuple(MANIFEST_COLUMNS)
    assert len({row["anonymized"] for row in rows}) == len(rows)


def test_both_pictures_of_every_row_are_there_and_of_one_size(written: tuple[Path, Rows]) -> None:
    folder, rows = written
    for row in rows:
        with Image.open(folder / row["original"]) as original, Image.open(folder / row["anonymized"]) as anonymized:
            assert original.size == anonymized.size
            assert anonymized.format == "JPEG"


def test_a_row_says_how_its_picture_was_made(written: tuple[Path, Rows]) -> None:
    _, rows = written
    made = {(row["method"], row["scope"], json.loads(row["parameters"]).get("strength")) for row in rows}
    assert made == {(variant.method, variant.scope, variant.strength) for variant in VARIANTS}
    for row in rows:
        original = by_name(row["group"])
        assert row["source"] == original.source
        assert [tuple(region) for region in json.loads(row["parameters"])["regions"]] == list(original.regions)


def test_originals_are_the_packages_own_files_where_those_show_the_same_colours(written: tuple[Path, Rows]) -> None:
    folder, _ = written
    for name in ("astronaut", "grace_hopper", "camera", "rocket"):
        original = by_name(name)
        assert (folder / f"originals/{name}{original.path.suffix}").read_bytes() == original.path.read_bytes()


def test_transparency_and_a_grey_profile_are_resolved_in_the_copy(tmp_path: Path) -> None:
    grey = Original(name="page", file="page.png", regions=((2, 8, 298, 38),), what="a title", licence="Not stated")
    write_demo_pairs(tmp_path, [by_name("horse"), grey])
    for original in (by_name("horse"), grey):
        with Image.open(tmp_path / f"originals/{original.name}.png") as copy:
            assert (copy.mode, "icc_profile" in copy.info) == ("RGB", False)
            assert copy.tobytes() == open_original(original).tobytes()


def test_a_wide_colour_profile_goes_with_the_anonymized_picture(written: tuple[Path, Rows]) -> None:
    folder, _ = written
    with Image.open(folder / "global_mask/rocket_global_mask.jpg") as anonymized:
        assert anonymized.info["icc_profile"] == open_original(by_name("rocket")).info["icc_profile"]


def test_what_local_removes_is_black_in_the_file(written: tuple[Path, Rows]) -> None:
    folder, _ = written
    with Image.open(folder / "local_blur/camera_local_blur_light.jpg") as anonymized:
        assert np.asarray(anonymized)[240:].max() == 0


def test_writing_again_gives_the_same_bytes(written: tuple[Path, Rows], tmp_path: Path) -> None:
    folder, _ = written
    write_demo_pairs(tmp_path, [by_name("horse")])
    again = [path for path in tmp_path.rglob("horse*") if path.is_file()]
    assert len(again) == 1 + len(VARIANTS)
    assert all(path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes() for path in again)
