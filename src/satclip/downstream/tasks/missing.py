"""Labels that are not here: which, and how to get them."""


class TaskDataMissing(LookupError):
    """The labels of a task are not at hand; other tasks continue.

    Attributes:
        task: its name.
        remedy: how to get them.
    """

    def __init__(self, task: str, remedy: str) -> None:
        super().__init__(f"{task}: no labels here; {remedy}")
        self.task, self.remedy = task, remedy
