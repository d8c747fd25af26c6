"""The classical metrics of a release's pairs, each against numpy or scikit-image on the picture as it is shown."""

import io
import math
import zipfile

import numpy as np
import pytest
from django.db import IntegrityError, transaction
from PIL import Image as PillowImage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from datasets import jobs
from datasets.content import labels_csv
from datasets.files import media_path
from datasets.images import image_row, store_files
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Pair
from datasets.models.projects import Project
from datasets.models.releases import Label, Release
from datasets.pictures import inspect
from scoring.baselines import request_baselines
from scoring.models import BaselineScore
from tests import make
from tests.races import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_of_its_own"), pytest.mark.postgres]


def release_of(project: Project, **fields: object) -> Release:
    return make.release(make.rated_study(of=project, n_pairs=0, **fields))


def scored(release: Release) -> int:
    """How many pairs the job has scored."""
    return int(make.done(request_baselines(release)).result["n_scored"])


def values(label: Label) -> dict[str, float | None]:
    return dict(label.baselines.values_list("metric", "value"))


def reasons(label: Label) -> dict[str, str]:
    return dict(label.baselines.values_list("metric", "reason"))


def shown(image: Image) -> np.ndarray:
    """The display picture as Pillow reads it, from 0 to 1."""
    with PillowImage.open(media_path(image.display.name)) as picture:
        return np.asarray(picture.convert("RGB"), dtype=np.float64) / 255


def expected(label: Label) -> dict[str, float]:
    original, anonymized = shown(label.original), shown(label.anonymized)
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return {
        "mse": float(np.mean((original - anonymized) ** 2)),
        "psnr": peak_signal_noise_ratio(original, anonymized, data_range=1),
        "ssim": structural_similarity(original, anonymized, data_range=1, channel_axis=-1, **gaussian),
    }


def stored(project: Project, picture: PillowImage.Image, **options: object) -> Image:
    file = io.BytesIO()
    picture.save(file, **{"format": "PNG"} | options)
    found = inspect(file.getvalue())
    store_files(project, found)
    return image_row(project, found)


def pair_of_size(project: Project, original: tuple[int, int], anonymized: tuple[int, int]) -> Pair:
    sized = {"original": make.image(project, size=original), "anonymized": make.image(project, size=anonymized)}
    return make.pair(project, **sized)


def test_every_pair_has_scikit_images_psnr_and_ssim_and_numpys_mse():
    project = make.project()
    for size in ((48, 32), (90, 75), (33, 33)):
        pair_of_size(project, size, size)
    release = release_of(project)
    assert scored(release) == 3
    for label in release.labels.all():
        assert values(label) == pytest.approx(expected(label), rel=1e-9)
        assert set(reasons(label).values()) == {""}


def test_a_picture_that_lies_on_its_side_in_its_file_is_scored_as_it_is_shown():
    project = make.project()
    upright = PillowImage.open(io.BytesIO(make.picture_bytes(size=(60, 40))))
    exif = PillowImage.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees before it is shown
    turned = stored(project, upright.transpose(PillowImage.Transpose.ROTATE_90), exif=exif)
    make.pair(project, original=turned, anonymized=make.image(project, size=(60, 40)))
    release = release_of(project)
    scored(release)
    label = release.labels.get()
    assert shown(label.original).shape == (40, 60, 3)
    assert values(label) == pytest.approx(expected(label), rel=1e-9)


def test_identical_pictures_have_an_infinite_psnr_that_is_stored():
    project = make.project()
    image = make.image(project)
    make.pair(project, original=image, anonymized=image)
    release = release_of(project)
    scored(release)
    found = values(release.labels.get())
    assert (found["psnr"], found["mse"]) == (math.inf, 0)
    assert found["ssim"] == pytest.approx(1)


def test_pictures_of_different_sizes_have_no_score_and_a_reason_with_both_sizes():
    project = make.project()
    pair_of_size(project, (48, 32), (60, 40))
    release = release_of(project)
    scored(release)
    label = release.labels.get()
    assert values(label) == {"psnr": None, "mse": None, "ssim": None}
    assert all("48 x 32 and 60 x 40" in reason for reason in reasons(label).values())


