import csv
import zipfile
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db.models import QuerySet
from django.test import Client
from django.urls import reverse
from PIL import Image as PillowImage

from annotation.answering.turn import take_turn
from annotation.giving.leases import next_pairs
from annotation.models.people import Participation
from annotation.models.ratings import Assignment, Cue
from annotation.models.studies import Item, Study
from annotation.studies.displays import Renewal, renew_displays, shown_pictures
from annotation.studies.life import change_state
from annotation.watching.downloads import cue_lines
from datasets.content import labels_csv, picture_name
from datasets.files import media_path
from datasets.images import image_row
from datasets.jobs import queue_job
from datasets.models.pictures import Image, Pair
from datasets.models.projects import Project
from datasets.models.releases import Release
from datasets.pair_changes import remove_pairs, use_of
from datasets.pictures import inspect, open_display
from datasets.release_key import key_lines
from scoring.baselines import request_baselines
from scoring.results import priorities_for
from tests import make
from tests.colours import DISPLAY_P3
from tests.datasets.test_pictures import saved
from tests.races import at_once
from tests.scoring import trained

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]
REPEATS = 8  # the rarer meetings do not happen at the first try


def old_image(project: Project, red: int = 200) -> Image:
    """A picture with another profile, as it was stored before colours were converted."""
    data = saved(PillowImage.new("RGB", (60, 40), (red, 30, 30)), "PNG", icc_profile=DISPLAY_P3)
    image = make.old_image(project, size=(60, 40), data=data)
    Image.objects.filter(pk=image.pk).update(changes=None)
    return image


def test_a_picture_that_nobody_was_given_gets_the_display_file_of_today() -> None:
    image = old_image(make.project())
    before = media_path(image.display.name).read_bytes()
    assert renew_displays(image.project) == Renewal(n_renewed=1, n_beside=0, n_unfit=0)
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
def test_what_people_were_given_or_a_release_holds_stays_and_the_new_file_stands_beside_it(side: str) -> None:
    project = make.project()
    image = old_image(project)
    pair = make.pair(project, **{side: image})
    study = make.study(of=project, n_pairs=0, mode="HA2")
    make.rate(make.participation(study), 7)
    make.release(study)
    study.participations.all().delete()  # the release holds it still
    assert renew_displays(project) == Renewal(n_renewed=0, n_beside=1, n_unfit=0)
    renewed = Image.objects.get(renews=image)
    assert Image.objects.get(pk=image.pk).display == image.display
    assert getattr(Pair.objects.get(), side) == image
    assert (renewed.sha256, renewed.original, renewed.changes) == (image.sha256, image.original, {"colours": "icc"})
    assert b"iCCP" not in media_path(renewed.display.name).read_bytes()
    assert renew_displays(project) == Renewal(0, 0, 0)
    assert image_row(project, inspect(media_path(image.original.name).read_bytes())) == image
    assert use_of(pair) == "a study"


def seen_by(person: Participation) -> tuple[bytes, tuple[int, int]]:
    """The anonymized picture of the pair that this person has next: its file, and the size that the page says."""
    [lease, *_] = next_pairs(person).leases
    key = Assignment.objects.get(pk=lease.pk).anonymized_key
    address = reverse("annotation:picture", args=[person.public_id, key])
    answer = make.browser(person).get(address)
    return b"".join(answer.streaming_content), (lease.width, lease.height)


def old_pictures(pair: Pair) -> QuerySet[Image]:
    return Image.objects.filter(pk__in=[pair.original_id, pair.anonymized_id])


def renewed_pictures(pair: Pair) -> QuerySet[Image]:
    return Image.objects.filter(renews__in=old_pictures(pair))


@pytest.fixture
def rated() -> Study:
    """A study in which somebody has rated a pair of two old pictures, measured in another way than today."""
    project = make.project()
    pair = make.pair(project, original=old_image(project), anonymized=old_image(project, red=90))
    old_pictures(pair).update(width=40, height=60)
    study = make.study(project, n_pairs=0, mode="HA2", goal=3, asks_cues=True)
    make.rate(make.participation(study), 7)
    return study


