"""What the site never does: import torch, hide code where nobody looks, or start on settings that make no sense."""

import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parents[1]
APPS = ("config", "annotation", "datasets", "scoring")
ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
SETTINGS = {"SECRET_KEY": ALPHABET, "PSEUDONYM_KEY": ALPHABET[::-1]}

# Runs in an interpreter of its own: imports all that the site may import, and notes who asks for torch.
IMPORT_THE_SITE = """
import importlib, json, pkgutil, sys, traceback

class Watch:
    asked = []
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision"}:
            self.asked.append(name + " by " + traceback.extract_stack()[-2].filename)

sys.meta_path.insert(0, Watch())
import django
django.setup()
from django.urls import get_resolver
get_resolver().url_patterns
imported = []
for app in sys.argv[1:]:
    for module in pkgutil.walk_packages(importlib.import_module(app).__path__, app + "."):
        if not module.name.startswith(("scoring.perceptanon", "config.wsgi")):  # the latter is the start of a web host
            imported.append(importlib.import_module(module.name).__name__)
print(json.dumps({"asked": Watch.asked, "imported": imported, "loaded": "torch" in sys.modules}))
"""


def environment(folder: Path, **changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "LD_LIBRARY_PATH"}}
    return kept | SETTINGS | {"STUDIO_VAR": str(folder), "DJANGO_SETTINGS_MODULE": "config.settings"} | changes


def python_files() -> list[Path]:
    return [file for app in APPS for file in (ROOT / app).rglob("*.py") if "migrations" not in file.parts]


# Code -------------------------------------------------------------------------------------------------------------


def test_the_drawings_of_the_rooms_are_the_contracts() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    held = [each["layers"] for each in contracts if each["type"] == "layers"]
    blocks = (ROOT / "docs" / "architecture.md").read_text().split("```")[1::2]
    drawings = [
        [" | ".join(line.split("  ")[0].split(" · ")) for line in block.split("\n") if line] for block in blocks
    ]
    assert drawings[: len(held)] == held


def test_the_site_never_asks_for_torch(tmp_path: Path) -> None:
    command = [sys.executable, "-c", IMPORT_THE_SITE, *APPS]
    done = subprocess.run(command, cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"annotation.pages.annotators", "datasets.jobs", "scoring.models", "config.urls"} <= set(found["imported"])
    assert (found["asked"], found["loaded"]) == ([], False)


def test_packages_hold_no_code_of_their_own() -> None:
    packages = [file for file in python_files() if file.name == "__init__.py" and file.parent.name != "models"]
    assert len(packages) > len(APPS)
    assert [str(file.relative_to(ROOT)) for file in packages if file.read_text().strip()] == []


def test_modules_are_named_for_what_they_do() -> None:
    layers = {"utils", "helpers", "services", "managers", "signals", "misc", "common"}
    assert [str(file.relative_to(ROOT)) for file in python_files() if file.stem in layers] == []


# Settings ---------------------------------------------------------------------------------------------------------


