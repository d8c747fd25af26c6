"""People whose browsers ask for German or Arabic do the whole job in it; whoever runs the study works in English."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from annotation.studies.wording import standard_wording
from datasets.demo_pictures import demo_originals, write_demo_pairs
from tests.browser.conftest import NO_SERVER, PASSWORD, People, Site, come_in, shell

pytestmark = pytest.mark.browser

N_PLANNED = 4
QUESTION = "How anonymous is the anonymized picture?"
GERMAN = {kind: f"{kind}, deutsch" for kind in standard_wording("HA2")}


@pytest.fixture(scope="module")
def links(site: Site, project: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A study in English alone, and one that somebody has written in German too."""
    folder = tmp_path_factory.mktemp("pairs")
    manifest = write_demo_pairs(folder, demo_originals()[:4])
    site.manage("import_pairs", str(manifest), "--project", project)
    (folder / "german.json").write_text(json.dumps(GERMAN))
    links = {}
    for name in ("english", "german"):
        size = ["--session-size", str(N_PLANNED), "--warm-up", "0", "--repeats", "0", "--goal", "50"]
        site.manage("create_study", name, "--project", project, "--campaign", name, "--mode", "HA2", "--ask-who", *size)
        if name == "german":
            words = ["--wording", str(folder / "german.json"), "--language", "de"]
            site.manage("study", f"{project}/german/HA2", *words)
        site.manage("study", f"{project}/{name}/HA2", "--open")
        links[name] = site.url + site.manage("study", f"{project}/{name}/HA2", "--invite", "many").strip()
    return links


def ready(page: Page) -> None:
    expect(page.locator("[data-keys]:not([hidden])")).to_have_count(1)
    expect(page.get_by_role("radio").first).to_be_enabled()


def begin_in_german(page: Page, link: str) -> None:
    page.goto(link)
    page.get_by_label("Ich habe das gelesen und bin mit der Teilnahme einverstanden.").check()
    page.get_by_role("button", name="Teilnehmen").click()
    expect(page.get_by_role("heading", name="Bewahren Sie diesen Code auf")).to_be_visible()
    page.get_by_role("link", name="Weiter zur Anleitung").click()
    page.get_by_role("group", name="auf einem Schild").get_by_label("Richtung 1:").check()
    page.get_by_role("group", name="verrät, wer oder wo das ist").get_by_label("Richtung 10:").check()
    page.get_by_role("button", name="Mit dem Bewerten beginnen").click()
    ready(page)


def begin_in_arabic(page: Page, link: str) -> None:
    page.goto(link)
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="المشاركة").click()
    page.get_by_role("link", name="إلى التعليمات").click()
    page.get_by_role("group", name="على بطاقة").get_by_label("نحو 1:").check()
    page.get_by_role("group", name="لا شيء في الصورة").get_by_label("نحو 10:").check()
    page.get_by_role("button", name="بدء التقييم").click()
    ready(page)


def begin(page: Page, site: Site, link: str) -> None:
    page.goto(come_in(site, link))
    ready(page)


def rate(page: Page, place: str, score: int) -> None:
    """The pair whose place the bar says, by keyboard."""
    expect(page.locator("[data-progress-text]")).to_have_text(place)
    ready(page)
    page.keyboard.press(str(score % 10))
    page.keyboard.press("Enter")


def newest(site: Site, name: str) -> tuple[str, str, list[int]]:
    """The language and consent of the newest person of a study, and their scores."""
    code = (
        "import json; from annotation.models.people import Participation as P; "
        f"p = P.objects.filter(study__name={name!r}).latest('pk'); "
        "scores = p.assignments.order_by('position').values_list('rating__score', flat=True); "
        "print(json.dumps([p.language, p.consent_text.language, list(scores)]))"
    )
    language, consent, scores = json.loads(shell(site, code))
    return language, consent, scores


