import csv
import io

import pytest

from datasets.rows import LABEL_COLUMNS, NEEDED_COLUMNS, BadLabels, LabelRow, label_rows

ROW = {
    "pair": "7",
    "original_path": "a/original.jpg",
    "anonymized_path": "a/ä, masked.jpg",
    "dataset": "coco",
    "method": "mask",
    "scope": "global",
    "group": "cafe",
    "split": "train",
    "score_mean": "6.25",
}


def labels(*rows: dict[str, str], columns: tuple[str, ...] = NEEDED_COLUMNS) -> io.StringIO:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    file.seek(0)
    return file


def test_a_row_is_read_with_everything_that_training_needs():
    assert label_rows(labels(ROW)) == [
        LabelRow(
            pair=7,
            original="a/original.jpg",
            anonymized="a/ä, masked.jpg",
            source="coco",
            method="mask",
            scope="global",
            group="cafe",
            split="train",
            mean=6.25,
        )
    ]


def test_columns_are_found_by_name_in_any_order_among_others():
    columns = tuple(reversed((*LABEL_COLUMNS, "a note of ours")))
    assert label_rows(labels(ROW, columns=columns)) == label_rows(labels(ROW))


def test_empty_cells_stay_empty():
    (row,) = label_rows(labels({**ROW, "original_path": "", "split": "", "dataset": ""}))
    assert (row.original, row.split, row.source) == ("", "", "")


def test_a_release_without_pairs_has_no_rows():
    assert label_rows(labels()) == []


@pytest.mark.parametrize("missing", NEEDED_COLUMNS)
def test_a_missing_column_is_named(missing):
    columns = tuple(column for column in NEEDED_COLUMNS if column != missing)
    with pytest.raises(BadLabels, match=f"no column '{missing}'; export the release again"):
        label_rows(labels(ROW, columns=columns))


def test_an_empty_file_lacks_every_column():
    with pytest.raises(BadLabels, match="no column 'pair'"):
        label_rows(io.StringIO(""))


def test_a_row_cut_short_is_refused_with_its_line():
    file = io.StringIO(labels(ROW).getvalue() + "8,a/original.jpg,a/b.jpg,coco,mask\r\n")
    with pytest.raises(BadLabels, match="line 3: the row is too short"):
        label_rows(file)


@pytest.mark.parametrize("mean", ["nan", "inf", "-inf", "1e999"])
def test_a_mean_that_is_no_finite_number_is_refused_with_its_line(mean):
    with pytest.raises(BadLabels, match=r"line 2: score_mean is .*finite"):
        label_rows(labels({**ROW, "score_mean": mean}))


@pytest.mark.parametrize(
    "changes", [{"score_mean": ""}, {"score_mean": "good"}, {"pair": ""}, {"pair": "a"}, {"pair": "1.5"}]
)
def test_a_cell_that_should_be_a_number_and_is_none_is_refused_with_its_line(changes):
    with pytest.raises(BadLabels, match="line 3: pair and score_mean must be numbers"):
        label_rows(labels({**ROW, "pair": "8"}, {**ROW, **changes}))


def test_a_pair_named_twice_is_refused():
    with pytest.raises(BadLabels, match="names a pair twice"):
        label_rows(labels(ROW, {**ROW, "score_mean": "3"}))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_what_is_not_utf_8_is_refused(tmp_path, encoding):
    path = tmp_path / "labels.csv"
    path.write_bytes(labels(ROW).getvalue().encode(encoding))
    with path.open(encoding="utf-8", newline="") as file, pytest.raises(BadLabels, match="not CSV in UTF-8"):
        label_rows(file)


def test_an_endless_cell_is_refused():
    with pytest.raises(BadLabels, match="field larger than field limit"):
        label_rows(labels({**ROW, "group": "x" * 200_000}))
