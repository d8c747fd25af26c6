import re
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from django.core.wsgi import get_wsgi_application
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from annotation.access import resume_token
from annotation.giving.leases import DRAWS_AT_FIRST
from annotation.models.people import Annotator, Invitation, Participation
from annotation.models.studies import Study
from annotation.privacy import erase_participation
from annotation.studies.invitations import revoke_invitation
from annotation.studies.life import change_state
from annotation.studies.wording import current_texts, write_texts
from datasets.models.projects import Role
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def agreed(study: Study) -> dict[str, Any]:
    """The form as it is sent by whoever has read the current text."""
    return {"agree": "on", "consent": current_texts(study)["consent"].edition}


def url_of(invitation: Invitation) -> str:
    return reverse("annotation:join", args=[invitation.token])


def rate_url(participation: Participation) -> str:
    return reverse("annotation:rate", args=[participation.public_id])


def code_url(participation: Participation) -> str:
    """Where whoever has agreed is led: to their withdrawal code."""
    return reverse("annotation:your-data", args=[participation.public_id])


def refused_as(reply: Any) -> str | None:
    return reply.context["refused"]


@pytest.fixture
def invitation() -> Invitation:
    return make.invitation(make.study(goal=3))


@pytest.fixture
def personal() -> Invitation:
    return make.invitation(make.study(), Invitation.Kind.PERSONAL)


# By a link --------------------------------------------------------------------------------------------------------


def test_a_look_at_an_invitation_stores_nothing(client: Client, invitation: Invitation) -> None:
    reply = client.get(url_of(invitation))
    assert reply.status_code == 200
    assert not Participation.objects.exists()
    assert not Annotator.objects.exists()
    assert [name for name in reply.cookies if name.startswith("participation_")] == []


def test_consent_comes_before_any_picture(client: Client, invitation: Invitation) -> None:
    page = client.get(url_of(invitation)).content.decode()
    assert current_texts(invitation.study)["consent"].body.split(".")[0] in page
    assert "checked" not in page
    assert "<img" not in page


def test_without_the_ticked_box_nobody_takes_part(client: Client, invitation: Invitation) -> None:
    reply = client.post(url_of(invitation))
    assert reply.context["error"]
    assert not Participation.objects.exists()


def test_who_agrees_takes_part_under_a_random_name(client: Client, invitation: Invitation) -> None:
    reply = client.post(url_of(invitation), agreed(invitation.study))
    mine = Participation.objects.get()
    assert (reply.status_code, reply.url) == (302, code_url(mine))
    assert (mine.annotator.user, mine.invitation, mine.n_planned) == (None, invitation, 4)


@pytest.mark.django_db(transaction=True)  # between requests Django looks after the connection
def test_the_reply_to_consent_goes_out_before_all_of_a_long_session_is_set_aside(rf: RequestFactory) -> None:
    study = make.study(n_pairs=50, session_size=40)
    token = "t" * 32
    form = agreed(study) | {"csrfmiddlewaretoken": token}
    asked = rf.post(url_of(make.invitation(study)), form, headers={"Cookie": f"csrftoken={token}"})
    begun: list[str] = []
    reply = get_wsgi_application()(asked.environ, lambda status, headers: begun.append(status))
    mine = Participation.objects.get()
    assert (begun, b"".join(reply)) == (["302 Found"], b"\n")
    assert (mine.n_planned, mine.assignments.held().count()) == (40, DRAWS_AT_FIRST)
    reply.close()  # as a server does that has handed the reply over
    assert mine.assignments.held().count() == 40


def test_what_was_agreed_to_is_kept(client: Client, invitation: Invitation) -> None:
    write_texts(invitation.study, {"consent": "A newer wording."})
    client.post(url_of(invitation), agreed(invitation.study))
    assert Participation.objects.get().consent_text.body == "A newer wording."


def test_nobody_agrees_to_a_text_they_did_not_see(client: Client, invitation: Invitation) -> None:
    seen = agreed(invitation.study)
    write_texts(invitation.study, {"consent": "A newer wording."})
    reply = client.post(url_of(invitation), seen)
    assert (reply.status_code, "A newer wording." in reply.content.decode()) == (409, True)
    assert "has changed" in reply.context["error"]
    assert not Participation.objects.exists()