def settings_with(monkeypatch: pytest.MonkeyPatch, folder: Path, **changes: str | None) -> dict[str, object]:
    """The settings as a fresh start would read them."""
    for name in ("DATABASE_URL", "DEBUG", "DEMO", "HTTPS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (SETTINGS | {"STUDIO_VAR": str(folder)} | changes).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    return runpy.run_path(str(ROOT / "config" / "settings.py"))


def test_two_secrets_are_enough_to_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = settings_with(monkeypatch, tmp_path)
    assert (settings["DEBUG"], settings["VAR_DIR"]) == (False, tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", None),
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "too short"),
        ("SECRET_KEY", "s" * 40),
        ("SECRET_KEY", "django-insecure-0123456789abcdefghijklmnop"),
        ("SECRET_KEY", "please-change-me-0123456789abcdefghijklmnop"),
        ("PSEUDONYM_KEY", None),
        ("PSEUDONYM_KEY", "too short"),
        ("PSEUDONYM_KEY", SETTINGS["SECRET_KEY"]),
        ("DEBUG", "perhaps"),
        ("DEBUG", "true"),  # of no demo
        ("HTTPS", "2"),
        ("AUDIT_KEEP_DAYS", "29"),
        ("JOB_LEASE_SECONDS", "soon"),
        ("JOB_LEASE_SECONDS", "-1"),
        ("JOB_LEASE_SECONDS", "nan"),
        ("JOB_LEASE_SECONDS", "6"),  # less than two heartbeats
        ("JOB_HEARTBEAT_SECONDS", "0"),
        ("UPLOAD_MAX_BYTES", "much"),
        ("UPLOAD_MAX_BYTES", "4G"),
        ("UPLOAD_MAX_BYTES", "inf"),
        ("ZIP_MAX_FILES", "all"),
        ("ZIP_MAX_FILES", "0"),
        ("WRONG_PER_NAME", "fifty"),
        ("WRONG_PER_ADDRESS", "50"),
        ("WRONG_PER_NAME_AND_ADDRESS", "0/15"),
        ("JOINS_PER_ADDRESS", "20/0"),
        ("JOINS_PER_ADDRESS", "20/-5"),
        ("FIRST_PAIR_MINUTES", "0"),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "postgres://me@localhost:port/studio"),
        ("DATABASE_URL", "postgres://studio:Postgres@localhost/studio"),
        ("EMAIL_URL", "mail.example.org"),
        ("TASKS_ENGINE", "rq"),
        ("DATABASE_URL", "mysql://root@localhost/studio"),
    ],
)
def test_a_value_that_makes_no_sense_stops_the_start_by_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str | None
) -> None:
    with pytest.raises(ImproperlyConfigured, match=name):
        settings_with(monkeypatch, tmp_path, **{name: value})


def test_a_demo_may_show_errors_and_may_not_stand_behind_a_proxy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert settings_with(monkeypatch, tmp_path, DEBUG="true", DEMO="true")["DEBUG"] is True
    with pytest.raises(ImproperlyConfigured, match="DEMO and HTTPS are both on"):
        settings_with(monkeypatch, tmp_path, HTTPS="true", DEMO="true")


def test_behind_tls_cookies_are_bound_to_the_site_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = settings_with(monkeypatch, tmp_path, HTTPS="true")
    for cookie in ("SESSION", "CSRF"):
        assert str(settings[f"{cookie}_COOKIE_NAME"]).startswith("__Host-")
        assert settings[f"{cookie}_COOKIE_SECURE"] is True
        assert (settings.get(f"{cookie}_COOKIE_DOMAIN"), settings.get(f"{cookie}_COOKIE_PATH", "/")) == (None, "/")


def test_who_queued_jobs_in_redis_reads_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"Remove TASKS_ENGINE and REDIS_URL.*set DATABASE_URL to the same"):
        settings_with(monkeypatch, tmp_path, TASKS_ENGINE="rq", REDIS_URL="redis://127.0.0.1:6379/0")
    settings_with(monkeypatch, tmp_path, TASKS_ENGINE="db")


def test_the_operator_reads_what_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=environment(tmp_path, SECRET_KEY=""),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "SECRET_KEY must be set to at least 32 random characters" in done.stderr


def test_a_fresh_worker_knows_every_kind_of_job_and_all_that_is_done_unasked(tmp_path: Path) -> None:
    """Django's start alone imports every module that registers one: no page and no test has to have been there."""
    registers = re.compile(r"^@(handles|repeats|examines)\(", re.MULTILINE)
    files = [file.relative_to(ROOT).with_suffix("") for file in python_files() if registers.search(file.read_text())]
    start = "import sys, django; django.setup(); print(*sys.modules)"
    command = [sys.executable, "-c", start]
    run = subprocess.run(command, cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, check=True)
    assert len(files) > 8
    assert {".".join(file.parts) for file in files} - set(run.stdout.split()) == set()
