"""A pair has one name for researchers, whatever they look into; and how its group was imported stays on the site."""

import csv
import io
import json
import re
import zipfile
from functools import partial
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.freeze import request_freeze
from annotation.models.ratings import Rating
from annotation.models.studies import Study
from annotation.watching.downloads import cue_lines, rating_lines, remark_lines
from annotation.watching.role_files import pair_lines
from datasets.content import content_hash
from datasets.models.pictures import Pair
from datasets.models.releases import Release
from datasets.splits import part_of
from scoring.compare import prediction_lines
from tests import make
from tests.races import at_once
from tests.scoring import trained

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


@pytest.fixture
def study() -> Study:
    """Its pairs' numbers are not their ids, nor their rows: another project came first, and half of its own are not in
    it."""
    make.pairs(make.project(), 3)
    project = make.project()
    make.pairs(project, 2)
    for name in ("london-005", "london-003"):
        make.pair(project, group=name)
    study = make.study(project, n_pairs=0, goal=3, asks_cues=True)
    study.items.filter(pair__number__lte=2).delete()
    for scores in ((2, 9), (3, 8)):
        make.rate(make.participation(study), *scores)
    assert [pair.number for pair in project.pairs.order_by("pk")] == [1, 2, 3, 4]
    return study


def files_of(release: Release) -> dict[str, str]:
    with zipfile.ZipFile(make.archive(release)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist() if not name.startswith("pictures/")}


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_csv_and_release_names_a_pair_by_its_number_in_the_project(study: Study) -> None:
    release = files_of(make.release(study))
    running = [rating_lines, remark_lines, pair_lines]
    texts = ["".join(lines(study)) for lines in running]
    texts += [release[name] for name in ("labels.csv", "ratings.csv", "splits.csv")]
    assert [{row["pair"] for row in rows(text)} for text in texts] == [{"3", "4"}] * 6
    assert "pair,annotator,kind" in "".join(cue_lines(study))


def test_ratings_so_far_and_labels_of_the_release_are_joined_by_it(study: Study) -> None:
    names = dict(study.project.pairs.values_list("number", "anonymized__display_sha256"))
    labels = {row["pair"]: row for row in rows(files_of(make.release(study))["labels.csv"])}
    ratings = rows("".join(rating_lines(study)))
    assert len(ratings) == 4
    for row in ratings:
        assert names[int(row["pair"])] in labels[row["pair"]]["anonymized_path"]


def test_late_is_0_or_1_in_ratings_so_far_and_in_the_release(study: Study) -> None:
    Rating.objects.filter(pk=Rating.objects.order_by("pk")[0].pk).update(is_late=True)
    texts = "".join(rating_lines(study)), files_of(make.release(study))["ratings.csv"]
    assert [sorted(row["late"] for row in rows(text)) for text in texts] == [["0", "0", "0", "1"]] * 2


def test_pages_call_it_by_its_number(study: Study, client: Client) -> None:
    client.force_login(make.member(study.project))
    page = client.get(reverse("annotation:items", args=[study.public_id])).content.decode()
    assert sorted(set(re.findall(r"pair ([0-9]+)</a>", page))) == ["3", "4"]


def test_annotators_are_never_told_it(study: Study) -> None:
    def names(value: Any) -> set[str]:
        if isinstance(value, dict):
            return {*value, *(name for each in value.values() for name in names(each))}
        return {name for each in value for name in names(each)} if isinstance(value, list) else set()

    person = make.participation(make.more_wanted(study))
    page = make.browser(person).get(reverse("annotation:rate", args=[person.public_id]))
    assert page.context["lease"]
    assert not {"number", "pair", "group"} & names(json.loads(json.dumps(page.context["lease"], default=str)))


def test_a_number_is_never_given_again_and_two_imports_at_once_give_none_twice() -> None:
    project = make.project()
    make.pairs(project, 2)
    project.pairs.get(number=2).delete()
    assert make.pair(project).number == 3
    assert [pair.number for pair in make.many_pairs(project, 3)] == [4, 5, 6]


@pytest.mark.django_db(transaction=True)
def test_pairs_that_come_in_at_the_same_time_get_numbers_of_their_own() -> None:
    project = make.project()
    source, pictures = make.pair(project).source, [make.image(project) for _ in range(8)]
    fields = {"project": project, "source": source, "group": "g", "anonymized_path": "a.png"}
    at_once(*(partial(Pair.objects.create, anonymized=picture, **fields) for picture in pictures))
    assert sorted(project.pairs.values_list("number", flat=True)) == list(range(1, 10))


