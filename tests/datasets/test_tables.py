import csv
import unicodedata

import pytest

from datasets.tables import csv_lines, path_cell, spellings, spellings_from_here, words_cell

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t1"]


def test_each_row_is_a_line_that_is_made_when_it_is_asked_for():
    def rows():
        yield "a", 1
        raise AssertionError("nobody has asked for a second row")

    lines = csv_lines(["name", "n"], rows())
    assert [next(lines), next(lines)] == ["name,n\n", "a,1\n"]


def test_what_is_written_is_read_again():
    cells = ['says "so", twice', "line\nbreak", ""]
    assert list(csv.reader(csv_lines(cells, [cells]))) == [cells, cells]


@pytest.mark.parametrize("cell", FORMULAS)
def test_no_words_and_no_path_is_a_formula_to_a_spreadsheet(cell):
    assert words_cell(cell) == f"'{cell}"
    assert path_cell(cell) == f"./{cell}"


def test_other_words_and_paths_stay_as_they_are():
    assert words_cell("1 = 1") == path_cell("1 = 1") == "1 = 1"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_path_is_found_however_its_letters_are_composed(form):
    composed, apart = (unicodedata.normalize(each, "Gebäude.png") for each in ("NFC", "NFD"))
    assert spellings(unicodedata.normalize(form, "Gebäude.png"))[0] == unicodedata.normalize(form, "Gebäude.png")
    assert set(spellings(unicodedata.normalize(form, "Gebäude.png"))) == {composed, apart}


@pytest.mark.parametrize("path", [*FORMULAS, "a.png", "a;=b.png", "-a\t@b.png", "a;'=b.png"])
def test_a_path_is_found_by_the_name_that_a_table_gives_it(path):
    assert path in spellings_from_here(path_cell(path))
    assert f"./{path}" in spellings_from_here(path)


@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_no_words_are_a_formula_where_a_spreadsheet_splits_at_another_delimiter(delimiter, start):
    line = words_cell(f"left{delimiter}{start}1+1{delimiter}right")
    assert line.split(delimiter) == ["left", f"'{start}1+1", "right"]


def test_words_that_begin_with_a_tab_are_no_formula_after_it_either():
    assert words_cell("\t=1") == "'\t'=1"


@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_no_path_is_one_either(delimiter, start):
    assert path_cell(f"a{delimiter}{start}b.png") == f"a{delimiter}'{start}b.png"
    assert path_cell(f"{start}a{delimiter}{start}b.png") == f"./{start}a{delimiter}'{start}b.png"
