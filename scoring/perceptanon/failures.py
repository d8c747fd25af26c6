from datasets.refusals import Refusal


class CannotTrain(Refusal):
    """Training cannot go on, in words for the person who asked for it."""
