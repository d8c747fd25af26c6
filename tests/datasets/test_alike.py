"""Originals that look nearly the same are found by jobs and pointed out with their groups."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse
from PIL import Image as PillowImage

from datasets import jobs
from datasets.alike import groups_alike, request_comparing, unseen_originals
from datasets.files import media_path
from datasets.jobs import queue_job
from datasets.looks import MOST_BITS, SAYS_NOTHING, first_alike, look_of
from datasets.models.jobs import Job
from datasets.models.pictures import Image
from datasets.models.projects import Project
from datasets.pair_changes import remove_pairs
from datasets.pictures import inspect
from tests import make
from tests.datasets.test_pictures import exif, saved

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def scene(seed: int) -> PillowImage.Image:
    """Soft shapes, as photos have them."""
    shapes = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return PillowImage.fromarray(shapes).resize((320, 240), PillowImage.Resampling.BICUBIC)


def n_bits(a: int, b: int) -> int:
    return ((a ^ b) & (2**64 - 1)).bit_count()


def test_versions_of_a_photo_look_nearly_the_same_and_other_photos_do_not() -> None:
    photo = scene(1)
    look = look_of(photo)
    turned = saved(photo.transpose(PillowImage.Transpose.ROTATE_90), "JPEG", exif=exif(6))
    versions = [
        saved(photo, "PNG"),
        saved(photo.resize((150, 120)), "JPEG", quality=60),
        saved(photo.convert("L"), "WEBP", quality=70),
        turned,
    ]
    assert max(n_bits(inspect(data).look, look) for data in versions) <= MOST_BITS
    assert min(n_bits(look_of(scene(seed)), look) for seed in range(2, 40)) > MOST_BITS
    assert look_of(PillowImage.new("RGB", (40, 40), "teal")) == SAYS_NOTHING


def one_by_one(looks: list[int]) -> list[int]:
    """The same without bands: each pair compared, joined until nothing changes."""
    first = list(range(len(looks)))
    for _ in looks:
        for a in range(len(looks)):
            for b in range(a):
                if n_bits(looks[a], looks[b]) <= MOST_BITS:
                    first[a] = first[b] = min(first[a], first[b])
    return first


@pytest.mark.parametrize("n_flips", [1, 3, 5, 64])
def test_looks_are_found_alike_as_if_all_had_been_compared(n_flips: int) -> None:
    random = np.random.default_rng(n_flips)
    looks = np.zeros(40, dtype=np.uint64)
    for _ in range(n_flips):
        looks ^= np.uint64(1) << random.integers(0, 64, len(looks)).astype(np.uint64)
    signed = looks.view(np.int64)
    assert first_alike(signed).tolist() == one_by_one(signed.tolist())


def test_nothing_is_alike_where_nothing_is() -> None:
    assert first_alike(np.array([], dtype=np.int64)).tolist() == []


@pytest.fixture
def project(settings: Any, tmp_path: Path) -> Project:
    settings.MEDIA_ROOT = tmp_path / "media"
    return make.project()


def brought_in(project: Project, folder: Path, **originals: bytes) -> None:
    """Pairs with these originals, in one folder under names that say nothing, each a group of its own."""
    lines = ["original,anonymized"]
    for name, data in originals.items():
        (folder / f"{name}.img").write_bytes(data)
        (folder / f"{name}-a.img").write_bytes(saved(scene(99), "PNG") + name.encode())  # alike, but no originals
        lines.append(f"{name}.img,{name}-a.img")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    make.done(queue_job("import_pairs", project, root=str(folder), manifest=str(folder / "manifest.csv")))


def group_of(project: Project, name: str) -> str:
    return project.pairs.get(original_path=f"{name}.img").group


def test_an_import_finds_originals_that_look_nearly_the_same(project: Project, tmp_path: Path) -> None:
    photo = scene(1)
    brought_in(project, tmp_path, a=saved(photo, "PNG"), b=saved(scene(2), "PNG"), c=saved(scene(3), "PNG"))
    assert groups_alike(project.pairs.all()) == []
    brought_in(project, tmp_path, d=saved(photo.resize((160, 120)), "JPEG", quality=70))
    same = tuple(sorted([group_of(project, "a"), group_of(project, "d")]))
    assert groups_alike(project.pairs.all()) == [(same, "originals that look nearly the same")]
    remove_pairs(project.pairs.filter(original_path="a.img"), by=None)
    brought_in(project, tmp_path, e=saved(scene(4), "PNG"))
    assert groups_alike(project.pairs.all()) == []
    assert not Image.objects.exclude(alike=None).exists()


def test_pictures_without_contrast_are_not_alike(project: Project, tmp_path: Path) -> None:
    plain = {name: saved(PillowImage.new("RGB", (64, 48), name), "PNG") for name in ("teal", "navy")}
    brought_in(project, tmp_path, **plain)
    assert groups_alike(project.pairs.all()) == []


def stored_before(project: Project, *photos: PillowImage.Image) -> None:
    for photo in photos:
        file = BytesIO()
        photo.save(file, "PNG")
        make.pair(project, original=make.old_image(project, size=photo.size, data=file.getvalue()))
    Image.objects.update(look=None)


def test_originals_of_an_earlier_version_are_compared_when_somebody_asks(project: Project, client: Client) -> None:
    photo = scene(1)
    stored_before(project, photo, photo.resize((160, 120)), scene(2), scene(3))
    media_path(Image.objects.get(pairs_as_original=project.pairs.last()).display.name).unlink()
    client.force_login(make.member(project))
    page = reverse("datasets:groups", args=[project.slug])
    assert "4 originals of an earlier version were not compared" in client.get(page).content.decode()
    asked = [client.post(reverse("datasets:groups-compare", args=[project.slug])).url for _ in range(2)]
    job = Job.objects.get()
    assert asked == [reverse("datasets:job", args=[job.public_id])] * 2
    make.done(job)
    assert page in client.get(asked[0]).content.decode()
    found = client.get(page).content.decode()
    assert "originals that look nearly the same" in found
    assert "were not compared" not in found
    assert sorted(Image.objects.exclude(look=None).values_list("look", flat=True)).count(SAYS_NOTHING) == 1


def test_a_comparison_that_died_goes_on_where_it_was(project: Project) -> None:
    stored_before(project, scene(1), scene(2))
    job = request_comparing(project)
    Image.objects.filter(pairs_as_original=project.pairs.first()).update(look=7)
    jobs.run(job.pk)
    assert not unseen_originals(project).exists()
    assert Image.objects.filter(look=7).exists()
