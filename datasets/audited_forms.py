"""What a form has changed, for the audit log: choices, yes and no, numbers and names as they were and are; of all else,
passwords and what somebody wrote among them, that it was changed."""

from typing import Any

from django import forms
from django.contrib.auth.models import User

from datasets.audit import By, record, record_role
from datasets.models.audit import What
from datasets.models.projects import Membership, Project

NAMES = {"name", "slug", "username"}
CHANGED = "(changed)"
TOLD = (forms.BooleanField, forms.ChoiceField, forms.IntegerField, forms.FloatField, forms.DecimalField)


def record_form(form: forms.ModelForm[Any], *, by: By, project: Project | None, is_new: bool = False) -> None:
    """Call it once the form is saved; a form that has changed nothing leaves no entry."""
    what = What.USER_CHANGED if isinstance(form.instance, User) else What.SETTINGS_CHANGED
    before = None if is_new else {name: _told(form, name, _initial(form, name)) for name in form.changed_data}
    after = {name: _told(form, name, form.cleaned_data.get(name)) for name in form.changed_data}
    if after:
        record(what, by=by, on=form.instance, project=project, before=before, after=after)


def record_memberships(formset: Any, *, by: By) -> None:
    """Whose role in a project was given, changed or taken."""
    for form in formset.forms:
        membership: Membership = form.instance
        had, is_gone = form.initial.get("role"), form in formset.deleted_forms
        if (is_gone and not had) or not (is_gone or form.has_changed()):
            continue
        was = User.objects.filter(pk=form.initial.get("user")).first()
        if was and was != membership.user:  # the row went from one to another
            record_role(membership.project, was, before=had, after=None, by=by)
            had = None
        after = None if is_gone else membership.role
        record_role(membership.project, membership.user, before=had, after=after, by=by)


def _initial(form: forms.ModelForm[Any], name: str) -> Any:
    return form.get_initial_for_field(form.fields[name], name) if name in form.fields else None


def _told(form: forms.ModelForm[Any], name: str, value: Any) -> Any:
    field = form.fields.get(name)
    if isinstance(field, forms.ModelMultipleChoiceField):
        return sorted(map(str, value or []))
    if isinstance(field, forms.ModelChoiceField):
        return str(field.to_python(value)) if value else None
    if name in NAMES or isinstance(field, TOLD):
        return value if isinstance(value, bool | int | None) else str(value)
    return CHANGED
