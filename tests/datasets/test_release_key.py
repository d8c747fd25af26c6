"""The key of a release and what its sources allow: for the project's researchers, on pages of their own."""

import csv
import io
from hashlib import sha256

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models.studies import Study
from datasets.files import media_path
from datasets.models.releases import Label, Release
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


@pytest.fixture(params=["HA1", "HA2"])
def study(request: pytest.FixtureRequest) -> Study:
    project = make.project()
    make.pair(project)
    pairs = [make.pair(project, group=name, original_path=f"o/{name}.png") for name in ("=person", "london-002")]
    study = make.study(project, n_pairs=0, mode=request.param)
    study.items.exclude(pair__in=pairs).delete()
    make.rate(make.participation(study), 2, 9)
    return study


def address(release: Release, name: str) -> str:
    return reverse(f"datasets:{name}", args=[release.project.slug, release.slug, release.version])


def test_the_key_leads_from_each_row_to_the_files_that_were_imported(study: Study, client: Client) -> None:
    release = make.release(study)
    client.force_login(make.member(study.project))
    assert address(release, "release-key") in client.get(address(release, "release")).content.decode()
    reply = client.get(address(release, "release-key"))
    rows = list(csv.DictReader(io.StringIO(b"".join(reply).decode())))
    assert [(row["row"], row["pair"]) for row in rows] == [("1", "2"), ("2", "3")]
    assert [row["group_as_imported"] for row in rows] == ["'=person", "london-002"]
    for row, label in zip(rows, release.labels.order_by("number"), strict=True):
        pair = study.project.pairs.get(number=row["pair"])
        assert row["group"] == label.public_group
        assert (row["original"], row["anonymized"]) == (pair.original_path, pair.anonymized_path)
        for name, image in (("original", pair.original), ("anonymized", pair.anonymized)):
            assert row[f"{name}_sha256"] == sha256(media_path(image.original.name).read_bytes()).hexdigest()


def test_the_key_is_for_those_who_manage_the_project(study: Study, client: Client) -> None:
    release = make.release(study)
    for person in (make.member(study.project, "annotator"), make.member(make.project())):
        client.force_login(person)
        assert client.get(address(release, "release-key")).status_code == 404


def test_a_release_that_names_originals_says_so_and_offers_a_new_version(study: Study, client: Client) -> None:
    release = make.release(study)
    client.force_login(make.member(study.project))
    assert "hashes of their originals" not in client.get(address(release, "release")).content.decode()
    for label in release.labels.select_related("original"):  # as format 1 did where no group was given
        Label.objects.filter(pk=label.pk).update(public_group=label.original.sha256)
    page = client.get(address(release, "release")).content.decode()
    assert ("This release names groups by the hashes of their originals." in page) == (study.mode == "HA1")
    assert (reverse("annotation:freeze", args=[study.public_id]) in page) == (study.mode == "HA1")


def test_licence_and_citation_are_set_on_a_page_and_said_by_the_next_release(study: Study, client: Client) -> None:
    client.force_login(make.member(study.project))
    page, [source] = reverse("datasets:sources", args=[study.project.slug]), study.project.sources.all()
    sent = {"form-TOTAL_FORMS": 1, "form-INITIAL_FORMS": 1, "form-0-id": source.pk, "form-0-licence": "CC BY 4.0"}
    sent |= {"form-0-citation": "Somebody 2026", "form-0-legal_basis": "consent"}
    assert source.name in client.get(page).content.decode()
    assert client.post(page, sent).url == page
    assert make.release(study).origins["sources"] == [
        {"name": source.name, "licence": "CC BY 4.0", "citation": "Somebody 2026"}
    ]


def test_a_source_of_another_project_cannot_be_reached_through_it(study: Study, client: Client) -> None:
    other = make.pair(make.project()).source
    client.force_login(make.member(study.project))
    sent = {"form-TOTAL_FORMS": 1, "form-INITIAL_FORMS": 1, "form-0-id": other.pk, "form-0-licence": "mine"}
    client.post(reverse("datasets:sources", args=[study.project.slug]), sent)
    other.refresh_from_db()
    assert other.licence == ""
    assert client.get(reverse("datasets:sources", args=[other.project.slug])).status_code == 404
