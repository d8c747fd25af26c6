"""Which tests run where: what the database decides on both databases, every test in one kind of the gate."""

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from tests.kinds import LONG, PER_CHANGE, marked

ROOT = Path(__file__).resolve().parents[1]
APPS = ("config", "annotation", "datasets", "scoring")

# What the database decides -------------------------------------------------------------------------------------------

ASKS_OR_LOCKS = {"select_for_update", "cursor", "raw", "RawSQL", "RunSQL"}
LETS_THE_DATABASE_DECIDE = {"ignore_conflicts", "update_conflicts"}
# Modules that no test imports, and the one by which tests come to all that they do.
REACHED_BY = {
    "datasets.dumps": "datasets.backup",
    "annotation.giving.draws": "annotation.giving.leases",
    "annotation.sql": "annotation.giving.leases",
    "annotation.answering.ratings": "annotation.answering.turn",
}
STATEMENT = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|EXISTS|SET LOCAL) ")


def what_it_decides(code: str) -> list[str]:
    """The SQL and the locks in a module: where two databases, or two people at once, could differ."""
    nodes = list(ast.walk(ast.parse(code)))
    result_is_dropped = {node.value for node in nodes if isinstance(node, ast.Expr)}
    found = []
    for node in nodes:
        match node:
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)) if name in ASKS_OR_LOCKS:
                found.append(name)
            case ast.Call(func=ast.Attribute(attr="update"), args=[], keywords=[_, *_]) if (
                node not in result_is_dropped
            ):
                found.append("conditional update")
            case ast.keyword(arg=name) if name in LETS_THE_DATABASE_DECIDE:
                found.append(str(name))
            case ast.ExceptHandler(type=ast.expr() as caught) if "IntegrityError" in ast.unparse(caught):
                found.append("IntegrityError")
            case ast.Constant(value=str(text)) if STATEMENT.match(text):
                found.append("statement")
    return sorted(set(found))


ON_SQLITE_ALONE = {"config.sqlite.base"}


def modules_of(root: Path) -> Iterator[tuple[str, str]]:
    """Name and code of every module of the product."""
    for file in sorted(file for app in APPS for file in (root / app).rglob("*.py") if "migrations" not in file.parts):
        yield ".".join(file.relative_to(root).with_suffix("").parts), file.read_text()


def is_marked(code: str) -> bool:
    """Whether a test module as a whole runs on PostgreSQL. What starts real processes tries too little of a module."""
    marks = set()
    for node in ast.parse(code).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            marks |= {*re.split(r"[\[\], ]+", ast.unparse(node.value))}
    return "pytest.mark.postgres" in marks and "pytest.mark.services" not in marks


def named_in(code: str, views: dict[str, str]) -> set[str]:
    """The modules that a test module imports, or of whose views it names an address."""
    named = set()
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Import(names=names):
                named |= {each.name for each in names}
            case ast.ImportFrom(module=str(module), names=names):
                named |= {module, *(f"{module}.{each.name}" for each in names)}
            case ast.Constant(value=str(text)) if text in views:
                named.add(views[text])
    return named


def untested_on_postgresql(root: Path, views: dict[str, str], reached: dict[str, str]) -> dict[str, list[str]]:
    """Modules with SQL or locks of their own, and with which, that no test module marked `postgres` names."""
    on_postgresql = [code for file in (root / "tests").rglob("test_*.py") if is_marked(code := file.read_text())]
    named = set().union(*(named_in(code, views) for code in on_postgresql))
    modules = dict(modules_of(root))
    named |= {name for name, by in reached.items() if by in named and name in named_in(modules[by], {})}
    named |= ON_SQLITE_ALONE
    return {name: what for name, code in modules.items() if name not in named and (what := what_it_decides(code))}


