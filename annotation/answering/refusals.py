"""Why an answer is not stored: the code for programs, the sentence for whoever gave it."""

from django.utils.translation import gettext_lazy

from datasets.refusals import Refusal


class AnswerRefused(Refusal):
    """An answer that cannot be stored. It spoils no other."""


class InvalidScore(AnswerRefused):
    code = "invalid_score"


class InvalidAnswer(AnswerRefused):
    code = "invalid_answer"


class UnknownAssignment(AnswerRefused):
    code = "unknown_assignment"
    status = 404
    sentence = gettext_lazy("This pair was not given to you.")


class AlreadyRated(AnswerRefused):
    code = "already_rated"
    status = 409


class NotRated(AnswerRefused):
    code = "not_rated"
    status = 409
    sentence = gettext_lazy("This pair has not been rated yet; send an answer, not a revision.")


class RevisionsEnded(AnswerRefused):
    code = "revisions_ended"
    status = 409
    sentence = gettext_lazy("This study has ended for you; the answer stays as it is.")


class KeyAlreadyUsed(AnswerRefused):
    code = "key_already_used"
    status = 409
    sentence = gettext_lazy("This key has already been used for another answer; send a new one.")
