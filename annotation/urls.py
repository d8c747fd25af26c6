import re

from django.contrib.auth.decorators import login_not_required
from django.urls import path, register_converter
from django.views.i18n import set_language

from annotation.answering.api import AnswerView
from annotation.languages import in_their_language, words
from annotation.pages import admins, annotators, invited, planning, researchers, steps, watching, withdrawal


class PassedOn:
    """A token in a link as people pass it on: what a sentence puts behind a link is no part of it.

    No token ends in what may stand behind it: an invitation's is hex, and the last letter of a signature, two bits of
    which are always 0, is never `-` or `_`.
    """

    # Quotes, dashes, marks of Arabic, and what nobody sees: spaces of no width, marks of direction.
    behind = (
        " /.,;:!?)]}>*_-–—'\"`´‘’‚“”„«»‹›…،؛؟"  # noqa: RUF001
        "\u00a0\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
    )
    # The first part gives nothing back, since both take `-`, `_` and `:`: of long rubbish that would be slow.
    regex = rf"[-\w:]++[{re.escape(behind)}]*"

    def to_python(self, value: str) -> str:
        return value.rstrip(self.behind)

    def to_url(self, value: str) -> str:
        return value


register_converter(PassedOn, "passed-on")

app_name = "annotation"
urlpatterns = [
    path("language/", login_not_required(set_language), name="language"),
    path("words/<slug:language>/<slug:version>/", words, name="words"),
    path("join/<passed-on:token>/", annotators.join, name="join"),
    path("resume/<passed-on:token>/", annotators.resume, name="resume"),
    path("invited/<passed-on:token>/", invited.invited, name="invited"),
    path("withdraw/", withdrawal.withdraw, name="withdrawal"),
    path("studies/<uuid:study>/take-part/", annotators.take_part, name="take-part"),
    path("rate/<uuid:participation>/", annotators.rate, name="rate"),
    path("rate/<uuid:participation>/your-data/", annotators.your_data, name="your-data"),
    path("rate/<uuid:participation>/your-data/code/", annotators.new_code, name="new-code"),
    path("rate/<uuid:participation>/your-data/erase/", withdrawal.erase, name="erase"),
    path("rate/<uuid:participation>/instructions/", annotators.instructions, name="instructions"),
    path("rate/<uuid:participation>/last-answer/", annotators.last_answer, name="last-answer"),
    path("rate/<uuid:participation>/answer/", in_their_language(AnswerView.as_view()), name="answer"),
    path("rate/<uuid:participation>/rest/", annotators.rest, name="rest"),
    path("left/", annotators.left, name="left"),
    path("rate/<uuid:participation>/leave/", annotators.leave, name="leave"),
    path("rate/<uuid:participation>/end/", annotators.end, name="end"),
    path("rate/<uuid:participation>/another/", annotators.another_session, name="another-session"),
    path("rate/<uuid:participation>/picture/<uuid:key>/", annotators.picture, name="picture"),
    path("projects/<slug:project>/", researchers.project, name="project"),
    path("projects/<slug:project>/studies/new/", researchers.study_new, name="study-new"),
    path("projects/<slug:project>/close/", steps.close_project, name="close-project"),
    path("projects/<slug:project>/reopen/", steps.reopen_project, name="reopen-project"),
    path("projects/<slug:project>/settings/", admins.settings, name="project-settings"),
    path("projects/<slug:project>/members/", admins.members, name="members"),
    path("projects/<slug:project>/members/<int:member>/role/", admins.give_role, name="member-role"),
    path("projects/<slug:project>/members/<int:member>/take-out/", admins.take_out, name="member-out"),
    path("projects/<slug:project>/members/invite/", admins.invite, name="member-invite"),
    path("projects/<slug:project>/members/invitations/<int:invited>/", admins.link, name="member-link"),
    path(
        "projects/<slug:project>/members/invitations/<int:invited>/withdraw/",
        admins.withdraw_invitation,
        name="member-withdraw",
    ),
    path("projects/<slug:project>/forecast/", planning.forecast, name="forecast"),
    path("studies/<uuid:study>/", researchers.study, name="study"),
    path("studies/<uuid:study>/wording/", researchers.wording, name="wording"),
    path("studies/<uuid:study>/wording/<slug:language>/", researchers.wording, name="wording-in"),
    path("studies/<uuid:study>/state/", steps.state, name="state"),
    path("studies/<uuid:study>/goal/", researchers.goal, name="goal"),
    path("studies/<uuid:study>/pairs/", researchers.more_pairs, name="more-pairs"),
    path("studies/<uuid:study>/delete/", steps.delete_study, name="delete-study"),
    path("studies/<uuid:study>/invite/", researchers.invite, name="invite"),
    path("studies/<uuid:study>/invitations/<int:invitation>/revoke/", researchers.revoke, name="revoke"),
    path("studies/<uuid:study>/freeze/", researchers.freeze, name="freeze"),
    path("studies/<uuid:study>/ratings.csv", researchers.ratings, name="ratings"),
    path("studies/<uuid:study>/remarks.csv", researchers.remarks, name="remarks"),
    path("studies/<uuid:study>/completion/", researchers.completion, name="completion"),
    path("studies/<uuid:study>/cues.csv", researchers.cues, name="cues"),
    path("studies/<uuid:study>/quality/", watching.quality, name="quality"),
    path("studies/<uuid:study>/quality/check/", watching.check_again, name="check-again"),
    path("studies/<uuid:study>/people/<uuid:person>/", watching.annotator, name="annotator"),
    path("studies/<uuid:study>/people/<uuid:person>/decide/", watching.decide, name="decide"),
    path("studies/<uuid:study>/people/<uuid:person>/settle/", watching.settle, name="settle"),
    path("studies/<uuid:study>/items/", watching.items, name="items"),
    path("studies/<uuid:study>/items.csv", watching.items_csv, name="items-csv"),
    path("studies/<uuid:study>/items/<int:item>/", watching.item, name="item"),
    path("studies/<uuid:study>/items/<int:item>/role/", watching.give_role, name="give-role"),
    path("studies/<uuid:study>/items/<int:item>/withdraw/", watching.withdraw, name="withdraw"),
    path("studies/<uuid:study>/items/<int:item>/seen/", watching.seen, name="seen"),
    path("studies/<uuid:study>/preregistration/", planning.preregistration, name="preregistration"),
]
