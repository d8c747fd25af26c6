"""What an admin sees and may do in Django's admin."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from django.contrib import admin as django_admin
from django.contrib.auth.models import Permission, User
from django.db.models import ForeignKey
from django.test import Client, RequestFactory
from django.urls import reverse

from datasets.jobs import queue_job
from datasets.models.jobs import Job
from datasets.models.projects import Membership, Project, Role
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


# Whose rows --------------------------------------------------------------------------------------------------------


@pytest.fixture
def theirs() -> Project:
    """A project with one of everything, of other people."""
    something_for_everything()
    project = Project.objects.get()
    project.releases.get().notices.create(kind="withdrawn", text="A person was erased.")
    return project


@pytest.fixture
def staff(theirs: Project) -> User:
    """An admin of a project of their own, with every permission that Django knows."""
    mine = make.rated_study(n_pairs=2, n_people=1).project
    user = make.member(mine, Role.ADMIN, is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    return user


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def of_projects() -> Iterator[tuple[Any, Any]]:
    for model, its_admin in django_admin.site._registry.items():
        if its_admin.path_to_project:  # type: ignore[attr-defined]
            yield model, its_admin


def rows_of(model: Any, its_admin: Any, project: Project) -> list[Any]:
    return list(model._default_manager.filter(**{its_admin.path_to_project: project.pk}))


def state_of(project: Project) -> list[Any]:
    """Every value of every row that the admin knows of the project."""
    return [
        sorted(model._default_manager.filter(**{its_admin.path_to_project: project.pk}).values_list(), key=str)
        for model, its_admin in of_projects()
    ]


def test_staff_reach_no_page_of_a_row_of_another_project(staff: User, theirs: Project) -> None:
    client, before, n_walked = logged_in(staff), state_of(theirs), 0
    for model, its_admin in of_projects():
        rows = rows_of(model, its_admin, theirs)
        assert rows, model
        for pattern in its_admin.get_urls():
            if pattern.name and "object_id" in pattern.pattern.converters:
                address = reverse(f"admin:{pattern.name}", args=[rows[0].pk])
                for reply in (client.get(address), client.post(address, {"typed": theirs.slug, "post": "yes"})):
                    elsewhere = reply.status_code == 302 and reply["Location"] == reverse("admin:index")
                    assert elsewhere or reply.status_code in {403, 404, 405}, address
                    n_walked += 1
    assert n_walked > 60
    assert state_of(theirs) == before


def test_staff_see_and_choose_no_row_of_another_project(staff: User, theirs: Project) -> None:
    request = RequestFactory().get("/")
    request.user = staff
    client, n_choices = logged_in(staff), 0
    for model, its_admin in of_projects():
        page = client.get(list_of(model))
        assert page.status_code == 200, model
        shown = {row.pk for row in page.context["cl"].queryset}
        assert shown.isdisjoint(row.pk for row in rows_of(model, its_admin, theirs)), model
        assert theirs.name not in page.content.decode(), model
        for field in model._meta.fields:
            if isinstance(field, ForeignKey):
                chosen = its_admin.formfield_for_foreignkey(field, request).queryset
                its = django_admin.site._registry.get(field.related_model)
                their_rows = rows_of(field.related_model, its, theirs) if its and its.path_to_project else []
                assert not {row.pk for row in chosen} & {row.pk for row in their_rows}, field
                assert its or not chosen, field
                n_choices += 1
    assert n_choices > 10


def test_staff_act_on_no_row_of_another_project(staff: User, theirs: Project) -> None:
    request = RequestFactory().get("/")
    request.user = staff
    client, before, n_acted = logged_in(staff), state_of(theirs), 0
    for model, its_admin in of_projects():
        rows = [row.pk for row in rows_of(model, its_admin, theirs)]
        for action in its_admin.get_actions(request):
            client.post(list_of(model), {"action": action, "_selected_action": rows, "post": "yes", "typed": "x"})
            n_acted += 1
    assert n_acted >= 5
    assert state_of(theirs) == before


def test_nobody_but_superusers_touches_users_permissions_and_memberships(staff: User, admin: Client) -> None:
    client = logged_in(staff)
    for model, its_admin in django_admin.site._registry.items():
        if not its_admin.path_to_project:  # type: ignore[attr-defined]
            assert client.get(list_of(model)).status_code == 403, model
            assert admin.get(list_of(model)).status_code == 200, model
    change = reverse("admin:auth_user_change", args=[staff.pk])
    assert client.post(change, {"username": staff.username, "is_superuser": "on"}).status_code == 403
    assert not User.objects.get(pk=staff.pk).is_superuser
    assert client.get(reverse("admin:datasets_project_add")).status_code == 403
    mine = staff.memberships.get().project
    page = reverse("admin:datasets_project_change", args=[mine.pk])
    assert "memberships-TOTAL_FORMS" in admin.get(page).content.decode()
    assert "memberships-TOTAL_FORMS" not in client.get(page).content.decode()
    sent = {"name": "Mine", "slug": mine.slug, "memberships-TOTAL_FORMS": 1, "memberships-INITIAL_FORMS": 0}
    client.post(page, sent | {"memberships-0-user": make.user().pk, "memberships-0-role": "admin"})
    assert Project.objects.get(pk=mine.pk).name == "Mine"
    assert list(Membership.objects.filter(project=mine)) == [staff.memberships.get()]


def test_names_of_users_are_offered_to_superusers_alone(staff: User, admin: Client) -> None:
    asked = {"app_label": "datasets", "model_name": "membership", "field_name": "user", "term": ""}
    assert admin.get(reverse("admin:autocomplete"), asked).json()["results"]
    assert logged_in(staff).get(reverse("admin:autocomplete"), asked).status_code == 403


def test_a_researcher_who_is_staff_is_shown_no_trainings_and_no_people_in_the_admin(theirs: Project) -> None:
    user = make.member(theirs, Role.RESEARCHER, is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    client = logged_in(user)
    n_rows = {
        name: client.get(reverse(f"admin:{name}_changelist")).context["cl"].result_count
        for name in ("annotation_study", "datasets_release", "scoring_trainingrun", "annotation_participation")
    }
    assert n_rows == {
        "annotation_study": 1, "datasets_release": 1, "scoring_trainingrun": 0, "annotation_participation": 0,
    }  # fmt: skip
