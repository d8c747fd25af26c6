"""The catalogs of the annotators' pages are whole, up to date and compiled; and the pages say nothing beside them."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from gettext import GNUTranslations
from pathlib import Path

import pytest
from django.conf import settings
from django.template.base import Lexer, Token, TokenType

from tests.conftest import skip_or_fail

ROOT = Path(__file__).resolve().parents[1]
LOCALE = ROOT / "annotation" / "locale"
CATALOGS = [(language, domain) for language, _ in settings.LANGUAGES[1:] for domain in ("django", "djangojs")]
PLACE = re.compile(r"%\((\w+)\)s")
TAG = re.compile(r"</?(\w+)")
IN_PLACE = ["annotation", "config", "datasets", "scoring", "static", "templates", "manage.py", "pyproject.toml"]
Key = str | tuple[str, int]  # as gettext.GNUTranslations has them: of a plural, its form with it


def gettext_tool(*arguments: object) -> str:
    command = [str(each) for each in arguments]
    if shutil.which(command[0]) is None:
        skip_or_fail("gettext is not installed (apt-get install gettext)")
    english = os.environ | {"LC_ALL": "C.UTF-8", "LANGUAGE": "en"}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=english)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout + ran.stderr


def source(language: str, domain: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / f"{domain}.po"


def words(compiled: Path) -> dict[Key, str]:
    with compiled.open("rb") as file:
        return dict(GNUTranslations(file)._catalog)  # type: ignore[attr-defined]


def msgids(po: Path) -> set[str]:
    """What stands in a .po to be translated, with its context."""
    blocks = re.split(r"\n\s*\n", po.read_text())
    lines = [[line for line in block.split("\n") if not line.startswith("#")] for block in blocks]
    return {"\n".join(each).split("\nmsgstr")[0] for each in lines if each} - {'msgid ""'}


# Whole --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "domain"), CATALOGS)
def test_nothing_is_left_untranslated_or_fuzzy(language: str, domain: str, tmp_path: Path) -> None:
    options = ("--check-format", "--check-domain", "--statistics", "--output-file", tmp_path / "x.mo")
    said = gettext_tool("msgfmt", *options, source(language, domain))
    assert re.fullmatch(r"\d+ translated messages\.", said.strip()), said


@pytest.mark.parametrize(("language", "domain"), CATALOGS)
def test_the_compiled_catalog_says_what_its_source_says(language: str, domain: str, tmp_path: Path) -> None:
    """It is committed, since whoever runs the demo has no gettext."""
    gettext_tool("msgfmt", "-o", tmp_path / "x.mo", source(language, domain))
    assert words(tmp_path / "x.mo") == words(source(language, domain).with_suffix(".mo"))


@pytest.mark.parametrize(("language", "domain"), CATALOGS)
def test_values_and_elements_stand_in_a_translation_as_in_the_english(language: str, domain: str) -> None:
    """A plural form may leave the number out where it is for one number only ("two answers")."""
    for key, translation in words(source(language, domain).with_suffix(".mo")).items():
        is_plural, english = isinstance(key, tuple), key[0] if isinstance(key, tuple) else key
        if not english:  # the header
            continue
        wanted, found = set(PLACE.findall(english)), set(PLACE.findall(translation))
        assert found - {"n"} == wanted - {"n"} if is_plural else found == wanted, translation
        assert sorted(TAG.findall(translation)) == sorted(TAG.findall(english)), translation
        assert translation.strip(), english


@pytest.mark.parametrize(("language", "n_forms"), [("de", 2), ("ar", 6)])
def test_each_language_has_all_its_plural_forms(language: str, n_forms: int) -> None:
    for domain in ("django", "djangojs"):
        forms = [key for key in words(source(language, domain).with_suffix(".mo")) if isinstance(key, tuple)]
        assert forms
        for english in {each[0] for each in forms}:
            assert {number for each, number in forms if each == english} == set(range(n_forms)), english


def test_a_catalog_that_a_machine_made_says_so() -> None:
    marked = {each for each in CATALOGS if "X-Machine-Translated: yes" in source(*each).read_text()}
    assert marked == {each for each in CATALOGS if each[0] in settings.MACHINE_TRANSLATED}


# Up to date ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalogs as they would be if the words were collected now, from a copy of the code."""
    if shutil.which("xgettext") is None:
        skip_or_fail("gettext is not installed (apt-get install gettext)")
    copy = tmp_path_factory.mktemp("copy")
    for name in IN_PLACE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    [options] = re.findall(r"^FOUND_IN := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for domain in ("django", "djangojs"):
        command = [sys.executable, "manage.py", "makemessages", *options.split(), "--domain", domain]
        subprocess.run(command, cwd=copy, check=True, capture_output=True)
    return copy / "annotation" / "locale"


@pytest.mark.parametrize(("language", "domain"), CATALOGS)
def test_the_catalogs_hold_the_words_of_the_code_and_no_others(collected: Path, language: str, domain: str) -> None:
    now = collected / language / "LC_MESSAGES" / f"{domain}.po"
    assert msgids(now) == msgids(source(language, domain)), "run `make words` and translate what is new"


# Nothing beside them ------------------------------------------------------------------------------------------------


NAMES = {"PerceptAnon", "Studio", "UTC", "Enter", "Esc", "kbd", "XXXX"}  # and what a program is called, what a key says
SAID = re.compile(r"""\b(?:alt|title|aria-label|aria-valuetext|placeholder)=(?:"([^"]*)"|'([^']*)')""")
# Blocks whose content is translated, is no text, or is the name of a class.
BLOCKS = {"blocktranslate": "endblocktranslate", "comment": "endcomment", "block body_class": "endblock"}
ROOTS = ["400.html", "403.html", "403_csrf.html", "404.html", "500.html", "login.html", "locked_out.html"]


def annotators_templates() -> set[str]:
    """Those that annotators' views render, with all that these extend and include."""
    views = [ROOT / "annotation" / "pages" / f"{name}.py" for name in ("annotators", "home", "withdrawal")]
    code = "".join(path.read_text() for path in [*views, ROOT / "annotation" / "access.py"])
    found, to_read = set(), [*ROOTS, *re.findall(r'"(annotation/[\w/]+\.html)"', code), "annotation/_languages.html"]
    while to_read:
        name = to_read.pop()
        if name not in found:
            found.add(name)
            to_read += re.findall(r'{% (?:extends|include) "([^"]+)"', (ROOT / "templates" / name).read_text())
    return found


def untranslated(name: str) -> Iterator[str]:
    """English words of a template that no tag translates: in its text, and in attributes that are read out."""
    html, inside = "", ""
    for token in Lexer((ROOT / "templates" / name).read_text()).tokenize():
        if token.token_type == TokenType.BLOCK:
            tag = token.split_contents()[0]
            opened = next((BLOCKS[each] for each in BLOCKS if token.contents.startswith(each)), None)
            inside = opened or ("" if tag == inside else inside)
        html += _shown(token, inside)
    attributes = " ".join(first or second for first, second in SAID.findall(html))
    texts = re.sub(r"<[^>]*>", " ", re.sub(r"<(script|title hidden)[^>]*>.*?</\1>", " ", html, flags=re.DOTALL))
    for word in re.findall(r"[A-Za-z]{2,}", f"{texts} {attributes}"):
        if word not in NAMES:
            yield word


def _shown(token: Token, inside: str) -> str:
    return token.contents if token.token_type == TokenType.TEXT and not inside else " "


def test_the_search_for_untranslated_words_finds_the_annotators_templates() -> None:
    found = annotators_templates()
    theirs = {f"annotation/annotators/{name}.html" for name in ("rate", "_keys", "_withdrawal_code")}
    assert {"base.html", *theirs} <= found
    assert "annotation/researchers/study.html" not in found


@pytest.mark.parametrize("name", sorted(annotators_templates()))
def test_no_template_of_an_annotators_page_says_anything_beside_the_catalogs(name: str) -> None:
    assert list(untranslated(name)) == []
