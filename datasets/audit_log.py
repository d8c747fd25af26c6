"""The audit log as it is read: narrowed down, page by page or as CSV; and how long it is kept."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django import forms
from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from datasets.batches import in_batches
from datasets.forms import whole_characters
from datasets.jobs import repeats
from datasets.models.audit import AuditEntry, whats
from datasets.tables import csv_lines, words_cell

PER_PAGE = 100
AT_ONCE = 1000
SEARCHED = ("user_name", "object_name", "object_id", "project_name", "what")
LARGEST_NUMBER = 2**63 - 1
COLUMNS = (
    "at", "what", "role", "user_id", "user", "object_kind", "object_id", "object", "project_id", "project", "before",
    "after",
)  # fmt: skip


class LogForm(forms.Form):
    """What the log is narrowed down by; all of it may be left out."""

    what = forms.ChoiceField(choices=lambda: [("", "everything"), *whats()], required=False)
    who = forms.CharField(required=False, max_length=150, validators=[whole_characters], help_text="A name or a role.")
    object = forms.CharField(
        required=False, max_length=200, validators=[whole_characters], help_text="A name or an id."
    )
    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    words = forms.CharField(label="Search", required=False, max_length=200, validators=[whole_characters])
    before = forms.IntegerField(required=False, max_value=LARGEST_NUMBER, widget=forms.HiddenInput)

    def chosen(self, entries: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """Those of the entries that were asked for."""
        return entries.filter(*self._conditions())

    def _conditions(self) -> Iterator[Q]:
        wanted = self.cleaned_data
        if what := wanted["what"]:
            yield Q(what=what)
        if who := wanted["who"]:
            yield Q(user_name__iexact=who) | Q(role__iexact=who)
        if named := wanted["object"]:
            yield Q(object_name__iexact=named) | Q(object_id__iexact=named)
        if since := wanted["since"]:
            yield Q(at__gte=datetime.combine(since, time.min, UTC))
        if until := wanted["until"]:
            yield Q(at__lte=datetime.combine(until, time.max, UTC))
        if words := wanted["words"]:
            yield reduce(or_, (Q(**{f"{place}__icontains": words}) for place in SEARCHED))


def page_before(entries: QuerySet[AuditEntry], before: int | None) -> tuple[list[AuditEntry], int | None]:
    """The newest, or those before an entry; with what to name for the next page, None on the last one.

    By where the page before ended, not by number: new entries shift nothing, and a late page costs what the first does.
    """
    if before is not None and (edge := entries.filter(pk=before).first()):
        entries = entries.filter(at__lte=edge.at).exclude(at=edge.at, pk__gte=edge.pk)
    page = list(entries[: PER_PAGE + 1])
    return page[:PER_PAGE], page[PER_PAGE - 1].pk if len(page) > PER_PAGE else None


def log_lines(entries: QuerySet[AuditEntry]) -> Iterator[str]:
    """As CSV, the oldest first."""
    return csv_lines(COLUMNS, (_row(each) for batch in in_batches(entries, at_once=AT_ONCE) for each in batch))


def _row(entry: AuditEntry) -> list[Any]:
    return [
        entry.at.isoformat(),
        entry.what,
        entry.role,
        entry.user_number,
        words_cell(entry.user_name),
        entry.kind,
        words_cell(entry.object_id),
        words_cell(entry.object_name),
        entry.project_number,
        words_cell(entry.project_name),
        _facts(entry.before),
        _facts(entry.after),
    ]


def _facts(facts: dict[str, Any] | None) -> str:
    return "" if facts is None else words_cell(json.dumps(facts, ensure_ascii=False))


@repeats(every=3600)
def forget_what_is_old() -> None:
    """Batch by batch. What is younger than 30 days the database keeps, whatever the setting says."""
    old = AuditEntry.objects.filter(at__lt=timezone.now() - timedelta(days=settings.AUDIT_KEEP_DAYS)).order_by("at")
    while batch := list(old.values_list("pk", flat=True)[:AT_ONCE]):
        AuditEntry.objects.filter(pk__in=batch).delete()
