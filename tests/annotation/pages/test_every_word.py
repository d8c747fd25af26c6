"""In Arabic, with an Arabic study, no page of the annotators holds a word in Latin letters: whatever a page says comes
from the catalogs or from the researcher. `test_catalogs.py` looks at the templates, this at what views bring in."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import override

from annotation.giving.join import join_by_invitation
from annotation.models.people import Invitation, Participation
from annotation.models.studies import Study
from annotation.studies import invitations, life, wording
from annotation.studies.wording import current_texts, standard_wording
from datasets.tries import TooMany
from tests import make

pytestmark = pytest.mark.django_db

ARABIC = {"accept-language": "ar"}
WORDS = dict.fromkeys(standard_wording("HA2"), "نص الدراسة")
# Names of things, and what stands on keys.
KEPT = {"PerceptAnon", "Studio", "UTC"}
UNSPOKEN = {"kbd", "code", "textarea", "script", "style", "svg"}
SPOKEN_ATTRIBUTES = {"alt", "title", "aria-label", "aria-valuetext", "placeholder"}
A_SIGN = re.compile(r"\([A-Z]\)|XXXX-XXXX-XXXX|\b[OI]\b")


class Spoken(HTMLParser):
    """What a page says, but for what it marks as being in another language or an address."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self._silent: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.said += [str(value) for name, value in attrs if name in SPOKEN_ATTRIBUTES]
        is_elsewhere = known.get("lang", "ar") != "ar" or (tag == "a" and known.get("dir") == "ltr")
        if self._silent or tag in UNSPOKEN or is_elsewhere:
            self._silent += [tag] if tag not in {"input", "img", "br", "link", "meta", "path"} else []

    def handle_endtag(self, tag: str) -> None:
        if self._silent and self._silent[-1] == tag:
            self._silent.pop()

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.said.append(data)


def latin(page: str) -> list[str]:
    words = re.findall(r"[A-Za-z]+", A_SIGN.sub(" ", " ".join(Spoken(page).said)))
    return [word for word in words if word not in KEPT]


def an_arabic_study(**fields: Any) -> Study:
    made = make.study(is_open=False, language="ar", name="دراسة", **fields)
    wording.write_texts(made, {kind: WORDS[kind] for kind in standard_wording(made.mode)})
    life.change_state(made, Study.State.OPEN)
    return made


def anybody() -> Client:
    return Client(headers=ARABIC)


def person(of: Study | None = None, **fields: Any) -> tuple[Client, Participation]:
    mine = make.participation(of or an_arabic_study(), **fields)
    return make.browser(mine, headers=ARABIC), mine


def join_url(of: Study) -> str:
    return reverse("annotation:join", args=[make.invitation(of).token])


def own_page(name: str, *, mode: str = "HA2", n_rated: int = 0, **fields: Any) -> Callable[[], Any]:
    def visit() -> Any:
        browser, mine = person(an_arabic_study(mode=mode, asks_who=True), **fields)
        make.rate(mine, *[5] * n_rated)
        return browser.get(reverse(f"annotation:{name}", args=[mine.public_id]))

    return visit


def a_bad_consent(form: dict[str, str]) -> Callable[[], Any]:
    return lambda: anybody().post(join_url(an_arabic_study()), form)


def refused(**to: Any) -> Callable[[], Any]:
    def visit() -> Any:
        study = an_arabic_study()
        if "revoked" in to:
            invitations.revoke_invitation(invitation := make.invitation(study))
            return anybody().get(reverse("annotation:join", args=[invitation.token]))
        if "full" in to:
            study.items.update(n_held=2)
        Study.objects.filter(pk=study.pk).update(**to.get("study", {}))
        return anybody().get(join_url(study))

    return visit


def invited_into_a_project() -> Any:
    """With an account that is refused."""
    link = make.link_into(make.project(name="مشروع"))
    return anybody().post(link, {"username": "?", "email": "?", "password1": "x", "password2": "y"})


def in_another_study() -> Any:
    study = an_arabic_study()
    other = make.study(study.project, campaign=study.campaign, mode="HA1", n_pairs=0, name="أخرى")
    member = make.member(study.project)
    make.participation(other, by=member)
    browser = anybody()
    browser.force_login(member)
    return browser.get(reverse("annotation:take-part", args=[study.public_id]))


