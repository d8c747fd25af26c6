"""What an annotator is not told: every address of the site, asked in every way, by everybody who rates or once did.

The study is planted (tests/planted.py): what must not get out is recognized wherever it turns up. The same is proved of
a real browser that rates from consent to the end in tests/browser/test_blindness.py.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.access import resume_token
from annotation.giving.leases import return_expired_leases
from annotation.models.people import Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import Study
from annotation.privacy import erase_participation
from annotation.studies import life
from annotation.studies.wording import current_texts
from datasets.members import invite
from datasets.models.jobs import Job
from datasets.models.projects import Membership, Project, Role
from tests import make, planted
from tests.addresses import COMMON, MEMBERS, PERSONAL, PUBLIC, addresses, is_of_the_admin, removed_elsewhere

pytestmark = pytest.mark.django_db
LAST = ("logout", "leave")
METHODS = ("get", "post", "head", "options", "put", "patch", "delete")
# Asked for in other ways too, which other parts of a web server answer.
WAYS: list[dict[str, str]] = [
    {},
    {"Accept": "application/json"},
    {"Range": "bytes=0-15", "If-None-Match": "*", "If-Modified-Since": "Fri, 27 Nov 2099 20:00:00 GMT"},
]
MAY_SET = re.compile(r"csrftoken|sessionid|messages|participation_[0-9a-f]{32}")
FINGERPRINTS = {"ETag", "Last-Modified", "Content-Disposition", "Content-Location", "X-Accel-Redirect", "Content-MD5"}


class Watched(Client):
    """A browser that keeps everything the site has ever sent to it."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(raise_request_exception=False, **fields)
        self.sent: list[tuple[str, bytes]] = []

    def request(self, **request: Any) -> Any:
        reply = super().request(**request)
        reply.body = reply.getvalue()
        asked = f"{request['REQUEST_METHOD']} {request['PATH_INFO']}"
        head = f"{reply.status_code} {dict(reply.headers)} {reply.cookies.output()}"
        # The address that was asked for may come back, as in the `next` of the log-in: that is no news.
        sent = (head.encode() + b"\n" + reply.body).replace(request["PATH_INFO"].encode(), b"ASKED")
        self.sent.append((asked, sent))
        assert reply.status_code < 500, asked
        assert "no-store" in reply.headers["Cache-Control"], f"{asked} may be kept: {head}"
        if request["PATH_INFO"] != reverse("schema"):  # which is the same for everybody, and has a name
            assert not FINGERPRINTS & set(reply.headers), asked
        assert all(MAY_SET.fullmatch(name) for name in reply.cookies), asked
        if reply.headers.get("Content-Type", "").startswith("image/") and reply.status_code == 200:
            assert planted.tells_of_itself(reply.body) == [], asked
        return reply

    def log_in(self, user: Any) -> "Watched":
        self.force_login(user)
        return self

    def as_participant(self, of: Participation) -> "Watched":
        self.cookies.update(make.browser(of).cookies)
        return self

    def twin(self) -> "Watched":
        """The same person at the same moment, whatever happens to this one; what is sent to it is kept here."""
        other = Watched()
        other.cookies.update(self.cookies)
        other.sent, other.handler = self.sent, self.handler  # which takes its time to be made
        return other


def assert_blind(browser: Watched, mine: Participation | None = None) -> None:
    """Nothing that the site has sent to this browser carries what this person must not know."""
    hidden, seen = planted.secrets(mine), set[bytes]()
    assert len(browser.sent) > 5
    for asked, sent in browser.sent:
        if sent not in seen:
            assert planted.leaks(sent, hidden) == [], asked
            seen.add(sent)


