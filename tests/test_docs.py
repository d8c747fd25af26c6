"""What the docs name is there, and the version that they tell is one."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.upgrades.make_dump import UPGRADES

ROOT = Path(__file__).resolve().parents[1]
TREES = (".ci", "annotation", "bench", "config", "datasets", "docs", "scoring", "static", "templates", "tests")
FILES = {str(path.relative_to(ROOT)) for tree in TREES for path in (ROOT / tree).rglob("*")}
FILES |= {path.name for path in ROOT.iterdir()} | set(TREES)
GUIDES = ["CONTRIBUTING.md", *(f"docs/{name}.md" for name in ("contributors", "architecture", "privacy", "promises"))]
GUIDES += sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/decisions/*.md"))
PAGES = sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))

# A file or folder, and with :: what it defines; a module by its dots, and what it defines.
PATH = re.compile(r"((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|js|css|html|md|toml|yaml|lock|cff))(?:::(\w+))?")
MODULE = re.compile(r"[a-z_]+(?:\.\w+)+")
# What only looks like it: files that a site or a tool makes, a place held for a name, a test's fixture.
NOT_OURS = re.compile(
    r".*\.(?:csv|jsonl?|po|env)|.*(?:LANGUAGE|VERSION)/.*|\.\./shared/.*|people\.provokes|origin/main|var/.*"
)


def named_in(page: str) -> set[str]:
    """The words in backticks, but for those of longer examples."""
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    words = {word for quoted in re.findall(r"`([^`]+)`", text) for word in quoted.split()}
    return {word for word in words if not NOT_OURS.fullmatch(word)}


def is_there(word: str) -> bool:
    """Of what looks like neither path nor module nothing is asked."""
    if match := PATH.fullmatch(word):
        return any(defines(path, match[2]) for path in ending(match[1].rstrip("/")))
    return not MODULE.fullmatch(word) or is_module(word.split("."))


def ending(path: str) -> list[str]:
    return [file for file in FILES if file == path or file.endswith(f"/{path}")]


def is_module(parts: list[str]) -> bool:
    """A module, or something in one: the docs may leave out the rooms before it, and what is inside a class."""
    for n in range(len(parts), 0, -1):
        path = "/".join(parts[:n])
        found = [*ending(f"{path}.py"), *ending(path)]
        if any(all(defines(file, name) for name in parts[n:]) for file in found):
            return True
    return False


def defines(path: str, name: str | None) -> bool:
    if name is None or not (ROOT / path).is_file():
        return name is None
    defined = rf"^\s*(?:(?:export )?(?:(?:async )?(?:def|function)|class|const|let) {name}\b|{name}(?::| =))"
    return re.search(defined, (ROOT / path).read_text(), re.MULTILINE) is not None


@pytest.mark.parametrize("page", GUIDES)
def test_every_path_that_a_guide_names_is_there(page: str) -> None:
    assert sorted(word for word in named_in(page) if not is_there(word)) == []


def test_what_is_not_there_is_noticed() -> None:
    there = ("datasets/jobs.py", "datasets/jobs.py::reap", "jobs.repeats", "scoring.measures", "export.py", "n_held")
    gone = ("datasets/works.py", "datasets/jobs.py::lost", "jobs.lost", "protocol.take_turn", "assign.py", "docs/x/")
    assert [word for word in (*there, *gone) if is_there(word)] == [*there]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text())
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []


def test_every_goal_of_make_that_the_docs_name_is_one() -> None:
    goals = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {goal for page in PAGES for goal in re.findall(r"`make ([a-z-]+)", (ROOT / page).read_text())}
    assert named - goals == set()


def test_every_variable_that_the_settings_read_stands_in_the_admins_table() -> None:
    settings = (ROOT / "config" / "settings.py").read_text()
    read = set(re.findall(r"""(?:env\.\w+|secret|number|flag)\(\s*"([A-Z_]+)""", settings))
    table = re.findall(r"^\| (`.+?) \|", (ROOT / "docs" / "admins.md").read_text(), re.MULTILINE)
    assert len(read) > 15
    assert read - {name for row in table for name in re.findall(r"`(\w+)`", row)} == set()


# Versions -----------------------------------------------------------------------------------------------------------

CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
CLOSED = re.findall(r"^## (\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)$", CHANGELOG, re.MULTILINE)  # the newest first


def test_the_changelog_begins_with_what_no_version_has_yet() -> None:
    assert re.findall(r"^## (\S+)", CHANGELOG, re.MULTILINE) == ["Unreleased", *(version for version, _ in CLOSED)]


def test_package_and_citation_name_the_newest_version() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    cited = dict(re.findall(r"^([a-z-]+): (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    assert (package, (cited["version"], cited["date-released"])) == (CLOSED[0][0], CLOSED[0])


def test_the_database_of_every_version_is_kept() -> None:
    kept = {f"{path.parent.name}/{path.name}" for path in UPGRADES.glob("*/*.*") if path.suffix != ".pyc"}
    names = ("pictures.zip", "postgresql.sql", "sqlite.sql")
    assert kept == {f"{version}/{name}" for version, _ in CLOSED for name in names}
