"""What a closed project refuses is offered on none of its pages."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest
from django.db import transaction
from django.test import Client
from django.urls import resolve, reverse
from django.utils import timezone

from annotation.studies.closing import close_project
from annotation.studies.filling import add_further_pairs
from datasets.closing import ProjectClosed
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Pair
from datasets.models.projects import Project
from datasets.models.releases import Label, Release
from datasets.pair_changes import change_pairs, merge_groups, remove_pairs
from scoring.models import TrainingRun
from tests import make
from tests.addresses import MAY, addresses, something_for_everything
from tests.scoring import trained

pytestmark = [pytest.mark.django_db, pytest.mark.postgres, pytest.mark.usefixtures("media_of_its_own")]
REFUSAL = "This project is closed"
NOTICE = "This project was closed on"
# Addresses of what is refused, and of pages that are there to begin it.
REFUSED = {f"annotation:{name}" for name in ("study-new", "state", "more-pairs", "freeze", "close-project")}
REFUSED |= {f"datasets:{name}" for name in ("import", "import-previewed", "job-retry", "groups-compare")}
REFUSED |= {f"datasets:{name}" for name in ("groups-merge", "pair-change", "pair-remove")}
REFUSED |= {f"scoring:{name}" for name in ("train", "go-on", "again")}
BEGINNINGS = {"annotation:study-new", "annotation:close-project", "datasets:import", "scoring:train"}
SAID_ON = {f"annotation:{name}" for name in ("project", "study", "study-new", "items")}
SAID_ON |= {f"datasets:{name}" for name in ("pairs", "pair", "import", "groups", "job", "release")}
SAID_ON |= {"scoring:runs", "scoring:run"}
OF_PROJECTS = {name for name, may in MAY.items() if "GET" in may["admin"] and not may["annotator"]}


@dataclass
class Form:
    """A form as a browser sends it, by one of its buttons."""

    to: str
    fields: dict[str, list[str]] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str | None, value: str) -> None:
        if name:
            self.fields.setdefault(name, []).append(value)


class Offered(HTMLParser):
    """The forms of a page that change something, and where its links lead."""

    def __init__(self, page: str, html: str) -> None:
        super().__init__()
        self.page = page
        self.forms: list[Form] = []
        self.links: set[str] = set()
        self._form: Form | None = None
        self._select: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.add(urldefrag(urljoin(self.page, has.get("href", ""))).url)
        elif tag == "form":
            self._form = Form(urljoin(self.page, has.get("action", "")))
            if has.get("method") == "post":
                self.forms.append(self._form)
        elif self._form:
            self._take(tag, has)

    def _take(self, tag: str, has: dict[str, str]) -> None:
        assert self._form
        if has.get("type") == "submit":
            self._form.buttons.append((has.get("name", ""), has.get("value", "")))
        elif tag == "select":
            self._select = has.get("name")
        elif tag == "option" and "selected" in has:
            self._form.add(self._select, has.get("value", ""))
        elif tag == "input" and (has.get("type") not in {"radio", "checkbox"} or "checked" in has):
            self._form.add(has.get("name"), has.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None


@pytest.fixture
def arguments() -> list[dict[str, Any]]:
    """Of addresses at which all that a closed project refuses waits to be begun."""
    first = something_for_everything(mode="HA1")
    project, release = Project.objects.get(), Release.objects.get()
    project.sources.update(licence="CC0", citation="Somebody 2026")
    for label in release.labels.select_related("original"):  # as format 1 did where no group was given
        Label.objects.filter(pk=label.pk).update(public_group=label.original.sha256, original_sha256="")
    draft = make.study(project, n_pairs=2, is_open=False)
    unused = [make.pair(project, anonymized_path=f"{folder}/face.png", method="new") for folder in "ab"]
    Image.objects.filter(pk=unused[0].original_id).update(look=None)
    make.pair(project)  # which both studies can still be given
    failed = trained.queued_run(release)
    Job.objects.filter(pk=failed.job_id).update(state=Job.State.FAILED)
    jobs = [a_job(project, state="failed"), a_job(project, state="done", result={"preview": [["a"]], "n_rows": 1})]
    others = [{"study": draft.public_id}, {"pair": unused[0].number}, {"run": failed.public_id, "object_id": failed.pk}]
    others += [{"object_id": each.pk} for each in (TrainingRun.objects.earliest("pk"), release)]
    return [first] + [first | other for other in [*others, *({"job": each.public_id} for each in jobs)]]


def a_job(project: Project, **fields: Any) -> Job:
    return Job.objects.create(kind="import_pairs", project=project, queued_at=timezone.now(), **fields)


@pytest.fixture
def superuser() -> Client:
    """Is shown what anybody is shown, the verbs of trainings too."""
    client = Client()
    client.force_login(make.user(is_staff=True, is_superuser=True))
    return client


def offered(browser: Client, arguments: list[dict[str, Any]]) -> tuple[list[Form], set[str]]:
    """All forms on all pages of the project, and the addresses to which its pages lead."""
    pages = {url for each in arguments for url, name in addresses(each).items() if name in OF_PROJECTS}
    pages |= {f"{url}?state=open" for url in pages if url.endswith("/state/")}
    forms: list[Form] = []
    links: set[str] = set()
    for page in sorted(pages):
        reply = browser.get(page)
        if reply.status_code == 200 and reply["Content-Type"].startswith("text/html"):
            found = Offered(page, reply.content.decode())
            forms += (form for form in found.forms if not form.to.endswith("/logout/"))
            links |= found.links - {page}
    return forms, links


def refused(browser: Client, forms: Iterable[Form]) -> set[tuple[str, str]]:
    """What is refused of what these forms would do, each by each of its buttons: the address, and the button."""
    found = set()
    for form in forms:
        for name, value in form.buttons:
            if is_refused(browser, form.to, form.fields | ({name: [value]} if name else {})):
                found.add((form.to, value))
    return found


def is_refused(browser: Client, to: str, fields: dict[str, Any]) -> bool:
    """Whether it is, and nothing comes of it in any case."""
    with transaction.atomic():
        reply = browser.post(to, fields, follow=True)
        transaction.set_rollback(True)
    return REFUSAL in reply.content.decode()


def test_what_a_closed_project_refuses_none_of_its_pages_offers(
    superuser: Client, arguments: list[dict[str, Any]]
) -> None:
    offered_before, led_before = offered(superuser, arguments)
    close_project(Project.objects.get())
    refuses = refused(superuser, offered_before)
    assert {resolve(urlsplit(to).path).view_name for to, _ in refuses} == REFUSED
    offered_now, leads_now = offered(superuser, arguments)
    assert refused(superuser, offered_now) == set()
    begins = {url for url in led_before if resolved(url) in BEGINNINGS}
    assert {resolved(url) for url in begins} == BEGINNINGS
    assert leads_now & begins == set()


def resolved(url: str) -> str:
    return resolve(path).view_name if (path := urlsplit(url).path).startswith("/") else ""


def test_each_page_of_it_says_once_that_it_is_closed_and_who_opens_it_again(
    superuser: Client, arguments: list[dict[str, Any]]
) -> None:
    project = Project.objects.get()
    close_project(project)
    its_page = reverse("annotation:project", args=[project.slug])
    pages = [url for url, name in addresses(arguments[0]).items() if name in SAID_ON]
    assert len(pages) == len(SAID_ON)
    for page in pages:
        html = " ".join(superuser.get(page).content.decode().split())
        assert html.count(NOTICE) == 1, page
        assert f'Its admins can open it again on <a href="{its_page}">its page</a>.' in html, page


def test_a_freeze_in_it_is_refused_before_anything_is_asked(superuser: Client) -> None:
    study = make.rated_study(n_pairs=2, n_people=2)  # whose source has no licence, which is asked about
    close_project(study.project)
    page = superuser.post(reverse("annotation:freeze", args=[study.public_id]), follow=True).content.decode()
    assert REFUSAL in page
    assert "Freeze all the same" not in page


def test_pairs_of_it_are_neither_changed_nor_merged_nor_removed_nor_added_to_a_study() -> None:
    study = make.study(n_pairs=1)
    pair = make.pair(study.project)
    only = Pair.objects.filter(pk=pair.pk)
    close_project(study.project)
    verbs = [
        partial(change_pairs, only, {"group": "new"}, by=None),
        partial(merge_groups, study.project, [pair.group], into="new", by=None),
        partial(remove_pairs, only, by=None),
        partial(add_further_pairs, study),
    ]
    for verb in verbs:
        with pytest.raises(ProjectClosed):
            verb()
    assert only.get().group == pair.group
    assert study.items.count() == 1