def test_a_person_with_a_german_browser_does_the_whole_job_in_german(
    site: Site, links: dict[str, str], people: People
) -> None:
    page = people.page(locale="de-DE")
    begin_in_german(page, links["english"])
    question = page.locator("[data-question]")
    for n in range(1, N_PLANNED + 1):
        expect(question).to_have_text(QUESTION)
        expect(question).to_have_attribute("lang", "en")
        rate(page, f"Bildpaar {n} von {N_PLANNED}", n + 5)
    expect(page.get_by_role("heading", name="Vielen Dank")).to_be_visible()
    expect(page.get_by_text(f"Ihre {N_PLANNED} Antworten sind gespeichert.")).to_be_visible()
    expect(page.locator(".prose")).to_have_attribute("lang", "en")
    assert newest(site, "english") == ("en", "en", [6, 7, 8, 9])


def test_where_the_study_is_written_in_german_the_person_reads_and_agrees_to_that(
    site: Site, links: dict[str, str], people: People
) -> None:
    page = people.page(locale="de-DE")
    begin_in_german(page, links["german"])
    expect(page.locator("[data-question]")).to_have_text("question, deutsch")
    expect(page.locator("[data-question]")).to_have_attribute("lang", "de")
    expect(page.locator("main [lang=en]")).to_have_count(1)  # the study's name, which is nobody's translation
    for n in range(1, N_PLANNED + 1):
        rate(page, f"Bildpaar {n} von {N_PLANNED}", n)
    expect(page.get_by_text("end, deutsch")).to_be_visible()
    assert newest(site, "german") == ("de", "de", [1, 2, 3, 4])
    other = people.page(locale="en-GB")
    other.goto(links["german"])
    expect(other.get_by_text("You will rate pictures, some of which show real people.")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False])
def test_a_person_chooses_their_language_on_the_first_page_and_keeps_it(
    links: dict[str, str], people: People, scripts: bool
) -> None:
    page = people.page(locale="en-GB", java_script_enabled=scripts)
    page.goto(links["english"])
    page.get_by_role("button", name="Deutsch").click()
    expect(page).to_have_url(links["english"])
    expect(page.get_by_role("heading", name="Bevor Sie teilnehmen")).to_be_visible()
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Teilnehmen").click()
    expect(page.get_by_role("heading", name="Bewahren Sie diesen Code auf")).to_be_visible()
    expect(page.get_by_role("button", name="English")).to_have_count(0)  # the page in English would not show it again
    page.get_by_role("link", name="Weiter zur Anleitung").click()
    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_without_scripts_the_whole_job_is_done_in_german_too(links: dict[str, str], people: People) -> None:
    page = people.page(locale="de-DE", java_script_enabled=False)
    page.goto(links["english"])
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Teilnehmen").click()
    page.get_by_role("link", name="Weiter zur Anleitung").click()
    page.get_by_role("group", name="auf einem Schild").get_by_label("Richtung 1:").check()
    page.get_by_role("group", name="verrät, wer oder wo das ist").get_by_label("Richtung 10:").check()
    page.get_by_role("button", name="Mit dem Bewerten beginnen").click()
    for n in range(1, N_PLANNED + 1):
        expect(page.get_by_text(f"Bildpaar {n} von {N_PLANNED}")).to_be_visible()
        page.get_by_role("radio", name="7").check()
        page.get_by_role("button", name="Bestätigen").click()
    expect(page.get_by_role("heading", name="Vielen Dank")).to_be_visible()


def test_what_was_not_sent_is_counted_in_the_grammar_of_each_language(links: dict[str, str], people: People) -> None:
    said = {
        "de-DE": [
            "1 Antwort noch nicht gesendet, neuer Versuch läuft",
            "2 Antworten noch nicht gesendet, neuer Versuch läuft",
        ],
        "ar": ["إجابة واحدة لم تُرسل بعد، نعيد المحاولة", "إجابتان لم تُرسلا بعد، نعيد المحاولة"],
    }
    people.provokes(NO_SERVER)
    for locale, unsent in said.items():
        page = people.page(locale=locale)
        begin(page, people.site, links["english"])
        page.route("**/answer/", lambda route: route.abort())
        for words in unsent:
            ready(page)
            page.keyboard.press("5")
            page.keyboard.press("Enter")
            expect(page.locator("[data-status]")).to_have_text(words)
        page.unroute("**/answer/")


