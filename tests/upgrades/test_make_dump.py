"""The dumps that are kept, and whether this version's can be made."""

import re
from pathlib import Path

import pytest
from django.apps import apps
from django.core.cache import cache

from tests.upgrades.make_dump import UPGRADES, build_site


@pytest.mark.parametrize("dump", sorted(UPGRADES.glob("*/*.sql")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_dump_says_nothing_of_the_machine_on_which_it_was_made(dump: Path) -> None:
    text = dump.read_text()
    assert re.findall(r"/(?:tmp|var|home|root|usr|opt|srv|mnt|work|Users)/[^\s'\"]*", text) == []
    assert re.findall(r"^(?:SET |\\|.*\bOWNER TO\b).*", text, re.MULTILINE) == []


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("media_of_its_own")
def test_the_next_version_can_be_dumped_and_every_table_of_ours_has_rows_then(tmp_path: Path) -> None:
    cache.clear()  # of withdrawals that tests before this one have tried
    build_site(tmp_path)
    ours = [model for app in ("annotation", "datasets", "scoring") for model in apps.get_app_config(app).get_models()]
    assert [model.__name__ for model in ours if not model.objects.exists()] == []
