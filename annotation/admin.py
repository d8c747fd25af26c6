from django.contrib import admin
from django.db.models import QuerySet, Sum
from django.http import HttpRequest

from annotation.models.people import Participation
from annotation.models.studies import Campaign, Study
from annotation.privacy import erase_participation
from datasets.admin import ReadOnly


@admin.register(Campaign)
class CampaignAdmin(ReadOnly):
    list_display = ["name", "project", "created_at"]
    list_filter = ["project"]
    list_select_related = ["project"]


@admin.register(Study)
class StudyAdmin(ReadOnly):
    list_display = ["name", "campaign", "mode", "state", "simulated", "goal", "rated", "opened_at"]
    list_filter = ["state", "mode", "simulated", "campaign__project"]
    list_select_related = ["campaign__project"]
    search_fields = ["name", "campaign__name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Study]:
        studies = super().get_queryset(request)
        return studies.annotate(n_rated=Sum("items__n_rated", default=0), n_wanted=Sum("items__goal", default=0))

    @admin.display(description="ratings", ordering="n_rated")
    def rated(self, study: Study) -> str:
        return f"{study.n_rated} of {study.n_wanted}"  # type: ignore[attr-defined]


@admin.register(Participation)
class ParticipationAdmin(ReadOnly):
    list_display = ["annotator", "study", "consented_at", "finished_at", "withdrawn_at"]
    list_filter = ["study"]
    list_select_related = ["annotator", "study"]
    search_fields = ["annotator__pseudonym"]
    actions = ["erase"]

    def has_erase_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("annotation.delete_participation")

    @admin.action(description="Erase the chosen people's participations for good", permissions=["erase"])
    def erase(self, request: HttpRequest, participations: QuerySet[Participation]) -> None:
        chosen = list(participations)
        for participation in chosen:
            erase_participation(participation)
        self.message_user(request, f"{len(chosen)} participations erased, with all their ratings.")
