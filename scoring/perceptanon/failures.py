class CannotTrain(Exception):
    """Training cannot go on, in words for the person who asked for it."""
