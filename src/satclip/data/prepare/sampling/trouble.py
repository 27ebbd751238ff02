"""Two kinds of failure that must never be mixed up: what is so of a scene, and what is so of the network today."""


class SceneError(Exception):
    """This scene cannot give the patch, today or later: another one is tried, and the cause is counted.

    Args:
        cause: one or two words, as counted.
        detail: which scene or file, and what about it.
    """

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause, self.detail = cause, detail


class UnreachableError(Exception):
    """A server did not answer as it should, after all retries.

    Nothing is decided by it: were another scene or place taken instead, which places are sampled would depend on the
    network. The place is left for the next call.
    """
