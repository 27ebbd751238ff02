"""Which way a figure gets better, told by its name."""

import re

HIGHER = re.compile(r"(r2|accuracy|top\d+|mean|samples_per_second)|gain/.+")
LOSS = re.compile(r"(.+/)?loss(/.+)?")
LOWER = re.compile(r"loss(/.+)?|median_km")


def higher_is_better(name: str) -> bool | None:
    """True for `val/image_to_location/top10`, False for `best/val/loss`, None where the name does not tell."""
    parts = name.split("/")
    tails = ["/".join(parts[at:]) for at in range(len(parts))]
    if any(LOWER.fullmatch(tail) for tail in tails):
        return False
    return True if any(HIGHER.fullmatch(tail) for tail in tails) else None


def is_loss(name: str) -> bool:
    """Whether a figure is a loss, `best/val/loss` or a term of one: what it means depends on how it was trained."""
    return LOSS.fullmatch(name) is not None
