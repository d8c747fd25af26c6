from collections import Counter
from hashlib import sha256
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.splits import (
    LEFT_OUT,
    PARTS,
    TooSmallToSplit,
    UnknownScheme,
    grouped,
    part_of,
    parts,
    require_all_parts,
)


def test_a_group_once_in_a_part_stays_there_for_ever():
    # Written down from the first release: if this fails, groups that were tested on would be trained on.
    held_out = {"val": [0, 1, 3], "test": [2, 11]}
    parts = grouped([f"group-{n}" for n in range(12)])
    assert {part: [n for n in range(12) if parts[n] == part] for part in held_out} == held_out


def test_versions_of_one_original_never_fall_on_both_sides():
    groups = [f"original-{n // 3}" for n in range(3000)]
    part_per_row = set(zip(groups, grouped(groups), strict=True))
    assert len(part_per_row) == len(set(groups))


def test_a_growing_release_moves_no_group():
    first = [f"original-{n}" for n in range(200)]
    grown = ["a-new-one", *reversed(first), "another"]
    assert (
        dict(zip(grown, grouped(grown), strict=True)).items() >= dict(zip(first, grouped(first), strict=True)).items()
    )


def test_three_in_five_groups_are_trained_on_and_the_rest_halved():
    shares = Counter(part_of(f"original-{n}") for n in range(20_000))
    assert shares["train"] == pytest.approx(12_000, abs=300)
    assert shares["val"] == pytest.approx(4_000, abs=240)
    assert shares["test"] == pytest.approx(4_000, abs=240)
    assert shares.keys() == {"train", "val", "test"}


def test_another_seed_is_an_independent_split():
    names = [f"original-{n}" for n in range(5000)]
    same = sum(a == b for a, b in zip(grouped(names, seed=42), grouped(names, seed=43), strict=True))
    assert same / len(names) == pytest.approx(0.6**2 + 0.2**2 + 0.2**2, abs=0.03)


def test_any_name_has_a_part_and_none_gives_none():
    assert {part_of(name) for name in ("", "ä/ö 猫.jpg", "x" * 10_000)} <= {"train", "val", "test"}
    assert grouped([]) == []


# Schemes -------------------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    group: str
    source: str
    method: str


SOURCES, METHODS = ("coco", "voc", "lfw", "celeba"), ("mask", "blurpix", "inpaint")
SCHEMES = (
    "all",
    "task-person",
    "task-face",
    *(f"loov-{source}" for source in SOURCES),
    *(f"anon-{method}" for method in METHODS),
)
# Three versions of each of 120 originals, 30 to a source.
ROWS = [Pair(f"original-{n}", SOURCES[n % 4], method) for n in range(120) for method in METHODS]


def place(group: str, seed: int = 42) -> int:
    return int(sha256(f"{seed}:{group}".encode()).hexdigest(), 16) % 100


def part_at(place: int, train_below: int, val_below: int) -> str:
    return "train" if place < train_below else "val" if place < val_below else "test"


def groups_in(rows: list[Pair], found: list[str], part: str) -> set[str]:
    return {row.group for row, its in zip(rows, found, strict=True) if its == part}


# Few names and no tie between group and source, so that groups touch several sources and methods.
rows_of_any_kind = st.lists(
    st.builds(
        Pair, st.integers(0, 60).map("g{}".format), st.sampled_from(SOURCES), st.sampled_from((*METHODS, "generative"))
    ),
    min_size=20,
    max_size=120,
)


@given(rows=rows_of_any_kind, scheme=st.sampled_from(SCHEMES), seed=st.integers(0, 50))
def test_no_group_is_in_two_parts_under_any_scheme(rows, scheme, seed):
    try:
        found = parts(rows, scheme, seed=seed)
    except TooSmallToSplit:
        return
    train, val, test = (groups_in(rows, found, part) for part in PARTS)
    assert train
    assert val
    assert test
    assert len(train | val | test) == len(train) + len(val) + len(test)
    assert set(found) <= {*PARTS, LEFT_OUT}


