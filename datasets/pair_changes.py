"""The way back: pairs that no study and no release uses are mended and removed, each change with who and when."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import ProtectedError, Q, QuerySet
from django.db.models.fields.json import KT

from datasets.closing import hold_open
from datasets.files import media_path
from datasets.models.jobs import Job
from datasets.models.pictures import Image, Pair, PairChange, Source
from datasets.models.projects import Project
from datasets.models.releases import Label
from datasets.refusals import Refusal
from datasets.rows import LENGTHS, parameters_in, row_problem

FACTS = ("group", "source", "method", "scope", "parameters")


class PairInUse(Refusal):
    """A study or a release rests on the pair as it is."""


class BadFacts(Refusal):
    """What is to be said of a pair cannot be said of any."""


def facts_of(pair: Pair) -> dict[str, Any]:
    return {name: getattr(pair, name) for name in FACTS} | {"source": pair.source.name}


def use_of(pair: Pair, *, of_group: bool = False) -> str | None:
    """What uses the pair, or its group alone, in words; None where nothing does. Studies use groups once they open."""
    for rows in _held_by(pair):
        if (rows.resting_on_groups() if of_group else rows).exists():
            return "a study that was opened" if of_group else "a study"
    labels = Label.objects.filter(release__project=pair.project_id, anonymized__in=_rows_of(pair.anonymized_id))
    same = Q(original__in=_rows_of(pair.original_id)) if pair.original_id else Q(original=None)
    return "a release" if labels.filter(same).exists() else None


def _held_by(pair: Pair) -> Iterator[Any]:
    """The rows of each table above that hold the pair. Each has a copy of its `group`, and says by a queryset's
    `resting_on_groups` which of them nobody may give another any more."""
    for relation in Pair._meta.related_objects:
        yield relation.related_model._default_manager.filter(**{relation.field.name: pair})


def _rows_of(image: int) -> QuerySet[Image]:
    """The row that pairs name, and the one that later studies show."""
    return Image.objects.filter(Q(pk=image) | Q(renews=image))


def change_pairs(pairs: QuerySet[Pair], told: Mapping[str, str], *, by: AbstractBaseUser | None) -> int:
    """Say other facts of these pairs; how many were changed. All of them or, with PairInUse, BadFacts
    or ProjectClosed, none.

    A pair in a study may get another group until the study opens, and nothing else.

    `told` holds some of FACTS as a manifest's cells would: parameters as JSON, an empty group for the original's hash.
    """
    return _change(pairs, told, PairChange.Verb.CHANGED, by)


@transaction.atomic
def _change(pairs: QuerySet[Pair], told: Mapping[str, str], verb: PairChange.Verb, by: AbstractBaseUser | None) -> int:
    n_changed = 0
    _hold_open(pairs)
    for pair in hold_pairs(pairs):
        before = facts_of(pair)
        after = before | _read(pair, told)
        if after == before:
            continue
        changed = {name for name in after if after[name] != before[name]}
        _refuse_where_used(pair, of_group=changed == {"group"})
        source, _ = Source.objects.get_or_create(project=pair.project, name=after["source"])
        Pair.objects.filter(pk=pair.pk).update(**after | {"source": source})
        for rows in _held_by(pair):
            rows.update(group=after["group"])
        _record(pair, verb, by, before, after)
        n_changed += 1
    return n_changed


@transaction.atomic
def merge_groups(project: Project, groups: Iterable[str], *, into: str, by: AbstractBaseUser | None) -> int:
    """Put all pairs of these groups into one; how many changed theirs. Recorded as a merge of each pair.

    Raises PairInUse while an import runs: it might bring more pairs of the groups that are no more.
    """
    _refuse_while_importing([project.pk], "merge the groups")
    return _change(project.pairs.filter(group__in=groups), {"group": into}, PairChange.Verb.MERGED, by)


class MergedGroups:
    """Where the groups of a project went: what is imported under a name that was merged belongs to the other."""

    def __init__(self, project: Project) -> None:
        merges = project.pair_changes.filter(verb=PairChange.Verb.MERGED).order_by("pk")
        into: dict[str, str] = {}
        for old, new in merges.values_list(KT("before__group"), KT("after__group")).iterator(chunk_size=2000):
            into.pop(new, None)  # it had been merged and was there again; so no merges lead in a circle
            into[old] = new
        self._into = {old: _end_of(into, old) for old in into}
        if self._into:
            for group in project.pairs.order_by().values_list("group", flat=True).distinct().iterator(chunk_size=2000):
                self._into.pop(group, None)  # it is there again, and means itself

    def name_of(self, group: str) -> str:
        """Of the group that this one is now: itself, or what it went into by any number of merges."""
        return self._into.get(group, group)


def _end_of(into: Mapping[str, str], group: str) -> str:
    while group in into:
        group = into[group]
    return group


@transaction.atomic
def remove_pairs(pairs: QuerySet[Pair], *, by: AbstractBaseUser | None) -> int:
    """Remove pairs and the pictures that nothing else uses; how many pairs. All of them or, with PairInUse
    or ProjectClosed, none."""
    _hold_open(pairs)
    held = list(hold_pairs(pairs))
    _refuse_while_importing({pair.project_id for pair in held}, "remove the pairs")
    for pair in held:
        _refuse_where_used(pair)
        images = [image for image in (pair.original, pair.anonymized) if image]
        _record(pair, PairChange.Verb.REMOVED, by, facts_of(pair), {})
        Pair.objects.filter(pk=pair.pk).delete()
        for image in images:
            _remove_unused(image)
    return len(held)


def _hold_open(pairs: QuerySet[Pair]) -> None:
    """The projects of these pairs, locked before the pairs are. Raises ProjectClosed."""
    for project in Project.objects.filter(pairs__in=pairs).distinct().order_by("pk"):
        hold_open(project)


def hold_projects(projects: QuerySet[Project]) -> None:
    """These projects, locked: no study of theirs opens for the first time, no group changes and no picture is renewed
    until the transaction ends."""
    chosen = Project.objects.filter(pk__in=list(projects.values_list("pk", flat=True))).order_by("pk")
    list(chosen.select_for_update(no_key=True))


def hold_pairs(pairs: QuerySet[Pair]) -> QuerySet[Pair]:
    """These pairs, locked: whoever puts one into a study, changes it or its pictures waits, or is waited for."""
    chosen = Pair.objects.filter(pk__in=list(pairs.values_list("pk", flat=True))).order_by("pk")
    list(chosen.select_for_update())
    return chosen.select_related("source", "project", "original", "anonymized")


def _refuse_while_importing(projects: Iterable[int], what: str) -> None:
    if Job.objects.unfinished().filter(project__in=projects, kind="import_pairs").exists():
        raise PairInUse(f"An import is running, which may need what is there now; {what} when it has ended.")


def _refuse_where_used(pair: Pair, *, of_group: bool = False) -> None:
    if use := use_of(pair, of_group=of_group):
        raise PairInUse(f"Pair {pair.number} ({pair.anonymized_path}) is in {use}; nothing was changed. Leave it out.")


def _read(pair: Pair, told: Mapping[str, str]) -> dict[str, Any]:
    cells = {name: value.strip() for name, value in told.items() if name in FACTS}
    read: dict[str, Any] = dict(cells)
    if "parameters" in cells and (found := parameters_in(read.pop("parameters"))) is None:
        raise BadFacts('parameters must be a JSON object such as {"strength": 0.1}.')
    if "parameters" in cells:
        read["parameters"] = found
    if read.get("group") == "" and pair.original:
        read["group"] = pair.original.sha256
    if read.get("source") == "":
        read["source"] = "unnamed"
    row = {"original": "", "anonymized": "a", "source": "", "method": "", "scope": "", "group": pair.group}
    if problem := row_problem(row | {name: value for name, value in read.items() if name in LENGTHS}):
        raise BadFacts(problem[0].upper() + problem[1:])
    return read


def _record(
    pair: Pair, verb: PairChange.Verb, by: AbstractBaseUser | None, before: dict[str, Any], after: dict[str, Any]
) -> None:
    PairChange.objects.create(
        project=pair.project,
        pair=pair.number,
        anonymized_path=pair.anonymized_path,
        verb=verb,
        before=before,
        after=after,
        by_id=by.pk if by else None,
    )


def _remove_unused(image: Image) -> None:
    names = {str(name) for files in _rows_of(image.pk).values_list("original", "display") for name in files}
    try:
        with transaction.atomic():
            image.delete()
    except ProtectedError:  # another pair or a release shows it
        return

    remove_unnamed(names)


def remove_unnamed(names: Iterable[str]) -> None:
    """Remove these picture files, once the transaction has ended well, where no picture names them."""

    def remove_files() -> None:
        for name in names:
            if not (Image.objects.filter(original=name) | Image.objects.filter(display=name)).exists():
                media_path(name).unlink(missing_ok=True)

    transaction.on_commit(remove_files)
