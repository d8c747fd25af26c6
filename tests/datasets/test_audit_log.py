"""The audit log as it is read by project admins and superusers, and how long it is kept."""

import csv
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from datasets.audit import record
from datasets.audit_log import AT_ONCE, PER_PAGE, forget_what_is_old
from datasets.jobs import repeated
from datasets.models.audit import Actor, AuditEntry, What
from datasets.models.projects import Project, Role
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


@pytest.fixture
def project() -> Project:
    return make.project(name="Streets")


@pytest.fixture
def browser(project: Project) -> Client:
    return logged_in(make.member(project, Role.ADMIN, name="ada"))


def logged_in(user: User) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


def entry(project: Project, what: What = What.FROZEN, **fields: Any) -> AuditEntry:
    of_project = {"project_number": project.pk, "project_name": project.name}
    return AuditEntry.objects.create(**{"what": what, "role": Actor.COMMAND, **of_project} | fields)


def shown(browser: Client, project: Project | None, **asked: Any) -> list[AuditEntry]:
    address = reverse("datasets:log", args=[project.slug]) if project else reverse("datasets:site-log")
    return list(browser.get(address, asked).context["entries"])


def lines(browser: Client, project: Project, **asked: Any) -> list[dict[str, str]]:
    reply = browser.get(reverse("datasets:log-csv", args=[project.slug]), asked)
    return list(csv.DictReader(b"".join(reply).decode().splitlines()))  # type: ignore[call-overload]


def test_an_admin_reads_what_was_done_in_their_project_and_nothing_of_another(
    browser: Client, project: Project
) -> None:
    record(
        What.FROZEN,
        by=make.member(project, name="rosa"),
        on=project,
        project=project,
        after={"labels": 12, "in use": False},
    )
    entry(make.project())
    [found] = shown(browser, project)
    page = browser.get(reverse("datasets:log", args=[project.slug])).content.decode()
    assert found.project_number == project.pk
    for words in ("rosa", "researcher", "release frozen", "labels: 12", "in use: no"):
        assert words in page


def test_a_superuser_reads_what_was_done_on_the_site_and_in_projects_that_are_gone(project: Project) -> None:
    entry(project)
    project.delete()
    record(What.UNLOCKED, by=None)
    browser = logged_in(make.user(is_superuser=True))
    assert [each.what for each in shown(browser, None)] == [What.LOG_IN, What.UNLOCKED, What.FROZEN]
    assert b"Streets" in browser.get(reverse("datasets:site-log")).content


def test_the_way_to_the_log_is_on_the_page_of_a_project_for_its_admins(browser: Client, project: Project) -> None:
    page, log = reverse("annotation:project", args=[project.slug]), reverse("datasets:log", args=[project.slug])
    assert log in browser.get(page).content.decode()
    assert log not in logged_in(make.member(project)).get(page).content.decode()


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, {"old", "new", "ours"}),
        ({"what": "release frozen"}, {"old", "new"}),
        ({"who": "ROSA"}, {"ours"}),
        ({"who": "command"}, {"old", "new"}),
        ({"object": "New"}, {"new"}),
        ({"object": "7f"}, {"old"}),
        ({"since": "2025-03-02"}, {"new", "ours"}),
        ({"until": "2025-03-01"}, {"old"}),
        ({"since": "2025-03-02", "until": "2025-03-02"}, {"new"}),
        ({"words": "ros"}, {"ours"}),
        ({"words": "frozen"}, {"old", "new"}),
        ({"words": "%"}, set()),
        ({"since": "0001-01-01", "until": "9999-12-31"}, {"old", "new", "ours"}),
    ],
)
def test_the_log_is_narrowed_down(browser: Client, project: Project, asked: dict[str, str], found: set[str]) -> None:
    entry(project, object_name="old", object_id="7f", at=datetime(2025, 3, 1, 23, 59, 59, tzinfo=UTC))
    entry(project, object_name="new", at=datetime(2025, 3, 2, tzinfo=UTC))
    entry(project, What.DECIDED, object_name="ours", role=Actor.RESEARCHER, user_name="rosa")
    assert {each.object_name for each in shown(browser, project, **asked)} == found
    assert {each["object"] for each in lines(browser, project, **asked)} - {"Streets"} == found


@pytest.mark.parametrize(
    "asked", [{"what": "nothing"}, {"since": "yesterday"}, {"before": "x"}, {"before": str(2**70)}, {"words": "\x00"}]
)
def test_what_makes_no_sense_is_said_and_shows_nothing(
    browser: Client, project: Project, asked: dict[str, str]
) -> None:
    entry(project)
    for name in ("datasets:log", "datasets:log-csv"):
        reply = browser.get(reverse(name, args=[project.slug]), asked)
        assert (reply.status_code, list(reply.context["entries"])) == (400, [])


def test_page_after_page_shows_each_entry_once_while_new_ones_come(browser: Client, project: Project) -> None:
    moment = timezone.now()
    made = [entry(project, at=moment - timedelta(seconds=n // 7)) for n in range(2 * PER_PAGE + 5)]
    address, seen, asked = reverse("datasets:log", args=[project.slug]), [], ""
    for _ in range(3):
        reply = browser.get(f"{address}?what=release frozen{asked}")
        seen += [each.pk for each in reply.context["entries"]]
        asked = f"&before={reply.context['further']}"
        entry(project)
    assert reply.context["further"] is None
    assert sorted(seen) == sorted(each.pk for each in made)


def test_the_page_costs_the_same_few_queries_however_long_the_log_is(
    browser: Client, project: Project, django_assert_num_queries: Any
) -> None:
    def n_queries(n: int) -> int:
        AuditEntry.objects.bulk_create(
            AuditEntry(what=What.FROZEN, role=Actor.COMMAND, project_number=project.pk) for _ in range(n)
        )
        with django_assert_num_queries(4) as asked:  # session, user, project, entries
            shown(browser, project)
        return len(asked)

    assert n_queries(1) == n_queries(300)


def test_the_csv_has_all_pages_and_no_formula_and_stands_in_the_log_itself(browser: Client, project: Project) -> None:
    entry(project, object_name="=1+1", after={"name": "a;=2"})
    for _ in range(PER_PAGE):
        entry(project)
    told = lines(browser, project)
    assert len(told) == PER_PAGE + 2
    assert (told[0]["object"], told[0]["after"]) == ("'=1+1", """{"name": "a;'=2"}""")
    assert (told[-1]["what"], told[-1]["user"], told[-1]["after"]) == ("download", "ada", '{"table": "audit log"}')


# How long -----------------------------------------------------------------------------------------------------------


def test_workers_take_away_what_is_older_than_the_site_keeps_it(settings: Any) -> None:
    settings.AUDIT_KEEP_DAYS = 100
    assert forget_what_is_old in repeated
    ages = (0, 99, 101, 1000)
    for days in ages:
        AuditEntry.objects.create(what=What.FROZEN, role=Actor.COMMAND, at=timezone.now() - timedelta(days=days))
    old = timezone.now() - timedelta(days=500)
    AuditEntry.objects.bulk_create(
        AuditEntry(what=What.UNLOCKED, role=Actor.COMMAND, at=old) for _ in range(2 * AT_ONCE + 1)
    )
    forget_what_is_old()
    assert AuditEntry.objects.count() == 2
