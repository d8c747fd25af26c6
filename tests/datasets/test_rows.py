import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.rows import LENGTHS, MANIFEST_COLUMNS, BadManifest, BadRow, Manifest, ManifestRow, manifest_rows

HEADER = "anonymized,original,group,parameters"


def rows(text: str) -> list[ManifestRow | BadRow]:
    return list(manifest_rows(io.StringIO(text, newline="")))


def only_row(text: str) -> ManifestRow:
    (row,) = rows(text)
    assert isinstance(row, ManifestRow), row
    return row


def complaint(cells: str, header: str = HEADER) -> str:
    (row,) = rows(f"{header}\n{cells}\n")
    assert isinstance(row, BadRow), row
    return str(row)


def test_a_row_is_read_by_the_names_of_its_columns():
    text = 'method,scope,source,group,original,anonymized,parameters\nblur,face,London,g1,o.png,a.png,"{""r"": 9}"\n'
    assert only_row(text) == ManifestRow(
        number=2,
        original="o.png",
        anonymized="a.png",
        group="g1",
        source="London",
        method="blur",
        scope="face",
        parameters={"r": 9},
    )


@pytest.mark.parametrize(
    ("column", "spelling"), [(column, name) for column, names in MANIFEST_COLUMNS.items() for name in names]
)
def test_every_spelling_of_a_column_is_known(column, spelling):
    names = {"anonymized": "anonymized", "group": "group"} | {column: spelling}
    cells = {"anonymized": "a.png", "group": "g", "parameters": "{}"}
    text = ",".join(names.values()) + "\n" + ",".join(cells.get(each, "said") for each in names) + "\n"
    assert getattr(only_row(text), column) == (cells | {"parameters": {}}).get(column, "said")


def test_the_published_data_sets_own_header_is_read():
    row = only_row("original_image_path,anonymized_image_path,source_dataset,x\nreal/1.png,fake/1.png,IMDB,7\n")
    assert (row.original, row.anonymized, row.source) == ("real/1.png", "fake/1.png", "IMDB")


@pytest.mark.parametrize("header", ["\ufeffanonymized,group", " Anonymized , GROUP ", '"anonymized","group"'])
def test_headers_from_spreadsheets_are_read(header):
    assert only_row(f"{header}\r\na.png,g\r\n").anonymized == "a.png"


def test_blank_lines_are_passed_over_and_the_numbers_are_those_of_the_file():
    assert [row.number for row in rows(f"{HEADER}\n\na.png,,g\n,,,\n  \nb.png,,g\n\n")] == [3, 6]


def test_a_short_row_lacks_its_last_cells():
    assert only_row(f"{HEADER}\na.png,o.png\n").parameters == {}


