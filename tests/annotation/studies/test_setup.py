"""A study begins in its campaign, over pairs of its project."""

import pytest

from annotation.models.studies import Campaign
from annotation.studies.history import NotPossible
from annotation.studies.setup import create_study
from datasets.models.pictures import Pair
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def test_a_study_holds_pairs_of_its_project_only() -> None:
    make.pairs(make.project(), 2)
    project = make.project()
    make.pairs(project, 1)
    campaign = Campaign.objects.create(project=project, slug="c", name="C")
    study = create_study(project, campaign=campaign, mode="HA2", name="S", pairs=Pair.objects.all())
    assert study.items.count() == 1


def test_a_campaign_has_one_study_per_mode() -> None:
    study = make.study()
    with pytest.raises(NotPossible, match="another campaign"):
        make.study(study.project, campaign=study.campaign, mode=study.mode)
