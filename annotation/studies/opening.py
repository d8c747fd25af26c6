"""What somebody should look at before a study opens for the first time, and what is fixed from then on."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q
from django.urls import reverse

from annotation.giving.session_plan import CannotPlan, SessionPlan
from annotation.languages import in_english
from annotation.models.studies import Item, Study
from annotation.studies.forecast import Forecast, Pay, forecast
from annotation.studies.preregistration import ExclusionRule, preregistration_of
from annotation.studies.settings import DESIGN, SESSION
from annotation.studies.wording import current_texts, standard_wording, supplied_texts
from datasets.alike import groups_alike
from datasets.models.pictures import Pair, Source


@dataclass(frozen=True)
class Point:
    what: str
    is_well: bool
    says: str
    where: str = ""  # the address where it is mended, of whatever belongs to the study's project


def checklist(study: Study) -> list[Point]:
    """Warnings, not refusals: what cannot be opened at all `life.check_step` says."""
    sizes = _sizes(study)
    return [
        _texts(study),
        _languages(study),
        _session(study, sizes["n_pairs"]),
        _role("Checks", sizes["n_checks"], study.n_checks),
        _role("Practice", sizes["n_practice"], study.n_practice),
        _groups(study),
        _licences(study),
    ]


def _sizes(study: Study) -> dict[str, int]:
    """Pairs by their roles, and the originals of those that are rated."""
    role, rated = Item.Role, Q(role=Item.Role.MAIN)
    return (
        study.items.filter(state=Item.State.OPEN)
        .order_by()
        .aggregate(
            n_pairs=Count("pk", filter=rated),
            n_originals=Count("group", distinct=True, filter=rated),
            n_checks=Count("pk", filter=Q(role=role.CHECK)),
            n_practice=Count("pk", filter=Q(role=role.PRACTICE)),
        )
    )


def _texts(study: Study) -> Point:
    written = {kind for kind, text in current_texts(study).items() if text.body.strip()}
    missing = [kind.replace("_", " ") for kind in standard_wording(study.mode) if kind not in written]
    return Point("Texts", not missing, f"Missing: {', '.join(missing)}." if missing else "All are written.")


def _languages(study: Study) -> Point:
    names = in_english()
    listed = ", ".join(names.get(code, code) for code in supplied_texts(study))
    return Point("Languages", bool(listed), f"{listed or 'None'}. Whoever reads another language gets the study's own.")


def _session(study: Study, n_pairs: int) -> Point:
    asked = f"{study.session_size} pairs"
    if study.session_size > n_pairs:
        return Point(
            "Session", False, f"{asked} are asked for and {n_pairs} can be rated, so all sessions are shorter."
        )
    return Point("Session", True, f"{asked} of the {n_pairs} that can be rated.")


def _role(what: str, n_marked: int, n_asked: int) -> Point:
    if n_marked < n_asked:
        says = f"{n_asked} in a session are asked for and {n_marked} marked, so pairs that count fill in."
        return Point(what, False, says)
    if n_marked and not n_asked:
        return Point(what, False, f"{n_marked} marked, but sessions ask for none, so nobody will see them.")
    return Point(what, True, f"{n_asked} in a session, of {n_marked} marked." if n_asked else "None.")


def _groups(study: Study) -> Point:
    """Whether pairs that seem to show one person are in one group: from the opening on they stay in those they have."""
    alike = groups_alike(Pair.objects.filter(items__study=study))
    if not alike:
        return Point("Groups", True, "No two seem to show one person.")
    example = " and ".join(alike[0].groups[:2])
    says = f"{len(alike)} times groups have something in common, such as {example}: {alike[0].why}."
    says += " Look whether they show one person, and merge those that do: once the study is open they stay apart."
    return Point("Groups", False, says, reverse("datasets:groups", args=[study.project.slug]))


def _licences(study: Study) -> Point:
    of_study = Source.objects.filter(pairs__items__study=study).distinct().order_by("name")
    without = [source.name for source in of_study if not source.licence.strip()]
    if without:
        return Point("Licences", False, f"Not written for: {', '.join(without)}. An admin writes them at the source.")
    return Point("Licences", True, "; ".join(f"{source.name}: {source.licence}" for source in of_study) + ".")


def expected(study: Study) -> Forecast | None:
    """People, hours and, where the study has a pay, cost; None where the numbers fit no study."""
    sizes = _sizes(study)
    try:
        return forecast(
            n_pairs=sizes["n_pairs"],
            n_originals=sizes["n_originals"],
            goal=study.goal,
            session=SessionPlan(*(getattr(study, name) for name in SESSION)),
            seconds=study.seconds_per_pair,
            pay=Pay(float(study.pay_per_hour or 0), "hour"),
        )
    except CannotPlan:
        return None


def becomes_fixed(study: Study) -> list[tuple[str, Any]]:
    """Name and value of what is preregistered by opening."""
    kept = preregistration_of(study)
    fixed: list[tuple[str, Any]] = [
        ("Headline measure", f"Krippendorff's alpha, {kept.headline}"),
        ("Sets aside", "; ".join(ExclusionRule.of(kept.rule).in_words()) or "nobody"),
        ("Ratings wanted per pair", study.goal),
    ]
    return fixed + [(_name(setting), _shown(getattr(study, setting))) for setting in DESIGN]


def _name(setting: str) -> str:
    name = str(Study._meta.get_field(setting).verbose_name)  # type: ignore[union-attr]
    return name[:1].upper() + name[1:]


def _shown(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "no limit" if value is None else value
