"""A small site's database as SQL, kept with each version: from it every later version is upgraded in a test.

`make dump` runs this on both databases and writes tests/upgrades/VERSION/ (docs/contributors.md says when). The site
comes about as any does, by `manage.py` and by what browsers send, so that this hardly leans on the modules of the day.
A program makes up all pictures and answers; no person is in it.
"""

import csv
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

UPGRADES = Path(__file__).parent
REPOSITORY = UPGRADES.parents[1]
PROJECT = "drawings"
HA1, HA2 = f"{PROJECT}/rooms/HA1", f"{PROJECT}/rooms/HA2"
FIRST, LATER = range(12), range(12, 14)  # originals, as they are imported
METHODS = ("mask", "blur")
WIDTH, HEIGHT = 48, 32
# By original: before a study opens, and after that.
ROLES: dict[int, dict[str, Any]] = {
    0: {"role": "practice", "expected": 9, "tolerance": 1, "direction": "near"},
    1: {"role": "check", "instructed_score": 4},
    2: {"role": "check", "instructed_score": 8},
}
LATER_ROLES: dict[int, dict[str, Any]] = {3: {"role": "check", "expected": 2, "tolerance": 0, "direction": "at_most"}}
UNDERSTOOD = {"badge": "low", "original_tells": "high", "nothing_left": "high"}
SCREEN = {"viewport_width": 1280, "viewport_height": 720, "pixel_ratio": 1, "picture_width": 560}
LOOKED = {"zoom": 2, "picture_width": 560, "stage_width": 1200, "stage_height": 500} | {
    name: SCREEN[name] for name in ("viewport_width", "viewport_height", "pixel_ratio")
}


