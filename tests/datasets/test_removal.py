"""A picture is removed because somebody shown in it asks: it is nowhere any more, and does not come back."""

import hashlib
import io
import zipfile
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from annotation.models.ratings import Rating
from annotation.models.studies import Item
from annotation.watching.roles import CannotServe, put_back_item
from datasets import ledger
from datasets.content import content_hash
from datasets.files import media_path
from datasets.images import image_row, store_files
from datasets.jobs import cancel_job, queue_job, run
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Pair
from datasets.models.projects import Project, Role
from datasets.models.removals import Removal, RemovedImage
from datasets.pictures import inspect
from datasets.removal import CannotRemove, remove_image, take_up_again
from datasets.rows import label_rows
from scoring.runs import queue_run, recipe_for
from scoring.trainer import prepare
from tests import make
from tests.scoring import trained
from tests.searched import found
from tests.workers import TAKEN_OVER_WITHIN, finished, has_progress, is_taken_over, kill, wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.postgres,
    pytest.mark.usefixtures("media_of_its_own"),
]

N_VERSIONS = 400  # files enough that a worker is killed before the last


def picture_of(project: Project) -> Image:
    """The original of its first pair."""
    original = project.pairs.order_by("number")[0].original
    assert original
    return original


def removed(image: Image, **who: Any) -> Removal:
    removal = remove_image(image, **who)
    while job := Job.objects.unfinished().first():
        make.done(job)
    removal.refresh_from_db()
    return removal


# Gone ---------------------------------------------------------------------------------------------------------------


def imported(project: Project, folder: Path, **pictures: bytes) -> Job:
    """One pair, of files with these bytes: `original` and `anonymized`."""
    folder.mkdir(exist_ok=True)
    for name, data in pictures.items():
        (folder / f"{name}-of-anna.png").write_bytes(data)
    names = [f"{name}-of-anna.png" for name in pictures]
    (folder / "manifest.csv").write_text(f"{','.join(pictures)}\n{','.join(names)}\n")
    job = queue_job("import_pairs", project, root=str(folder), manifest=str(folder / "manifest.csv"))
    run(job.pk)
    job.refresh_from_db()
    return job


def test_a_picture_its_names_and_its_hashes_are_nowhere_once_it_is_removed(tmp_path: Path) -> None:
    project, data = make.project(), make.picture_bytes()
    job = imported(project, tmp_path / "come", original=data, anonymized=make.picture_bytes())
    assert job.state == Job.State.DONE, job.error
    marks = [b"of-anna", hashlib.sha256(data).hexdigest().encode(), data[60:]]
    assert all(found(mark) for mark in marks)
    removal = removed(picture_of(project))
    assert removal.finished_at
    assert [found(mark) for mark in marks] == [[], [], []]
    assert not Pair.with_removed.filter(project=project).exists()
    assert not Image.objects.filter(project=project).exists()


def test_of_a_picture_in_a_release_what_was_published_is_all_that_stays(tmp_path: Path) -> None:
    project, came = make.project(), make.picture_bytes() + b"what a camera wrote behind the picture"
    imported(project, tmp_path / "come", original=came, anonymized=make.picture_bytes())
    release = make.release(make.rated_study(of=project, n_pairs=3, n_people=2))
    make.archive(release)
    gone = picture_of(project)
    shown = media_path(str(gone.display.name)).read_bytes()
    marks = [b"of-anna", gone.sha256.encode(), shown[60:]]
    assert gone.sha256 != gone.display_sha256
    assert all(found(mark) for mark in marks)
    removed(gone)
    assert [found(mark) for mark in marks] == [[], [], []]
    assert found(gone.display_sha256.encode())  # in its row of the release, and in labels.csv
    assert release.labels.count() == 4


# Releases -----------------------------------------------------------------------------------------------------------