@pytest.mark.parametrize("shown", ["", "x", "0", "\x00"])
def test_an_agreement_names_the_text_it_is_to(client: Client, invitation: Invitation, shown: str) -> None:
    assert client.post(url_of(invitation), {"agree": "on", "consent": shown}).status_code == 409
    assert not Participation.objects.exists()


def test_the_page_sends_back_which_text_it_showed(client: Client, invitation: Invitation) -> None:
    page = client.get(url_of(invitation)).content.decode()
    assert f'name="consent" value="{current_texts(invitation.study)["consent"].edition}"' in page


def test_an_invitation_for_many_lets_in_many(invitation: Invitation) -> None:
    for _ in range(3):
        Client().post(url_of(invitation), agreed(invitation.study))
    assert Annotator.objects.count() == 3  # behind one address, perhaps, yet three people


def test_in_the_same_browser_the_link_leads_back_with_one_click(client: Client, invitation: Invitation) -> None:
    client.post(url_of(invitation), agreed(invitation.study))
    for again in (client.get(url_of(invitation)), client.post(url_of(invitation), agreed(invitation.study))):
        assert f'href="{rate_url(Participation.objects.get())}"' in again.content.decode()


def someone_else(invitation: Invitation) -> str:
    return url_of(invitation) + "?someone-else=1"


def test_the_next_person_at_a_computer_begins_anew(client: Client, invitation: Invitation) -> None:
    client.post(url_of(invitation), agreed(invitation.study))
    assert someone_else(invitation) in client.get(url_of(invitation)).content.decode()
    assert "agree" in client.get(someone_else(invitation)).content.decode()
    assert Participation.objects.count() == 1
    second = client.post(someone_else(invitation), agreed(invitation.study))
    assert second.url == code_url(Participation.objects.latest("pk"))
    assert Annotator.objects.count() == 2


def test_everybody_who_began_at_a_computer_finds_their_way_back(client: Client, invitation: Invitation) -> None:
    for _ in range(2):
        client.post(someone_else(invitation), agreed(invitation.study))
    page = client.get(url_of(invitation)).content.decode()
    assert [rate_url(each) in page for each in Participation.objects.all()] == [True, True]


def test_who_has_finished_does_not_block_the_next_person(client: Client, invitation: Invitation) -> None:
    client.post(url_of(invitation), agreed(invitation.study))
    Participation.objects.update(finished_at=timezone.now())
    page = client.get(url_of(invitation)).content.decode()
    assert "You have finished here" in page
    assert someone_else(invitation) in page


def test_a_personal_link_is_its_holders_whoever_sat_at_the_computer_before(client: Client) -> None:
    study = make.study()
    client.post(url_of(make.invitation(study)), agreed(study))
    somebody_else = Participation.objects.get()
    personal = make.invitation(study, Invitation.Kind.PERSONAL)
    assert client.get(url_of(personal)).status_code == 200
    client.post(url_of(personal), agreed(study))
    assert client.get(url_of(personal)).url == rate_url(personal.participations.get())
    assert personal.participations.get().annotator != somebody_else.annotator


def test_another_link_into_the_same_campaign_makes_no_second_person(client: Client, invitation: Invitation) -> None:
    study = invitation.study
    other = make.study(study.project, n_pairs=0, mode="HA1", campaign=study.campaign)
    client.post(url_of(invitation), agreed(invitation.study))
    client.post(url_of(make.invitation(other)), agreed(other))
    assert Participation.objects.get().study == study


def test_a_personal_link_opens_to_nobody_what_was_begun_with_it(personal: Invitation) -> None:
    Client().post(url_of(personal), agreed(personal.study))
    mine = Participation.objects.get()
    other = Client()
    reply = other.get(url_of(personal))
    assert (reply.status_code, refused_as(reply), reply.cookies.keys() & {f"participation_{mine.public_id.hex}"}) == (
        200, "used", set(),
    )  # fmt: skip
    said = reply.content.decode()
    assert not any(each in said for each in (mine.public_id.hex, rate_url(mine)))
    assert not re.search(r"[0-9A-Z]{4}(-[0-9A-Z]{4}){2}", said)  # a withdrawal code
    again = other.post(url_of(personal), agreed(personal.study))
    assert (again.status_code, refused_as(again)) == (409, "used")
    assert other.get(rate_url(mine)).status_code == 404
    assert Participation.objects.count() == 1


