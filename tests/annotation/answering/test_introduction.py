"""Before the first pair and after the last: the questions, the screen, the withdrawal code, the completion code."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.answering.introduction import screen_conditions
from annotation.models.people import CODE_LETTERS, Annotator, Participation, new_withdrawal_code
from annotation.models.studies import Study
from annotation.pages.withdrawal import PACE
from annotation.privacy import participation_with_code
from annotation.studies.life import change_state
from datasets.models.projects import Role
from datasets.models.releases import ReleaseNotice
from datasets.models.tries import Tally
from tests import make
from tests.annotation.places import assert_places_add_up

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]

WITHDRAW = "/withdraw/"
SCREEN = {"viewport_width": 1280, "viewport_height": 800, "pixel_ratio": 1.25, "picture_width": 604}


@pytest.fixture
def study() -> Study:
    return make.study(n_pairs=2, completion_code="C1X9", completion_url="https://panel.example/done")


@pytest.fixture
def new(study: Study) -> Participation:
    """Somebody who has consented, and not read the instructions yet."""
    return make.participation(study, instructed_at=None)


def page(name: str, of: Participation) -> str:
    return reverse(f"annotation:{name}", args=[of.public_id])


def instruct(of: Participation, **said: Any) -> Any:
    browser = make.browser(of)
    reply = browser.post(page("instructions", of), make.understood(of.study) | said)
    of.refresh_from_db()
    # The page that says what was wrong has an address of its own, for the back button.
    return browser.get(reply.url) if "tried" in getattr(reply, "url", "") else reply


# The questions ------------------------------------------------------------------------------------------------------


def test_a_wrong_answer_keeps_nobody_out_for_good_and_every_try_counts(new: Participation) -> None:
    reply = instruct(new, badge="high")
    assert (reply.status_code, new.instructed_at) == (200, None)
    assert "The badge tells who the person is" in reply.content.decode()
    assert instruct(new).url == page("rate", new)
    assert new.instructed_at is not None
    assert new.conditions == {"comprehension": {"n_tries": 2}}


@pytest.mark.parametrize("said", ["", "maybe"])
def test_a_question_without_an_answer_is_no_try(new: Participation, said: str) -> None:
    reply = instruct(new, badge=said)
    assert "Choose one of the two" in reply.content.decode()
    assert (new.instructed_at, new.conditions) == (None, {})


def test_who_was_asked_once_is_not_asked_again(new: Participation) -> None:
    instruct(new)
    first = new.instructed_at
    browser = make.browser(new)
    assert 'type="radio"' not in browser.get(page("instructions", new)).content.decode()
    assert browser.post(page("instructions", new)).url == page("rate", new)
    new.refresh_from_db()
    assert (new.instructed_at, new.conditions) == (first, {"comprehension": {"n_tries": 1}})


def test_the_back_button_finds_a_page_after_a_wrong_answer(new: Participation) -> None:
    browser = make.browser(new)
    reply = browser.post(page("instructions", new), make.understood(new.study) | {"badge": "high"})
    assert reply.status_code == 302
    shown = browser.get(reply.url).content.decode()
    assert "The badge tells who the person is" in shown
    assert browser.get(reply.url).content.decode().count("checked") == shown.count("checked") > 0
    new.refresh_from_db()
    assert new.conditions == {"comprehension": {"n_tries": 1}}


@pytest.mark.parametrize("answers", [[], [{"key": "x", "assignment": "y", "score": 5}]])
def test_programs_come_to_no_pair_past_the_questions_either(new: Participation, answers: list[Any]) -> None:
    browser = make.browser(new)
    said = {"answers": answers}
    reply = browser.post(page("answer", new), said, content_type="application/json")
    assert (reply.status_code, "instructions" in reply.json()["detail"], reply.json().get("leases")) == (
        409,
        True,
        None,
    )
    instruct(new)
    assert browser.post(page("answer", new), said, content_type="application/json").json()["leases"]


def test_the_questions_of_either_mode_have_one_answer_at_each_end() -> None:
    for mode in ("HA1", "HA2"):
        assert sorted(make.understood(Study(mode=mode)).values()) == ["high", "low"]


def test_an_example_of_ha1_shows_no_original() -> None:
    alone = make.participation(make.study(mode="HA1"), instructed_at=None)
    shown = re.findall(
        r'src="\S+/examples/(\S+).svg"', make.browser(alone).get(page("instructions", alone)).content.decode()
    )
    assert shown == ["face-hidden", "all-hidden"]


# The screen ---------------------------------------------------------------------------------------------------------


def test_the_screen_is_recorded_and_whether_it_was_warned_of(new: Participation) -> None:
    instruct(new, screen=json.dumps(SCREEN))
    assert new.conditions["screen"] == SCREEN | {"warned": False}


@pytest.mark.rarely
@pytest.mark.parametrize(
    "sent",
    [
        "", "[]", "null", "{", "1", json.dumps(SCREEN | {"more": 1}), json.dumps(SCREEN | {"pixel_ratio": "2"}),
        json.dumps(SCREEN | {"viewport_width": -1}), json.dumps(SCREEN | {"viewport_width": 10**9}),
        json.dumps(SCREEN | {"pixel_ratio": True}), json.dumps(SCREEN | {"pixel_ratio": float("nan")}),
        json.dumps(SCREEN) + " " * 300, "[" * 250, json.dumps({"pixel_ratio": 1}), "\0",
    ],
)  # fmt: skip
def test_a_screen_that_cannot_be_is_dropped_and_keeps_nobody_out(new: Participation, sent: str) -> None:
    assert instruct(new, screen=sent).status_code == 302
    assert new.conditions == {"comprehension": {"n_tries": 1}}


def test_a_picture_of_less_than_280_pixels_is_warned_of() -> None:
    warned = [screen_conditions(json.dumps(SCREEN | {"picture_width": width})) for width in (279, 280)]
    assert [each and each["warned"] for each in warned] == [True, False]


# The withdrawal code ------------------------------------------------------------------------------------------------


def test_codes_have_sixty_bits_and_no_letter_that_reads_like_another() -> None:
    assert len(CODE_LETTERS) == len(set(CODE_LETTERS)) == 32
    assert not set("0O1I") & set(CODE_LETTERS)
    codes = {new_withdrawal_code() for _ in range(1000)}
    assert len(codes) == 1000
    assert {len(code) for code in codes} == {12}


def shown_code(reply: Any) -> str | None:
    found = re.search(r"data-withdrawal-code>([\w-]+)<", reply.content.decode())
    return found[1] if found else None


def test_the_code_is_on_the_page_after_the_consent_once(new: Participation) -> None:
    browser = make.browser(new)
    code = shown_code(browser.get(page("your-data", new)))
    assert participation_with_code(str(code)) == new
    again = browser.get(page("your-data", new))
    assert shown_code(again) is None
    assert "cannot be read again" in again.content.decode()
    instruct(new)
    make.rate_all(new)
    end = browser.get(page("end", new)).content.decode()
    assert str(code) not in end
    assert page("your-data", new) in end


def test_a_new_code_voids_the_one_before(new: Participation) -> None:
    browser = make.browser(new)
    first = shown_code(browser.get(page("your-data", new)))
    second = shown_code(browser.post(page("new-code", new), follow=True))
    assert participation_with_code(str(first)) is None
    assert participation_with_code(str(second)) == new


def test_the_database_holds_no_code(new: Participation, settings: Any) -> None:
    code = make.code(new)
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM annotation_participation WHERE id = %s", [new.pk])
        row = str(cursor.fetchone())
    assert code not in row
    assert code.replace("-", "") not in row
    settings.PSEUDONYM_KEY = "another key, with which nothing can be found any more"
    assert participation_with_code(code) is None


def test_nobody_is_found_by_an_empty_code_while_somebody_has_none(new: Participation) -> None:
    assert new.code_hash is None
    assert participation_with_code("") is None


def test_nobody_else_sees_or_makes_the_code(new: Participation) -> None:
    other, client = make.browser(make.participation(new.study)), Client()
    code = make.code(new)
    client.force_login(make.member(new.study.project, Role.ADMIN))
    assert [each.get(page("your-data", new)).status_code for each in (other, client)] == [404, 404]
    assert [each.post(page("new-code", new)).status_code for each in (other, client)] == [404, 404]
    assert participation_with_code(code) == new
    client.force_login(make.user(is_staff=True, is_superuser=True))
    row = client.get(reverse("admin:annotation_participation_change", args=[new.pk])).content.decode()
    new.refresh_from_db()
    assert new.annotator.pseudonym in row
    assert str(new.code_hash) not in row


def test_who_rates_erases_everything_without_the_code_once_that_is_confirmed(new: Participation) -> None:
    make.rate(new, 4)
    other, browser = make.browser(make.participation(new.study)), make.browser(new)
    assert other.post(page("erase", new), {"confirm": "yes"}).status_code == 404
    assert "Erase this for good?" in browser.post(page("erase", new)).content.decode()
    assert Participation.objects.filter(pk=new.pk).exists()
    assert "are erased" in browser.post(page("erase", new), {"confirm": "yes"}, follow=True).content.decode()
    assert not Participation.objects.filter(pk=new.pk).exists()


@pytest.mark.parametrize("typed", ["{}", " {} ", "{}\n"])
@pytest.mark.parametrize("case", [str.upper, str.lower])
def test_case_and_dashes_of_a_code_do_not_matter(new: Participation, typed: str, case: Any) -> None:
    written = make.code(new)
    for code in (written, written.replace("-", ""), written.replace("-", "\u2013")):
        reply = Client().post(WITHDRAW, {"code": typed.format(case(code))})
        assert reply.context["found"] == new


def test_the_page_says_what_will_go_and_erases_nothing_before_that_is_confirmed(new: Participation) -> None:
    make.rate(new, 4, 5)
    reply = Client().post(WITHDRAW, {"code": make.code(new)})
    said = reply.content.decode()
    assert new.study.name in said
    assert re.search(r"<dt>Ratings</dt>\s*<dd>\s*2\s*</dd>", said)
    assert Participation.objects.filter(pk=new.pk).exists()


@pytest.mark.parametrize("state", ["open", "paused", "closed"])
def test_the_code_erases_everything_whatever_has_become_of_the_study(study: Study, state: str) -> None:
    mine, other = make.participation(study), make.participation(study)
    make.rate_all(mine)
    make.rate(other, 3)
    make.release(study)
    mine.refresh_from_db()
    assert mine.finished_at
    if state != "open":
        change_state(study, state)
    browser = make.browser(mine)
    reply = browser.post(WITHDRAW, {"code": make.code(mine), "confirm": "yes"}, follow=True)
    assert "are erased" in reply.content.decode()
    assert list(Participation.objects.all()) == [other]
    assert list(Annotator.objects.all()) == [other.annotator]
    assert ReleaseNotice.objects.get().kind == "withdrawn"
    assert_places_add_up(study)
    assert not [name for name, cookie in browser.cookies.items() if name.startswith("participation_") and cookie.value]


def test_a_code_works_once(new: Participation) -> None:
    confirmed = {"code": make.code(new), "confirm": "yes"}
    assert Client().post(WITHDRAW, confirmed).status_code == 302
    assert "Nothing is stored under this code" in Client().post(WITHDRAW, confirmed).content.decode()


def test_a_link_erases_nothing(new: Participation) -> None:
    code = make.code(new)
    Client().get(WITHDRAW, {"code": code, "confirm": "yes"})
    assert Client(enforce_csrf_checks=True).post(WITHDRAW, {"code": code, "confirm": "y"}).status_code == 403
    assert Participation.objects.filter(pk=new.pk).exists()


@pytest.mark.parametrize("code", ["", "WRNG-CDE2-3456", "x" * 5000, "\0", "' OR 1=1 --", "\uff21\uff22"])
def test_every_wrong_code_gets_the_same_plain_words(new: Participation, code: str) -> None:
    reply = Client().post(WITHDRAW, {"code": code, "confirm": "yes"})
    assert (reply.status_code, reply.context["found"]) == (200, None)
    assert reply.context["error"].startswith("Nothing is stored under this code.")
    assert new.study.name not in reply.content.decode()
    assert Participation.objects.filter(pk=new.pk).exists()


def test_wrong_codes_slow_their_address_down_ever_more_and_nobody_else(new: Participation) -> None:
    here, elsewhere = Client(), Client(REMOTE_ADDR="203.0.113.9")
    right = {"code": make.code(new), "confirm": "yes"}
    pauses = []
    for _ in range(12):
        while here.post(WITHDRAW, {"code": "wrong"}).status_code == 200:
            pass
        reply = here.post(WITHDRAW, right)
        assert reply.status_code == 429
        assert f"Send yours again in {reply.headers['Retry-After']} second" in reply.context["error"]
        pauses.append(int(reply.headers["Retry-After"]))
        Tally.objects.update(ends_at=F("ends_at") - timedelta(seconds=pauses[-1]))  # so long they wait
    assert pauses == sorted(pauses)
    assert {4, 8, 16, 30} & {pause + late for pause in pauses for late in range(3)} == {4, 8, 16, 30}
    assert max(pauses) <= 30
    assert elsewhere.post(WITHDRAW, {"code": right["code"]}).context["found"] == new
    assert here.post(WITHDRAW, right).status_code == 302  # slowed, and never locked


def test_right_codes_are_not_counted(new: Participation) -> None:
    for _ in range(2 * PACE.at_once):
        assert Client().post(WITHDRAW, {"code": make.code(new)}).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_codes_that_were_given_out_go_on_working_and_are_kept_no_longer(study: Study) -> None:
    people = [make.participation(study) for _ in range(3)]
    migrate(("annotation", "0001_squashed_0023_newest_renewal"))
    given = [(f"ABCDEFGHJKL{n}", person.pk) for n, person in enumerate(people, start=2)]
    try:
        with connection.cursor() as cursor:
            cursor.executemany("UPDATE annotation_participation SET withdrawal_code = %s WHERE id = %s", given)
    finally:
        migrate(*MigrationExecutor(connection).loader.graph.leaf_nodes())  # those of other apps went back with them
    found = [participation_with_code(code) for code, _ in given]
    assert found == people
    assert {len(str(stored)) for stored in Participation.objects.values_list("code_hash", flat=True)} == {64}


def migrate(*to: tuple[str, str]) -> None:
    MigrationExecutor(connection).migrate(list(to))


# The end ------------------------------------------------------------------------------------------------------------


def test_the_completion_code_is_shown_to_whoever_has_finished_and_to_nobody_before(new: Participation) -> None:
    browser, names = make.browser(new), ("instructions", "rest", "your-data", "end", "rate")
    instruct(new)
    make.rate(new, 4)
    assert not [name for name in names if "C1X9" in browser.get(page(name, new), follow=True).content.decode()]
    make.rate_all(new)
    last = browser.get(page("end", new)).content.decode()
    assert ">C1X9</code>" in last
    assert re.search(r'href="https://panel.example/done"[^>]*>Back to panel.example</a>', last)


def test_who_has_to_wait_for_pairs_has_not_finished_and_gets_no_code(study: Study) -> None:
    study.items.update(goal=1)
    holder, mine = make.participation(study), make.participation(study)
    make.leases(holder)
    assert "C1X9" not in make.browser(mine).get(page("end", mine)).content.decode()


def test_a_study_without_a_completion_code_shows_none() -> None:
    mine = make.participation(make.study(n_pairs=1))
    make.rate_all(mine)
    assert "completion" not in make.browser(mine).get(page("end", mine)).content.decode()


NOT_ON_THE_WEB = ["javascript:alert(1)", "ftp://panel.example", "panel.example", "https://", "data:text/html,x"]


@pytest.mark.parametrize("url", NOT_ON_THE_WEB)
def test_only_web_addresses_lead_back(url: str) -> None:
    project = make.project()
    make.pairs(project, 2)
    with pytest.raises(CommandError, match="https"):
        call_command("create_study", "S", project=project.slug, campaign="C", mode="HA2", completion_url=url)
    client, address = Client(), reverse("annotation:study-new", args=[project.slug])
    client.force_login(make.member(project))
    form = client.get(address).context["form"]
    said = {name: form[name].value() for name in form.fields if form[name].value() not in ("", None)}
    said |= {"name": "S", "campaign": "new", "new_campaign": "C", "mode": "HA2"}
    refused = client.post(address, said | {"completion_url": url})
    assert list(refused.context["form"].errors) == ["completion_url"]
    client.post(address, said | {"completion_url": "https://a.example/x?cc=1", "completion_code": "C1"})
    assert Study.objects.values_list("completion_url", "completion_code").get() == ("https://a.example/x?cc=1", "C1")


def test_a_study_is_given_its_completion_code_by_command() -> None:
    project = make.project()
    make.pairs(project, 2)
    said = {"completion_code": "DONE", "completion_url": "http://panel.example", "session_size": 2, "warm_up": 0}
    call_command("create_study", "S", project=project.slug, campaign="C", mode="HA2", **said)
    made = Study.objects.get()
    assert (made.completion_code, made.completion_host) == ("DONE", "panel.example")


# The first page -----------------------------------------------------------------------------------------------------


def test_the_first_page_counts_the_instructions_in_and_says_where_a_session_may_be_shorter(client: Client) -> None:
    study = make.study(n_pairs=10, seconds_per_pair=30, session_size=10, goal=1)
    address = reverse("annotation:join", args=[make.invitation(study).token])
    first = " ".join(client.get(address).content.decode().split())
    assert "Rate 10 pairs of pictures" in first
    assert "About 8 minutes, the instructions included" in first
    study.items.filter(pk__in=study.items.values("pk")[:4]).update(n_held=1)
    assert "Rate up to 10 pairs" in " ".join(client.get(address).content.decode().split())


def test_an_ended_participation_shows_no_data_page(new: Participation) -> None:
    Participation.objects.update(withdrawn_at=timezone.now())
    assert make.browser(new).get(page("your-data", new)).status_code == 410
