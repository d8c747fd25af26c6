"""What is not done though somebody asked for it. Plain Python: rows, recipes and training refuse too."""


class Refusal(Exception):
    """The message says to people what is wrong and what to do, `code` says to programs which refusal it is.

    How it is told, on a page, by a command or in JSON, is in `datasets/telling.py`.
    """

    code = "refused"
    status = 400  # of HTTP, where a program has asked
    sentence: object = ""  # where it is always the same; one that is translated lazily is, when it is told

    def __str__(self) -> str:
        return super().__str__() or str(self.sentence)