def test_a_personal_link_stays_used_when_its_person_is_erased(personal: Invitation) -> None:
    Client().post(url_of(personal), agreed(personal.study))
    erase_participation(Participation.objects.get())
    assert refused_as(Client().get(url_of(personal))) == "used"
    again = Client().post(url_of(personal), agreed(personal.study))
    assert (again.status_code, refused_as(again)) == (409, "used")
    assert not Participation.objects.exists()


def test_looks_at_a_personal_link_use_nothing_up(personal: Invitation) -> None:
    for _ in range(3):
        assert refused_as(Client().get(url_of(personal))) is None
    assert Client().post(url_of(personal), agreed(personal.study)).url == code_url(Participation.objects.get())


def test_the_person_comes_back_by_their_return_address_on_any_device(client: Client, personal: Invitation) -> None:
    client.post(url_of(personal), agreed(personal.study))
    mine = Participation.objects.get()
    address = reverse("annotation:resume", args=[resume_token(mine)])
    assert address in client.get(code_url(mine)).content.decode()
    assert Client().get(address).url == rate_url(mine)


def test_a_new_personal_link_begins_anew(client: Client, personal: Invitation) -> None:
    Client().post(url_of(personal), agreed(personal.study))
    second = make.invitation(personal.study, Invitation.Kind.PERSONAL)
    client.post(url_of(second), agreed(personal.study))
    assert second.participations.get().annotator != personal.participations.get().annotator


@pytest.mark.parametrize("kind", Invitation.Kind)
def test_consent_sent_twice_begins_once(kind: str) -> None:
    invitation = make.invitation(make.study(), kind)
    shown = Client().get(url_of(invitation)).context["begins"]
    said = agreed(invitation.study) | {"begins": shown}
    mine = [Client().post(url_of(invitation), said).url for _ in range(2)]
    assert mine == [code_url(Participation.objects.get())] * 2


def test_a_page_of_consent_opens_nothing_later(personal: Invitation) -> None:
    said = agreed(personal.study) | {"begins": Client().get(url_of(personal)).context["begins"]}
    Client().post(url_of(personal), said)
    Participation.objects.update(consented_at=timezone.now() - timedelta(minutes=2))
    assert refused_as(Client().post(url_of(personal), said)) == "used"


@pytest.mark.parametrize("forge", [lambda mine: mine.public_id.hex, lambda mine: resume_token(mine)])
def test_nobody_names_a_participation_that_has_begun(invitation: Invitation, forge: Any) -> None:
    Client().post(url_of(invitation), agreed(invitation.study))
    mine = Participation.objects.get()
    reply = Client().post(url_of(invitation), agreed(invitation.study) | {"begins": forge(mine)})
    assert reply.url == code_url(Participation.objects.latest("pk")) != code_url(mine)


SENTENCES = [".", ",", ")", ").", "/.", "/,", "/)", "”", "?utm_source=mail", ",?utm=x"]
DASHES_AND_QUOTES = ["—", "–", "_", "_.", '"', "„", "‘", "›"]  # noqa: RUF001
UNSEEN = ["\u200b", "\u200b.", "\u00a0", "\u2060", "\ufeff", "\u200f"]


@pytest.mark.rarely
@pytest.mark.parametrize("behind", SENTENCES + DASHES_AND_QUOTES + UNSEEN)
def test_a_link_works_with_what_a_sentence_puts_behind_it(client: Client, invitation: Invitation, behind: str) -> None:
    link = url_of(invitation).rstrip("/") + behind
    reply = client.get(link, follow=True)
    assert (reply.status_code, refused_as(reply)) == (200, None)
    path = reply.redirect_chain[-1][0] if reply.redirect_chain else link
    client.post(path, agreed(invitation.study))
    mine = Participation.objects.get()
    back = reverse("annotation:resume", args=[resume_token(mine)]).rstrip("/")
    assert Client().get(back + behind, follow=True).redirect_chain[-1][0] == reverse(
        "annotation:instructions", args=[mine.public_id]
    )


