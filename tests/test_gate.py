"""The run of all kinds: what it does not hide, and what it counts."""

import sys
import tempfile
from pathlib import Path

import pytest

from tests.gate import Outcome, run, scratch, summary
from tests.kinds import CHECK_SECONDS, LINTS, Kind, check, room_of


def kind(name: str, code: str, *, lane: int = 1, budget: float = 9) -> Kind:
    return Kind(name, lane, budget, command=(sys.executable, "-c", code))


def outcome(name: str = "sqlite", *, minutes: float = 1, exit_code: int = 0, **fields: object) -> Outcome:
    return Outcome(Kind(name, lane=1, budget=2), minutes, cpu_minutes=1, exit_code=exit_code, **fields)  # type: ignore[arg-type]


@pytest.fixture
def some_tests(tmp_path: Path) -> Kind:
    """Five of them: two pass, one fails, one breaks before it begins, one is skipped."""
    file = tmp_path / "test_some.py"
    file.write_text(
        "import pytest, time\n"
        "def test_one(): pass\n"
        "def test_slow(): time.sleep(0.3)\n"
        "def test_wrong(): assert 'this' == 'that'\n"
        "@pytest.fixture\ndef broken(): raise ValueError('no such luck')\n"
        "def test_broken(broken): pass\n"
        "@pytest.mark.skip\ndef test_skipped(): pass\n"
    )
    return Kind("some", 1, 9, command=(sys.executable, "-m", "pytest", "-q", f"--rootdir={tmp_path}", str(file)))


