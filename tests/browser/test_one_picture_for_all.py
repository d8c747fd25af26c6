"""What people see is what is measured and learnt: the screen beside the tensor that a network gets."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import expect

from scoring.perceptanon.data import Pictures
from tests.browser.conftest import People, Site, expect_ready_to_rate, shell
from tests.colours import ADOBE_LIKE, DISPLAY_P3
from tests.datasets.test_colours import GAMMA, P3_CHROMATICITIES, SCREEN_GAMMA
from tests.datasets.test_pictures import after_header, saved

pytestmark = pytest.mark.browser

SIDE = 256  # pixels of each picture, so that neither the page nor the network resizes it
SEEN = 3  # of 255: what a JPEG's two decoders may differ by
STUDY = """
import json
from annotation.studies import invitations, life, setup
from datasets.models.projects import Project
project = Project.objects.get(slug="{slug}")
campaign = setup.begin_campaign(project, "colours")
pairs = project.pairs.filter(source__name="colours")
fields = dict(mode="HA1", goal=5, session_size={n}, n_warm_up=0, repeat_percent=0)
study = setup.create_study(project, campaign=campaign, name="colours", pairs=pairs, **fields)
life.change_state(study, "open")
print(json.dumps(invitations.invite(study, kind="many").token))
"""
SHOWN = """
import json
from annotation.models.ratings import Assignment
shown = Assignment.objects.filter(participation__public_id="{person}").order_by("position")
print(json.dumps([[each.item.pair.anonymized_path, each.item.pair.anonymized.display.name] for each in shown]))
"""


def swatches(seed: int) -> Image.Image:
    """Colours in squares of 64 pixels, none like another."""
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((SIDE, SIDE), Image.Resampling.NEAREST)


def half_clear(seed: int) -> Image.Image:
    image = swatches(seed).convert("RGBA")
    alpha = Image.new("L", image.size, 255)
    ImageDraw.Draw(alpha).rectangle((0, 0, 127, 255), fill=0)
    ImageDraw.Draw(alpha).rectangle((128, 0, 191, 255), fill=128)
    image.putalpha(alpha)
    return image


def turned(seed: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(swatches(seed), "JPEG", quality=100, subsampling=0, exif=exif)


KINDS: dict[str, Callable[[], bytes]] = {
    "p3.png": lambda: saved(swatches(1), "PNG", icc_profile=DISPLAY_P3),
    "p3.jpg": lambda: saved(swatches(2), "JPEG", quality=100, subsampling=0, icc_profile=DISPLAY_P3),
    "adobe.png": lambda: saved(swatches(3), "PNG", icc_profile=ADOBE_LIKE),
    "adobe.webp": lambda: saved(swatches(4), "WEBP", lossless=True, icc_profile=ADOBE_LIKE),
    "gamma.png": lambda: after_header(saved(swatches(5), "PNG"), GAMMA),
    "chromaticities.png": lambda: after_header(saved(swatches(6), "PNG"), SCREEN_GAMMA, P3_CHROMATICITIES),
    "half.png": lambda: saved(half_clear(7), "PNG"),
    "half.webp": lambda: saved(half_clear(8), "WEBP", lossless=True),
    "inks.jpg": lambda: saved(swatches(9).convert("CMYK"), "JPEG", quality=100, subsampling=0),
    "turned.jpg": lambda: turned(10),
    "plain.png": lambda: saved(swatches(11), "PNG"),
}


def test_every_kind_of_picture_is_on_the_screen_as_the_network_gets_it(
    site: Site, project: str, people: People, tmp_path: Path
) -> None:
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        rows = [["anonymized", "group", "source"], *([name, name, "colours"] for name in KINDS)]
        csv.writer(file).writerows(rows)
    for name, build in KINDS.items():
        (tmp_path / name).write_bytes(build())
    site.manage("import_pairs", str(tmp_path / "manifest.csv"), "--project", project)
    token = json.loads(shell(site, STUDY.format(slug=project, n=len(KINDS))))
    page = people.begin(f"{site.url}/join/{token}/", viewport={"width": 1280, "height": 900})
    person = page.locator("form[data-participation]").get_attribute("data-participation")
    tensors, different = Pictures(site.var / "media", SIDE), {}
    for n in range(1, len(KINDS) + 1):
        expect(page.locator("[data-progress-text]")).to_have_text(f"Picture {n} of {len(KINDS)}")
        expect_ready_to_rate(page)
        name, display = json.loads(shell(site, SHOWN.format(person=person)))[n - 1]
        image = page.locator(".picture img").first
        box = image.bounding_box()
        assert box
        assert (box["width"], box["height"]) == (SIDE, SIDE)
        on_screen = np.asarray(Image.open(io.BytesIO(image.screenshot())).convert("RGB"), dtype=int)
        learnt = tensors[display].permute(1, 2, 0).numpy().astype(int)
        inner = np.s_[4:252, 4:252]  # the screenshot's edges may fall between pixels of the screen
        different[name] = int(np.abs(at_middles(on_screen) - at_middles(learnt)).max())
        assert on_screen[inner].std() > 20  # a picture, not the page around it
        page.keyboard.press("5")
        page.keyboard.press("Enter")
    assert set(different) == set(KINDS)
    assert {name: worst for name, worst in different.items() if worst > SEEN} == {}


def at_middles(pixels: np.ndarray) -> np.ndarray:
    """The swatches' colours, away from their edges, where the screen may lie half a pixel beside the picture."""
    return pixels[32::64, 32::64][:4, :4]