def test_a_release_keeps_rows_and_hash_and_its_zip_is_made_anew_without_the_picture() -> None:
    study = make.rated_study(n_pairs=3, n_people=2)
    release = make.release(study)
    before, rows = make.archive(release).read_bytes(), content_hash(release)
    gone = picture_of(study.project)
    removed(gone)
    assert content_hash(release) == release.content_hash == rows
    after = make.archive(release).read_bytes()
    with zipfile.ZipFile(io.BytesIO(before)) as old, zipfile.ZipFile(io.BytesIO(after)) as new:
        assert old.read("labels.csv") == new.read("labels.csv")
        assert f"pictures/{gone.display_sha256}.png" in old.namelist()
        assert len([name for name in old.namelist() if name not in new.namelist()]) == 2  # and its version
        assert "Pairs without a picture: 1." in new.read("REMOVED.txt").decode()
    page = reader(study.project).get(reverse("datasets:release", args=[study.project.slug, release.slug, 1]))
    for archive in (before, after):
        assert hashlib.sha256(archive).hexdigest() in page.content.decode()
    assert "a picture was removed" in page.content.decode()


def test_no_later_release_holds_it() -> None:
    study = make.rated_study(n_pairs=12, n_people=2)
    first = make.release(study)
    removed(picture_of(study.project))
    second = make.release(study)
    assert (first.labels.count(), second.labels.count()) == (12, 11)
    assert second.n_removed() == 0
    assert first.n_removed() == 1


def test_trainings_and_metrics_on_an_old_release_leave_it_out() -> None:
    release = make.release(make.rated_study(n_pairs=12, n_people=2))
    name = f"{release.project.slug}/{release.slug}"
    removed(picture_of(release.project))
    folder = prepare(queue_run(release, recipe_for(release)), 1)
    with (folder / "labels.csv").open(newline="") as file:
        parts = {row.pair: row.split for row in label_rows(file)}
    assert [pair for pair, part in parts.items() if not part] == [1]
    call_command("score_baselines", name, stdout=StringIO())
    assert {each.reason for each in release.labels.get(pair=1).baselines.all()} == {"a picture was removed"}
    assert {each.reason for each in release.labels.get(pair=2).baselines.all()} == {""}


def test_models_trained_on_it_are_named_on_the_page_and_by_the_command() -> None:
    study = make.rated_study(n_pairs=12, n_people=2)
    model = trained.run(make.release(study)).checkpoint
    [first, second] = study.project.pairs.order_by("number")[:2]
    said = StringIO()
    call_command("remove_image", first.original.sha256, stdout=said)
    assert "Nothing was done" in said.getvalue()
    call_command("remove_image", first.original.sha256, yes=True, stdout=(said := StringIO()))
    assert str(model) in said.getvalue()
    admin = reader(study.project, Role.ADMIN)
    sent = admin.post(
        reverse("datasets:picture-remove", args=[study.project.slug, second.original_id]),
        {"typed": str(second.original_id)},
    )
    assert str(model) in admin.get(sent.url).content.decode()


def reader(project: Project, role: str = Role.RESEARCHER) -> Client:
    client = Client()
    client.force_login(make.member(project, role))
    return client


# Who rates ----------------------------------------------------------------------------------------------------------


def test_whoever_has_its_pair_open_gets_the_next_and_it_is_shown_to_nobody_again() -> None:
    study = make.study(n_pairs=3)
    person = make.participation(study)
    open_now = make.leases(person)[0]
    make.rating(open_now, 5)
    other = make.participation(study)
    in_front = next(each for each in make.leases(other) if each.item_id == open_now.item_id)
    picture = reverse("annotation:picture", args=[other.public_id, in_front.anonymized_key])
    browser = make.browser(other)
    assert browser.get(picture).status_code == 200
    removed(open_now.item.pair.original)
    assert browser.get(picture).status_code == 404
    make.rate_all(other)
    assert other.assignments.filter(item=open_now.item, answered_at__isnull=False).count() == 0
    assert other.assignments.exclude(answered_at=None).count() == 2
    assert Rating.objects.filter(assignment=open_now).exists()
    with pytest.raises(CannotServe):
        put_back_item(study, Item.objects.get(pk=open_now.item_id), reason="by mistake")


# Who may ------------------------------------------------------------------------------------------------------------