@pytest.mark.rarely
@pytest.mark.parametrize("page", ["join", "resume"])
@pytest.mark.parametrize("behind", ["\x00", "/\x00", "\n", "\ud7ff", "x)x", "é"])
def test_what_no_sentence_puts_behind_a_link_is_not_found(
    client: Client, invitation: Invitation, page: str, behind: str
) -> None:
    link = reverse(f"annotation:{page}", args=[invitation.token]).rstrip("/")
    assert client.get(f"{link}{quote(behind)}/").status_code == 404


@pytest.mark.parametrize(
    ("language", "says"),
    [("en", "12.50 EUR</bdi> for an hour"), ("de", "12,50 EUR</bdi> für eine Stunde"), ("ar", "EUR</bdi> للساعة")],
)
def test_the_pay_stands_before_the_consent_where_there_is_one(invitation: Invitation, language: str, says: str) -> None:
    browser = Client(headers={"accept-language": language})
    link = reverse("annotation:join", args=[invitation.token])
    assert "<bdi>" not in browser.get(link).content.decode()
    Study.objects.update(pay_per_hour=Decimal("12.5"), pay_currency="EUR")
    assert says in browser.get(link).content.decode()


def test_while_others_hold_all_places_it_says_when_to_try_again(client: Client) -> None:
    study = make.study(n_pairs=1, goal=1, lease_seconds=600)
    client.post(url_of(make.invitation(study)), agreed(study))
    other = Client().get(url_of(make.invitation(study)))
    assert (refused_as(other), other.context["wait"]) == ("held", 10)
    assert "try again after 10 minutes" in other.content.decode()
    make.rate(Participation.objects.get(), 5)
    assert refused_as(Client().get(url_of(make.invitation(study)))) == "full"


def test_a_shared_computer_forgets_who_used_it(client: Client, invitation: Invitation) -> None:
    client.post(url_of(invitation), agreed(invitation.study))
    mine = Participation.objects.get()
    assert "Forget me in this browser" in client.get(code_url(mine)).content.decode()
    reply = client.post(reverse("annotation:leave", args=[mine.public_id]), follow=True)
    assert "This browser has forgotten you" in reply.content.decode()
    assert client.get(rate_url(mine)).status_code == 404
    assert "agree" in client.get(url_of(invitation)).content.decode()


def test_a_revoked_link_lets_nobody_new_in(client: Client, invitation: Invitation) -> None:
    revoke_invitation(invitation)
    reply = client.post(url_of(invitation), agreed(invitation.study))
    assert (reply.status_code, refused_as(reply)) == (409, "revoked")
    assert not Participation.objects.exists()


def test_who_has_begun_goes_on_after_the_link_is_revoked(client: Client, invitation: Invitation) -> None:
    client.post(url_of(invitation), agreed(invitation.study))
    revoke_invitation(invitation)
    assert rate_url(Participation.objects.get()) in client.get(url_of(invitation)).content.decode()


def test_a_revoked_personal_link_opens_the_participation_to_nobody(personal: Invitation) -> None:
    Client().post(url_of(personal), agreed(personal.study))
    revoke_invitation(personal)
    stranger = Client()
    assert refused_as(stranger.get(url_of(personal))) == "revoked"
    assert stranger.post(url_of(personal), agreed(personal.study)).status_code == 409
    assert stranger.get(rate_url(Participation.objects.get())).status_code == 404


def test_the_person_goes_on_after_their_personal_link_is_revoked(client: Client, personal: Invitation) -> None:
    client.post(url_of(personal), agreed(personal.study))
    revoke_invitation(personal)
    mine = Participation.objects.get()
    assert client.get(url_of(personal)).url == rate_url(mine)  # this browser has the cookie
    assert Client().get(reverse("annotation:resume", args=[resume_token(mine)])).url == rate_url(mine)


def test_a_study_that_a_program_rates_lets_no_person_in(client: Client) -> None:
    study = make.study(simulated=True)
    invitation = make.invitation(study)
    member = member_of(study)
    assert refused_as(client.post(url_of(invitation), agreed(study))) == "closed"
    assert refused_as(member.post(take_part_url(study), agreed(study))) == "closed"
    assert take_part_url(study) not in member.get(reverse("home")).content.decode()
    assert not Participation.objects.exists()


@pytest.mark.parametrize("token", ["x", "-" * 22, "é", "x" * 500, "%00"])
def test_an_unknown_link_is_not_found(client: Client, token: str) -> None:
    assert client.get(f"/join/{token}/").status_code == 404


