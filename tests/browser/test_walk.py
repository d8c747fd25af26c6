"""The whole way, as people walk it: pictures in, ratings, agreement, a release, its zip, a model, its comparison."""

import csv
import hashlib
import io
import json
import statistics
import zipfile
from pathlib import Path

import krippendorff
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from scipy import stats

from datasets.anonymize import anonymize
from datasets.demo_pictures import demo_originals, open_original
from datasets.splits import part_of
from tests.browser.conftest import People, Site, expect_ready_to_rate, log_in, refused, shell, start_rating, take_part
from tests.conftest import SHARED_DATA

pytestmark = pytest.mark.browser

N_PAIRS = 12
METHODS = [("mask", "global", None), ("blur", "global", 0.15), ("pixelate", "local", 8.0)]


@pytest.fixture(scope="module", autouse=True)
def _project(site: Site) -> None:
    site.manage("create_project", "faces", "--name", "Faces", "--member", "boss:researcher")


def faces() -> list[tuple[str, Image.Image]]:
    """Four real faces with their names; the demo's pictures where those are not at hand."""
    photos = sorted((SHARED_DATA / "london" / "neutral").glob("*.jpg"))[:4]
    if photos:
        return [(photo.stem, Image.open(photo).convert("RGB")) for photo in photos]
    return [(original.name, open_original(original)) for original in demo_originals()[:4]]


def zip_of_pairs(path: Path) -> Path:
    """Three versions of each of four faces, made by our own methods, with their manifest."""
    rows = [["original", "anonymized", "source", "method", "scope", "parameters"]]
    with zipfile.ZipFile(path, "w") as archive:
        for name, face in faces():
            region = (face.width // 4, face.height // 6, face.width * 3 // 4, face.height * 5 // 6)
            _add(archive, f"originals/{name}.jpg", face)
            for method, scope, strength in METHODS:
                hidden = anonymize(face, [region], method=method, scope=scope, strength=strength)
                _add(archive, f"{scope}_{method}/{name}.jpg", hidden)
                parameters = json.dumps({"strength": strength})
                rows.append(
                    [f"originals/{name}.jpg", f"{scope}_{method}/{name}.jpg", "faces", method, scope, parameters]
                )
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        archive.writestr("manifest.csv", text.getvalue())
    return path


def _add(archive: zipfile.ZipFile, name: str, picture: Image.Image) -> None:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    archive.writestr(name, file.getvalue())


def score_of(annotator: int, n: int) -> int:
    """What annotator 0, 1 or 2 says of their nth pair: all of 1 to 10 occur."""
    return (3 * n + 4 * annotator) % 10 + 1


def test_pictures_become_ratings_and_ratings_a_checked_release(site: Site, people: People, tmp_path: Path) -> None:
    researcher = people.page(viewport={"width": 1280, "height": 900})
    log_in(researcher, site)
    import_pairs(researcher, zip_of_pairs(tmp_path / "pairs.zip"))
    link = open_study(researcher, site)

    rate_by_keyboard(people.page(viewport={"width": 1280, "height": 800}), link, annotator=0)
    rate_with_a_rest(people, link, annotator=1)
    rate_without_script(people.page(java_script_enabled=False), link, annotator=2)

    watch_agreement(researcher, site)
    release = freeze_and_download(researcher, tmp_path)
    check_archive(release)
    people.provokes(refused(400))  # a recipe that splits badly
    train_on_the_release(researcher, seeds_that_split(researcher, tmp_path))
    compare_with_people(researcher, tmp_path)
    look_at_every_page_on_a_phone(researcher, site)


BEGIN_A_JOB = """
from datetime import timedelta
from django.utils import timezone
from datasets.models.jobs import Job
from datasets.models.projects import Project
now = timezone.now()
lease = {"state": Job.State.RUNNING, "queued_at": now, "leased_until": now + timedelta(hours=1)}
faces = Project.objects.get(slug="faces")
print(Job.objects.create(project=faces, kind="import_pairs", n_done=2, n_total=9, **lease).public_id)
"""
END_IT = (
    "from datasets.models.jobs import Job; "
    "print(Job.objects.filter(n_total=9).update(state='failed', error='A bad row.'))"
)


def test_a_watched_job_keeps_its_button_in_place_and_announces_only_its_end(site: Site, people: People) -> None:
    page = people.page()
    log_in(page, site)
    page.goto(f"{site.url}/jobs/{shell(site, BEGIN_A_JOB)}/")
    cancel, news = page.get_by_role("button", name="Cancel"), page.get_by_role("status")
    cancel.focus()
    for _ in range(2):  # the second look begins once the first is on the screen
        page.wait_for_event("requestfinished")
    expect(cancel).to_be_focused()
    expect(news).to_be_empty()
    shell(site, END_IT)
    expect(news).to_have_text("Import pairs: failed")
    expect(page.get_by_text("A bad row.")).to_be_visible()


# The researcher ----------------------------------------------------------------------------------------------------


def import_pairs(page: Page, archive: Path) -> None:
    page.get_by_role("link", name="Faces").click()
    page.get_by_role("link", name="Import pairs").click()
    page.get_by_label("Zip with manifest.csv").set_input_files(archive)
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text(f"{N_PAIRS} new pairs")).to_be_visible(timeout=30_000)


