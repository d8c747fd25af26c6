"""What an admin sees and may do in Django's admin."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from django.contrib import admin as django_admin
from django.test import Client
from django.urls import reverse

from datasets.jobs import queue_job
from datasets.models.jobs import Job
from tests import make
from tests.addresses import something_for_everything

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


# What an address can ask for ---------------------------------------------------------------------------------------

LOOKUPS = ("", "__startswith", "__regex", "__gte", "__isnull")


def list_of(model: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def forged(model: Any, filters: set[str]) -> Iterator[str]:
    """Questions about every column, its own and those that relations lead to, that no filter of the list asks."""
    for field in model._meta.get_fields():
        for path in (field.name, *(f"{field.name}__{name}" for name in ("pk", "password") if field.is_relation)):
            yield from (f"{path}{lookup}" for lookup in LOOKUPS if f"{path}{lookup}" not in filters)


def test_no_list_of_the_admin_answers_what_its_filters_do_not_ask(admin: Client) -> None:
    something_for_everything()
    n_forged = 0
    for model, its_admin in django_admin.site._registry.items():
        address = list_of(model)
        links = re.findall(r'href="(\?[^"]+)"', admin.get(address).content.decode())
        filters = {name for link in links for name in re.findall(r"[?&]([^=&]+)=", unescape(link))}
        filters |= {f"{path}{end}" for path in its_admin.list_filter for end in ("", "__isnull")}
        for question in forged(model, filters):
            reply = admin.get(address, {question: "A"})
            assert reply.status_code == 400 or reply.headers.get("Location") == f"{address}?e=1", (model, question)
            n_forged += 1
    assert n_forged > 500


def test_every_filter_of_the_admin_works(admin: Client) -> None:
    something_for_everything()
    for model in django_admin.site._registry:
        address = list_of(model)
        for link in re.findall(r'<a href="(\?[^"]+)"', admin.get(address).content.decode()):
            assert admin.get(address + unescape(link)).status_code == 200, (model, link)
