"""Which tests and checks there are, by kinds; tests/gate.py runs them."""

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / "var" / "gate"
POSTGRES = os.environ.get("TEST_POSTGRES", "postgres://postgres@127.0.0.1:5432/test")
CORES = int(os.environ.get("TESTERS", min(os.cpu_count() or 1, 4)))
CHECK_SECONDS = 60  # of tests, shared by the testers


@dataclass(frozen=True)
class Kind:
    name: str
    lane: int  # the kinds of a lane run one after another, the lanes side by side
    budget: float  # minutes, beside the others on two cores that have nothing else to do
    pick: str = ""  # of the markers in pyproject.toml
    on_postgresql: bool = False
    gives_way: bool = False  # it reckons, and lets those go first that wait for pages, leases and processes
    n_testers: int = max(1, CORES // 2)
    tests: tuple[str, ...] = ("tests",)
    options: tuple[str, ...] = ()
    command: tuple[str, ...] = ()  # where it is no tests

    def to_run(self, report: Path) -> list[str]:
        command = list(self.command)
        if not command:
            command = [sys.executable, "-m", "pytest", "-q", "-m", self.pick, f"--junitxml={report}"]
            command += [*self.options, *self.tests]
            if self.n_testers > 1:  # by modules, since what a module shares is set up for each tester
                command += ["-n", str(self.n_testers), "--dist", "loadscope"]
        return ["nice", *command] if self.gives_way else command

    @property
    def environment(self) -> dict[str, str]:
        database = {"DATABASE_URL": POSTGRES} if self.on_postgresql else {}
        # Kinds side by side on one server each have a database of their own.
        return os.environ | database | {"TEST_DATABASE": f"test_{self.name.replace('-', '_')}"}


def marked(*markers: str) -> tuple[str, ...]:
    """The files that have one of these: to import the others would take each tester longer than many tests."""
    wanted = re.compile(rf"pytest\.mark\.({'|'.join(markers)})\b")
    found = [file for file in sorted((ROOT / "tests").rglob("test_*.py")) if wanted.search(file.read_text())]
    return tuple(str(file.relative_to(ROOT)) for file in found)


LINTS = Kind("lints", lane=2, budget=5, command=("make", "--no-print-directory", "lint"))
PER_CHANGE = (
    Kind(
        "sqlite",
        lane=1,
        budget=15,
        pick="not (browser or services or demo or long)",
        gives_way=True,
        n_testers=CORES,
    ),
    LINTS,
    Kind(
        "postgresql",
        lane=2,
        budget=12,
        pick="postgres and not (browser or services or demo or rarely or long)",
        on_postgresql=True,
        gives_way=True,
        tests=marked("postgres"),
    ),
    Kind(
        "services",
        lane=3,
        budget=9,
        pick="(services or demo) and not (browser or long)",
        tests=marked("services", "demo"),
    ),
    Kind(
        "services-postgresql",
        lane=3,
        budget=4,
        pick="services and postgres and not (browser or demo or rarely or long)",
        on_postgresql=True,
        tests=marked("services"),
    ),
    Kind(
        "browsers",
        lane=4,
        budget=9,
        pick="browser and not long",
        n_testers=CORES,
        tests=marked("browser"),
    ),
)
LONG = (
    Kind("long", lane=1, budget=20, pick="long and not browser"),
    Kind("long-browsers", lane=1, budget=5, pick="long and browser", tests=marked("browser")),
    Kind(
        "long-postgresql",
        lane=2,
        budget=20,
        pick="(long or rarely or not postgres) and not (browser or demo)",  # with all that PostgreSQL does not decide
        on_postgresql=True,
    ),
)


def check(changed: Iterable[str], last_run: Path = LOGS / "sqlite.xml") -> tuple[Kind, ...]:
    """The lints, and the tests of the rooms that these files are in: the quickest first, as many as a minute holds."""
    tests = tuple(sorted({test for file in changed for test in room_of(Path(file))}))
    if not tests:
        return (LINTS,)
    left, left_out = float(CHECK_SECONDS), []
    for seconds, test in sorted(seconds_of_tests(last_run)):
        if test.split("::")[0] in tests:
            left -= seconds
            if left < 0:
                left_out.append(f"--deselect={test}")
    options = ("--exitfirst", *left_out)
    pick = "not (browser or services or demo or long)"
    return (LINTS, Kind("rooms", lane=1, budget=1, pick=pick, n_testers=CORES, tests=tests, options=options))


def seconds_of_tests(report: Path) -> list[tuple[float, str]]:
    """How long each took, with setting up and cleaning up; nothing where there is no report."""
    if not report.exists():
        return []
    tests = [test.attrib for test in ElementTree.parse(report).iter("testcase")]  # noqa: S314  our own file
    return [(float(test["time"]), f"{test['classname'].replace('.', '/')}.py::{test['name']}") for test in tests]


def room_of(file: Path) -> list[str]:
    """The tests in the folder that mirrors the file's own, or in the nearest around it with the rooms inside that.

    What a person looks at is tested with the pages, commands by themselves.
    """
    if "management" in file.parts:
        return ["tests/test_commands.py"]
    room = Path(*(part for part in file.parts[:-1] if part not in {"templates", "static", "tests"}))
    if file.parts[0] in {"templates", "static"} and room.parts[:1] == ("annotation",):
        room = Path("annotation", "pages")
    for folder in (room, Path(room.name), *room.parents):
        if found := list(
            (ROOT / "tests").glob("test_*.py") if not folder.parts else (ROOT / "tests" / folder).rglob("test_*.py")
        ):
            return [str(test.relative_to(ROOT)) for test in found]
    return []
