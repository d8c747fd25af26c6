"""All that a site leans on, looked at from this host, with what mends it: `manage.py doctor`."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from datasets.backup import backups
from datasets.hosts import (
    KEYS,
    STORAGE,
    Finding,
    differences,
    disks,
    missing_static_files,
    no_database,
    open_to_others,
    recorded_facts,
    unapplied_migrations,
)
from datasets.models.jobs import Job
from datasets.workers import hosts_by_lane

Examination = Callable[[], Iterable[Finding]]
_examinations: list[tuple[Examination, bool]] = []


def examines(*, asks_database: bool = False) -> Callable[[Examination], Examination]:
    """Register what looks at something and says what it finds, in the order in which it is told."""

    def register(examination: Examination) -> Examination:
        _examinations.append((examination, asks_database))
        return examination

    return register


def findings() -> Iterator[Finding]:
    """Everything; what asks the database is left out where that cannot be asked."""
    first = [*_database()]
    yield from first
    may_ask = not any(finding.stops for finding in first)
    for examination, asks_database in _examinations:
        if may_ask or not asks_database:
            yield from examination()


def _database() -> Iterator[Finding]:
    try:
        missing = [*unapplied_migrations()]
        version = ".".join(map(str, connection.get_database_version()))
    except (OperationalError, InterfaceError) as error:
        yield no_database(error)
        return
    yield Finding("database", f"{connection.display_name} {version} answers.")
    yield from missing or [Finding("migrations", "all are applied.")]


@examines()
def static_files() -> Iterator[Finding]:
    yield from [*missing_static_files()] or [Finding("static files", "they are there.")]


@examines(asks_database=True)
def storage_and_keys() -> Iterator[Finding]:
    wrong, recorded = {finding.what: finding for finding in differences()}, recorded_facts()
    for name in (STORAGE, *KEYS):
        says = "it is the site's." if name in recorded else "not recorded yet: the first web host or worker does it."
        yield wrong.get(name, Finding(name, says))


@examines()
def room() -> Iterator[Finding]:
    database = settings.DATABASES["default"]
    folders = [Path(settings.MEDIA_ROOT), Path(tempfile.gettempdir())]
    if database["ENGINE"] == "config.sqlite":
        folders.append(Path(database["NAME"]).parent)
    yield from disks(folders)


@examines()
def readers() -> Iterator[Finding]:
    yield from [*open_to_others()] or [Finding("who can read", "the user of this process alone.")]


@examines()
def last_backup() -> Iterator[Finding]:
    if not settings.BACKUP_DIR:
        mend = "Set BACKUP_DIR, and make one every day: manage.py backup"
        yield Finding("backup", "where backups are is not said, so none is known.", mend)
        return
    last = next(iter(backups(Path(settings.BACKUP_DIR))), None)
    age = timezone.now() - last.made_at if last else None
    says = f"the last whole one is of {last.made_at:%Y-%m-%d %H:%M} UTC." if last else "there is no whole one."
    is_old = age is None or age > timedelta(days=settings.BACKUP_MAX_DAYS)
    yield Finding("backup", says, "Make one: manage.py backup" if is_old else "")


@examines(asks_database=True)
def lanes() -> Iterator[Finding]:
    for lane, hosts in hosts_by_lane().items():
        waiting = Job.objects.filter(lane=lane, state=Job.State.QUEUED).order_by("created_at")
        says = f"{len(hosts)} workers ({', '.join(sorted(set(hosts)))})" if hosts else "no worker"
        if first := waiting.first():
            minutes = (timezone.now() - first.created_at) // timedelta(minutes=1)
            says += f"; {waiting.count()} jobs wait, the first for {minutes} minutes"
        yield Finding(f"lane {lane}", f"{says}.", "" if hosts else f"Start one: manage.py work --lane {lane}")


@examines(asks_database=True)
def jobs() -> Iterator[Finding]:
    if returned := Job.objects.filter(state=Job.State.QUEUED, n_returns__gt=0).first():
        yield Finding("jobs", f"{returned} was given back: {returned.error}", "Mend that host, or start another one.")
    failed = Job.objects.filter(state=Job.State.FAILED, finished_at__gt=timezone.now() - timedelta(days=1)).count()
    mend = "See why: manage.py jobs, or Jobs in the admin." if failed else ""
    yield Finding("jobs", f"{failed} have failed within a day.", mend)


@examines()
def front() -> Iterator[Finding]:
    """What a web server in front has to fit."""
    local = {"localhost", "127.0.0.1", "[::1]"}
    if settings.DEMO and set(settings.ALLOWED_HOSTS) - local:
        says = "it is on, though the site has a name: what is asked of a real site is not asked of a demo."
        yield Finding("DEMO", says, "Take DEMO=true out of var/studio.env.", stops=True)
    if settings.DEBUG:
        yield Finding("DEBUG", "it is on: errors show code and settings to visitors.", "Set DEBUG=false.")
    if "*" in settings.ALLOWED_HOSTS:
        yield Finding("ALLOWED_HOSTS", "any name is taken for the site's.", "Name the site's own.")
    if settings.HTTPS and not settings.PROXY_COUNT:
        says = "it is 0 behind HTTPS: wrong passwords, and people who begin, are counted for the proxy's one address."
        yield Finding("PROXY_COUNT", says, "Set it to how many proxies of yours stand in front.")
    if not settings.HTTPS and set(settings.ALLOWED_HOSTS) - local:
        says = "it is off, though the site has a name: passwords and answers travel for all to read."
        yield Finding("HTTPS", says, "Put a proxy with TLS in front and set HTTPS=true.")
    else:
        yield Finding("HTTPS", "it is on." if settings.HTTPS else "it is off, for visitors of this machine alone.")


@examines()
def mail() -> Iterator[Finding]:
    if settings.EMAIL_URL:
        yield Finding("mail", f"it comes from {settings.DEFAULT_FROM_EMAIL}.")
    else:
        yield Finding(
            "mail", "none is sent: who forgets a password must ask an admin.", "Set EMAIL_URL, and EMAIL_FROM."
        )