def module_of_each_view(resolver: URLResolver | None = None, namespace: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for each in (resolver or get_resolver()).url_patterns:
        if isinstance(each, URLResolver):
            found |= module_of_each_view(each, f"{namespace}{each.namespace}:" if each.namespace else namespace)
        elif isinstance(each, URLPattern) and each.name:
            found[namespace + each.name] = each.callback.__module__
    return found


def test_what_holds_sql_or_locks_is_tested_on_postgresql_too() -> None:
    assert untested_on_postgresql(ROOT, module_of_each_view(), REACHED_BY) == {}


@pytest.mark.parametrize(
    ("code", "decides"),
    [
        ("mine = Row.objects.select_for_update(of=('self',)).get()", ["select_for_update"]),
        ("for row in Row.objects.raw(MINE): print(row)", ["raw"]),
        ("with connection.cursor() as cursor: pass", ["cursor"]),
        ("TAKE = '''\n    UPDATE item SET n_held = n_held + 1'''", ["statement"]),
        ("FREE = f'SELECT 1 FROM {table}'", ["statement"]),
        ("if not queued.update(state='running'): raise Lost", ["conditional update"]),
        ("Row.objects.bulk_create(rows, ignore_conflicts=True)", ["ignore_conflicts"]),
        ("try:\n    join()\nexcept (ValueError, IntegrityError):\n    pass", ["IntegrityError"]),
        ("rows.update(state='done')", []),
        ("said = 'Select a study, then update it'", []),
    ],
)
def test_sql_and_locks_are_found(code: str, decides: list[str]) -> None:
    assert what_it_decides(code) == decides


@pytest.mark.parametrize(
    ("test_module", "is_tested"),
    [
        ("from annotation.draws import free\npytestmark = pytest.mark.postgres", True),
        ("from annotation import draws\npytestmark = [pytest.mark.django_db, pytest.mark.postgres]", True),
        ("import annotation.draws\npytestmark = pytest.mark.postgres", True),
        ("URL = reverse('annotation:draw')\npytestmark = pytest.mark.postgres", True),
        ("from annotation.draws import free\npytestmark = pytest.mark.django_db", False),
        ("from annotation.draws import free\n# pytestmark = pytest.mark.postgres", False),
        ("from annotation.draws_of_lots import free\npytestmark = pytest.mark.postgres", False),
        ("# annotation.draws\npytestmark = pytest.mark.postgres", False),
        ("from annotation.draws import free\npytestmark = [pytest.mark.services, pytest.mark.postgres]", False),
        ("from annotation.order import ORDER\npytestmark = pytest.mark.postgres", False),
        ("from annotation.leases import lease\npytestmark = pytest.mark.postgres", True),
    ],
)
def test_a_module_with_sql_that_no_marked_test_names_is_found(
    tmp_path: Path, test_module: str, is_tested: bool
) -> None:
    (tmp_path / "annotation").mkdir()
    (tmp_path / "annotation" / "draws.py").write_text("FREE = 'SELECT 1 FROM item'")
    (tmp_path / "annotation" / "order.py").write_text("ORDER = 'by lot'")
    (tmp_path / "annotation" / "leases.py").write_text("from annotation import draws")
    (tmp_path / "tests" / "annotation").mkdir(parents=True)
    (tmp_path / "tests" / "annotation" / "test_draws.py").write_text(test_module)
    views, reached = {"annotation:draw": "annotation.draws"}, {"annotation.draws": "annotation.leases"}
    found = untested_on_postgresql(tmp_path, views, reached)
    assert found == ({} if is_tested else {"annotation.draws": ["statement"]})


def test_a_mark_stands_in_the_file_of_what_it_marks() -> None:
    """Where the kinds look for it."""
    named = re.compile(r"mark\.(browser|services|demo|postgres)\b")
    elsewhere = [file for file in (ROOT / "tests").rglob("*.py") if not file.name.startswith("test_")]
    assert [str(file) for file in elsewhere if named.search(file.read_text())] == []
    assert "tests/annotation/test_races.py" in marked("postgres")
    assert "tests/annotation/giving/test_order.py" not in marked("postgres")


# Kinds ---------------------------------------------------------------------------------------------------------------


MARKERS = ("browser", "services", "demo", "postgres", "rarely", "long")


@pytest.mark.parametrize("has", [*itertools.product([False, True], repeat=len(MARKERS))])
def test_every_test_is_in_one_kind_on_each_database(has: tuple[bool, ...]) -> None:
    """All but browsers and the demo, which make their own SQLite; what PostgreSQL does not decide, rarely on it."""
    marks: dict[str, Any] = dict(zip(MARKERS, has, strict=True))
    kinds = [kind for kind in (*PER_CHANGE, *LONG) if kind.pick and eval(kind.pick, {}, marks)]  # noqa: S307
    [on_sqlite] = [kind for kind in kinds if not kind.on_postgresql]
    assert (on_sqlite in LONG) == marks["long"]
    on_postgresql = [kind for kind in kinds if kind.on_postgresql]
    if marks["browser"] or marks["demo"]:
        assert on_postgresql == []
    else:
        assert len(on_postgresql) == 1
        assert (on_postgresql[0] in LONG) == (marks["long"] or marks["rarely"] or not marks["postgres"])