@pytest.mark.parametrize("state", [Study.State.PAUSED, Study.State.CLOSED])
def test_a_study_that_is_not_open_lets_nobody_in(client: Client, invitation: Invitation, state: str) -> None:
    change_state(invitation.study, state)
    assert refused_as(client.get(url_of(invitation))) == "closed"
    assert client.post(url_of(invitation), agreed(invitation.study)).status_code == 409
    assert not Participation.objects.exists()


def test_a_draft_lets_nobody_in(client: Client) -> None:
    invitation = make.invitation(make.study(is_open=False))
    assert client.post(url_of(invitation), agreed(invitation.study)).status_code == 409


def test_a_full_study_thanks_and_lets_nobody_in(client: Client, invitation: Invitation) -> None:
    invitation.study.items.update(n_held=invitation.study.goal)
    reply = client.post(url_of(invitation), agreed(invitation.study))
    assert (reply.status_code, refused_as(reply)) == (409, "full")
    assert not Participation.objects.exists()


def test_who_withdrew_and_comes_again_by_the_link_is_a_new_person(client: Client, invitation: Invitation) -> None:
    client.post(url_of(invitation), agreed(invitation.study))
    Participation.objects.update(withdrawn_at=timezone.now())
    client.post(url_of(invitation), agreed(invitation.study))
    assert Annotator.objects.count() == 2


# Coming back ------------------------------------------------------------------------------------------------------


@pytest.fixture
def participation() -> Participation:
    return make.participation(make.study())


def test_the_return_address_works_on_another_device(participation: Participation) -> None:
    device = Client()
    reply = device.get(reverse("annotation:resume", args=[resume_token(participation)]))
    assert reply.url == rate_url(participation)
    assert device.get(reply.url).status_code == 200


def test_the_page_shows_the_return_address(participation: Participation) -> None:
    page = make.browser(participation).get(reverse("annotation:rest", args=[participation.public_id]))
    assert reverse("annotation:resume", args=[resume_token(participation)]) in page.content.decode()


@pytest.mark.parametrize(
    "spoil", [str.upper, lambda token: token[:-1], lambda token: token.split(":")[0], lambda _: ":"]
)
def test_a_return_address_that_we_did_not_sign_is_not_found(participation: Participation, spoil: Any) -> None:
    url = reverse("annotation:resume", args=[spoil(resume_token(participation))])
    assert Client().get(url).status_code == 404


def test_a_cookie_that_we_did_not_sign_opens_nothing(participation: Participation) -> None:
    browser = make.browser(participation)
    for name in browser.cookies:
        browser.cookies[name] = participation.public_id.hex + ":1abcde:forged"
    assert browser.get(rate_url(participation)).status_code == 404


def test_the_cookie_of_one_participation_opens_no_other(participation: Participation) -> None:
    other = make.participation(participation.study)
    browser = make.browser(participation)
    assert browser.get(rate_url(other)).status_code == 404
    [signed] = [morsel.value for morsel in browser.cookies.values()]
    browser.cookies[f"participation_{other.public_id.hex}"] = signed
    assert browser.get(rate_url(other)).status_code == 404


def test_a_return_address_is_no_cookie(participation: Participation) -> None:
    browser = Client()
    browser.cookies[f"participation_{participation.public_id.hex}"] = resume_token(participation)
    assert browser.get(rate_url(participation)).status_code == 404


@pytest.mark.parametrize("name", ["participation_", "participation_x", "participation_" + "g" * 32])
def test_strange_cookies_do_not_disturb_an_invitation(client: Client, invitation: Invitation, name: str) -> None:
    client.cookies[name] = "x"
    assert client.get(url_of(invitation)).status_code == 200


def test_the_cookie_is_out_of_reach_for_scripts(client: Client, invitation: Invitation) -> None:
    reply = client.post(url_of(invitation), agreed(invitation.study))
    [cookie] = [reply.cookies[name] for name in reply.cookies if name.startswith("participation_")]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


def test_a_participation_that_does_not_exist_is_not_found(client: Client) -> None:
    assert client.get(reverse("annotation:rate", args=[UUID(int=0)])).status_code == 404


def test_a_withdrawn_participation_is_gone(participation: Participation) -> None:
    Participation.objects.update(withdrawn_at=timezone.now())
    assert make.browser(participation).get(rate_url(participation)).status_code == 410


