from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from PIL import Image as PillowImage

from annotation.studies.displays import Renewal, renew_displays
from datasets.files import media_path
from datasets.models.pictures import Image
from datasets.models.projects import Project
from datasets.pair_changes import remove_pairs
from datasets.pictures import open_display
from tests import make
from tests.colours import DISPLAY_P3
from tests.datasets.test_pictures import saved

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def old_image(project: Project, red: int = 200) -> Image:
    """A picture with another profile, as it was stored before colours were converted."""
    data = saved(PillowImage.new("RGB", (60, 40), (red, 30, 30)), "PNG", icc_profile=DISPLAY_P3)
    image = make.old_image(project, size=(60, 40), data=data)
    Image.objects.filter(pk=image.pk).update(changes=None)
    return image


def test_a_picture_that_nobody_was_given_gets_the_display_file_of_today() -> None:
    image = old_image(make.project())
    before = media_path(image.display.name).read_bytes()
    assert renew_displays(image.project) == Renewal(n_renewed=1, n_kept=0, n_unfit=0)
    image.refresh_from_db()
    after = media_path(image.display.name).read_bytes()
    assert image.changes == {"colours": "icc"}
    assert b"iCCP" in before
    assert b"iCCP" not in after
    assert open_display(after).tobytes() == open_display(before).tobytes()
    assert renew_displays(image.project) == Renewal(0, 0, 0)


def display_apart(*images: Image) -> Path:
    """An older display file of these pictures, which is not their original."""
    name = str(images[0].display.name).replace(".png", "-old.png")
    media_path(name).write_bytes(media_path(images[0].display.name).read_bytes())
    Image.objects.filter(pk__in=[image.pk for image in images]).update(display=name)
    return media_path(name)


def test_the_old_display_file_goes_and_with_the_pair_the_new_one(django_capture_on_commit_callbacks) -> None:
    project = make.project()
    image = old_image(project)
    pair = make.pair(project, anonymized=image)
    old = display_apart(image)
    assert old.exists()
    with django_capture_on_commit_callbacks(execute=True):
        renew_displays(project)
    image.refresh_from_db()
    assert media_path(image.display.name).exists()
    assert not old.exists()
    with django_capture_on_commit_callbacks(execute=True):
        remove_pairs(project.pairs.filter(pk=pair.pk), by=None)
    assert not media_path(image.display.name).exists()


def test_a_display_file_that_another_picture_has_stays(django_capture_on_commit_callbacks) -> None:
    project = make.project()
    image, other = old_image(project), make.old_image(project, size=(60, 40))
    Image.objects.filter(pk=other.pk).update(changes={})
    old = display_apart(image, other)
    with django_capture_on_commit_callbacks(execute=True):
        assert renew_displays(project).n_renewed == 1
    assert old.exists()


@pytest.mark.parametrize("side", ["original", "anonymized"])
def test_what_people_were_given_or_a_release_holds_stays_as_they_had_it(side: str) -> None:
    project = make.project()
    image = old_image(project)
    make.pair(project, **{side: image})
    study = make.study(of=project, n_pairs=0, mode="HA2")
    make.rate(make.participation(study), 7)
    assert renew_displays(project) == Renewal(n_renewed=0, n_kept=1, n_unfit=0)
    make.release(study)
    study.participations.all().delete()  # the release holds it still
    assert renew_displays(project) == Renewal(n_renewed=0, n_kept=1, n_unfit=0)
    assert Image.objects.get(pk=image.pk).display == image.display


def test_what_would_be_refused_today_or_is_missing_stays() -> None:
    project = make.project()
    small, missing = make.old_image(project, size=(20, 20)), old_image(project)
    Image.objects.update(changes=None)
    media_path(missing.original.name).unlink()
    assert renew_displays(project) == Renewal(n_renewed=0, n_kept=0, n_unfit=2)
    assert Image.objects.get(pk=small.pk).display == small.display


def test_the_command_says_what_became_of_them() -> None:
    out = StringIO()
    call_command("renew_displays", old_image(make.project()).project.slug, stdout=out)
    assert out.getvalue().startswith("1 made anew; 0 kept, as people or releases have them; 0 kept")