def open_study(page: Page, site: Site) -> str:
    page.goto(f"{site.url}/projects/faces/")
    page.get_by_role("link", name="Set up a study").click()
    page.get_by_label("Name", exact=True).fill("Faces beside originals")
    page.get_by_label("Name of the new campaign").fill("Faces 2026")
    page.get_by_label("Mode", exact=True).select_option("HA2")
    page.get_by_label("Ratings wanted per pair").fill("3")
    page.get_by_label("Pairs per session").fill(str(N_PAIRS))
    page.get_by_label("Warm-up pairs").fill("0")
    page.get_by_label("Repeats, in percent of the session").fill("0")
    page.get_by_role("button", name="Save as a draft").click()
    page.get_by_label("Question").fill("How anonymous is the person on the right?")
    page.get_by_role("button", name="Save the wording").click()
    page.get_by_role("link", name="Open for rating").click()
    page.get_by_label("to confirm").fill("faces-2026-HA2")
    page.get_by_role("button", name="Open for rating").click()
    expect(page.get_by_text("The study is Open now.")).to_be_visible()
    page.get_by_role("button", name="Make a link").click()
    return page.get_by_label("Link for many people").input_value()


def watch_agreement(page: Page, site: Site) -> None:
    """Alpha on the page is what the krippendorff package says of the ratings downloaded there."""
    page.reload()
    expect(page.get_by_text(f"{3 * N_PAIRS} of {3 * N_PAIRS} wanted (100 %)")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the ratings so far").click()
    rows = list(csv.DictReader(download.value.path().open()))
    assert len(rows) == 3 * N_PAIRS
    expected = alpha(rows, item="pair")
    assert float(page.locator("#alpha").get_attribute("data-alpha") or "nan") == pytest.approx(expected, abs=1e-6)
    expect(page.locator("#alpha")).to_have_text(f"{expected:.3f}")


def alpha(rows: list[dict[str, str]], *, item: str) -> float:
    items = sorted({row[item] for row in rows})
    annotators = sorted({row["annotator"] for row in rows})
    matrix = np.full((len(annotators), len(items)), np.nan)
    for row in rows:
        matrix[annotators.index(row["annotator"]), items.index(row[item])] = float(row["score"])
    return float(krippendorff.alpha(matrix, level_of_measurement="interval"))


def freeze_and_download(page: Page, folder: Path) -> Path:
    page.get_by_role("button", name="Freeze into a release").click()
    expect(page.get_by_text("has no licence and no citation")).to_be_visible()
    page.get_by_role("button", name="Freeze all the same").click()
    page.get_by_role("link", name="To the release").click(timeout=30_000)
    expect(page.get_by_role("heading", name="Faces beside originals, version 1")).to_be_visible()
    page.get_by_role("button", name="Make the zip").click()
    page.get_by_role("link", name="To the release").click(timeout=30_000)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the zip").click()
    download.value.save_as(folder / "release.zip")
    return folder / "release.zip"


def train_on_the_release(page: Page, seeds: dict[int, bool]) -> None:
    """The recipe form refuses a split that leaves a part empty; with another seed the run trains while we watch."""
    page.get_by_role("link", name="Train on this release").click()
    page.get_by_label("Backbone").select_option("tiny")
    page.get_by_label("Weights").select_option("random")
    page.get_by_label("Epochs").fill("6")
    page.get_by_label("Size", exact=True).fill("48")
    page.get_by_label("Batch size").fill("4")
    for seed, splits_well in seeds.items():
        page.get_by_label("Split seed", exact=True).fill(str(seed))
        page.get_by_role("button", name="Train", exact=True).click()
        if not splits_well:
            expect(
                page.get_by_role("listitem").filter(has_text="Too small to split by all: of 4 originals none")
            ).to_be_visible()
    expect(page.get_by_text("6 of 6 epochs")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("done", exact=True)).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Use this checkpoint").click()
    expect(page.get_by_text("In use for HA2 in Faces from now on.")).to_be_visible()


def seeds_that_split(page: Page, folder: Path) -> dict[int, bool]:
    """A split seed by which one of the three parts is empty, then one by which none is. Parts are made of the groups as
    they were imported, which the key of the release has."""
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the key to the rows").click()
    download.value.save_as(folder / "key.csv")
    groups = {row["group_as_imported"] for row in csv.DictReader((folder / "key.csv").open(encoding="utf-8"))}

    def splits_well(seed: int) -> bool:
        return len({part_of(group, seed=seed) for group in groups}) == 3

    return {next(seed for seed in range(1000) if splits_well(seed) == wanted): wanted for wanted in (False, True)}


def compare_with_people(page: Page, folder: Path) -> None:
    """Every number of the comparison page is what scipy makes of the predictions.csv that is downloaded there."""
    page.get_by_role("link", name="Compare with people").click(timeout=60_000)
    expect(page.get_by_text("The test part is too small to conclude anything")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download predictions.csv").click()
    download.value.save_as(folder / "predictions.csv")
    rows = [row for row in csv.DictReader((folder / "predictions.csv").open()) if row["split"] == "test"]
    assert rows
    mean = [float(row["score_mean"]) for row in rows]
    for column in ("prediction", "lookup", "psnr", "mse", "ssim"):
        said = [float(row[column]) for row in rows]
        for statistic, by_scipy in (("spearman", stats.spearmanr), ("kendall", stats.kendalltau)):
            cell = page.locator(f"[data-predictor={column}] [data-statistic={statistic}]").first
            if len(set(said)) == 1 or len(set(mean)) == 1:
                expect(cell).to_contain_text("undefined")
            else:
                shown = cell.locator("[data-figure]").get_attribute("data-figure")
                assert float(shown or "nan") == pytest.approx(by_scipy(said, mean).statistic, abs=1e-9)
    point_at_a_pair(page)


def point_at_a_pair(page: Page) -> None:
    point = page.locator("a.point").last  # drawn last: no other point lies over it
    point.hover()
    expect(page.get_by_text(f"Pair {point.get_attribute('data-pair')}, ").last).to_be_visible()
    picture = page.locator("[data-point-card] img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def look_at_every_page_on_a_phone(page: Page, site: Site) -> None:
    """No page of the project is wider than the screen; only the tables in it scroll sideways."""
    page.set_viewport_size({"width": 360, "height": 740})
    addresses = []
    for links in ("projects/faces/", "projects/faces/runs/"):
        page.goto(f"{site.url}/{links}")
        addresses += [page.url, *page.locator("main a").evaluate_all("links => links.map(link => link.href)")]
    for kind in ("/releases/", "/runs/", "/comparison/"):
        assert any(kind in address for address in addresses)
    for address in addresses:
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, address


def check_archive(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files["manifest.json"])
    listed = manifest["files"]
    assert set(files) == set(listed) | {"manifest.json", "SHA256SUMS"}
    for name, entry in listed.items():
        assert hashlib.sha256(files[name]).hexdigest() == entry["sha256"]
        assert len(files[name]) == entry["bytes"]
        if name.startswith("pictures/"):
            assert entry["sha256"] == Path(name).stem
    labels = list(csv.DictReader(io.StringIO(files["labels.csv"].decode())))
    ratings = list(csv.DictReader(io.StringIO(files["ratings.csv"].decode())))
    assert len(labels) == N_PAIRS
    for label in labels:
        scores = [float(row["score"]) for row in ratings if row["pair"] == label["pair"]]
        assert float(label["score_mean"]) == pytest.approx(statistics.fmean(scores), abs=1e-6)
        assert label["original_path"] in files
        assert label["anonymized_path"] in files
    assert json.loads(files["agreement.json"])["interval"]["alpha"] == pytest.approx(alpha(ratings, item="pair"))
    wording = {text["kind"]: text["body"] for text in json.loads(files["wording.json"])}
    assert wording["question"] == "How anonymous is the person on the right?"
    given = sorted(score_of(annotator, n) for annotator in range(3) for n in range(N_PAIRS))
    assert sorted(int(row["score"]) for row in ratings) == given


# The annotators ----------------------------------------------------------------------------------------------------


def begin(page: Page, link: str) -> None:
    take_part(page, link)
    expect(page.get_by_text("What the original is for")).to_be_visible()
    start_rating(page)


def wait_for_pair(page: Page, n: int) -> None:
    expect(page.get_by_text(f"Pair {n + 1} of {N_PAIRS}").first).to_be_visible()
    expect_ready_to_rate(page)
    for picture in ("Original picture", "Anonymized picture"):
        shown = page.get_by_role("img", name=picture)
        expect(shown).to_be_visible()
        assert shown.evaluate("image => image.complete && image.naturalWidth") > 0


def rate_by_keyboard(page: Page, link: str, *, annotator: int) -> None:
    begin(page, link)
    for n in range(N_PAIRS):
        wait_for_pair(page, n)
        score = score_of(annotator, n)
        page.keyboard.press("0" if score == 10 else str(score))
        expect(page.get_by_role("radio", name=str(score), exact=True)).to_be_checked()
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()


def rate_with_a_rest(people: People, link: str, *, annotator: int) -> None:
    """By mouse; stops after five pairs and comes back on another device by the return address."""
    page = people.page(viewport={"width": 390, "height": 780}, has_touch=True)
    begin(page, link)
    for n in range(5):
        click_score(page, n, annotator)
    expect(page.get_by_text(f"Pair 6 of {N_PAIRS}").first).to_be_visible()
    page.get_by_role("link", name="Stop for now").click()
    expect(page.get_by_text(f"5 of {N_PAIRS} answers are saved")).to_be_visible()
    address = page.get_by_label("To come back later").input_value()
    page.context.close()
    page = people.page()
    page.goto(address)
    for n in range(5, N_PAIRS):
        click_score(page, n, annotator)
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()


def click_score(page: Page, n: int, annotator: int) -> None:
    wait_for_pair(page, n)
    page.locator("label", has_text=str(score_of(annotator, n))).filter(
        has=page.get_by_role("radio", name=str(score_of(annotator, n)), exact=True)
    ).click()
    page.get_by_role("button", name="Confirm").click()


def rate_without_script(page: Page, link: str, *, annotator: int) -> None:
    begin(page, link)
    for n in range(N_PAIRS):
        expect(page.get_by_text(f"Pair {n + 1} of {N_PAIRS}").first).to_be_visible()
        page.get_by_role("radio", name=str(score_of(annotator, n)), exact=True).check(force=True)
        page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