def test_a_page_whose_words_did_not_come_works_in_english(links: dict[str, str], people: People) -> None:
    people.provokes(NO_SERVER)
    page = people.page(locale="de-DE")
    page.route(re.compile(r"/words/de/"), lambda route: route.abort())
    begin(page, people.site, links["english"])
    rate(page, f"Pair 1 of {N_PLANNED}", 3)
    expect(page.get_by_text("All answers saved")).to_be_visible()


# From right to left -------------------------------------------------------------------------------------------------


def left_of(page: Page, selector: str) -> float:
    box = page.locator(selector).first.bounding_box()
    assert box
    return box["x"]


# Words in Latin letters that the page says, but for what stands on keys and what is marked as another language.
LATIN = """() => {
  const silent = "kbd, code, script, style, template, textarea, [lang]:not([lang=ar])";
  const said = [];
  const hear = (node) => {
    if (node.nodeType === Node.TEXT_NODE) said.push(node.textContent);
    if (node.nodeType !== Node.ELEMENT_NODE || node.matches(silent)) return;
    for (const name of ["aria-label", "aria-valuetext", "alt"]) said.push(node.getAttribute(name) ?? "");
    node.childNodes.forEach(hear);
  };
  hear(document.body);
  return said.join(" ").match(/[A-Za-z]{2,}/g) ?? [];
}"""


def test_a_person_with_an_arabic_browser_does_the_whole_job_from_right_to_left(
    site: Site, links: dict[str, str], people: People
) -> None:
    page = people.page(locale="ar", viewport={"width": 1280, "height": 800})
    page.goto(links["english"])
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    expect(page.get_by_text("ترجمت آلةٌ هذه الصفحة")).to_be_visible()
    begin_in_arabic(page, links["english"])
    expect(page.get_by_text("ترجمت آلةٌ هذه الصفحة")).to_be_visible()
    assert left_of(page, "input[value='1']") > left_of(page, "input[value='10']")
    assert left_of(page, "[data-side=original]") < left_of(page, "[data-side=anonymized]")  # as for everybody
    for n in range(1, N_PLANNED + 1):
        expect(page.locator("[data-question]")).to_have_attribute("dir", "ltr")
        assert page.evaluate(LATIN) == []
        rate(page, f"الزوج {n} من {N_PLANNED}", 11 - n)
    expect(page.get_by_role("heading", name="شكرًا لك")).to_be_visible()
    expect(page.get_by_text("ترجمت آلةٌ هذه الصفحة")).to_be_visible()
    assert newest(site, "english") == ("en", "en", [10, 9, 8, 7])


def test_the_arrows_choose_the_next_score_in_arabic_too(links: dict[str, str], people: People) -> None:
    page = people.page(locale="ar")
    begin(page, people.site, links["english"])
    page.keyboard.press("5")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="6", exact=True)).to_be_checked()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("radio", name="5", exact=True)).to_be_checked()


