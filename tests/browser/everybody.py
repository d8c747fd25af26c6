"""Studies in every state that people who rate can meet, over drawn pictures, and what is done to them meanwhile."""

import csv
import json
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD, Site, expect_ready_to_rate, shell

N_PLANNED = 4
SIZE = (800, 600)
SETUP = """
import json
from django.contrib.auth.models import User
from django.db.models import F
from annotation.studies.invitations import invite, revoke_invitation
from annotation.studies.life import change_state
from annotation.studies.setup import begin_campaign, create_study
from annotation.studies.wording import standard_wording
from annotation.watching.roles import PairRole, give_role
from datasets.models.projects import Membership, Project
project = Project.objects.get(slug=slug)
links, ids = {}, {}

def begin(name, mode="HA2", campaign=None, pairs=project.pairs.all(), **fields):
    campaign = campaign or begin_campaign(project, name)
    plan = {"goal": 50, "session_size": 4, "n_warm_up": 0, "repeat_percent": 0}
    study = create_study(project, campaign=campaign, name=name, mode=mode, pairs=pairs, **plan | fields)
    links[name], ids[name] = invite(study).token, str(study.public_id)
    return study

def opened(*args, **fields):
    study = begin(*args, **fields)
    change_state(study, "open")
    return study

panel = {"completion_code": "C1X9-DONE", "completion_url": "https://panel.example/done"}
pairs = opened("Pairs", asks_who=True, person_limit=6, **panel)
opened("Pictures", mode="HA1", session_size=2)
opened("Few", pairs=project.pairs.filter(method="mask"), goal=1, session_size=2, window=1)
opened("Full").items.update(n_held=F("goal"), n_rated=F("goal"))
change_state(opened("Closed"), "closed")
revoke_invitation(revoked := invite(pairs))
links["Revoked"] = revoked.token
both = begin_campaign(project, "Both")
opened("Both pictures", mode="HA1", campaign=both)
opened("Both pairs", campaign=both, session_size=6)
words = {"question": "Wie anonym ist das Bild?", "low_label": "gar nicht", "high_label": "vollkommen"}
words = standard_wording("HA2") | words
asked = begin("Asked", language="de", wording=words, n_practice=1, n_checks=1, session_size=4)
practice, check = asked.items.order_by("pk")[:2]
give_role(asked, practice, PairRole("practice", expected_low=2, expected_high=4))
give_role(asked, check, PairRole("check", instructed_score=3))
change_state(asked, "open")
anna, is_new = User.objects.get_or_create(username="anna")
if is_new:
    anna.set_password(password)
    anna.save()
Membership.objects.create(project=project, user=anna, role="annotator")
print(json.dumps([links, ids]))
"""
STORED = """
import json
from annotation.models.people import Participation
from annotation.models.ratings import Rating, Remark, Report
mine = Participation.objects.filter(study__name="{study}").latest("pk")
ratings = Rating.objects.filter(assignment__participation=mine).order_by("assignment__position")
scores = [list(rating.revisions.values_list("score", flat=True)) for rating in ratings]
notes = list(Remark.objects.filter(rating__in=ratings).values_list("note", flat=True))
reports = list(Report.objects.filter(assignment__participation=mine).values_list("kind", flat=True))
print(json.dumps([scores, notes, reports]))
"""


def open_studies(site: Site, project: str, folder: Path) -> dict[str, str]:
    """The addresses of the invitations to each, by its name; with "member ", of its page for people with a log-in."""
    site.manage("import_pairs", str(write_pairs(folder)), "--project", project)
    links, ids = json.loads(shell(site, f"slug, password = {project!r}, {PASSWORD!r}\n{SETUP}"))
    members = {f"member {name}": f"{site.url}/studies/{public_id}/take-part/" for name, public_id in ids.items()}
    return {name: f"{site.url}/join/{token}/" for name, token in links.items()} | members


def write_pairs(folder: Path) -> Path:
    rows = [["original", "anonymized", "source", "method", "scope"]]
    for n in range(6):
        original = Image.radial_gradient("L").resize(SIZE).convert("RGB")
        original.paste((255, 255, 255), (0, 0, 40 * n, 40))
        original.save(folder / f"secret-{n}-original.jpg")
        original.point(lambda value: 255 - value).save(folder / f"secret-{n}-blurred.jpg")
        method = "blur" if n > 1 else "mask"
        rows.append([f"secret-{n}-original.jpg", f"secret-{n}-blurred.jpg", "drawn", method, "global"])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "manifest.csv"


def do(site: Site, code: str) -> None:
    """As a researcher or an admin would, meanwhile."""
    shell(site, f"from annotation.models.people import *; from annotation.models.studies import *; {code}; print(1)")


def stored(site: Site, study: str) -> Any:
    """Of the newest person in a study: each score with what it was changed to, notes, and reasons of skips."""
    return json.loads(shell(site, STORED.replace("{study}", study)))


def expect_pair(page: Page, n: int, *, noun: str = "Pair", of: int = N_PLANNED) -> None:
    expect(page.locator("[data-progress-text]")).to_have_text(f"{noun} {n} of {of}")
    expect_ready_to_rate(page)


def answer(page: Page, key: str = "5") -> None:
    page.keyboard.press(key)
    page.keyboard.press("Enter")


def saved(page: Page) -> None:
    expect(page.get_by_text("All answers saved")).to_be_visible()