def test_each_study_goes_on_showing_the_file_that_its_people_have_seen(rated: Study) -> None:
    pair = Pair.objects.get()
    old = media_path(pair.anonymized.display.name).read_bytes()
    draft = make.study(rated.project, n_pairs=0, mode="HA2", is_open=False)
    renew_displays(rated.project)
    later = make.study(rated.project, n_pairs=0, mode="HA2")
    new = media_path(pair.anonymized.renewed.display.name).read_bytes()
    assert old != new
    assert seen_by(make.participation(rated)) == (old, (40, 60))
    assert seen_by(make.participation(later)) == (new, (60, 40))
    change_state(draft, Study.State.OPEN)
    assert seen_by(make.participation(draft)) == (new, (60, 40))
    change_state(rated, Study.State.PAUSED)
    change_state(rated, Study.State.OPEN)
    assert seen_by(make.participation(rated)) == (old, (40, 60))


def pictures_in(release: Release) -> dict[str, bytes]:
    with zipfile.ZipFile(make.archive(release)) as archive:
        rows = list(csv.DictReader(archive.read("labels.csv").decode().splitlines()))
        return {row[side]: archive.read(row[side]) for row in rows for side in ("original_path", "anonymized_path")}


def test_a_release_and_what_is_made_of_it_hold_the_files_that_people_of_its_study_saw(rated: Study) -> None:
    renew_displays(rated.project)
    later = make.study(rated.project, n_pairs=0, mode="HA2", asks_cues=True)
    make.rate(make.participation(later), 4)
    pair = Pair.objects.get()
    for study, shown in ((rated, old_pictures(pair)), (later, renewed_pictures(pair))):
        release = make.release(study)
        files = {picture_name(image): media_path(image.display.name).read_bytes() for image in shown}
        assert pictures_in(release) == files
        assert make.done(request_baselines(release)).result["n_scored"] == 1
        training = "".join(chunk.decode() for chunk in labels_csv(release, path_of=lambda image: image.display.name))
        assert all(image.display.name in training for image in shown)
        key = list(csv.DictReader(key_lines(release)))
        assert [row["anonymized_sha256"] for row in key] == [pair.anonymized.sha256]


def test_a_pair_is_not_changed_while_a_release_holds_its_renewed_pictures(rated: Study) -> None:
    renew_displays(rated.project)
    later = make.study(rated.project, n_pairs=0, mode="HA2")
    make.rate(make.participation(later), 4)
    make.release(later)
    Participation.objects.all().delete()
    Item.objects.all().delete()
    assert use_of(Pair.objects.get()) == "a release"


BOX = {"kind": "face", "x": 45, "y": 5, "width": 10, "height": 10}  # within 60 x 40, not within 40 x 60


def test_boxes_are_in_pixels_of_the_file_that_their_people_saw(rated: Study, client: Client) -> None:
    client.force_login(make.member(rated.project))
    renew_displays(rated.project)
    later = make.study(rated.project, n_pairs=0, mode="HA2", asks_cues=True)
    for study, size, is_within in ((rated, (40, 60), False), (later, (60, 40), True)):
        person = make.participation(study)
        lease = next_pairs(person).leases[0]
        take_turn(person, [make.answer(lease.public_id, cues=[BOX])])
        assert Cue.objects.filter(revision__rating__assignment__participation=person).exists() is is_within
        page = client.get(reverse("annotation:item", args=[study.public_id, study.items.get().pk])).content.decode()
        assert f'viewBox="0 0 {size[0]} {size[1]}"' in page or not is_within
    lines = list(csv.DictReader(cue_lines(later)))
    assert [(row["image_width"], row["image_height"]) for row in lines] == [("60", "40")]
    assert [(cue.image_width, cue.image_height) for cue in make.release(later).cues.all()] == [(60, 40)]
    shown = Pair.objects.get().anonymized.renewed
    listed = client.get(reverse("annotation:items", args=[later.public_id])).content.decode()
    assert reverse("datasets:picture", args=[later.project.slug, shown.pk]) in listed