def test_a_picture_too_small_for_a_window_lacks_ssim_alone():
    project = make.project()
    sized = {"original": make.old_image(project, size=(40, 10)), "anonymized": make.old_image(project, size=(40, 10))}
    make.pair(project, **sized)
    release = release_of(project)
    scored(release)
    label = release.labels.get()
    original, anonymized = shown(label.original), shown(label.anonymized)
    assert values(label) == {
        "ssim": None,
        "mse": pytest.approx(np.mean((original - anonymized) ** 2)),
        "psnr": pytest.approx(peak_signal_noise_ratio(original, anonymized, data_range=1)),
    }
    assert reasons(label) == {"ssim": "SSIM needs 11 pixels a side; the pictures have 40 x 10.", "mse": "", "psnr": ""}


def test_a_pair_without_an_original_has_no_score_and_the_reason():
    project = make.project()
    make.pair(project, original=None)
    release = release_of(project, mode="HA1")
    assert scored(release) == 1
    assert values(release.labels.get()) == {"psnr": None, "mse": None, "ssim": None}
    assert set(reasons(release.labels.get()).values()) == {"the pair has no original"}


def test_a_score_that_is_missing_without_a_reason_cannot_be_stored():
    release = make.release(make.rated_study(n_pairs=1))
    with pytest.raises(IntegrityError, match="missing_score_has_a_reason"), transaction.atomic():
        BaselineScore.objects.create(label=release.labels.get(), metric="psnr", value=None)


def test_scoring_again_scores_nothing():
    release = make.release(make.rated_study(n_pairs=3))
    scored(release)
    before = list(BaselineScore.objects.values_list("pk", "value"))
    assert scored(release) == 0
    assert list(BaselineScore.objects.values_list("pk", "value")) == before


def test_what_an_interrupted_scoring_left_out_is_scored():
    release = make.release(make.rated_study(n_pairs=12))
    scored(release)
    late = release.labels.filter(number__gt=10)
    BaselineScore.objects.filter(label__in=late).delete()
    BaselineScore.objects.filter(label__number=1, metric="ssim").delete()
    assert scored(release) == 3
    assert BaselineScore.objects.count() == 36


@pytest.mark.django_db(transaction=True)
def test_two_jobs_on_one_release_at_once_leave_one_score_each():
    release = make.release(make.rated_study(n_pairs=12))
    asked = [request_baselines(release) for _ in range(2)]
    at_once(*[lambda job=job: jobs.run(job.pk) for job in asked])
    assert {job.state for job in Job.objects.filter(kind="score_baselines")} == {Job.State.DONE}
    assert BaselineScore.objects.count() == 36


@pytest.mark.parametrize(
    "data", [None, b"", b"no picture", make.picture_bytes(1)[:60]], ids=["missing", "empty", "text", "cut short"]
)
def test_a_missing_or_damaged_picture_fails_the_job_in_plain_words(data):
    release = make.release(make.rated_study(n_pairs=2))
    image = release.labels.first().original
    path = media_path(image.display.name)
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    job = request_baselines(release)
    jobs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.traceback) == (Job.State.FAILED, "")
    assert job.error.startswith(f"The file of picture {image.display_sha256} cannot be read")
    assert "Restore it from a backup" in job.error


# An HA1 release ------------------------------------------------------------------------------------------------------


def test_an_ha1_release_is_compared_with_its_originals():
    release = make.release(make.rated_study(n_pairs=2, mode="HA1"))
    assert scored(release) == 2
    for label in release.labels.all():
        assert values(label) == pytest.approx(expected(label), rel=1e-9)


def test_an_ha1_release_takes_no_original_along():
    release = make.release(make.rated_study(n_pairs=3, mode="HA1"))
    scored(release)
    originals = [label.original for label in release.labels.all()]
    hashes = [sha256.encode() for image in originals for sha256 in (image.sha256, image.display_sha256)]
    pictures = [media_path(image.display.name).read_bytes() for image in originals]
    with zipfile.ZipFile(make.archive(release)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert files["labels.csv"] == b"".join(labels_csv(release))
    assert len([name for name in files if name.startswith("pictures/")]) == 3
    for data in [*files.values(), "\n".join(files).encode()]:
        assert not [secret for secret in hashes + pictures if secret in data]
