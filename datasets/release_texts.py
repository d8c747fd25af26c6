"""What a release says of itself, for programs and for people. Written once, when it is sealed, and kept with it: a
project that is renamed later changes no byte of it."""

from operator import itemgetter
from typing import Any

from datasets.content import content_of, hash_of_files, json_lines
from datasets.models.releases import Release

# Texts are in wording.json; the job that froze the release is a matter of the site.
NOT_TOLD = {"texts", "job"}


def facts_of(release: Release) -> dict[str, Any]:
    """What a release is, for programs."""
    return {
        "project": release.project.slug,
        "slug": release.slug,
        "version": release.version,
        "title": release.title,
        "mode": release.mode,
        "scale": [release.scale_min, release.scale_max],
        "direction": "higher is more anonymous" if release.direction > 0 else "lower is more anonymous",
        "simulated": release.simulated,
        "counting_rule": release.counting_rule,
        "frozen_at": release.frozen_at.isoformat() if release.frozen_at else None,
        "content_hash": release.content_hash,
        "study": {key: value for key, value in release.origins.items() if key not in NOT_TOLD},
    }


def told_hash(release: Release) -> str:
    """SHA-256 over the lines that `sha256sum` would print of what a release says beside its content: its agreement, its
    README, and what its manifest says of it."""
    readme = iter([release.readme.encode()])
    told = {"agreement.json": json_lines(release.agreement), "README.md": readme, "manifest": json_lines(release.facts)}
    return hash_of_files(told.items())


def asked_of(release: Release) -> dict[str, str]:
    """The question and the ends of the scale as the study put them, in its own language."""
    texts = [text for text in release.origins.get("texts", []) if text["language"] == release.origins.get("language")]
    newest = {text["kind"]: text["body"] for text in sorted(texts, key=itemgetter("version"))}
    return {kind: " ".join(newest.get(kind, "").split()) for kind in ("question", "low_label", "high_label")}


def readme_of(release: Release) -> str:
    asked = asked_of(release)
    shown = "the anonymized picture alone" if release.mode == "HA1" else "the anonymized picture beside its original"
    simulated = (
        "\n**These ratings are simulated.** A program made them up to show how the studio works. They say nothing "
        "about how people see these pictures.\n"
        if release.simulated
        else ""
    )
    set_aside = (
        "| set_aside.csv | ratings that somebody decided not to use: in no label, here so that the decision can be "
        "judged; a pair that is not in labels.csv has no rating that is used |\n"
        if "set_aside.csv" in content_of(release)
        else ""
    )
    core = (
        "\n**Figures of all these pairs are biased**: they were given out, or stopped, by rules that depend on what "
        "was said or on a model.\nThose of the core are not: originals drawn by lot before the first rating, with 1 "
        "under `is_core` in labels.csv;\ntheir agreement is under `core` in the `sets` of agreement.json.\n"
        if release.has_core()
        else ""
    )
    cues = (
        "| cues.csv | one row per box that an annotator drew on what gives a person or a place away: pair, annotator, "
        "kind, the box (left, top, width, height) and its picture's size, in pixels of the anonymized picture in "
        "pictures/; marking was optional, so no box does not mean that nothing gives anything away |\n"
        if "cues.csv" in content_of(release)
        else ""
    )
    set_aside_cues = (
        "| set_aside_cues.csv | the same, beside the ratings in set_aside.csv |\n"
        if "set_aside_cues.csv" in content_of(release)
        else ""
    )
    file_names = (
        "; `original_file` and `anonymized_file` are the files' names as they were imported: they can give away a "
        "person, a place or a method"
        if release.names_files
        else ""
    )
    return f"""# {release.title}, version {release.version}
{simulated}
Ratings by people, each given on {shown} ({release.mode}).

> {asked["question"]}
> {release.scale_min:g}: {asked["low_label"]}; {release.scale_max:g}: {asked["high_label"]}
{core}
| file | what it holds |
|---|---|
| labels.csv | one row per pair: its number in the project, paths, source, method, scope, group (a name for this release alone, which versions of one original share), split, number of ratings, mean, median, standard deviation (n - 1), and the mean corrected for each annotator's bias and noise, with its standard error{file_names} |
| ratings.csv | one row per rating: pair, annotator (a name for this release only), score, seconds, position in the session |
| other_answers.csv | answers that no label rests on, of everybody in this release: to repeats (the first answer is in ratings.csv), checks, practice pairs and warm-ups, with their purpose; a pair may be in no other file |
| splits.csv | train, val or test, by group: all versions of one original are in one part |
| wording.json | every text the annotators read, with version and SHA-256 |
{set_aside}{cues}{set_aside_cues}| agreement.json | inter-rater agreement with confidence intervals, their seed and the versions used; under `sets` for all ratings, without those whom the study's planned rule leaves out, and as used, each with who is left out and the SHA-256 of its ratings |
| pictures/ | the pictures as they were shown, named by their SHA-256 |
| manifest.json, SHA256SUMS | size and SHA-256 of every file; check with `sha256sum -c SHA256SUMS` |

Texts are in quotes, numbers are not. A program that takes words like NA for missing, or 003 for a number, has to be told:
in pandas `read_csv("labels.csv", keep_default_na=False, na_values={{"score_std": [""]}}, dtype={{"method": str, "group": str}})`.

Counting rule: {release.counting_rule}

The annotators' names are pseudonyms: they hide who somebody is, but the ratings are still about people.

Content hash: `{release.content_hash}`: the SHA-256 of the lines that
`sha256sum {" ".join(content_of(release))}` prints.
"""  # noqa: E501  rows of a Markdown table
