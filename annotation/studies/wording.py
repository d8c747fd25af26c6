"""The wording of a study: the standard one, to be used as it is or edited before the study opens, and its languages."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from operator import attrgetter

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models.functions import Now

from annotation.languages import in_english
from annotation.models.studies import MAX_SCORE, MIN_SCORE, Study, StudyText
from annotation.studies.history import NotPossible, locked_study
from datasets.audit import record
from datasets.models.audit import What
from datasets.models.releases import Mode

Kind = StudyText.Kind

STANDARD_LANGUAGE = "en"  # in others a study has only what somebody writes for it
STANDARD: dict[str, str] = {
    Kind.QUESTION: "How anonymous is this picture?",
    Kind.LOW_LABEL: "not anonymous",
    Kind.HIGH_LABEL: "fully anonymous",
    Kind.INSTRUCTIONS: (
        "You will see pictures in which something was hidden: masked, blurred, pixelated or filled in. Look at the "
        "whole picture, as someone would who wants to find out who or where this is. A face may be hidden while a "
        "text, a place, clothing or an object still gives somebody away.\n\n"
        f"{MIN_SCORE} means not anonymous: it is plain to see who or where this is. {MAX_SCORE} means fully anonymous: "
        "nothing is left that gives a person or a place away. There is no right answer; your first honest impression "
        "is what we want."
    ),
    Kind.CONSENT: (
        "You will rate pictures, some of which show real people. We store your ratings, the time each one took, the "
        "order you saw them in and how you looked at them (enlarged, compared, in how large a window), under a random "
        "name. We do not ask who you are. You can stop at any time without "
        "giving a reason. The ratings are used for research on picture anonymization and may be published without "
        "your name."
    ),
    Kind.END: "Thank you. Your ratings are saved.",
}
HA2_ONLY: dict[str, str] = {
    Kind.QUESTION: "How anonymous is the anonymized picture?",
    Kind.REFERENCE_NOTE: (
        "The original is shown beside it only so that you can see what was hidden. Rate the anonymized picture, for "
        "somebody who does not have the original."
    ),
}


CUES_CONSENT = (
    "You can also draw boxes on what gives a person or a place away. They are stored, used and published like the "
    "ratings."
)


def standard_wording(mode: str, *, asks_cues: bool = False) -> dict[str, str]:
    """Every text that a study of this mode needs, by kind, in English; where it asks for boxes the consent says so."""
    texts = STANDARD | HA2_ONLY if mode == Mode.HA2 else dict(STANDARD)
    return texts | {Kind.CONSENT: f"{texts[Kind.CONSENT]}\n\n{CUES_CONSENT}"} if asks_cues else texts


def current_texts(study: Study, *, language: str | None = None) -> dict[str, StudyText]:
    """The newest version of each text, by kind."""
    return _newest(StudyText.objects.filter(study=study, language=language or study.language))


def supplied_texts(study: Study) -> dict[str, dict[str, StudyText]]:
    """The current texts by language: of the study's own, and of each further one in which somebody has written all."""
    needed = standard_wording(study.mode).keys()
    by_language: dict[str, list[StudyText]] = defaultdict(list)
    for text in StudyText.objects.filter(study=study):
        by_language[text.language].append(text)
    texts = {language: _newest(versions) for language, versions in by_language.items()}
    return {each: texts[each] for each in texts if each == study.language or texts[each].keys() >= needed}


def texts_for(study: Study, language: str) -> dict[str, StudyText]:
    """The current texts in a person's language where somebody has supplied it, else in the study's own."""
    supplied = supplied_texts(study)
    return supplied.get(language) or supplied[study.language]


def _newest(texts: Iterable[StudyText]) -> dict[str, StudyText]:
    return {text.kind: text for text in sorted(texts, key=attrgetter("kind", "version"))}


@transaction.atomic
def write_texts(
    study: Study, wording: Mapping[str, str], *, language: str | None = None, by: AbstractBaseUser | None = None
) -> None:
    """Store what differs from the current texts: a draft's text is replaced, one that was shown gets a new version.

    Of the study's own language or of a further one, which begins with all of its texts at once: nobody reads a study in
    two languages.
    """
    study = locked_study(study)
    language = language or study.language
    current = current_texts(study, language=language)
    if missing := [kind for kind in standard_wording(study.mode) if kind not in current and kind not in wording]:
        name = in_english().get(language, language)
        raise NotPossible(f"The texts of a language come all together. Missing in {name}: {', '.join(missing)}.")
    written = []
    for kind, body in wording.items():
        text = current.get(kind)
        if text is None:
            text = StudyText(study=study, language=language, kind=kind)
        elif text.body == body:
            continue
        elif text.shown_at:
            text = StudyText(study=study, language=language, kind=kind, version=text.version + 1)
        text.body = body
        text.save()
        written.append(kind)
    if written:
        after = {"texts": sorted(written), "language": language}
        record(What.STUDY_CHANGED, by=by, on=study, project=study.project, after=after)
    if study.has_begun:
        mark_shown(study)


def mark_shown(study: Study) -> None:
    """Whoever comes in now reads the current texts: from here on they never change."""
    current = [text.pk for texts in supplied_texts(study).values() for text in texts.values()]
    StudyText.objects.filter(pk__in=current, shown_at=None).update(shown_at=Now())