def test_every_key_works_on_an_arabic_keyboard(links: dict[str, str], people: People) -> None:
    page = people.page(locale="ar")
    begin(page, people.site, links["english"])
    keyboard = page.context.new_cdp_session(page)

    def press(key: str, code: str) -> None:
        for kind in ("keyDown", "keyUp"):
            keyboard.send("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": code})

    press("٧", "Digit7")  # noqa: RUF001
    expect(page.get_by_role("radio", name="7", exact=True)).to_be_checked()
    press("ص", "KeyW")
    expect(page.get_by_role("button", name="سحب")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Enter")
    ready(page)
    press("ع", "KeyU")
    expect(page.get_by_role("radio", name="7", exact=True)).to_be_checked()
    press("؟", "Slash")
    expect(page.get_by_role("heading", name="المفاتيح")).to_be_visible()


def test_pictures_are_compared_and_enlarged_in_arabic_as_everywhere(links: dict[str, str], people: People) -> None:
    page = people.page(locale="ar", viewport={"width": 1280, "height": 800})
    begin(page, people.site, links["english"])
    page.get_by_role("button", name="سحب").click()
    divider = page.get_by_role("slider", name="الخط الفاصل")
    expect(divider).to_have_attribute("aria-valuetext", "50 % الأصل، 50 % مُخفاة الهوية")
    middle = divider.bounding_box()
    window = page.locator("[data-side=original] .window").bounding_box()
    assert middle
    assert window
    assert middle["x"] + middle["width"] / 2 == pytest.approx(window["x"] + window["width"] / 2, abs=2)
    divider.focus()
    page.keyboard.press("PageUp")
    expect(divider).to_have_attribute("aria-valuenow", "60")
    moved = divider.bounding_box()
    assert moved
    assert moved["x"] > middle["x"]
    page.mouse.move(moved["x"] + moved["width"] / 2, moved["y"] + 40)
    page.mouse.down()
    page.mouse.move(window["x"] + window["width"] / 4, moved["y"] + 40)
    page.mouse.up()
    expect(divider).to_have_attribute("aria-valuenow", "25")
    page.get_by_role("button", name="جنبًا إلى جنب").click()
    stays_under_the_mouse(page)


def stays_under_the_mouse(page: Page) -> None:
    """What lies under the mouse stays there while the wheel enlarges it."""
    image = page.locator("[data-side=anonymized] img")
    box = image.bounding_box()
    assert box
    at = box["x"] + box["width"] * 0.75
    page.locator("[data-pair]").focus()
    page.mouse.move(at, box["y"] + box["height"] / 2)

    def enlarged() -> float:
        """How far across the picture the mouse points after another turn of the wheel."""
        zoom = page.locator("[data-zoom]")
        before = zoom.inner_text()
        page.mouse.wheel(0, -200)
        expect(zoom).not_to_have_text(before)
        larger = image.bounding_box()
        assert larger
        return (at - larger["x"]) / larger["width"]

    enlarged()  # the windows grow with their pictures until they fill their place
    enlarged()
    assert enlarged() == pytest.approx(enlarged(), abs=0.01)


@pytest.mark.parametrize("locale", ["ar", "de-DE"])
def test_no_page_is_wider_than_a_phone(links: dict[str, str], people: People, locale: str) -> None:
    page = people.page(locale=locale, viewport={"width": 360, "height": 740})
    page.goto(links["english"])
    fits(page)
    begin(page, people.site, links["english"])
    fits(page)
    rating = page.url
    for name in ("instructions", "your-data", "rest"):
        page.goto(f"{rating}{name}/")
        fits(page)


def fits(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 360, page.url
    clipped = "each => [...each].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.trim())"
    assert page.locator("button:visible, .button:visible").evaluate_all(clipped) == []


# Researchers --------------------------------------------------------------------------------------------------------


def test_the_researchers_pages_speak_english_to_a_german_browser(site: Site, project: str, people: People) -> None:
    page = people.page(locale="de-DE")
    page.goto(f"{site.url}/login/")
    page.get_by_label("Benutzername").fill("boss")
    page.get_by_label("Passwort").fill(PASSWORD)
    page.get_by_role("button", name="Anmelden").click()
    expect(page.get_by_role("heading", name="Willkommen, boss")).to_be_visible()
    page.get_by_role("link", name=project, exact=True).click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_role("link", name="Set up a study")).to_be_visible()
    page.goto(f"{site.url}/admin/")
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_a_researcher_supplies_a_language_beside_the_studys_own(
    site: Site, project: str, links: dict[str, str], people: People, tmp_path: Path
) -> None:
    page = people.page()
    page.goto(f"{site.url}/login/")
    page.get_by_label("Username").fill("boss")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name=project, exact=True).click()
    page.get_by_role("link", name="english").first.click()
    page.get_by_role("link", name="Wording").click()
    page.get_by_role("link", name="Arabic, not supplied").click()
    expect(page.get_by_text(QUESTION)).to_be_visible()
    fields = page.locator("form.card input[type=text], form.card textarea")
    expect(fields).to_have_count(len(GERMAN))
    for field in fields.all():
        expect(field).to_have_attribute("dir", "rtl")
        field.fill("نص")
    page.get_by_role("button", name="Save the wording").click()
    expect(page.get_by_text("The wording is saved.")).to_be_visible()
    reader = people.page(locale="ar")
    reader.goto(links["english"])
    expect(reader.locator(".prose")).to_have_text("نص")
