"""Whoever rates is spoken to in their language, and reads the study in it where somebody has written that."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import resolve, reverse
from django.utils.translation import get_language

from annotation.languages import speaks_their_language
from annotation.models.people import Participation
from annotation.models.studies import Study, StudyText
from annotation.studies import history, life, wording
from annotation.studies.wording import current_texts, standard_wording, supplied_texts, texts_for
from datasets.models.projects import Project
from tests import make
from tests.addresses import addresses, something_for_everything
from tests.annotation.pages.test_pages import study_form

pytestmark = pytest.mark.django_db

GERMAN = {"accept-language": "de-DE,de;q=0.9,en;q=0.5"}
ARABIC = {"accept-language": "ar"}


@pytest.fixture
def study() -> Study:
    return make.study()


@pytest.fixture
def consent_url(study: Study) -> str:
    return reverse("annotation:join", args=[make.invitation(study).token])


def german(of: Participation) -> Client:
    return make.browser(of, headers=GERMAN)


def page_url(of: Participation, name: str) -> str:
    return reverse(f"annotation:{name}", args=[of.public_id])


def text(reply: Any) -> str:
    return str(reply.content.decode())


# Which language a page speaks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [
        ("de", 'lang="de" dir="ltr"'),
        ("de-AT,de;q=0.9,en;q=0.5", 'lang="de" dir="ltr"'),
        ("fr,de;q=0.8,en;q=0.7", 'lang="de" dir="ltr"'),
        ("ar-EG", 'lang="ar" dir="rtl"'),
        ("en-GB,de;q=0.8", 'lang="en" dir="ltr"'),
        ("fr", 'lang="en" dir="ltr"'),
        ("*", 'lang="en" dir="ltr"'),
        ("", 'lang="en" dir="ltr"'),
    ],
)
def test_a_page_speaks_what_the_browser_asks_for_or_english(consent_url: str, asked: str, spoken: str) -> None:
    assert f"<html {spoken}>" in text(Client(headers={"accept-language": asked}).get(consent_url))


def test_a_choice_holds_from_then_on_and_leads_back_to_the_page(consent_url: str) -> None:
    client = Client(headers=ARABIC)
    chosen = client.post(reverse("annotation:language"), {"language": "de", "next": consent_url})
    assert chosen.url == consent_url
    assert "Bevor Sie teilnehmen" in text(client.get(consent_url))
    assert "Widerrufscode" in text(client.get(reverse("annotation:withdrawal")))
    cookie = chosen.cookies["language"]
    assert (cookie["httponly"], cookie["samesite"], int(cookie["max-age"]) > 0) == (True, "Lax", True)


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_a_choice_never_leads_off_the_site(elsewhere: str) -> None:
    reply = Client().post(reverse("annotation:language"), {"language": "de", "next": elsewhere})
    assert reply.url == "/"


def test_a_language_that_the_site_does_not_speak_is_not_spoken(consent_url: str) -> None:
    client = Client(headers=GERMAN)
    client.post(reverse("annotation:language"), {"language": "fr", "next": consent_url})
    assert '<html lang="de"' in text(client.get(consent_url))


def test_the_choice_is_a_form_that_needs_a_token_like_any_other(consent_url: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(reverse("annotation:language"), {"language": "de"}).status_code == 403
    token = strict.get(consent_url).context["csrf_token"]
    form = {"language": "de", "next": consent_url, "csrfmiddlewaretoken": str(token)}
    assert strict.post(reverse("annotation:language"), form).status_code == 302


def test_every_page_out_of_the_pictures_sight_offers_the_languages_by_their_own_names(study: Study) -> None:
    mine = make.participation(study, instructed_at=None)
    browser = make.browser(mine)
    browser.force_login(make.member(study.project))
    first = text(browser.get(page_url(mine, "your-data")))
    assert "data-withdrawal-code" in first
    assert "Deutsch" not in first  # the page in another language would not show the code again
    pages = [page_url(mine, name) for name in ("your-data", "instructions", "rest")]
    pages += [reverse(name) for name in ("home", "login", "annotation:withdrawal")]
    for url in pages:
        page = text(browser.get(url))
        assert '<span lang="de" dir="auto">Deutsch</span>' in page, url
        assert '<span lang="ar" dir="auto">العربية</span>' in page, url
        assert "(machine-translated)" in page, url
        assert f'name="next" value="{url}"' in page, url


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("de", "Die Fragen dieser Studie sind auf Englisch."),
        ("ar", "أسئلة هذه الدراسة باللغة الإنجليزيّة."),
        ("en", None),
    ],
)
def test_a_page_says_in_its_language_which_one_the_questions_are_in(
    study: Study, consent_url: str, asked: str, said: str | None
) -> None:
    mine = make.participation(study, instructed_at=None)
    for url, client in ((consent_url, Client()), (page_url(mine, "instructions"), make.browser(mine))):
        page = text(client.get(url, headers={"accept-language": asked}))
        assert ("frame-note" in page, said is None or said in page) == (said is not None, True), page


def test_where_the_study_has_its_texts_in_the_language_nothing_is_said_of_it(study: Study, consent_url: str) -> None:
    make.wording(study, "de")
    assert "frame-note" not in text(Client(headers=GERMAN).get(consent_url))


def test_only_arabic_says_that_a_machine_translated_it(consent_url: str) -> None:
    notice = 'class="by-machine"'
    for language, by_machine in (("ar", True), ("de", False), ("en", False)):
        page = Client(headers={"accept-language": language}).get(consent_url)
        assert (notice in text(page)) == by_machine, language


def test_what_is_said_of_a_fault_follows_the_person_too() -> None:
    assert "Unter dieser Adresse gibt es keine Seite" in text(Client(headers=GERMAN).get("/nothing/here/"))
    strict = Client(headers=GERMAN, enforce_csrf_checks=True)
    assert "Ihr Browser hat nicht zurückgeschickt" in text(strict.post(reverse("annotation:withdrawal"), {"code": "x"}))


def test_after_a_request_the_next_one_begins_in_english(consent_url: str) -> None:
    before = get_language()
    Client(headers=GERMAN).get(consent_url)
    assert get_language() == before


ANNOTATORS = {
    "home", "login", "logout", "annotation:join", "annotation:resume", "annotation:take-part", "annotation:withdrawal",
    "annotation:rate", "annotation:instructions", "annotation:answer", "annotation:rest", "annotation:your-data",
    "annotation:end", "annotation:another-session", "annotation:last-answer", "annotation:left", "annotation:leave",
    "annotation:new-code", "annotation:erase", "annotation:invited",
}  # fmt: skip


def test_annotators_pages_follow_the_person_and_all_others_speak_english() -> None:
    arguments = something_for_everything()
    browser = german(Participation.objects.latest("pk"))
    browser.force_login(make.member(Project.objects.get(), is_staff=True, is_superuser=True))
    spoken: dict[str, set[str]] = {}
    for url, name in addresses(arguments).items():
        reply = browser.get(url)
        assert speaks_their_language(resolve(url).func) == (name in ANNOTATORS), name
        if reply.headers.get("Content-Type", "").startswith("text/html") and "<html" in text(reply):
            said = text(reply).split("<html", 1)[1].split(">", 1)[0]
            spoken.setdefault(said.strip(), set()).add(name)
    assert set(spoken) == {'lang="de" dir="ltr"', 'lang="en" dir="ltr"'}
    assert spoken['lang="de" dir="ltr"'] <= ANNOTATORS
    assert not spoken['lang="en" dir="ltr"'] & ANNOTATORS
    assert len(spoken['lang="en" dir="ltr"']) > 30
    if browser.get("/").status_code == 200:  # the page still is a researcher's home
        assert "Ihre Projekte" in text(browser.get("/"))


def test_a_page_that_depends_on_the_language_says_so_to_caches(consent_url: str) -> None:
    assert "Accept-Language" in Client().get(consent_url).headers["Vary"]
    assert Client(headers=GERMAN).get(consent_url).headers["Content-Language"] == "de"


# What the server says to the rating page ----------------------------------------------------------------------------


def turn(browser: Client, of: Participation, *answers: dict[str, Any]) -> Any:
    return browser.post(page_url(of, "answer"), {"answers": list(answers)}, content_type="application/json")


def test_refusals_come_in_the_persons_language(study: Study) -> None:
    mine = make.participation(study)
    lease = make.leases(mine)[0]
    refused = turn(german(mine), mine, make.answer(lease, 11)).json()["acknowledgements"][0]
    assert (refused["code"], refused["detail"]) == ("invalid_score", "Wählen Sie einen Wert von 1 bis 10.")
    turn(german(mine), mine, make.answer(lease, 5))
    again = turn(german(mine), mine, make.answer(lease, 6)).json()["acknowledgements"][0]
    assert again["detail"] == "Dieses Bildpaar wurde schon bewertet; die erste Antwort bleibt."


def test_feedback_to_practice_and_instructions_in_words_come_in_the_persons_language(study: Study) -> None:
    practice, check = study.items.order_by("pk")[:2]
    study.items.filter(pk=practice.pk).update(role="practice", goal=0, expected_low=1, expected_high=3)
    study.items.filter(pk=check.pk).update(role="check", goal=0, instructed_score=4)
    Study.objects.filter(pk=study.pk).update(n_practice=1, n_checks=1)
    mine = make.participation(study, n_planned=4)
    browser, said = german(mine), set()
    reply = turn(browser, mine).json()
    while reply["leases"]:
        lease = reply["leases"][0]
        said.add(lease["instruction"])
        reply = turn(browser, mine, make.answer(lease["assignment"], 5)).json()
        said |= {each["feedback"] for each in reply["acknowledgements"]}
    assert said == {
        "", "Bitte wählen Sie hier 4.", "Das war zur Übung. Üblich ist hier 1 bis 3; Sie haben 5 gewählt.",
    }  # fmt: skip


def test_what_ends_a_page_is_said_in_the_persons_language(study: Study) -> None:
    mine, other = make.participation(study), make.participation(study)
    assert turn(german(mine), other).json()["detail"] == "Diese Teilnahme gibt es nicht, oder sie ist nicht Ihre."
    Participation.objects.filter(pk=mine.pk).update(withdrawn_at=mine.consented_at)
    assert turn(german(mine), mine).json()["detail"].startswith("Diese Teilnahme wurde widerrufen")
    assert "Diese Teilnahme ist beendet" in text(german(mine).get(page_url(mine, "rate")))


def test_a_turn_costs_the_same_queries_in_every_language() -> None:
    mine = make.participation(make.study(n_pairs=5, window=5))  # all pairs are given, so that no draw is by chance
    given = make.leases(mine)

    def n_queries(headers: dict[str, str]) -> int:
        browser = make.browser(mine, headers=headers)
        with CaptureQueriesContext(connection) as captured:
            assert turn(browser, mine, make.answer(given.pop())).status_code == 200
        return len(captured)

    assert n_queries({}) == n_queries(GERMAN) == n_queries(ARABIC)


# The words of the scripts -------------------------------------------------------------------------------------------


def words_of(page: str) -> list[str]:
    return [part.split('"')[0] for part in page.split('<script src="')[1:] if "/words/" in part.split('"')[0]]


def test_the_scripts_words_come_by_an_address_that_a_browser_may_keep(study: Study) -> None:
    mine = make.participation(study)
    [address] = words_of(text(german(mine).get(page_url(mine, "rate"))))
    reply = Client().get(address)
    assert "Alles gespeichert" in text(reply)
    assert reply.headers["Content-Type"].startswith("text/javascript")
    assert {"public", "immutable"} <= set(reply.headers["Cache-Control"].split(", "))
    [arabic] = words_of(text(make.browser(mine, headers=ARABIC).get(page_url(mine, "rate"))))
    assert arabic != address


def test_an_english_page_loads_no_words(study: Study) -> None:
    mine = make.participation(study)
    assert words_of(text(make.browser(mine).get(page_url(mine, "rate")))) == []


@pytest.mark.parametrize("language", ["en", "fr", "xx", "EN"])
def test_there_are_no_words_in_other_languages(language: str) -> None:
    assert Client().get(reverse("annotation:words", args=[language, "1"])).status_code == 404


def test_the_words_of_the_scripts_are_small_on_the_line() -> None:
    for language in ("de", "ar"):
        reply = Client(headers={"accept-encoding": "gzip"}).get(reverse("annotation:words", args=[language, "1"]))
        assert reply.headers["Content-Encoding"] == "gzip"
        assert len(reply.content) < 6000


# The study's own words ----------------------------------------------------------------------------------------------


def test_a_study_that_nobody_has_translated_is_read_in_its_own_language_and_says_which(
    study: Study, consent_url: str
) -> None:
    page = text(Client(headers=GERMAN).get(consent_url))
    assert 'class="prose" lang="en" dir="ltr"' in page
    assert f'<p class="frame-study"><span lang="en" dir="ltr">{study.name}' in page
    mine = make.participation(study)
    page = text(german(mine).get(page_url(mine, "instructions")))
    assert '<h1 lang="en" dir="ltr">How anonymous is the anonymized picture?' in page
    page = text(german(mine).get(page_url(mine, "rate")))
    assert '<span lang="en" dir="ltr">not anonymous</span>' in page
    assert 'lang="en"' not in text(make.browser(mine).get(page_url(mine, "instructions"))).split("<main")[1]


def test_in_arabic_the_studys_english_words_run_from_left_to_right(consent_url: str) -> None:
    assert 'class="prose" lang="en" dir="ltr"' in text(Client(headers=ARABIC).get(consent_url))


@pytest.mark.parametrize("name", ["instructions", "rate", "end"])
def test_where_somebody_has_supplied_it_the_study_is_read_in_the_persons_language(study: Study, name: str) -> None:
    words = make.wording(study, "de")
    mine = make.participation(study)
    if name == "end":
        make.rate_all(mine)
    shown = {"instructions": ("question", "reference_note"), "rate": ("question", "low_label"), "end": ("end",)}[name]
    here, there = text(german(mine).get(page_url(mine, name))), text(make.browser(mine).get(page_url(mine, name)))
    for kind in shown:
        assert words[kind] in here
        assert words[kind] not in there
        assert standard_wording(study.mode)[kind] in there
        assert f'lang="de" dir="ltr">{words[kind]}' not in here  # it is the page's own language


def agree(browser: Client, url: str, text_shown: StudyText) -> Any:
    return browser.post(url, {"agree": "on", "consent": text_shown.edition})


def test_the_consent_that_was_shown_is_what_was_agreed_to_and_its_language_is_kept(
    study: Study, consent_url: str
) -> None:
    make.wording(study, "de")
    browser = Client(headers=GERMAN)
    shown = browser.get(consent_url).context["consent"]
    assert shown.language == "de"
    agree(browser, consent_url, shown)
    mine = Participation.objects.get()
    assert (mine.language, mine.consent_text) == ("de", shown)


def test_whoever_reads_a_study_in_its_own_language_consents_in_that(study: Study, consent_url: str) -> None:
    browser = Client(headers=GERMAN)
    agree(browser, consent_url, browser.get(consent_url).context["consent"])
    assert Participation.objects.get().language == "en"


def test_a_consent_read_in_one_language_holds_when_another_is_chosen_meanwhile(study: Study, consent_url: str) -> None:
    make.wording(study, "de")
    browser = Client(headers=GERMAN)
    shown = browser.get(consent_url).context["consent"]
    browser.post(reverse("annotation:language"), {"language": "en", "next": consent_url})
    agree(browser, consent_url, shown)
    assert Participation.objects.get().consent_text == shown


def test_a_consent_that_has_changed_in_ones_language_must_be_read_again(study: Study, consent_url: str) -> None:
    make.wording(study, "de")
    browser = Client(headers=GERMAN)
    shown = browser.get(consent_url).context["consent"]
    wording.write_texts(study, {"consent": "Neu."}, language="de")
    reply = agree(browser, consent_url, shown)
    assert (reply.status_code, "Neu." in text(reply)) == (409, True)
    assert "hat sich geändert" in text(reply)
    assert not Participation.objects.exists()


def test_nobody_agrees_to_a_text_of_a_language_that_is_not_supplied(study: Study, consent_url: str) -> None:
    alone = StudyText.objects.create(study=study, language="de", kind="consent", body="Allein.")
    assert agree(Client(headers=GERMAN), consent_url, alone).status_code == 409
    assert not Participation.objects.exists()


def test_one_text_of_a_language_shows_nothing_of_it(study: Study) -> None:
    StudyText.objects.create(study=study, language="de", kind="question", body="Wie anonym?")
    assert {each.language for each in texts_for(study, "de").values()} == {"en"}
    assert set(supplied_texts(study)) == {"en"}


# Supplying it -------------------------------------------------------------------------------------------------------


@pytest.fixture
def researcher(study: Study) -> Client:
    client = Client()
    client.force_login(make.member(study.project))
    return client


def wording_url(study: Study, language: str = "de") -> str:
    return reverse("annotation:wording-in", args=[study.public_id, language])


def in_german(study: Study, **changes: str) -> dict[str, str]:
    return {kind: f"{kind}, deutsch" for kind in standard_wording(study.mode)} | changes


def test_a_researcher_supplies_a_language_on_its_page(study: Study, researcher: Client) -> None:
    assert "German, not supplied" in text(researcher.get(wording_url(study)))
    assert researcher.post(wording_url(study), in_german(study)).status_code == 302
    assert texts_for(study, "de")["consent"].body == "consent, deutsch"
    page = text(researcher.get(wording_url(study)))
    assert "German, not supplied" not in page
    assert "consent, deutsch" in page
    assert current_texts(study)["consent"].body in page.replace("&#x27;", "'")  # the study's own beside it


def test_a_language_of_an_open_study_has_versions_and_hashes_like_the_first(study: Study, researcher: Client) -> None:
    researcher.post(wording_url(study), in_german(study))
    researcher.post(wording_url(study), in_german(study, question="Wie anonym?"))
    texts = study.texts.filter(language="de", kind="question").order_by("version")
    assert [(each.version, each.body, bool(each.shown_at)) for each in texts] == [
        (1, "question, deutsch", True), (2, "Wie anonym?", True),
    ]  # fmt: skip
    assert all(len(each.sha256) == 64 for each in texts)
    assert study.texts.filter(language="en").count() == len(standard_wording(study.mode))


def test_a_language_with_a_text_missing_is_not_taken(study: Study, researcher: Client) -> None:
    assert researcher.post(wording_url(study), in_german(study, end="")).status_code == 400
    with pytest.raises(history.NotPossible, match="Missing in German: end"):
        wording.write_texts(study, {k: v for k, v in in_german(study).items() if k != "end"}, language="de")
    assert not study.texts.filter(language="de").exists()


def test_what_a_study_says_stands_as_words_beside_the_fields(researcher: Client, study: Study) -> None:
    wording.write_texts(study, {"question": "<script>alert(1)</script>"})
    page = text(researcher.get(wording_url(study)))
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("language", ["fr", "xx", "DE"])
def test_other_languages_have_no_page(researcher: Client, study: Study, language: str) -> None:
    assert researcher.get(wording_url(study, language)).status_code == 404


def test_a_language_is_supplied_by_researchers_of_the_project_alone(study: Study) -> None:
    outsider = Client()
    outsider.force_login(make.member(make.project()))
    assert outsider.post(wording_url(study), in_german(study)).status_code == 404
    assert not study.texts.filter(language="de").exists()


def test_a_drafts_language_is_marked_as_shown_when_it_opens() -> None:
    draft = make.study(is_open=False)
    make.wording(draft, "de")
    assert not draft.texts.exclude(shown_at=None).exists()
    life.change_state(draft, Study.State.OPEN)
    assert not draft.texts.filter(shown_at=None).exists()


def test_a_study_in_german_begins_without_words_and_opens_when_it_has_them() -> None:
    draft = make.study(is_open=False, language="de")
    assert not draft.texts.exists()
    with pytest.raises(history.NotPossible, match="no wording yet"):
        life.change_state(draft, Study.State.OPEN)
    wording.write_texts(draft, in_german(draft))
    life.change_state(draft, Study.State.OPEN)
    page = text(Client().get(reverse("annotation:join", args=[make.invitation(draft).token])))
    assert 'class="prose" lang="de" dir="ltr"' in page  # to whom the pages speak English


def test_an_invitation_to_a_draft_without_words_says_that_it_is_not_open() -> None:
    draft = make.study(is_open=False, language="de")
    assert "This study is not open" in text(
        Client().get(reverse("annotation:join", args=[make.invitation(draft).token]))
    )


def test_the_form_sets_up_a_study_in_another_language() -> None:
    project = make.project()
    make.pairs(project, 2)
    client = Client()
    client.force_login(make.member(project))
    reply = client.post(reverse("annotation:study-new", args=[project.slug]), study_form(language="de"), follow=True)
    assert Study.objects.get().language == "de"
    assert 'lang="de"' in text(reply)


def run(*arguments: Any) -> None:
    call_command(*map(str, arguments))


def wording_file(folder: Path, words: dict[str, str]) -> Path:
    path = folder / "words.json"
    path.write_text(json.dumps(words))
    return path


def test_a_language_is_supplied_by_command_too(study: Study, tmp_path: Path) -> None:
    name = f"{study.project.slug}/{study.campaign.slug}/{study.mode}"
    run("study", name, "--wording", wording_file(tmp_path, in_german(study)), "--language", "de")
    assert texts_for(study, "de")["end"].body == "end, deutsch"
    run("study", name, "--wording", wording_file(tmp_path, {"end": "Fertig."}), "--language", "de")
    assert texts_for(study, "de")["end"].body == "Fertig."
    with pytest.raises(CommandError, match="Missing in Arabic"):
        run("study", name, "--wording", wording_file(tmp_path, {"end": "."}), "--language", "ar")


def test_a_study_is_set_up_in_its_language_by_command(tmp_path: Path) -> None:
    project = make.project()
    make.pairs(project, 12)
    words = wording_file(tmp_path, {kind: f"{kind}, deutsch" for kind in standard_wording("HA2")})
    options = ["--project", project.slug, "--campaign", "Herbst", "--mode", "HA2", "--language", "de"]
    run("create_study", "Gesichter", *options, "--wording", words)
    made = Study.objects.get()
    assert (made.language, current_texts(made)["question"].body) == ("de", "question, deutsch")


def test_a_release_holds_the_texts_of_each_language() -> None:
    study = make.rated_study()
    make.wording(study, "de")
    release = make.release(study)
    kinds = standard_wording(study.mode)
    assert {(each["language"], each["kind"]) for each in release.origins["texts"]} == {
        (language, kind) for language in ("en", "de") for kind in kinds
    }
    assert release.origins["language"] == "en"


def test_members_read_the_study_in_their_language_too(study: Study) -> None:
    make.wording(study, "de")
    client = Client(headers=GERMAN)
    client.force_login(make.member(study.project))
    url = reverse("annotation:take-part", args=[study.public_id])
    agree(client, url, client.get(url).context["consent"])
    assert Participation.objects.get().language == "de"
