from django.contrib import admin

from datasets.admin import ReadOnly
from scoring.models import Checkpoint, TrainingRun


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnly):
    list_display = ["__str__", "project", "release", "created_at"]
    list_select_related = ["project", "release"]


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnly):
    list_display = ["__str__", "project", "mode", "in_use"]
    list_select_related = ["project", "run"]
