"""What the site writes to its log."""

import logging

import pytest
from django.test import Client
from django.urls import reverse

from annotation.access import resume_token
from config.logs import WithoutTokens
from tests import make


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["options", "put", "delete"])
def test_no_way_into_a_participation_or_a_project_stands_in_the_log(
    client: Client, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    study = make.study()
    token = resume_token(make.participation(study))
    invitation = make.invitation(study).token
    caplog.handler.addFilter(WithoutTokens())
    into_project = make.link_into(study.project)
    for address in (
        reverse("annotation:resume", args=[token]),
        reverse("annotation:join", args=[invitation]),
        into_project,
    ):
        getattr(client, method)(address)
    assert caplog.text.count("/...") >= 3
    for secret in (token, invitation, into_project.split("/")[2]):
        assert secret not in caplog.text


def test_the_sites_handler_cuts_tokens(settings: object) -> None:
    handler = settings.LOGGING["handlers"]["console"]  # type: ignore[attr-defined]
    assert handler["filters"] == ["without_tokens"]
    record = logging.LogRecord("django.request", logging.WARNING, "", 0, "Conflict: %s", ("/join/abc/",), None)
    assert WithoutTokens().filter(record)
    assert record.getMessage() == "Conflict: /join/.../"
