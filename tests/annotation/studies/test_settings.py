"""What a study can be set to: told once on the model, and the same in form, command, documentation and database."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.core.exceptions import ValidationError

from annotation.management.commands.create_study import option_of
from annotation.models.studies import Study
from annotation.studies.forms.forecast import ForecastForm
from annotation.studies.forms.setup import StudyForm
from annotation.studies.settings import BIASED, GROUPS, SESSION, SETTINGS
from tests import make

DOCS = Path(__file__).parents[3] / "docs" / "researchers.md"
NUMBERS = [name for name in SETTINGS if isinstance(StudyForm.base_fields[name], forms.IntegerField)]


def range_of(name: str) -> tuple[Any, Any]:
    field = StudyForm.base_fields[name]
    assert isinstance(field, forms.IntegerField)
    return field.min_value, field.max_value


def values(name: str) -> str:
    field = StudyForm.base_fields[name]
    if name in NUMBERS:
        return "{} to {}".format(*range_of(name))
    if isinstance(field, forms.ChoiceField):
        return ", ".join(value for value, _ in field.choices if value)  # type: ignore[misc, union-attr]
    return f"{field.max_length} characters" if isinstance(field, forms.CharField) else "on, off"


def at_first(name: str) -> str:
    default = SETTINGS[name].get_default()
    if isinstance(default, bool):
        return "on" if default else "off"
    return "" if default is None else str(default)


def documented() -> Iterator[str]:
    """The table of docs/researchers.md, row by row."""
    for legend, names in (GROUPS | {"Adaptive stop and model ordering": BIASED}).items():
        yield f"| **{legend}** | | | |"
        for name in names:
            option = "the first word" if name == "name" else f"`{option_of(name)}`"
            yield f"| {StudyForm.base_fields[name].label} | {option} | {values(name)} | {at_first(name)} |"


def test_the_documentation_tells_of_every_setting_as_the_model_does() -> None:
    table = "\n".join(documented())
    assert table in DOCS.read_text(), table


def test_the_page_has_every_setting_once() -> None:
    on_the_page = [name for names in StudyForm.groups.values() for name in names] + BIASED
    assert sorted(on_the_page) == sorted(StudyForm.base_fields)


@pytest.mark.postgres
@pytest.mark.django_db
@pytest.mark.parametrize("name", NUMBERS)
def test_the_database_stores_what_the_form_takes_and_the_model_refuses_what_lies_outside(name: str) -> None:
    study = make.study(is_open=False)
    for value, outside in zip(range_of(name), (-1, 1), strict=True):
        alike = {"min_ratings", "max_ratings"} if name in ("min_ratings", "max_ratings") else {name}
        Study.objects.filter(pk=study.pk).update(**dict.fromkeys(alike, value))
        study.refresh_from_db()
        assert getattr(study, name) == value
        SETTINGS[name].run_validators(value)
        with pytest.raises(ValidationError):
            SETTINGS[name].run_validators(value + outside)


def test_the_forecast_asks_for_a_setting_as_the_page_does() -> None:
    for name in ("goal", *SESSION):
        here, there = (vars(form.base_fields[name]) for form in (ForecastForm, StudyForm))
        told = ("label", "help_text", "min_value", "max_value")
        assert [here[each] for each in told] == [there[each] for each in told]