def test_a_release_says_nothing_of_how_groups_were_named_nor_of_an_original_that_is_not_in_it(study: Study) -> None:
    Study.objects.filter(pk=study.pk).update(mode="HA1")
    for pair in study.project.pairs.filter(number=4):
        Pair.objects.filter(pk=pair.pk).update(group=pair.original.sha256)
    texts = files_of(make.release(Study.objects.get(pk=study.pk)))
    for pair in study.project.pairs.select_related("original"):
        for secret in (pair.group, pair.original.sha256, pair.original.display_sha256):
            assert [name for name, text in texts.items() if secret in text] == []


def test_file_names_are_in_a_release_where_whoever_froze_it_wanted_them_and_nowhere_else(study: Study) -> None:
    study.project.pairs.update(original_path="=anna.jpg")
    without = files_of(make.release(study))
    release = Release.objects.get(pk=make.done(request_freeze(study, names_files=True)).result["release"])
    named = files_of(release)
    assert not any("anna" in text or "secret-name" in text for text in without.values())
    as_imported = dict(study.project.pairs.values_list("number", "anonymized_path"))
    for row in rows(named["labels.csv"]):
        assert (row["original_file"], row["anonymized_file"]) == ("./=anna.jpg", as_imported[int(row["pair"])])
    assert "`original_file`" in named["README.md"]
    assert [name for name, text in named.items() if "anna" in text] == ["labels.csv"]
    release.labels.filter(number=1).update(anonymized_file="another.png")
    assert content_hash(release) != release.content_hash


def test_a_release_that_names_files_names_no_original_that_is_not_in_it() -> None:
    study = make.rated_study(n_people=2, mode="HA1")
    study.project.pairs.update(original_path="anna.jpg")
    release = Release.objects.get(pk=make.done(request_freeze(study, names_files=True)).result["release"])
    files = files_of(release)
    assert {row["original_file"] for row in rows(files["labels.csv"])} == {""}
    assert not any("anna" in text for text in files.values())


def test_a_group_has_another_name_in_each_release_and_parts_are_those_of_what_was_imported(study: Study) -> None:
    first = make.release(study)
    make.rate(make.participation(make.more_wanted(study)), 4, 5)
    second = make.release(study)
    groups = [{row["group"] for row in rows(files_of(release)["labels.csv"])} for release in (first, second)]
    assert all(re.fullmatch(r"G-[0-9a-f]{12}", name) for name in groups[0] | groups[1])
    assert (len(groups[0]), groups[0] & groups[1]) == (2, set())
    for release in (first, second):
        parts = [row["split"] for row in rows(files_of(release)["splits.csv"])]
        assert parts == [part_of(label.group) for label in release.labels.order_by("number")]


def test_no_id_of_the_database_leaves(study: Study) -> None:
    def names(value: Any, at: str = "") -> set[str]:
        if isinstance(value, dict):
            return {name for key, each in value.items() for name in names(each, f"{at}.{key}")}
        return {name for each in value for name in names(each, at)} if isinstance(value, list) else {at}

    told = names(json.loads(files_of(make.release(study))["manifest.json"])["release"])
    assert ".study.study_id" in told  # a random one
    assert not {".study.job", ".study.id", ".id", ".pk"} & told


@pytest.mark.parametrize("download", ["pairs of a study", "predictions of a run"])
def test_methods_that_look_like_numbers_or_nothing_are_in_quotes_in_other_downloads_too(download: str) -> None:
    study = make.rated_study(n_pairs=12, n_people=2)
    for pair, method in zip(study.project.pairs.order_by("number"), ("003", "NA"), strict=False):
        Pair.objects.filter(pk=pair.pk).update(method=method)
    if download == "pairs of a study":
        text = "".join(pair_lines(study))
    else:
        text = "".join(prediction_lines(trained.run(make.release(study), scheme="all")))
    assert {'"003"', '"NA"'} <= set(text.replace("\n", ",").split(","))
    numbers_apart = list(csv.reader(io.StringIO(text.split("\n", 1)[1]), quoting=csv.QUOTE_NONNUMERIC))
    assert {row[0] for row in numbers_apart} <= {float(n) for n in range(1, 13)}


def test_words_are_in_quotes_and_numbers_are_not(study: Study) -> None:
    for pair, method in zip(study.project.pairs.filter(number__gt=2), ("003", 'NA "x", y'), strict=True):
        Pair.objects.filter(pk=pair.pk).update(method=method)
    text = files_of(make.release(study))["labels.csv"]
    assert [row["method"] for row in rows(text)] == ["003", 'NA "x", y']
    numbers_apart = list(csv.reader(io.StringIO(text.split("\n", 1)[1]), quoting=csv.QUOTE_NONNUMERIC))
    assert [(row[0], row[4]) for row in numbers_apart] == [(3.0, "003"), (4.0, 'NA "x", y')]