def main() -> None:
    """Write the dump of a site in a new database beside the one that DATABASE_URL names, which is not touched."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"  # its secrets: the tests can go on with what was signed
    import django

    django.setup()
    from django.db import connection
    from django.test.utils import setup_test_environment

    target = UPGRADES / version() / f"{connection.vendor}.sql"
    if target.exists():
        sys.exit(f"{target} is there: the dump of a version never changes. Raise the version in pyproject.toml first.")
    setup_test_environment()  # pages tell what they were rendered from
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    with tempfile.TemporaryDirectory() as folder:
        build_site(Path(folder))
        lines = {"sqlite": sqlite_lines, "postgresql": postgresql_lines}[connection.vendor](connection)
        text = without_paths("".join(lines), Path(folder))
    target.parent.mkdir(exist_ok=True)
    target.write_text(text)
    write_pictures(target.with_name("pictures.zip"))
    connection.creation.destroy_test_db(name, verbosity=0)
    shutil.rmtree(os.environ["STUDIO_VAR"])


def version() -> str:
    return str(tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"])


# The site ----------------------------------------------------------------------------------------------------------


def build_site(folder: Path) -> None:
    """A project with a release, a trained model, and studies in every state."""
    hosts_start()
    project(folder)
    studies(folder)
    people_rate()
    judge()
    release()
    others_come_and_go()
    more_pairs(folder)
    another_project_closes()


def hosts_start() -> None:
    """What a web host and a worker leave of themselves."""
    from datasets import hosts, workers

    hosts.check_in()
    workers.appear(["short", "train"])


def project(folder: Path) -> None:
    from django.contrib.auth import get_user_model

    for name in ("ada", "ben", "cleo"):
        get_user_model().objects.create_user(name)  # without a password: nobody logs in with it
    members = ["ada:admin", "ben:researcher", "cleo:annotator"]
    manage("create_project", PROJECT, name="Drawings", member=members)
    manage("import_pairs", write_pairs(folder, FIRST), project=PROJECT)
    facts = {"licence": "CC0-1.0", "citation": "Drawn by a program.", "legal_basis": "Nobody is in them."}
    manage("source", PROJECT, "drawn", **facts)


def write_pairs(folder: Path, numbers: range) -> Path:
    """Originals with two versions each, and the manifest that names them."""
    from PIL import Image

    rows = []
    for n in numbers:
        original, where = Image.new("RGB", (WIDTH, HEIGHT), (9 * n, 80, 160)), (n, 2, n + 9, 12)
        original.paste((200, 15 * n, 40), where)
        original.save(folder / f"room{n}.png")
        for strength, method in enumerate(METHODS, start=1):
            hidden = original.copy()
            hidden.paste((60 * strength, 60, 15 * n), where)
            hidden.save(folder / f"room{n}-{method}.png")
            facts = ["drawn", method, "local", json.dumps({"strength": strength})]
            rows.append([f"room{n}.png", f"room{n}-{method}.png", *facts])
    columns = ["original", "anonymized", "source", "method", "scope", "parameters"]
    return write_csv(folder / "manifest.csv", columns, rows)


def studies(folder: Path) -> None:
    """An HA1 and an HA2 study of one campaign that use all there is, and three small ones in other states."""
    session = {"goal": 3, "session_size": 14, "practice": 1, "warm_up": 1, "checks": 3, "repeats": 15}
    session |= {"repeat_distance": 3, "spacing": 2, "lease_seconds": 3600, "ask_who": True, "ask_cues": True}
    end = {"completion_code": "ROOMS-7", "completion_url": "https://panel.example/done"}
    for mode, further in (("HA1", {"limit": 24}), ("HA2", {"side": "balanced"} | end)):
        name = f"{PROJECT}/rooms/{mode}"
        manage("create_study", f"Rooms, {mode}", project=PROJECT, campaign="Rooms", mode=mode, **session | further)
        manage("give_roles", name, roles_file(folder, ROLES))
        manage("study", name, wording=json_file(folder, {"question": "How anonymous is this room?"}))
        manage("quality", name, preregistration=json_file(folder, {"headline": "ordinal", "failed_instructions": 2}))
        manage("study", name, step="open")
        manage("give_roles", name, roles_file(folder, LATER_ROLES))
    texts = model("annotation.StudyText").filter(study=named(HA2), version=1)
    german = {kind: f"{kind} (deutsch)" for kind in texts.values_list("kind", flat=True)}
    manage("study", HA2, wording=json_file(folder, german), language="de")
    manage("study", HA2, goal=4, reason="More certainty.")
    manage("quality", HA2, preregistration=json_file(folder, {"failed_instructions": 1}), reason="Two were too many.")
    for name, rules in (("Draft", {}), ("Paused", {}), ("By a model", {"adaptive_stop": True, "core": 50})):
        manage("create_study", name, project=PROJECT, campaign=name, mode="HA2", **rules)
    manage("study", f"{PROJECT}/paused/HA2", step="open")
    manage("study", f"{PROJECT}/paused/HA2", step="pause", reason="A holiday.")
    manage("study", f"{PROJECT}/by-a-model/HA2", step="open")
    by_the_page()


def by_the_page() -> None:
    """A study set up on the page, with what its form begins with."""
    page, browser = f"/projects/{PROJECT}/studies/new/", logged_in("ben")
    shown = browser.get(page)
    fields = {field.name: field.value() for field in shown.context["form"]}
    fields |= dict(re.findall(r'type="hidden" name="(once)" value="([^"]+)"', shown.content.decode()))
    form = {name: value for name, value in fields.items() if value is not None and value is not False}
    chosen = {"name": "By the page", "campaign": "new", "new_campaign": "By the page", "mode": "HA1", "language": "en"}
    expect(browser.post(page, form | chosen), 302)
    manage("study", f"{PROJECT}/by-the-page/HA1", step="open")


def people_rate() -> None:
    """Whole sessions; one of them is contrary, one skips, one changes an answer and one marks what tells."""
    way_in = manage("study", HA2, invite="many", note="for the panel").strip()
    for n in range(3):
        Person(way_in).rate(14, score=lambda pair, n=n: 1 + (3 * pair + n) % 10)
    contrary, careful = Person(way_in), Person(way_in)
    contrary.rate(14, score=lambda pair: 1)
    careful.skip("cannot_tell", note="It is all one colour.")
    careful.rate(3, score=lambda pair: 6, note="The window tells.", knows="maybe", cues=boxes(2))
    careful.change(8, cues=boxes(1))
    Person(way_in, language="de").rate(4, score=lambda pair: 7)
    way_in = manage("study", HA1, invite="many").strip()
    for n in range(3):
        Person(way_in).rate(14, score=lambda pair, n=n: 1 + (pair + n) % 10, cues=boxes(n))
    Person(f"/studies/{named(HA1).public_id}/take-part/", browser=logged_in("cleo")).rate(5, score=lambda pair: 5)
    distressed = Person(manage("study", HA1, invite="personal", note="by post").strip())
    distressed.skip("distressing")
    distressed.rate(2, score=lambda pair: 3)
    item = model("annotation.Report").get(kind="distressing").assignment.item_id
    address = f"/studies/{named(HA1).public_id}/items/{item}/withdraw/"
    expect(logged_in("ben").post(address, {"reason": "It distressed somebody."}), 302)
    for name in ("by-the-page/HA1", "by-a-model/HA2"):
        Person(manage("study", f"{PROJECT}/{name}", invite="many").strip()).rate(4, score=lambda pair: 4)


def judge() -> None:
    """What workers find, and what a person decides of it."""
    for name in (HA1, HA2):
        manage("quality", name, check=True)
    first, second, _, contrary, *_ = names_in(HA2)
    manage("quality", HA2, person=contrary, use="no", reason="Chose 1 whatever was asked for.")
    manage("quality", HA2, person=contrary, pay="no", reason="Twice chose another score than was asked for in words.")
    manage("quality", HA2, person=first, settle=True, reason="Looked at; nothing is wrong.")
    manage("quality", HA2, person=second, use="no", reason="A mistake.")
    manage("quality", HA2, person=second, use="yes", reason="It was another person.")


def release() -> None:
    """Of HA2, with a rating set aside; with everything that is computed from it."""
    manage("freeze_study", HA2)
    released = f"{PROJECT}/rooms-ha2"
    manage("export_release", released)
    manage("score_baselines", released)
    manage("train_release", released, backbone="tiny", weights="random", size=32, epochs=2, batch_size=8)
    run = str(model("scoring.TrainingRun").get().public_id)
    manage("compare", run)
    manage("use_checkpoint", run)


def others_come_and_go() -> None:
    """After the release somebody leaves by their code, and somebody is erased: it has notices now."""
    way_in = manage("study", HA2, invite="many").strip()
    leaving = Person(way_in)
    leaving.rate(3, score=lambda pair: 9)
    expect(leaving.browser.post("/withdraw/", {"code": leaving.code, "confirm": "yes"}), 302)
    manage("erase_participation", HA2, names_in(HA2)[2])
    manage("study", HA2, revoke=way_in.rstrip("/").rpartition("/")[2])
    Person(manage("study", HA2, invite="many").strip()).rate(2, score=lambda pair: 5)
    manage("study", HA2, completion=["ROOMS-8", "https://panel.example/done"], reason="A new wave.")


def more_pairs(folder: Path) -> None:
    """An import that fails, and one by which a study grows."""
    from django.core.management import CommandError

    with suppress(CommandError):
        manage("import_pairs", write_csv(folder / "missing.csv", ["anonymized"], [["missing.png"]]), project=PROJECT)
    manage("import_pairs", write_pairs(folder, LATER), project=PROJECT)
    manage("pairs", PROJECT, model("datasets.Pair").latest("number").number, scope="full")
    manage("study", HA1, add_pairs=True)


def another_project_closes() -> None:
    manage("create_project", "over", name="Over", member=["ada:admin"])
    manage("close_project", "over")


class Person:
    """Somebody who rates, by what their browser sends."""

    def __init__(self, way_in: str, *, browser: Any = None, language: str = "en") -> None:
        from django.test import Client

        self.browser = browser or Client(headers={"accept-language": language})
        consent = re.search(r'name="consent" value="([\w.-]+)"', self.browser.get(way_in).content.decode())
        assert consent, f"nobody can begin at {way_in}"
        agreed = self.browser.post(way_in, {"consent": consent[1], "agree": "on"})
        self.page = expect(agreed, 302)["Location"].removesuffix("your-data/")
        said = UNDERSTOOD | {"screen": json.dumps(SCREEN)}
        expect(self.browser.post(f"{self.page}instructions/", said), 302)
        self.n_rated, self.leases = 0, self._turn()

    @property
    def code(self) -> str:
        shown = self.browser.get(f"{self.page}your-data/").content.decode()
        return re.findall(r">([0-9A-Z]{4}(?:-[0-9A-Z]{4}){2})<", shown)[0]

    def rate(self, n: int, *, score: Callable[[int], int], **beside: Any) -> None:
        """So many pairs, or until none is left; `score` by what they have rated before."""
        for _ in range(n):
            if not self.leases:
                return
            self.last = {"assignment": self.leases[0]["assignment"], "score": score(self.n_rated), **beside}
            way = "side" if len(self.leases[0]["pictures"]) == 2 else "single"
            times = {"seconds": 2.5 + self.n_rated, "viewing": LOOKED | {"seconds": {way: 2.5 + self.n_rated}}}
            self.leases = self._turn(self.last | times)
            self.n_rated += 1

    def skip(self, kind: str, *, note: str = "") -> None:
        self.leases = self._turn({"assignment": self.leases[0]["assignment"], "skips": kind, "note": note})

    def change(self, score: int, **beside: Any) -> None:
        """Their last answer."""
        self._turn(self.last | {"score": score, "revises": True, "seconds": 1.5, **beside})

    def _turn(self, *answers: dict[str, Any]) -> list[dict[str, Any]]:
        """Send answers; the pairs that come next."""
        keyed = [{"key": str(uuid4())} | answer for answer in answers]
        shown = self.leases[1]["assignment"] if answers and len(self.leases) > 1 else None
        body = {"answers": keyed, "painted": shown}
        said = self.browser.post(f"{self.page}answer/", body, content_type="application/json")
        return list(expect(said, 200).json()["leases"])


def boxes(n: int) -> list[dict[str, Any]]:
    return [{"kind": "text", "x": 2 * k, "y": k, "width": 6 + k, "height": 5} for k in range(n)]


def manage(command: str, *args: Any, **options: Any) -> str:
    """`manage.py COMMAND`; what it says."""
    from io import StringIO

    from django.core.management import call_command

    said = StringIO()
    call_command(command, *map(str, args), stdout=said, stderr=StringIO(), **options)
    return said.getvalue()


def model(label: str) -> Any:
    from django.apps import apps

    return apps.get_model(label).objects


def named(study: str) -> Any:
    _, campaign, mode = study.split("/")
    return model("annotation.Study").get(campaign__slug=campaign, mode=mode)


def names_in(study: str) -> list[str]:
    """Of the people, as they came."""
    people = model("annotation.Participation").filter(study=named(study)).order_by("pk")
    return list(people.values_list("annotator__pseudonym", flat=True))


def logged_in(name: str) -> Any:
    from django.contrib.auth import get_user_model
    from django.test import Client

    browser = Client()
    browser.force_login(get_user_model().objects.get(username=name))
    return browser


def expect(response: Any, status: int) -> Any:
    said = response.content.decode()
    assert response.status_code == status, (response.status_code, re.findall(r"errorlist.*?</ul>", said) or said)
    return response


def roles_file(folder: Path, roles: dict[int, dict[str, Any]]) -> Path:
    rows = [[f"room{n}.png", f"room{n}-mask.png", *map(role.get, ROLE_COLUMNS)] for n, role in roles.items()]
    return write_csv(folder / "roles.csv", ["original", "anonymized", *ROLE_COLUMNS], rows)


ROLE_COLUMNS = ("role", "expected", "tolerance", "direction", "instructed_score")


def write_csv(path: Path, header: list[str], rows: list[list[Any]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def json_file(folder: Path, data: dict[str, Any]) -> Path:
    path = folder / "given.json"
    path.write_text(json.dumps(data))
    return path


# The dump ----------------------------------------------------------------------------------------------------------


def sqlite_lines(connection: Any) -> Iterator[str]:
    connection.close()  # and with it what stands in the write-ahead log only
    database = sqlite3.connect(connection.settings_dict["NAME"])
    yield from (f"{line}\n" for line in database.iterdump())
    database.close()


def postgresql_lines(connection: Any) -> Iterator[str]:
    """By pg_dump, without what another version or another server would not know: settings, owners, psql's commands."""
    connection.close()
    given = connection.settings_dict
    server = {
        "PGHOST": given["HOST"],
        "PGPORT": given["PORT"],
        "PGUSER": given["USER"],
        "PGPASSWORD": given["PASSWORD"],
    }
    dump = subprocess.run(
        ["pg_dump", "--no-owner", "--no-privileges", "--no-comments", "--rows-per-insert=50", given["NAME"]],
        env=os.environ | {name: str(value) for name, value in server.items() if value},
        capture_output=True,
        text=True,
        check=True,
    )
    left_out, in_text = ("--", "SET ", "SELECT pg_catalog.set_config(", "\\"), False
    for line in dump.stdout.split("\n"):
        if in_text or (line and not line.startswith(left_out)):
            in_text ^= line.count("'") % 2 == 1
            yield f"{line}\n"


def without_paths(text: str, folder: Path) -> str:
    """An import keeps the paths it was given; those of this machine are nobody's business."""
    return text.replace(str(folder.resolve()), "pairs").replace(str(folder), "pairs")


def write_pictures(path: Path) -> None:
    """The pictures' files below MEDIA_ROOT with the folder's mark, which the database knows, and no other."""
    from django.conf import settings

    from datasets.hosts import MARK

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in [settings.MEDIA_ROOT / MARK, *sorted((settings.MEDIA_ROOT / "pictures").rglob("*.*"))]:
            name = zipfile.ZipInfo(str(file.relative_to(settings.MEDIA_ROOT)))
            archive.writestr(name, file.read_bytes(), zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main()