def test_a_removal_that_somebody_cancelled_is_taken_up_again() -> None:
    project = make.pair(make.project()).project
    removal = remove_image(picture_of(project))
    job = Job.objects.get(kind="remove_image")
    cancel_job(job)
    take_up_again()
    make.done(job)
    removal.refresh_from_db()
    assert removal.finished_at
    assert [path for path in media_path("pictures").rglob("*") if path.is_file()] == []


def test_admins_confirm_it_by_typing_its_number_and_researchers_find_no_such_page() -> None:
    study = make.rated_study(n_pairs=2, n_people=1)
    gone = picture_of(study.project)
    page = reverse("datasets:picture-remove", args=[study.project.slug, gone.pk])
    assert reader(study.project).get(page).status_code == 404
    assert reader(study.project).post(page, {"typed": str(gone.pk)}).status_code == 404
    admin = reader(study.project, Role.ADMIN)
    assert admin.post(page, {"typed": "another"}).status_code == 400
    assert not Removal.objects.exists()
    assert admin.post(page, {"typed": str(gone.pk)}).status_code == 302
    assert Removal.objects.get().pairs == [1]


def test_it_is_not_removed_twice_or_while_an_import_may_need_it() -> None:
    project = make.pair(make.project()).project
    importing = queue_job("import_pairs", project)
    gone = picture_of(project)
    with pytest.raises(CannotRemove, match="import is running"):
        remove_image(gone)
    Job.objects.filter(pk=importing.pk).update(state=Job.State.CANCELLED)
    removed(gone)
    with pytest.raises(CannotRemove, match="already"):
        remove_image(gone)


# The way back -------------------------------------------------------------------------------------------------------


def test_it_is_refused_when_it_comes_back_as_it_came_or_as_it_was_shown_in_any_project(tmp_path: Path) -> None:
    project, came = make.project(), make.picture_bytes(size=(48, 32), format="JPEG")
    shown = inspect(came).display
    imported(project, tmp_path / "come", original=came, anonymized=make.picture_bytes())
    removed(picture_of(project))
    for n, data in enumerate({came, shown}):
        again = imported(make.project(), tmp_path / f"again{n}", original=data, anonymized=make.picture_bytes())
        assert again.state == Job.State.FAILED
        assert "somebody shown in it asked" in again.error
    assert found(hashlib.sha256(came).hexdigest().encode()) == []


def test_a_picture_that_comes_back_with_an_old_backup_is_removed_again_and_no_other() -> None:
    project, elsewhere = make.project(), make.project()
    data = make.picture_bytes()
    for each in (project, elsewhere):
        picture = inspect(data)
        store_files(each, picture)
        make.pair(each, original=image_row(each, picture))
    kept = make.pair(project)
    ledger_of_before = removed_then_restored(project)
    assert ledger.replay(ledger_of_before) == 2
    assert list(project.pairs.all()) == [kept]
    assert elsewhere.pairs.count() == 1
    assert RemovedImage.objects.count() == 2
    assert ledger.replay(ledger_of_before) == 0


def removed_then_restored(project: Project) -> Path:
    """What the ledger says of the first picture, and a database that does not know of it."""
    original = picture_of(project)
    version = project.pairs.get(original=original).anonymized
    for image in (original, version):
        ledger.enter(f"picture {image.sha256} of project {project.pk}")
        ledger.enter_picture(image.sha256)
    return ledger.ledger_file()


# A death on the way -------------------------------------------------------------------------------------------------


@pytest.mark.services
def test_a_removal_is_finished_by_another_worker_when_its_own_is_killed(start_worker: Any) -> None:
    project = make.project()
    original = make.image(project)
    for _ in range(N_VERSIONS):
        make.pair(project, original=original)
    removal = remove_image(original)
    job = Job.objects.get(kind="remove_image")
    first = start_worker()
    wait_until(lambda: has_progress(job))
    kill(first)
    left = [path for path in media_path("pictures").rglob("*") if path.is_file()]
    assert left
    start_worker()
    wait_until(lambda: is_taken_over(job), seconds=TAKEN_OVER_WITHIN)
    assert finished(job).state == Job.State.DONE
    removal.refresh_from_db()
    assert removal.finished_at
    assert removal.files_left == []
    assert [path for path in media_path("pictures").rglob("*") if path.is_file()] == []
