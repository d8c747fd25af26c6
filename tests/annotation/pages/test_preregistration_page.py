"""The page on which a study is preregistered."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models.studies import Study
from annotation.studies.preregistration import preregistration_of
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    return make.study()


@pytest.fixture
def researcher(study: Study) -> Client:
    client = Client()
    client.force_login(make.member(study.project))
    return client


def address(study: Study) -> str:
    return reverse("annotation:preregistration", args=[study.public_id])


def shown(reply: Any) -> str:
    return " ".join(reply.content.decode().split())


def test_it_is_written_by_page_before_the_first_rating(researcher: Client) -> None:
    study = make.study(is_open=False)
    researcher.force_login(make.member(study.project))
    sent = {"headline": "ordinal", "failed_checks": 2, "fast_percent_above": 30}
    assert researcher.post(address(study), sent).status_code == 302
    assert preregistration_of(study).rule == {"failed_checks": 2, "fast_percent_above": 30.0}
    page = shown(researcher.get(address(study)))
    assert "2 or more checks failed; more than 30.0 % of the answers very fast" in page


def test_after_the_opening_a_change_needs_a_reason_and_is_a_deviation(researcher: Client, study: Study) -> None:
    sent = {"headline": "nominal"}
    assert researcher.post(address(study), sent).status_code == 400
    assert not study.changes.filter(kind="plan").exists()
    assert researcher.post(address(study), sent | {"reason": "asked by a reviewer"}).status_code == 302
    page = shown(researcher.get(address(study)))
    assert "asked by a reviewer" in page
    assert preregistration_of(study).sha256 in page


@pytest.mark.parametrize(
    "sent",
    [
        {"headline": "best"},
        {"headline": "interval", "failed_checks": -1},
        {"headline": "interval", "correlation_below": "nan"},
    ],
)
def test_what_makes_no_sense_is_refused(researcher: Client, sent: dict[str, Any]) -> None:
    study = make.study(is_open=False)
    researcher.force_login(make.member(study.project))
    assert researcher.post(address(study), sent).status_code == 400
    assert preregistration_of(study).pk is None or preregistration_of(study).rule == {}