def begun_here(**fields: Any) -> Callable[[], Any]:
    def visit() -> Any:
        study = an_arabic_study()
        browser, _ = person(study, **fields)
        return browser.get(join_url(study))

    return visit


def held_for_others() -> Any:
    study = an_arabic_study()
    study.items.update(goal=1)
    make.leases(make.participation(study))
    reply = anybody().get(join_url(study))
    assert reply.context["refused"] == "held"
    return reply


def many_from_one_network() -> Any:
    link = join_url(an_arabic_study(goal=3))
    with override_settings(JOINS_PER_ADDRESS=(1, 3600.0)):
        consent = {"agree": "on", "consent": anybody().get(link).context["consent"].edition}
        anybody().post(link, consent)
        reply = anybody().post(link, consent)
    assert reply.status_code == 429
    return reply


def locked_out(code: str) -> Callable[[], Any]:
    def visit() -> Any:
        with override("ar"):
            return render_to_string("locked_out.html", {"refused": TooMany(code, 600)})

    return visit


def personal_link_used() -> Any:
    invitation = make.invitation(an_arabic_study(), Invitation.Kind.PERSONAL)
    join_by_invitation(invitation, agreed_to=current_texts(invitation.study)["consent"])
    return anybody().get(reverse("annotation:join", args=[invitation.token]))


def misunderstood() -> Any:
    browser, mine = person(instructed_at=None)
    wrong = {name: "high" if answer == "low" else "low" for name, answer in make.understood(mine.study).items()}
    return browser.post(reverse("annotation:instructions", args=[mine.public_id]), wrong, follow=True)


def an_answer_without_a_score() -> Any:
    browser, mine = person()
    lease = make.leases(mine)[0]
    form = {"assignment": lease.public_id, "key": "b7a5cf0e-5d8b-4f40-9f43-0a6c5e6ba1e2"}
    return browser.post(reverse("annotation:rate", args=[mine.public_id]), form)


def an_answer_given_twice() -> Any:
    browser, mine = person()
    lease, url = make.leases(mine)[0], reverse("annotation:rate", args=[mine.public_id])
    for key in ("b7a5cf0e-5d8b-4f40-9f43-0a6c5e6ba1e2", "0c2d1df5-31c2-4f28-8a6d-7a1f6b9f1c11"):
        reply = browser.post(url, {"assignment": lease.public_id, "key": key, "score": 5}, follow=True)
    return reply


def finished(**fields: Any) -> Callable[[], Any]:
    def visit() -> Any:
        browser, mine = person(an_arabic_study(**fields))
        make.rate_all(mine)
        return browser.get(reverse("annotation:end", args=[mine.public_id]))

    return visit


def nothing_right_now(state: str) -> Callable[[], Any]:
    def visit() -> Any:
        study = an_arabic_study(goal=1)
        study.items.update(n_held=1)
        Study.objects.filter(pk=study.pk).update(state=state)
        browser, mine = person(study)
        return browser.get(reverse("annotation:end", args=[mine.public_id]))

    return visit


def withdrawing(*forms: dict[str, str]) -> Callable[[], Any]:
    def visit() -> Any:
        browser, mine = person()
        make.rate(mine, 5)
        reply, code = browser.get(reverse("annotation:withdrawal")), make.code(mine)
        for form in forms:
            said = {"code": code} | form
            reply = browser.post(reverse("annotation:withdrawal"), said, follow=True)
        return reply

    return visit


def home(**fields: Any) -> Callable[[], Any]:
    def visit() -> Any:
        member = make.user("ليلى")
        if fields:
            study = an_arabic_study(mode=fields["mode"])
            member = make.member(study.project, "annotator", name="سلمى")
        browser = anybody()
        browser.force_login(member)
        return browser.get(reverse("home"))

    return visit


def nothing_to_rate_again() -> Any:
    study = an_arabic_study(person_limit=200)
    browser, mine = person(study)
    make.rate_all(mine)
    Participation.objects.filter(pk=mine.pk).update(finished_at=timezone.now())
    return browser.post(reverse("annotation:another-session", args=[mine.public_id]), follow=True)