def test_instructions_come_before_the_first_pair(participation: Participation) -> None:
    Participation.objects.update(instructed_at=None)
    browser = make.browser(participation)
    instructions = reverse("annotation:instructions", args=[participation.public_id])
    assert browser.get(rate_url(participation)).url == instructions
    assert not participation.assignments.exists()
    assert browser.post(instructions, make.understood(participation.study)).url == rate_url(participation)
    assert browser.get(rate_url(participation)).status_code == 200


# With a log-in ----------------------------------------------------------------------------------------------------


def member_of(study: Study, role: str = Role.ANNOTATOR) -> Client:
    browser = Client()
    browser.force_login(make.member(study.project, role))
    return browser


def take_part_url(study: Study) -> str:
    return reverse("annotation:take-part", args=[study.public_id])


@pytest.mark.parametrize("role", Role.values)
def test_a_member_of_any_role_takes_part(role: str) -> None:
    study = make.study()
    browser = member_of(study, role)
    assert browser.get(take_part_url(study)).status_code == 200
    assert not Participation.objects.exists()
    assert browser.post(take_part_url(study), agreed(study)).url == code_url(Participation.objects.get())


@pytest.mark.parametrize("kind", Invitation.Kind.values)
def test_a_member_who_opens_an_invitation_takes_part_as_a_member(kind: str) -> None:
    study = make.study()
    invitation, browser = make.invitation(study, kind), member_of(study)
    for reply in (browser.get(url_of(invitation)), browser.post(url_of(invitation), agreed(study))):
        assert reply.url == take_part_url(study)
    assert not Participation.objects.exists()


def test_who_is_logged_in_for_another_project_comes_in_by_the_link(invitation: Invitation) -> None:
    browser = member_of(make.study())
    browser.post(url_of(invitation), agreed(invitation.study))
    assert Participation.objects.get().annotator.user is None


def test_a_member_agrees_to_the_text_they_saw_too() -> None:
    study = make.study()
    seen = agreed(study)
    write_texts(study, {"consent": "A newer wording."})
    assert member_of(study).post(take_part_url(study), seen).status_code == 409
    assert not Participation.objects.exists()


def test_a_member_consents_too() -> None:
    study = make.study()
    assert member_of(study).post(take_part_url(study)).context["error"]
    assert not Participation.objects.exists()


def test_a_member_goes_on_from_any_browser() -> None:
    study = make.study()
    member = make.member(study.project)
    mine = make.participation(study, by=member)
    browser = Client()
    browser.force_login(member)
    assert browser.get(take_part_url(study)).url == rate_url(mine)
    assert browser.get(rate_url(mine)).status_code == 200


def test_nobody_outside_the_project_takes_part() -> None:
    study = make.study()
    assert member_of(make.study()).post(take_part_url(study), agreed(study)).status_code == 404


def test_a_person_rates_in_one_study_of_a_campaign() -> None:
    beside = make.study()
    alone = make.study(beside.project, n_pairs=0, mode="HA1", campaign=beside.campaign)
    browser = member_of(beside)
    browser.post(take_part_url(beside), agreed(beside))
    reply = browser.post(take_part_url(alone), agreed(alone))
    assert (reply.status_code, refused_as(reply)) == (409, "other_study")
    assert Participation.objects.get().study == beside


def test_a_member_has_one_pseudonym_in_all_studies_of_a_project() -> None:
    first = make.study()
    second = make.study(first.project, n_pairs=0)
    browser = member_of(first)
    for study in (first, second):
        browser.post(take_part_url(study), agreed(study))
    assert (Participation.objects.count(), Annotator.objects.count()) == (2, 1)


def test_a_member_cannot_begin_in_a_closed_study() -> None:
    study = make.study()
    change_state(study, Study.State.CLOSED)
    assert refused_as(member_of(study).post(take_part_url(study), agreed(study))) == "closed"


def test_a_log_in_opens_nobody_elses_participation() -> None:
    study = make.study()
    theirs = make.participation(study, by=make.member(study.project))
    by_link = make.participation(study)
    browser = member_of(study, Role.ADMIN)
    assert [browser.get(rate_url(each)).status_code for each in (theirs, by_link)] == [404, 404]
