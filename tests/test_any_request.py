"""Whatever anybody sends to any address: the site answers, and shows nobody what is not theirs."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from annotation.models.people import Invitation, Participation
from annotation.models.ratings import Assignment, Rating
from annotation.models.studies import Item, Study, StudyChange, StudyText
from annotation.studies.forms.forecast import ForecastForm
from annotation.studies.forms.setup import StudyForm
from annotation.studies.forms.study_page import GoalForm, InvitationForm
from datasets.forms import ImportForm, MemberInvitationForm, NewAccountForm, ProjectForm
from datasets.models.jobs import Job
from datasets.models.pictures import Pair
from datasets.models.projects import Project, Role
from datasets.models.releases import Release
from tests import make
from tests.addresses import something_for_everything, templates, tokens
from tests.conftest import FEW_OR_MANY

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]
# What fails is shown as it was sent: to find a shorter one takes minutes.
AS_IT_IS = settings(
    phases=[Phase.generate],
    database=None,
    suppress_health_check=list(HealthCheck),
)
METHODS = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"]  # of which the first two are the likelier
CONTENT_TYPES = [
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "application/json; charset=nonsense",
    "application/x-www-form-urlencoded; charset=utf-16",
    "text/plain",
    "",
]
ACCEPTED = ["*/*", "text/html", "application/json", "nonsense"]
# Names that some page or form knows, so that what is sent is looked at.
FORMS = (
    StudyForm,
    ForecastForm,
    GoalForm,
    InvitationForm,
    ImportForm,
    MemberInvitationForm,
    NewAccountForm,
    ProjectForm,
)
PAGES = [
    "action", "again", "consent", "expected", "format", "lang", "next", "o", "p", "page", "password", "q", "score",
    "state", "study", "username", "version",
]  # fmt: skip
FIELDS = sorted({name for form in FORMS for name in form.base_fields} | set(StudyText.Kind) | set(PAGES))
ODD = ["", "0", "-1", "1", "10", "open", "new", "HA2", "many", "1e400", "9" * 40, "\0", "a\r\nb", "\u2028", "é" * 300]
SECRET = "Schattenfuge"  # stands in every name of the project that is another's

words = st.sampled_from(ODD) | st.text(st.characters(exclude_categories=[]), max_size=20)
forms = st.dictionaries(st.sampled_from(FIELDS), words, max_size=6)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.just("answers"), inner, max_size=4),
    max_leaves=8,
)


def in_form(form: dict[str, str]) -> bytes:
    return urlencode(form, errors="replace").encode()


def multipart(form: dict[str, str]) -> bytes:
    parts = [f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{said}\r\n' for name, said in form.items()]
    return ("".join(parts) + "--x--\r\n").encode(errors="replace")


queries = st.just("") | forms.map(lambda form: urlencode(form, errors="replace"))
urlencoded = forms.map(in_form)
in_parts = forms.map(multipart)
as_json = anything.map(lambda said: json.dumps(said).encode())
bodies = st.one_of(
    st.tuples(st.just("application/x-www-form-urlencoded"), urlencoded),
    st.tuples(st.just("multipart/form-data; boundary=x"), in_parts),
    st.tuples(st.just("application/json"), as_json),
    st.tuples(st.sampled_from(CONTENT_TYPES), st.just(b"") | st.binary(max_size=60) | urlencoded | in_parts | as_json),
)


requests = st.fixed_dictionaries(
    {
        "method": st.sampled_from(METHODS[:2]) | st.sampled_from(METHODS),
        "body": bodies,
        "headers": st.fixed_dictionaries({"QUERY_STRING": queries, "HTTP_ACCEPT": st.sampled_from(ACCEPTED)}),
    }
)


def others(arguments: dict[str, Any]) -> st.SearchStrategy[dict[str, str]]:
    """The same arguments, and for some of them what does not exist or is none."""
    odd = words.map(lambda word: quote(word, safe="", errors="replace")) | st.uuids().map(str)
    return st.fixed_dictionaries({name: st.just(str(known)) | odd for name, known in arguments.items()})


def paths(arguments: dict[str, Any], *, admin_too: bool) -> list[str]:
    """All addresses of the site with these arguments."""
    found = []
    for template, _ in templates():
        if admin_too or not template.startswith("admin/"):
            token = arguments.get(template.split("/")[0], "made-up")  # of join/ and resume/
            found.append("/" + template % (arguments | {"token": token}))
    return found


@pytest.fixture
def site() -> dict[str, Any]:
    project = make.project(name=SECRET)
    make.pair(project, source=SECRET)
    return something_for_everything(of=project, name=SECRET)


def people(who: str) -> Any:
    hidden = Project.objects.get(name=SECRET)
    return {
        "nobody": lambda: None,
        "an annotator": lambda: make.member(hidden, Role.ANNOTATOR),
        "a researcher": lambda: make.member(hidden),
        "an admin": lambda: make.member(hidden, Role.ADMIN, is_staff=True, is_superuser=True),
        "a stranger": lambda: make.member(make.project(slug="own")),
    }[who]()


def replies(
    request: dict[str, Any], to: list[str], user: Any, participation: Participation | None = None
) -> Iterator[Any]:
    content_type, data = request["body"]
    browser = make.browser(participation) if participation else Client()
    browser.raise_request_exception = False
    if user:
        browser.force_login(user)
    for path in sorted(to, key=lambda path: "logout" in path):  # last
        yield browser.generic(request["method"], path, data, content_type, **request["headers"])


@pytest.mark.rarely
@FEW_OR_MANY
@pytest.mark.parametrize("who", ["nobody", "an annotator", "a researcher", "an admin"])
def test_no_request_is_too_odd_to_be_answered(site: dict[str, Any], who: str, n_drawn: int) -> None:
    user, participation = people(who), Participation.objects.get(public_id=site["participation"])
    site |= {start.strip("/"): token for start, token in tokens().items()}

    @settings(AS_IT_IS, max_examples=n_drawn // 5 if who == "an admin" else n_drawn)  # who has many more addresses
    @given(request=requests, other=others(site))
    def check(request: dict[str, Any], other: dict[str, str]) -> None:
        to = [path for arguments in (site, other) for path in paths(arguments, admin_too=who == "an admin")]
        for reply in replies(request, to, user, participation):
            assert reply.status_code < 500, reply.request

    check()


@FEW_OR_MANY
def test_a_stranger_sees_and_changes_nothing_of_another_project(site: dict[str, Any], n_drawn: int) -> None:
    user, before = people("a stranger"), traces()

    @settings(AS_IT_IS, max_examples=n_drawn)
    @given(request=requests, other=others(site))
    def check(request: dict[str, Any], other: dict[str, str]) -> None:
        to = [path for arguments in (site, other) for path in paths(arguments, admin_too=False)]
        both = [
            reply for method in {"GET", request["method"]} for reply in replies(request | {"method": method}, to, user)
        ]
        for reply in both:
            assert reply.status_code < 500, reply.request
            assert SECRET.encode() not in reply.getvalue(), reply.request
        assert traces() == before, request

    check()


def traces() -> list[int]:
    """What a request might leave in, or take from, the project that it is not meant for."""
    hidden = Project.objects.get(name=SECRET)
    of_the_project = [each.objects.filter(project=hidden) for each in (Pair, Release, Job)]
    of_its_study = [each.objects.filter(study__campaign__project=hidden) for each in (Item, Invitation, StudyChange)]
    people_ = Participation.objects.filter(study__campaign__project=hidden)
    said = [
        Assignment.objects.filter(participation__in=people_),
        Rating.objects.filter(assignment__participation__in=people_),
    ]
    studies = Study.objects.filter(campaign__project=hidden)
    return [rows.count() for rows in (*of_the_project, *of_its_study, people_, *said, studies, hidden.memberships)]