def a_template(name: str) -> Callable[[], Any]:
    def visit() -> Any:
        with override("ar"):
            return render_to_string(name)

    return visit


VISITS: dict[str, Callable[[], Any]] = {
    "invited": lambda: anybody().get(join_url(an_arabic_study())),
    "invited to single pictures": lambda: anybody().get(join_url(an_arabic_study(mode="HA1"))),
    "box not ticked": a_bad_consent({}),
    "text changed": a_bad_consent({"agree": "on", "consent": "0"}),
    "invited into a project": invited_into_a_project,
    "invited by a link that opens nothing": lambda: anybody().get(reverse("annotation:invited", args=["0" * 32])),
    "link revoked": refused(revoked=True),
    "study closed": refused(study={"state": "closed"}),
    "study full": refused(full=True),
    "places held for others": held_for_others,
    "many from one network": many_from_one_network,
    "personal link used": personal_link_used,
    "forgotten by this browser": lambda: anybody().get(reverse("annotation:left")),
    "in another study": in_another_study,
    "begun here": begun_here(),
    "finished here": begun_here(finished_at=timezone.now()),
    "code": own_page("your-data", instructed_at=None),
    "your data": own_page("your-data", n_rated=2),
    "code shown before": own_page("your-data", code_hash="0" * 64),
    "instructions": own_page("instructions", instructed_at=None),
    "instructions for single pictures": own_page("instructions", instructed_at=None, mode="HA1"),
    "instructions again": own_page("instructions", n_rated=1),
    "misunderstood": misunderstood,
    "rating pairs": own_page("rate"),
    "rating single pictures": own_page("rate", mode="HA1"),
    "no score": an_answer_without_a_score,
    "rated twice": an_answer_given_twice,
    "rest": own_page("rest", n_rated=1),
    "the end": finished(),
    "the end, more to do": finished(person_limit=200),
    "nothing left to do again": nothing_to_rate_again,
    "nothing right now": nothing_right_now("open"),
    "paused": nothing_right_now("paused"),
    "gone": own_page("rate", withdrawn_at=timezone.now()),
    "withdraw": withdrawing(),
    "wrong code": withdrawing({"code": "2222-2222-2222"}),
    "code after many wrong ones": withdrawing(*[{"code": "2222-2222-2222"}] * 6),
    "what will go": withdrawing({}),
    "erased": withdrawing({"confirm": "yes"}),
    "home with nothing": home(),
    "home with pairs": home(mode="HA2"),
    "home with single pictures": home(mode="HA1"),
    "log in": lambda: anybody().get(reverse("login")),
    "wrong password": lambda: anybody().post(reverse("login"), {"username": "x", "password": "y"}),
    **{f"refused for {code}": locked_out(code) for code in ("at once", "known", "address", "name")},
    "no page": lambda: anybody().get("/nothing/here/"),
    **{name: a_template(name) for name in ("400.html", "403.html", "403_csrf.html", "404.html", "500.html")},
}


@pytest.mark.parametrize("name", VISITS)
def test_every_word_of_a_page_is_arabic(name: str) -> None:
    reply = VISITS[name]()
    page = reply if isinstance(reply, str) else reply.content.decode()
    assert 'lang="ar" dir="rtl"' in page
    assert latin(page) == []
    assert 'class="by-machine"' in page


def test_the_search_finds_a_word_that_is_not_arabic() -> None:
    assert latin('<p>كلمة <b>word</b> <kbd>Tab</kbd></p><img alt="a picture"><p lang="en">English</p>') == [
        "word", "a", "picture",
    ]  # fmt: skip


def test_personal_links_lead_on_in_arabic_too() -> None:
    study = an_arabic_study()
    link = reverse("annotation:join", args=[make.invitation(study, Invitation.Kind.PERSONAL).token])
    browser = anybody()
    consent = current_texts(study)["consent"].pk
    reply = browser.post(link, {"agree": "on", "consent": consent}, follow=True)
    assert latin(reply.content.decode()) == []
