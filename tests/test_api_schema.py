"""The answering protocol does what its schema says, whatever is sent."""

import json
import re
from typing import Any
from uuid import UUID

import pytest
import schemathesis
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.test import Client
from django.urls import URLResolver, get_resolver, reverse
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from annotation.answering.refusals import AnswerRefused
from annotation.answering.schema import REFUSALS
from annotation.answering.wire import MAX_ANSWERS
from annotation.models.people import Participation
from annotation.models.ratings import Assignment, Rating, Revision
from tests import make

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]
TOKEN = "a" * 32
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ANY = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture
def participation() -> Participation:
    """Somebody with pairs enough for many answers, a few of them given out already."""
    study = make.study(n_pairs=60, session_size=60)
    made = make.participation(study)
    make.leases(made)
    return made


@pytest.fixture
def operation(participation: Participation) -> Any:
    """The one operation of the schema, as the running site serves it to whoever is logged in."""
    browser = Client()
    browser.force_login(make.user())
    served = schemathesis.openapi.from_dict(browser.get(reverse("schema")).json())
    served.app = get_wsgi_application()
    return served["/rate/{participation}/answer/"]["POST"]


def cookies_of(participation: Participation) -> dict[str, str]:
    mine = make.browser(participation).cookies
    return {"csrftoken": TOKEN} | {name: morsel.value for name, morsel in mine.items()}


def cases(operation: Any, participation: Participation, mode: GenerationMode) -> st.SearchStrategy[Any]:
    address = {"participation": str(participation.public_id)}
    return operation.as_strategy(mode, path_parameters=address, headers={"X-CSRFToken": TOKEN})


def of_this_person(body: Any, participation: Participation, data: st.DataObject) -> None:
    """Let answers be about pairs that the person was given, so that some of them are stored."""
    given_out = list(participation.assignments.order_by("pk").values_list("public_id", flat=True))
    for answer in body["answers"] if isinstance(body, dict) and isinstance(body.get("answers"), list) else []:
        if isinstance(answer, dict) and data.draw(st.integers(0, 3)):
            answer["assignment"] = str(data.draw(st.sampled_from(given_out)))
            if data.draw(st.booleans()):  # more often than by chance, or too few are stored to learn from
                answer.pop("skips", None)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_replies_are_as_the_schema_says_and_only_what_is_acknowledged_is_stored(
    operation: Any, participation: Participation, mode: GenerationMode
) -> None:
    cookies = cookies_of(participation)

    @settings(max_examples=60, **ANY)  # type: ignore[arg-type]
    @given(case=cases(operation, participation, mode), data=st.data())
    def check(case: Any, data: st.DataObject) -> None:
        of_this_person(case.body, participation, data)
        known = keys()
        reply = case.call(cookies=cookies, headers={"X-CSRFToken": TOKEN})
        case.validate_response(reply, checks=CHECKS)
        said = reply.json().get("acknowledgements", [])
        acknowledged = {UUID(each["key"]) for each in said if each["status"] == "stored"}
        assert keys() - known <= acknowledged
        assert acknowledged - skipping(case.body) <= keys()
        assert Rating.objects.count() == Assignment.objects.exclude(answered_at=None).count()

    check()
    assert Rating.objects.exists() or mode is GenerationMode.NEGATIVE  # of which none need be an answer


def skipping(body: Any) -> set[UUID]:
    """The keys under which a pair is skipped: no answer is stored for them."""
    answers = body["answers"] if isinstance(body, dict) and isinstance(body.get("answers"), list) else []
    skips = [each for each in answers if isinstance(each, dict) and each.get("skips") is not None]
    return {UUID(str(each.get("key"))) for each in skips if is_uuid(each.get("key"))}


def is_uuid(value: Any) -> bool:
    try:
        return bool(UUID(str(value)))
    except ValueError:
        return False


def keys() -> set[UUID]:
    return set(Revision.objects.values_list("key", flat=True))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"cookies": {}}, 404),
        ({"headers": {}}, 403),
        ({"headers": {"X-CSRFToken": TOKEN, "Accept": "text/html"}}, 406),
        ({"headers": {"X-CSRFToken": TOKEN, "Content-Type": "text/plain"}, "data": b"5"}, 415),
        ({"headers": {"X-CSRFToken": TOKEN, "Content-Type": "application/json"}, "data": b"{"}, 400),
        ({"json": {"answers": [{}] * (MAX_ANSWERS + 1)}}, 400),
        ({"json": {"answers": {}}}, 400),
        ({"json": []}, 400),
        ({"json": {"answers": [{"key": "1"}]}}, 400),
    ],
)
def test_whoever_is_refused_as_a_whole_is_told_so_as_the_schema_says(
    operation: Any, participation: Participation, sent: dict[str, Any], status: int
) -> None:
    case = operation.Case(path_parameters={"participation": str(participation.public_id)}, body={"answers": []})
    usual = {"cookies": cookies_of(participation), "headers": {"X-CSRFToken": TOKEN}}
    reply = case.call(**usual | sent)
    assert reply.status_code == status
    case.validate_response(reply, checks=CHECKS)
    assert not Rating.objects.exists()


def test_after_a_withdrawal_the_reply_is_as_the_schema_says(operation: Any, participation: Participation) -> None:
    Participation.objects.update(withdrawn_at=timezone.now())
    case = operation.Case(path_parameters={"participation": str(participation.public_id)}, body={"answers": []})
    reply = case.call(cookies=cookies_of(participation), headers={"X-CSRFToken": TOKEN})
    assert reply.status_code == 410
    case.validate_response(reply, checks=CHECKS)


def test_the_schema_knows_every_reason_to_refuse_an_answer() -> None:
    assert set(REFUSALS) == set(AnswerRefused.__subclasses__())
    assert {each.status for each in REFUSALS} <= {400, 404, 409}


def test_every_api_view_is_in_the_schema_and_nothing_in_it_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--format", "openapi-json")
    documented = json.loads(capsys.readouterr().out)["paths"]
    assert {"/" + path for path in api_routes(get_resolver())} - {"/api/schema/"} == set(documented)


def api_routes(resolver: URLResolver) -> list[str]:
    found = []
    for each in resolver.url_patterns:
        if isinstance(each, URLResolver):
            found += api_routes(each)
        elif hasattr(each.callback, "cls"):  # of REST framework
            found.append(re.sub(r"<\w+:(\w+)>", r"{\1}", str(each.pattern)))
    return found


def test_the_schema_is_for_whoever_is_logged_in(client: Client) -> None:
    reply = client.get(reverse("schema"))
    assert (reply.status_code, reply.headers["Location"]) == (302, "/login/?next=/api/schema/")
    client.force_login(make.user())
    assert client.get(reverse("schema")).json()["info"]["title"] == "PerceptAnon Studio"