def test_every_test_is_counted_and_what_fails_is_shown_whole(
    some_tests: Kind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    some_tests = Kind("some", 1, 9, command=(*some_tests.command, f"--junitxml={tmp_path / 'some.xml'}"))
    [ended] = run([some_tests], tmp_path)
    assert ended.counts == "2 passed, 2 failed, 1 skipped"
    assert (ended.exit_code, ended.slowest[0][1].split("::")[1]) == (1, "test_slow")
    said = capsys.readouterr().out
    assert "'this' == 'that'" in said
    assert "no such luck" in said
    assert summary([ended], 1).splitlines()[-2:] == ["FAILED: some", "2 passed, 2 failed, 1 skipped"]


def test_what_ends_without_a_report_has_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [ended] = run([kind("lints", "print('a line is too long'); raise SystemExit(3)")], tmp_path)
    assert (ended.exit_code, ended.counts) == (3, "0 passed, 1 failed, 0 skipped")
    assert "a line is too long" in capsys.readouterr().out


def test_a_report_of_an_earlier_run_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    old = "<testsuites><testsuite tests='7' failures='0' errors='0' skipped='0'/></testsuites>"
    (tmp_path / "lints.xml").write_text(old)
    [ended] = run([kind("lints", "")], tmp_path)
    assert ended.n_passed == 0


PEOPLE_WHO_MEET = """
import pathlib, sys, time
here, end = pathlib.Path({folder!r}), time.monotonic() + 30

def meet(other):
    while not (here / other).exists():
        if time.monotonic() > end:
            sys.exit(f"{{other}} is not there")
        time.sleep(0.01)

"""


def test_lanes_go_side_by_side_and_the_kinds_of_a_lane_one_after_another(tmp_path: Path) -> None:
    meeting = PEOPLE_WHO_MEET.format(folder=str(tmp_path))
    first = kind("first", meeting + "(here / 'one').touch(); meet('two'); (here / 'done').touch()")
    beside = kind("beside", meeting + "(here / 'two').touch(); meet('one')", lane=2)
    after = kind("after", meeting + "sys.exit(not (here / 'done').exists())")
    assert {each.kind.name: each.exit_code for each in run([first, after, beside], tmp_path)} == {
        "first": 0,
        "beside": 0,
        "after": 0,
    }


def test_a_kind_past_its_budget_is_named_loudly_and_does_not_fail() -> None:
    said = summary([outcome("browsers", minutes=3.5), outcome(minutes=1.5)], 4)
    assert "!!! PAST THE BUDGET: browsers by 1.5 min." in said
    assert "FAILED" not in said
    assert "PAST" not in summary([outcome(minutes=2)], 2)


def test_the_slowest_of_all_kinds_are_named_together() -> None:
    slow = [(float(n), f"tests.test_a.py::test_{n}") for n in range(20, 10, -1)]
    said = summary([outcome(slowest=slow), outcome("browsers", slowest=[(30.0, "tests.test_b::test_b")])], 4)
    named = said.partition("slowest tests\n")[2].partition("\n\n")[0].splitlines()
    assert len(named) == 10
    assert named[0].split() == ["30.0", "s", "browsers", "tests.test_b::test_b"]
    assert named[-1].split()[-1] == "tests.test_a.py::test_12"


@pytest.mark.parametrize(
    ("changed", "looked_at", "left_out"),
    [
        ("datasets/jobs.py", "tests/datasets/test_jobs.py", "tests/scoring/test_runs.py"),
        ("tests/datasets/test_rows.py", "tests/datasets/test_jobs.py", "tests/scoring/test_runs.py"),
        ("scoring/measures/means.py", "tests/scoring/test_means.py", "tests/datasets/test_jobs.py"),
        ("scoring/perceptanon/loop.py", "tests/perceptanon/test_loop.py", "tests/scoring/test_means.py"),
        ("templates/datasets/job.html", "tests/datasets/test_job_page.py", "tests/test_gate.py"),
        ("templates/annotation/researchers/study.html", "tests/annotation/pages/test_pages.py", "tests/test_gate.py"),
        ("static/annotation/rate.js", "tests/annotation/pages/test_scripts.py", "tests/test_gate.py"),
        ("annotation/models/studies.py", "tests/annotation/studies/test_life.py", "tests/test_gate.py"),
        ("annotation/management/commands/study.py", "tests/test_commands.py", "tests/test_gate.py"),
        ("config/settings.py", "tests/test_boundaries.py", "tests/datasets/test_jobs.py"),
        ("Makefile", "tests/test_gate.py", "tests/datasets/test_jobs.py"),
    ],
)
def test_a_changed_file_is_checked_by_the_tests_of_its_room(changed: str, looked_at: str, left_out: str) -> None:
    tests = room_of(Path(changed))
    assert looked_at in tests
    assert left_out not in tests


def test_the_check_has_lints_and_tests_of_every_changed_room() -> None:
    lints, rooms = check(["datasets/jobs.py", "datasets/rows.py", "scoring/models.py"], Path("no-run-before"))
    assert lints == LINTS
    assert {Path(test).parent.name for test in rooms.tests} == {"datasets", "scoring"}
    assert len(set(rooms.tests)) == len(rooms.tests)
    assert check([]) == (LINTS,)


def test_the_check_leaves_out_the_slowest_tests_of_large_rooms_and_of_those_alone(tmp_path: Path) -> None:
    times = {
        "tests.datasets.test_jobs": [("quick", 1), ("slow[a b]", CHECK_SECONDS), ("slower", 2 * CHECK_SECONDS)],
        "tests.scoring.test_runs": [("slow", 9 * CHECK_SECONDS)],
    }
    cases = [
        f'<testcase classname="{module}" name="{name}" time="{seconds}"/>'
        for module, tests in times.items()
        for name, seconds in tests
    ]
    (tmp_path / "sqlite.xml").write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    _, rooms = check(["datasets/jobs.py"], tmp_path / "sqlite.xml")
    left_out = [f"--deselect=tests/datasets/test_jobs.py::{name}" for name in ("slow[a b]", "slower")]
    assert rooms.options == ("--exitfirst", *left_out)
    report = "<testsuites><testsuite/></testsuites>"
    (tmp_path / "sqlite.xml").write_text(report)
    assert check(["datasets/jobs.py"], tmp_path / "sqlite.xml")[1].options == ("--exitfirst",)


# Where the tests keep their sites -------------------------------------------------------------------------------------


def test_tests_keep_their_sites_in_memory_where_there_is_enough_and_leave_nothing(tmp_path: Path) -> None:
    tests_folder = Kind("one", 1, 9, command=(sys.executable, "-c", "import tempfile; print(tempfile.gettempdir())"))
    for enough, expected in ((1, tmp_path), (2**60, Path(tempfile.gettempdir()))):
        with scratch(tmp_path, enough) as folder:
            assert folder.parent == expected
            run([tests_folder], tmp_path / "logs")
            assert (tmp_path / "logs" / "one.log").read_text().strip() == str(folder)
            (folder / "left").write_text("over")
        assert not folder.exists()