@pytest.mark.parametrize("seed", [42, 7])
def test_the_scheme_all_is_the_part_of_each_group(seed):
    found = parts(ROWS, seed=seed)
    assert found == parts(ROWS, "all", seed=seed) == [part_of(row.group, seed=seed) for row in ROWS]
    assert found == [part_at(place(row.group, seed), 60, 80) for row in ROWS]


@pytest.mark.parametrize(("scheme", "sources"), [("task-person", "coco voc"), ("task-face", "celeba lfw")])
def test_a_task_takes_its_own_sources_and_leaves_their_parts_as_they_are(scheme, sources):
    assert parts(ROWS, scheme) == [part_of(row.group) if row.source in sources.split() else "" for row in ROWS]


@pytest.mark.parametrize("source", SOURCES)
def test_leaving_a_source_out_tests_on_exactly_that_source(source):
    found = parts(ROWS, f"loov-{source}")
    assert [row for row, part in zip(ROWS, found, strict=True) if part == "test"] == [
        row for row in ROWS if row.source == source
    ]
    assert [part for part in found if part != "test"] == [
        part_at(place(row.group), 75, 100) for row in ROWS if row.source != source
    ]


def test_versions_of_a_tested_original_in_another_source_are_left_out():
    rows = [*ROWS, Pair("original-0", "voc", "mask")]  # original-0 is coco's
    assert parts(rows, "loov-coco")[-1] == LEFT_OUT
    assert parts(rows, "loov-coco")[:-1] == parts(ROWS, "loov-coco")


@pytest.mark.parametrize("method", METHODS)
def test_leaving_a_method_out_tests_on_it_alone_and_on_other_originals(method):
    found = parts(ROWS, f"anon-{method}")
    for row, part in zip(ROWS, found, strict=True):
        own = part_at(place(row.group), 60, 80)
        is_tested, is_of_method = own == "test", row.method == method
        assert part == (own if is_tested == is_of_method else LEFT_OUT)
    assert set(found) == {*PARTS, LEFT_OUT}


@pytest.mark.parametrize("scheme", ["", "ALL", "random", "task-", "task-animal", "loov", "loov-", "anon-", "lofo-coco"])
def test_an_unknown_scheme_is_refused_with_those_there_are(scheme):
    with pytest.raises(UnknownScheme, match=r"task-person.*loov-SOURCE.*anon-METHOD"):
        parts(ROWS, scheme)


@pytest.mark.parametrize(
    ("scheme", "told"),
    [
        ("loov-imagenet", "the source 'imagenet', so nothing could be tested; there are: celeba, coco, lfw, voc"),
        ("anon-generative", "the method 'generative', so nothing could be tested; there are: blurpix, inpaint, mask"),
    ],
)
def test_a_scheme_that_holds_out_what_is_not_there_says_what_is(scheme, told):
    with pytest.raises(TooSmallToSplit, match=told):
        parts(ROWS, scheme)


@pytest.mark.parametrize(
    ("rows", "scheme", "empty"),
    [
        ([], "all", "train and val and test"),
        (ROWS[:3], "all", "test"),
        ([row for row in ROWS if row.source == "lfw"], "loov-lfw", "train and val"),
        ([row for row in ROWS if row.source == "lfw"], "task-person", "train and val and test"),
    ],
)
def test_a_part_that_would_be_empty_is_named_with_the_way_out(rows, scheme, empty):
    n_groups = len({row.group for row in rows})
    with pytest.raises(TooSmallToSplit, match=f"by {scheme}: of {n_groups} originals.*{empty}.*rate more originals"):
        parts(rows, scheme)


def test_parts_written_by_others_are_held_to_the_same_rule():
    require_all_parts(ROWS[:3], ["test", "val", "train"], "a file")
    with pytest.raises(TooSmallToSplit, match="none falls into val\\."):
        require_all_parts(ROWS[:3], ["test", "", "train"], "a file")
