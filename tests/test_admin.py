"""What an admin sees and may do in Django's admin."""

import pytest
from django.test import Client
from django.urls import reverse

from datasets.jobs import queue_job
from datasets.models.jobs import Job
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(make.user("root", is_staff=True, is_superuser=True))
    return client


def act(client: Client, action: str, *jobs: Job) -> str:
    chosen = [str(job.pk) for job in jobs]
    address = reverse("admin:datasets_job_changelist")
    return client.post(address, {"action": action, "_selected_action": chosen}, follow=True).content.decode()


def test_every_list_of_the_admin_opens(admin: Client) -> None:
    make.study()
    queue_job("import_pairs", make.project(), archive="/nowhere.zip")
    page = admin.get(reverse("admin:index")).content.decode()
    lists = [
        "datasets_project", "datasets_source", "datasets_release", "datasets_releasenotice", "datasets_job",
        "annotation_campaign",
        "annotation_study", "annotation_participation", "scoring_trainingrun", "scoring_checkpoint",
        "scoring_comparison",
    ]  # fmt: skip
    for name in lists:
        address = reverse(f"admin:{name}_changelist")
        assert address in page
        assert admin.get(address).status_code == 200


def test_a_failed_job_shows_its_error_and_can_be_tried_again(admin: Client) -> None:
    job = queue_job("import_pairs", make.project(), archive="/nowhere.zip")
    Job.objects.filter(pk=job.pk).update(state=Job.State.FAILED, error="line 3: no such picture")
    assert "line 3: no such picture" in admin.get(reverse("admin:datasets_job_changelist")).content.decode()
    assert "1 jobs queued again" in act(admin, "retry", job)
    job.refresh_from_db()
    assert (job.state, job.error) == (Job.State.QUEUED, "")


def test_a_queued_job_can_be_cancelled_but_a_done_one_not_tried_again(admin: Client) -> None:
    project = make.project()
    queued = queue_job("import_pairs", project, archive="/nowhere.zip")
    done = queue_job("import_pairs", project, archive="/nowhere.zip")
    Job.objects.filter(pk=done.pk).update(state=Job.State.DONE)
    assert "1 jobs cancelled" in act(admin, "cancel", queued, done)
    assert "only a failed or cancelled job can be tried again" in act(admin, "retry", done)
    queued.refresh_from_db()
    assert queued.state == Job.State.CANCELLED


def test_staff_without_the_permission_cannot_cancel() -> None:
    job = queue_job("import_pairs", make.project(), archive="/nowhere.zip")
    client = Client()
    client.force_login(make.user("viewer", is_staff=True))
    assert client.post(reverse("admin:datasets_job_changelist"), {"action": "cancel"}).status_code == 403
    job.refresh_from_db()
    assert job.state == Job.State.QUEUED


def test_ratings_people_and_releases_cannot_be_edited_by_hand(admin: Client) -> None:
    study = make.study()
    for address in (reverse("admin:annotation_study_add"), reverse("admin:datasets_release_add")):
        assert admin.get(address).status_code == 403
    change = reverse("admin:annotation_study_change", args=[study.pk])
    assert admin.post(change, {"name": "changed"}).status_code == 403
    assert admin.post(reverse("admin:annotation_study_delete", args=[study.pk])).status_code == 403


def test_a_notice_beside_a_release_is_read_there_and_a_release_retracted_by_its_page_alone(admin: Client) -> None:
    release = make.release(make.rated_study(n_pairs=3, n_people=2))
    said = {"release": release.pk, "kind": "retracted", "text": "By hand."}
    assert admin.post(reverse("admin:datasets_releasenotice_add"), said).status_code == 403
    assert not release.is_retracted()
    notice = release.notices.create(kind="withdrawn", text="A person was erased.")
    change = reverse("admin:datasets_releasenotice_change", args=[notice.pk])
    assert "A person was erased." in admin.get(change).content.decode()
    assert admin.post(change, said).status_code == 403
    assert admin.post(reverse("admin:datasets_releasenotice_delete", args=[notice.pk])).status_code == 403


def test_the_admin_of_a_release_does_not_show_its_pseudonym_key(admin: Client) -> None:
    release = make.release(make.rated_study(n_pairs=3, n_people=2))
    page = admin.get(reverse("admin:datasets_release_change", args=[release.pk])).content.decode()
    assert release.content_hash in page
    assert release.pseudonym_key not in page
    assert "seudonym key" not in page


def test_the_admins_log_in_is_the_sites(client: Client) -> None:
    response = client.get("/admin/", follow=True)
    assert response.redirect_chain[-1][0].startswith("/login/?next=")
    assert "PerceptAnon Studio" in response.content.decode()


@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("kx7-qpz-41m", "at least 12 characters"),
        ("123456qwerty", "too common"),
        ("rosalindfranklin", "too similar to the username"),
        ("kx7-qpz-41mw", None),
    ],
)
def test_a_password_that_could_be_guessed_is_refused_with_the_reason(
    admin: Client, password: str, says: str | None
) -> None:
    user = make.user("rosalindfranklin")
    sent = {"usable_password": "true", "password1": password, "password2": password}
    reply = admin.post(reverse("admin:auth_user_password_change", args=[user.pk]), sent)
    user.refresh_from_db()
    assert (reply.status_code == 302, user.check_password(password)) == (says is None, says is None)
    assert says is None or says in reply.content.decode()