def test_a_model_that_learnt_from_renewed_pictures_orders_their_pairs() -> None:
    study = make.rated_study(n_pairs=12, n_people=1)
    Image.objects.update(changes=None, display_sha256="0" * 64)  # as if they had been shown otherwise
    assert renew_displays(study.project).n_beside == 24
    later = make.study(study.project, n_pairs=0)
    make.fill_in(later, n_people=1)
    trained.run(make.release(later)).checkpoint.use()
    pairs = set(study.items.values_list("pair_id", flat=True))
    assert set(priorities_for(study.project, later.mode, pairs)) == pairs


def test_an_old_file_that_is_as_today_stands_beside_nothing() -> None:
    """Only what it says of itself is new: the pixels that people saw are those that they would see."""
    project = make.project()
    make.pair(project)
    Image.objects.update(changes=None)
    make.rate(make.participation(make.study(project, n_pairs=0)), 7)
    assert renew_displays(project) == Renewal(n_renewed=2, n_beside=0, n_unfit=0)
    assert {str(image.changes) for image in Image.objects.all()} == {"{}"}


def test_what_would_be_refused_today_or_is_missing_stays() -> None:
    project = make.project()
    small, missing = make.old_image(project, size=(20, 20)), old_image(project)
    Image.objects.update(changes=None)
    media_path(missing.original.name).unlink()
    assert renew_displays(project) == Renewal(n_renewed=0, n_beside=0, n_unfit=2)
    assert Image.objects.get(pk=small.pk).display == small.display


def test_the_command_says_what_became_of_them() -> None:
    out = StringIO()
    call_command("renew_displays", old_image(make.project()).project.slug, stdout=out)
    assert out.getvalue().startswith("1 made anew; 0 made anew for studies that open from now on")


# At the same moment --------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_whoever_is_given_a_picture_while_it_is_renewed_sees_what_the_page_says() -> None:
    for _ in range(REPEATS):
        project = make.project()
        pair = make.pair(project, original=None, anonymized=(image := old_image(project)))
        old_pictures(pair).update(width=40, height=60)
        person = make.participation(make.study(project, n_pairs=0, mode="HA1"))
        _, turn = at_once(partial(renew_displays, project), partial(next_pairs, person))
        image.refresh_from_db()
        was_given_first = renewed_pictures(pair).exists()
        assert [(lease.width, lease.height) for lease in turn.leases] == [(40, 60) if was_given_first else (60, 40)]
        assert (image.width, image.height) == (turn.leases[0].width, turn.leases[0].height)


@pytest.mark.django_db(transaction=True)
def test_renewing_beside_an_import_an_opening_and_a_freeze_leaves_each_study_with_what_its_people_saw(
    rated: Study, tmp_path: Path
) -> None:
    pair = Pair.objects.get()
    old = {picture_name(image): media_path(image.display.name).read_bytes() for image in old_pictures(pair)}
    draft = make.study(rated.project, n_pairs=0, mode="HA2", is_open=False)
    folder = manifest_of(pair.original, tmp_path)
    old_image(rated.project, red=10)  # nobody has it yet: renewed in its place
    import_job = queue_job("import_pairs", rated.project, root=str(folder), manifest=str(folder / "manifest.csv"))
    renewals = at_once(
        lambda: renew_displays(rated.project),
        lambda: renew_displays(rated.project),
        lambda: change_state(draft, Study.State.OPEN),
        lambda: make.release(rated),
        lambda: make.done(import_job),
    )[:2]
    assert sum(each.n_beside for each in renewals) == Image.objects.exclude(renews=None).count() == 2
    assert sum(each.n_renewed for each in renewals) == 1
    assert import_job.project.pairs.count() == 2  # the new pair, of an old picture and a new one
    assert pictures_in(Release.objects.get()) == old
    draft.refresh_from_db()
    shown = shown_pictures(draft, [pair.anonymized])[pair.anonymized_id]
    assert seen_by(make.participation(draft)) == (
        media_path(shown.display.name).read_bytes(),
        (shown.width, shown.height),
    )
    assert renew_displays(rated.project) == Renewal(0, 0, 0)


def manifest_of(known: Image, folder: Path) -> Path:
    """A pair of a picture that the project has and a new one, to import."""
    (folder / "old.png").write_bytes(media_path(known.original.name).read_bytes())
    (folder / "new.png").write_bytes(make.picture_bytes())
    (folder / "manifest.csv").write_text("original,anonymized\nold.png,new.png\n")
    return folder