def test_a_manifest_without_rows_has_none():
    assert rows(HEADER + "\n") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column 'anonymized'; its columns are: none"),
        ("picture,group\na.png,g\n", "no column 'anonymized'; its columns are: picture, group"),
        ("anonymized,img2\na,b\n", "two columns for 'anonymized'; keep one"),
        ("anonymized,group,Group \na,b,c\n", "two columns for 'group'"),
        ("anonymized|group\na|g\n", "Cells are separated by commas, semicolons, tabs"),
        (f"{HEADER}\n{'x' * 64_000},,g\n", "line 2: the row is longer than 64000 characters"),
        (HEADER + '\n"' + "x\n" * 64_000, "line 32001: the row is longer than 64000 characters"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused_in_words(text, said):
    with pytest.raises(BadManifest, match=said):
        rows(text)


@pytest.mark.parametrize(
    "data", [b"\xff\xfe" + "anonymized\na".encode("utf-16-le"), b"anonymized,group\nM\xfcnchen,g\n"]
)
def test_a_manifest_in_another_encoding_is_refused(data):
    with pytest.raises(BadManifest, match="not UTF-8"):
        list(manifest_rows(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")))


@pytest.mark.parametrize(
    "cell",
    [
        "{",
        "[1]",
        "7",
        "null",
        "{'r': 1}",
        '{"r": NaN}',
        '{"r": 1e999}',
        '{"r": "\\u0000"}',
        '{"r": "\\ud800"}',
        '{"r": ' + "9" * 5000 + "}",
        "[" * 60_000,
        '{"r": ' * 21 + "1" + "}" * 21,
    ],
    ids=range(12),
)
def test_parameters_that_no_database_can_keep_as_an_object_are_refused(cell):
    quoted = cell.replace('"', '""')
    assert complaint(f'a.png,,g,"{quoted}"').startswith("line 2: parameters must be a JSON object such as")


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (",o.png,g", "line 2: no path in 'anonymized'."),
        ("a.png,,", "line 2: a pair without an original needs a 'group', the same for all versions of one picture."),
        ("a\tb.png,,g", "line 2: 'anonymized' holds a control character."),
        ("a\0b.png,,g", "line 2: 'anonymized' holds a control character."),
        ('a.png,,"g\nh"', "line 3: 'group' holds a control character."),
        ("a.png,,g\u2028h", "line 2: 'group' holds a control character."),
    ],
)
def test_a_row_that_cannot_be_used_says_why(cells, said):
    assert complaint(cells) == said


@pytest.mark.parametrize("column", ["source", "method", "scope", "group"])
@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_what_a_spreadsheet_would_compute_is_refused(column, value):
    cells = {"anonymized": "a.png", "group": "g"} | {column: value}
    said = complaint(",".join(cells.values()), ",".join(cells))
    assert said == f"line 2: '{column}' begins with '{value[0]}', which a spreadsheet takes for a formula."


@pytest.mark.parametrize("cells", ["a,1.png,o.png,g,{}", "a.png,o.png,g,{},", ",,,,,"])
def test_a_row_with_more_cells_than_the_header_is_refused_with_its_line(cells):
    assert complaint(cells).startswith(f"line 2: {cells.count(',') + 1} cells under 4 columns")


def test_the_line_that_says_how_cells_are_separated_counts_as_a_line():
    assert [row.number for row in rows("sep=;\nanonymized;group\na.png;g\n")] == [3]


@pytest.mark.parametrize(
    ("name", "doubt"),
    [
        ("orignal", "is nearly 'original'"),
        ("Scopes", "is nearly 'scope'"),
        ("score", "seems to hold ratings"),
        ("Mean Rating", "seems to hold ratings"),
        ("ha1_mean", "seems to hold ratings"),
    ],
)
def test_a_column_that_may_have_been_meant_to_be_read_is_doubtful(name, doubt):
    manifest = Manifest(io.StringIO(f"anonymized,group,{name}\n"))
    assert manifest.unread == [name]
    assert manifest.doubtful[name].startswith(doubt)


@pytest.mark.parametrize("name", ["camera", "notes", "x", "date", "", "groups of people"])
def test_other_columns_are_left_unread(name):
    assert Manifest(io.StringIO(f"anonymized,group,{name}\n")).doubtful == {}


def like_ratings(name: str, *values: str) -> list[tuple[int, str]]:
    """What a manifest says of a further column with these values, once all of it is read."""
    lines = "".join(f"{n}.png;g;{value}\n" for n, value in enumerate(values))
    manifest = Manifest(io.StringIO(f"anonymized;group;{name}\n{lines}"))
    list(manifest.rows())
    return manifest.like_ratings


@pytest.mark.parametrize(
    "values", [["3", "7", "7"], ["4.5", "1", "10"], ["6,25", "10,0", ""], ["", "9", "2", "x", "3"]]
)
def test_a_column_of_numbers_from_1_to_10_seems_to_hold_ratings(values):
    line = 2 + next(place for place, value in enumerate(values) if value)
    assert like_ratings("q3", *values) == [(line, "the column 'q3'")]
    assert like_ratings("", *values) == [(line, "column 3, which has no name,")]


@pytest.mark.parametrize(
    "values",
    [
        ["5", "5", "5"],
        ["1", "2", "3", "4"],
        ["0", "1", "2", "3"],
        ["640", "7", "480", "9"],
        ["0.1", "0.5", "2"],
        ["11", "0", "10.5"],
        ["8_0", "nan", "1e1"],
        ["3", "7", "", ""],
        ["Leica", "Canon"],
    ],
)
def test_what_is_no_scale_holds_no_ratings(values):
    assert like_ratings("q3", *values) == []


def test_a_column_that_its_name_gives_away_is_not_doubted_twice():
    assert like_ratings("score", "3", "7") == []


def test_many_lines_that_are_short_are_no_long_row():
    assert len(rows(f"{HEADER}\n" + "a.png,,g\n" * 20_000)) == 20_000


@pytest.mark.parametrize(("column", "longest"), LENGTHS.items())
def test_a_cell_longer_than_its_column_is_refused(column, longest):
    header = ",".join(
        ["anonymized", "group", column] if column not in {"anonymized", "group"} else ["anonymized", "group"]
    )
    cells = {"anonymized": "a", "group": "g", column: "x" * (longest + 1)}
    assert f"'{column}' is longer than {longest} characters" in complaint(",".join(cells.values()), header)


@pytest.mark.parametrize(
    "name", ["Bild\u00a0schirm.png", "Screenshot 3.04.05\u202fPM.png", "写真.png", "👩\u200d👧.png"]
)
def test_a_name_that_people_and_their_computers_give_is_taken(name):
    assert only_row(f"{HEADER}\n{name},,g\n").anonymized == name


def test_one_bad_row_does_not_hide_the_others():
    kinds = [type(row) for row in rows(f"{HEADER}\n,,g\na.png,,g\nb.png,,\n")]
    assert kinds == [BadRow, ManifestRow, BadRow]


@given(
    st.text()
    | st.text().map(f"{HEADER}\n".__add__)
    | st.lists(st.text()).map(lambda cells: HEADER + "\n" + ",".join(cells))
)
def test_any_text_is_rows_or_refused(text):
    try:
        found = rows(text)
    except BadManifest:
        return
    for row in found:
        assert isinstance(row, BadRow) or can_be_stored(row)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_parameters_are_kept_as_they_are_or_refused(value):
    cell = json.dumps(value).replace('"', '""')
    (row,) = rows(f'{HEADER}\na.png,,g,"{cell}"\n')
    assert isinstance(row, BadRow) or row.parameters == value


def can_be_stored(row: ManifestRow) -> bool:
    texts = [getattr(row, column) for column in LENGTHS]
    fit = all(len(text) <= most for text, most in zip(texts, LENGTHS.values(), strict=True))
    plain = not any(unicodedata.category(character) == "Cc" for text in texts for character in text)
    return fit and plain and bool(json.dumps(row.parameters, allow_nan=False))