@pytest.fixture(autouse=True)
def _media_of_its_own(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"


@pytest.fixture
def project(_media_of_its_own: None) -> Project:
    planted.strange_ids()
    return make.project(name="Night walk")


@pytest.fixture(params=["HA1", "HA2"])
def study(request: pytest.FixtureRequest, project: Project, tmp_path: Any) -> Study:
    return planted.study(project, tmp_path, mode=request.param)


def begun(study: Study) -> Participation:
    """Who came by a link and has some pairs in front of them."""
    made = make.participation(study)
    make.leases(made)
    return made


@pytest.fixture
def person(study: Study) -> Participation:
    return begun(study)


def page(name: str, of: Participation) -> str:
    return reverse(f"annotation:{name}", args=[of.public_id])


def send(browser: Client, of: Participation, *answers: dict[str, Any]) -> dict[str, Any]:
    """A turn as the page takes it."""
    sent = {"answers": list(answers), "painted": answers[0]["assignment"] if answers else None}
    return browser.post(page("answer", of), json.dumps(sent), content_type="application/json").json()


# Every address ----------------------------------------------------------------------------------------------------


def everything(of: Participation) -> dict[str, Any]:
    """Something that exists for every argument of every address; the picture is one that this person holds."""
    study = of.study
    release, run = study.project.releases.get(), study.project.runs.get()
    held = make.leases(of)[0]
    member = make.member(study.project, Role.ADMIN)
    invited = invite(study.project, role=Role.ANNOTATOR, by=member)  # nobody here has its link
    return {
        "member": member.memberships.get().pk, "invited": invited.pk,
        "project": study.project.slug, "study": study.public_id, "invitation": make.invitation(study).pk,
        "participation": of.public_id, "key": held.anonymized_key, "person": of.public_id, "item": held.item_id,
        "pair": held.item.pair.number,
        "language": "de",
        "image": held.item.pair.anonymized_id, "slug": release.slug, "version": release.version,
        "job": Job.objects.order_by("pk")[0].public_id, "run": run.public_id,
        "app_label": "datasets", "object_id": study.project.pk, "id": make.user().pk, "content_type_id": 1,
        "url": "nothing/here", "uidb36": "1", "pk": 1, "removal": removed_elsewhere(study.project).public_id,
    }  # fmt: skip


def crawl(browser: Watched, found: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """Every reply to every way of asking for every address, with the name of what answers there."""
    for url, name in sorted(found.items(), key=lambda each: each[1].endswith(LAST)):  # nobody is anybody after it
        for method in METHODS:
            for way in WAYS if method == "get" else WAYS[:1]:
                yield name, getattr(browser.twin(), method)(url, headers=way)


BY_A_LINK, AS_MEMBER, NOBODY = "an annotator by a link", "a member of the project", "a stranger"
OTHERS = ("an annotator of another participation", "a stranger with a log-in")


def who(kind: str, mine: Participation) -> tuple[Watched, Participation | None]:
    """Somebody at a browser, and the participation that is theirs."""
    study = mine.study
    if kind == BY_A_LINK:
        return Watched().as_participant(mine), mine
    if kind == AS_MEMBER:
        member = make.member(study.project, Role.ANNOTATOR)
        make.leases(theirs := make.participation(study, by=member))
        return Watched().log_in(member), theirs
    if kind == "an annotator of another participation":
        make.leases(theirs := make.participation(study))
        return Watched().as_participant(theirs), theirs
    return (Watched(), None) if kind == NOBODY else (Watched().log_in(make.user()), None)


@pytest.mark.parametrize(
    ("study", "kind"),
    [
        *[("HA2", kind) for kind in (BY_A_LINK, AS_MEMBER, NOBODY)],  # in which there is more to hide
        ("HA1", BY_A_LINK),
        *[pytest.param("HA2", kind, marks=pytest.mark.long) for kind in OTHERS],
        *[pytest.param("HA1", kind, marks=pytest.mark.long) for kind in (AS_MEMBER, NOBODY, *OTHERS)],
    ],
    indirect=["study"],
)
def test_no_address_tells_anything_however_it_is_asked(person: Participation, kind: str) -> None:
    found = addresses(everything(person))
    browser, theirs = who(kind, person)
    if theirs != person:  # whoever has the return address is that person
        found = {url: name for url, name in found.items() if name != "annotation:resume"}
    assert {name for url, name in found.items() if not is_of_the_admin(url, name)} > PERSONAL | MEMBERS | COMMON
    status: dict[str, set[int]] = {}
    for name, reply in crawl(browser, found):
        status.setdefault(name, set()).add(reply.status_code)
    open_to_them = PUBLIC | COMMON | MEMBERS | (PERSONAL if theirs == person else set()) | {"admin:logout"}
    closed = {name: codes for name, codes in status.items() if name not in open_to_them}
    assert {name: codes for name, codes in closed.items() if not codes <= {302, 403, 404, 405}} == {}
    if theirs == person:
        opened = PERSONAL - {
            f"annotation:{name}" for name in ("answer", "another-session", "end", "last-answer", "leave", "new-code")
        }
        opened -= {"annotation:leave"}
        assert [name for name in opened if 200 not in status[name]] == []
    assert_blind(browser, theirs)


# Every state of a participation ------------------------------------------------------------------------------------


def visit(browser: Watched, of: Participation) -> dict[str, set[int]]:
    """All pages and pictures of a participation, asked in every way."""
    keys = Assignment.objects.filter(participation=of).values_list("anonymized_key", "original_key")
    found = {page(name, of): name for name in ("rate", "instructions", "rest", "your-data", "end", "answer")}
    found |= {picture_of(of, key): "picture" for both in keys for key in both if key}
    found[reverse("annotation:resume", args=[resume_token(of)])] = "resume"
    status: dict[str, set[int]] = {}
    for name, reply in crawl(browser, found):
        status.setdefault(name, set()).add(reply.status_code)
    return status


def picture_of(of: Participation, key: Any) -> str:
    return reverse("annotation:picture", args=[of.public_id, key])


def test_in_no_state_of_a_participation_does_any_page_tell_more(study: Study) -> None:
    mine = join(browser := Watched(), study)
    visit(browser, mine)  # before the instructions
    assert_blind(browser, mine)
    understand(browser, mine)
    make.rate(mine, 5, 5)
    visit(browser, mine)
    life.change_state(study, Study.State.PAUSED)
    visit(browser, mine)
    life.change_state(study, Study.State.CLOSED)
    visit(browser, mine)
    assert_blind(browser, mine)
    life.change_state(study, Study.State.OPEN)
    make.rate_all(mine)
    assert visit(browser, mine)["picture"] == {404, 405}
    Participation.objects.filter(pk=mine.pk).update(withdrawn_at=timezone.now())
    assert visit(browser, mine)["rate"] == {410}
    assert_blind(browser, mine)
    erase_participation(mine)
    assert {code for codes in visit(browser, mine).values() for code in codes} <= {404, 405}
    assert_blind(browser)


def join(browser: Watched, study: Study) -> Participation:
    address = reverse("annotation:join", args=[make.invitation(study).token])
    shown = browser.get(address).body.decode()
    assert f'value="{current_texts(study)["consent"].edition}"' in shown
    browser.post(address, {"consent": "0"})
    browser.post(address, {"agree": "on", "consent": current_texts(study)["consent"].edition})
    return Participation.objects.filter(study=study).latest("pk")


def understand(browser: Watched, mine: Participation) -> None:
    wrong = dict.fromkeys(make.understood(mine.study), "low")
    for said in ({}, wrong, make.understood(mine.study)):
        browser.post(page("instructions", mine), said)


# The whole way -----------------------------------------------------------------------------------------------------


def look(browser: Watched, lease: dict[str, Any]) -> None:
    for shown in lease["pictures"]:
        assert browser.get(shown["url"]).status_code == 200


def test_from_consent_to_the_end_no_lease_differs_by_its_purpose_and_nothing_is_told(study: Study) -> None:
    mine = join(browser := Watched(), study)
    understand(browser, mine)
    browser.get(page("rate", mine))
    turn, leases, said = send(browser, mine), {}, {}
    while not turn["finished"]:
        for lease in turn["leases"]:
            look(browser, lease)
        first = turn["leases"][0]
        leases[first["assignment"]] = first
        turn = send(browser, mine, make.answer(first["assignment"], 5, note="A tree.", knows="no"))
        [said[first["assignment"]]] = turn["acknowledgements"]
        assert turn["progress"] == {"done": len(leases), "total": 16}
    for name in ("end", "your-data", "rest", "rate"):
        browser.get(page(name, mine))
    assert_blind(browser, mine)
    assert_leases_are_alike(list(leases.values()))
    assert_acknowledgements_are_alike(said, planted.purposes(list(leases.values())))


def assert_leases_are_alike(leases: list[dict[str, Any]]) -> None:
    """Practice, warm-up, check, repeat or a pair that counts: but for what is random the same to the last byte."""
    purpose = planted.purposes(leases)
    assert set(purpose.values()) == set(Assignment.Purpose.values)
    instructed = [lease for lease in leases if lease["instruction"]]
    assert [(each["instruction"], purpose[each["assignment"]]) for each in instructed] == [
        ("For this one, please choose 4.", "check")
    ]
    alike = {json.dumps(planted.masked(lease) | {"instruction": ""}) for lease in leases}
    assert len(alike) == 1
    assert [lease["position"] for lease in leases] == list(range(1, len(leases) + 1))
    addresses_ = [shown["url"] for lease in leases for shown in lease["pictures"]]
    assert len(set(addresses_)) == len(addresses_)


def assert_acknowledgements_are_alike(said: dict[str, dict[str, Any]], purpose: dict[str, str]) -> None:
    """But for the feedback to practice, as it is meant to be."""
    feedback = {purpose[name]: each["feedback"] for name, each in said.items() if each["feedback"]}
    assert feedback == {"practice": "This was for practice. It is usually rated from 8 to 9; you chose 5."}
    assert len({json.dumps(each | {"key": "", "feedback": ""}) for each in said.values()}) == 1


BACK = re.compile(r"<a[^>]*data-undo-plain.*?</a>", re.DOTALL)  # the way back to the answer before, from the second on


def test_without_a_script_the_page_of_a_pair_does_not_differ_by_its_purpose(study: Study) -> None:
    mine = join(browser := Watched(), study)
    understand(browser, mine)
    pages: dict[str, list[str]] = {}
    told: list[str] = []  # what stands beside the pictures of an answered pair, which is of practice
    while (reply := browser.get(page("rate", mine))).status_code == 200:
        lease = reply.context["leases"][0]
        look(browser, lease)
        pages.setdefault(planted.purposes([lease])[lease["assignment"]], []).append(alike(reply.body.decode()))
        answer = {"assignment": lease["assignment"], "key": str(reply.context["form_key"]), "score": "5"}
        answered = browser.post(page("rate", mine), answer)
        if answered.status_code == 200:
            told.append(answered.body.decode())
    assert set(pages) == set(Assignment.Purpose.values)
    [usual] = set(pages["main"])
    assert set(pages["practice"]) == set(pages["repeat"]) == set(pages["warm_up"]) == {usual}
    [instructed] = set(pages["check"]) - {usual}
    assert len(told) == len(pages["practice"])
    assert all("It is usually rated from 8 to 9; you chose 5." in each for each in told)
    question = re.compile(r">[^<]*</legend>")  # which is all that differs
    assert question.sub("", instructed, count=1) == question.sub("", usual, count=1)
    assert "For this one, please choose N." in instructed
    assert_blind(browser, mine)


def alike(html: str) -> str:
    """A page of rating without what is random and without its numbers; the leases themselves are compared as JSON."""
    html = re.sub(r'<script id="leases".*?</script>', "", html, flags=re.DOTALL)
    html = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", html)
    html = " ".join(BACK.sub("", html).split())
    html = planted.ANY_UUID.sub(b"UUID", html.encode()).decode()
    return re.sub(r"\d+", "N", html)


def test_no_link_of_an_annotators_page_can_be_counted_up(study: Study) -> None:
    mine = join(browser := Watched(), study)
    understand(browser, mine)
    replies = [browser.get(page(name, mine)) for name in ("instructions", "rate", "rest", "your-data")]
    make.rate_all(mine)
    replies += [browser.get(page("end", mine)), browser.get(reverse("annotation:withdrawal"))]
    sent = "".join(reply.body.decode() for reply in replies)
    links = re.findall(r'(?:href|src|action|data-[\w-]+|value)="((?!data:)[^"]*/[^"]*)"', sent)
    assert len(links) > 20
    assert [link for link in links if re.search(r"/\d+(/|$|\?)", link)] == []


# Picture addresses -------------------------------------------------------------------------------------------------


@pytest.fixture(params=["HA1", "HA2"])
def holder(request: pytest.FixtureRequest) -> Participation:
    """The same, in a study in which nobody has said anything yet."""
    return begun(make.study(n_pairs=20, mode=request.param, **planted.SESSION | planted.RULES))


def opens(of: Participation, given: Assignment) -> bool:
    """Whether its pictures open for this holder, in whatever way they are asked for."""
    keys = [key for key in (given.anonymized_key, given.original_key) if key]
    browser = Watched().as_participant(of)
    status = {reply.status_code for key in keys for _, reply in crawl(browser, {picture_of(of, key): "picture"})}
    assert status in ({200, 206, 405}, {404, 405})
    return 200 in status


def test_picture_addresses_are_drawn_by_lot_for_each_assignment_and_side(holder: Participation) -> None:
    mine = holder.assignments.all()
    keys = [key for given in mine for key in (given.public_id, given.anonymized_key, given.original_key) if key]
    assert {key.version for key in keys} == {4}
    assert len(set(keys)) == len(keys) == len(mine) * (3 if holder.study.mode == "HA2" else 2)
    [again, *_] = mine.filter(purpose="repeat")
    first = mine.get(item=again.item, occurrence=0)
    assert not {again.public_id, again.anonymized_key} & {first.public_id, first.anonymized_key}


def test_an_address_opens_from_the_moment_its_pair_is_sent(holder: Participation) -> None:
    """Pictures are fetched ahead, so what is sent and not on the screen yet opens; what is only reserved does not."""
    window = holder.study.window
    ahead, reserved = holder.assignments.get(position=window), holder.assignments.get(position=window + 1)
    assert (opens(holder, ahead), opens(holder, reserved)) == (True, False)
    make.rate(holder, 5)
    make.leases(holder)
    assert opens(holder, reserved)


def test_an_address_opens_for_one_participation_only(holder: Participation) -> None:
    held, other = make.leases(holder)[0], make.participation(holder.study)
    make.leases(other)
    assert opens(holder, held)
    assert not opens(other, held)


def test_what_went_back_to_others_does_not_open_until_it_is_theirs_again(holder: Participation) -> None:
    held = make.leases(holder)[0]
    make.expire(held)
    while return_expired_leases(holder.study_id):
        pass
    assert not opens(holder, held)
    make.leases(holder)
    assert opens(holder, held)


def test_a_late_answer_leaves_its_picture_open_like_any_other(holder: Participation) -> None:
    held = make.leases(holder)[0]
    make.expire(held)
    while return_expired_leases(holder.study_id):
        pass
    send(make.browser(holder), holder, make.answer(held))
    assert opens(holder, held)


def test_what_was_skipped_does_not_open(holder: Participation) -> None:
    held = make.leases(holder)[0]
    send(make.browser(holder), holder, make.answer(held, None, skips="distressing"))
    assert not opens(holder, held)


def test_after_the_close_of_a_study_only_what_can_still_be_answered_opens(holder: Participation) -> None:
    rated, held = make.leases(holder)[:2]
    make.rate(holder, 5)
    assert opens(holder, rated)
    life.change_state(holder.study, Study.State.CLOSED)
    assert (opens(holder, rated), opens(holder, held)) == (False, True)
    life.change_state(holder.study, Study.State.OPEN)
    assert opens(holder, rated)


@pytest.mark.parametrize("end", ["finished_at", "withdrawn_at"])
def test_after_the_end_nothing_opens(holder: Participation, end: str) -> None:
    make.rate(holder, 5)
    given = list(holder.assignments.exclude(served_at=None))
    Participation.objects.filter(pk=holder.pk).update(**{end: timezone.now()})
    assert not any(opens(holder, each) for each in given)


def test_after_an_erasure_nothing_opens(holder: Participation) -> None:
    given = make.leases(holder)
    erase_participation(holder)
    assert not any(opens(holder, each) for each in given)


def test_for_a_member_who_left_nothing_opens(holder: Participation) -> None:
    member = make.member(holder.study.project, Role.ANNOTATOR)
    mine = make.participation(holder.study, by=member)
    given = make.leases(mine)[0]
    assert opens(mine, given)
    Membership.objects.filter(user=member).delete()
    assert not opens(mine, given)


# The net catches ---------------------------------------------------------------------------------------------------


def test_whoever_may_see_all_of_it_is_shown_all_of_it(person: Participation) -> None:
    """On the researchers' pages the planted words, figures and numbers do turn up, so their absence means something."""
    researcher = Client()
    researcher.force_login(make.member(person.study.project))
    sent = b""
    for url, name in addresses(everything(person)).items():
        if not is_of_the_admin(url, name) and name not in PUBLIC | PERSONAL:
            sent += researcher.get(url).getvalue()
    found = set(planted.leaks(sent, planted.secrets()))
    words = {planted.METHOD, planted.SCOPE, planted.SOURCE, planted.NOTE, planted.GROUP}
    assert found >= words | {str(planted.SECONDS), str(planted.PIXEL_RATIO)}
    assert any(each.startswith("2034") for each in found)
    assert any(len(each) == 64 for each in found)
    assert {each.lower() for each in person.study.participations.values_list("annotator__pseudonym", flat=True)} & found


def test_the_planted_pictures_do_tell_of_themselves() -> None:
    for kind in ("JPEG", "PNG"):
        said = planted.tells_of_itself(planted.picture(1, kind))
        assert {"EXIF 270", "EXIF 34853", planted.CAMERA} <= set(said)
        assert len(said) > 4
