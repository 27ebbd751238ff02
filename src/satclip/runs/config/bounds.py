"""Between which numbers an option must lie, where its constructor would find out late, elsewhere or not at all."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

LARGEST = 2**31 - 1  # of a number of steps, samples or pixels
WIDEST = 2**20  # of a layer


@dataclass(frozen=True)
class Bounds:
    """A range of numbers, and what is taken beside it.

    Attributes:
        low, high: its ends.
        open: whether the ends themselves are out of it: "low", "high", "both" or "".
        beside: numbers that are taken although they lie outside.
    """

    low: float = 0
    high: float = LARGEST
    open: str = ""
    beside: tuple[float, ...] = ()

    def hold(self, value: Any) -> bool:
        """Whether a number lies in the range; lists by their elements, everything else does."""
        if isinstance(value, list):
            return all(self.hold(each) for each in value)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value in self.beside:
            return True
        above = value > self.low if self.open in ("low", "both") else value >= self.low
        return above and (value < self.high if self.open in ("high", "both") else value <= self.high)

    def __str__(self) -> str:
        low = f"more than {self.low}" if self.open in ("low", "both") else f"{self.low} or more"
        high = f"less than {self.high}" if self.open in ("high", "both") else f"{self.high} at most"
        return f"{low} and {high}" + "".join(f", or {each}" for each in self.beside)


POSITIVE, COUNT, WIDTH = Bounds(open="low"), Bounds(1), Bounds(1, WIDEST)
FRACTION = Bounds(0, 1)

# By the option's name as it is typed; the first pattern that matches counts.
BOUNDS: dict[str, Bounds] = {
    "seed": Bounds(0, 2**32 - 1),
    "epochs": Bounds(1, beside=(-1,)),
    "embedding_dim": WIDTH,
    "skip_degrees": Bounds(0, 100),
    "skip_scale": POSITIVE,
    "skip_damping": Bounds(0, 100),
    "skip_zonal": POSITIVE,
    "temperature": POSITIVE,
    "*.max_epochs": Bounds(1, beside=(-1,)),
    "*.max_steps": Bounds(1, beside=(-1,)),
    "*.min_epochs": Bounds(0),
    "*.min_steps": Bounds(0),
    "*.hidden_dim": WIDTH,
    "*.hidden_layers": Bounds(0, 1000),
    "*.residual_blocks": Bounds(0, 1000),
    "pe_type.degrees": Bounds(1, 99),
    "*.factors": POSITIVE,
    "*_bandwidth": POSITIVE,
    "*.bands": WIDTH,
    "*.sites": WIDTH,
    "*.site_dim": WIDTH,
    "*.tokens": WIDTH,
    "*.token_dropout": Bounds(0, 1, open="high"),
    "le_type.seed": Bounds(0, 2**32 - 1),
    "le_type.damping_exponent": Bounds(-10, 10),
    "*.layers": Bounds(1, 1000),
    "*.width": WIDTH,
    "*.patch_size": WIDTH,
    "*.heads": WIDTH,
    "*.frequencies": WIDTH,
    "*_omega": POSITIVE,
    "*.dropout": Bounds(0, 1, open="high"),
    "*_radius": POSITIVE,
    "*.bias": Bounds(-1000, 1000),
    "loss.reconstruction": Bounds(0),
    "loss.alignment": Bounds(0),
    "*.chunk": COUNT,
    "cached_batches": COUNT,
    "optimizer.lr": Bounds(0),
    "optimizer.*weight_decay": Bounds(0),
    "optimizer.betas": Bounds(0, 1, open="high"),
    "scheduler.warmup": FRACTION,
    "scheduler.final_fraction": FRACTION,
    "dataset.image_size": Bounds(2, 2**16),
    "dataset.batch_size": Bounds(2),  # a pair alone has no negative
    "dataset.places": COUNT,
    "dataset.num_workers": Bounds(0, 4096),
    "dataset.shuffle_window": COUNT,
    "dataset.scale": POSITIVE,
    "dataset.kilometres_per_pixel": POSITIVE,
    "dataset.val_fraction": Bounds(0, 1, open="both"),
    "dataset.split_degrees": Bounds(0, 180, open="low"),
    "dataset.max_bad_fraction": Bounds(0, 1, open="high"),
    "dataset.jitter_degrees": Bounds(0, 180),
    "dataset.blur_sigma": POSITIVE,
    "dataset.cache_gib": Bounds(0),
    "dataset.split_buffer_km": Bounds(0, 20_000),
    "dataset.seed": Bounds(0, 2**32 - 1),
    "report.retrieval_places": COUNT,
    "report.probe_places": COUNT,
    "report.degrees": Bounds(0.01, 90),  # 650 million cells of the globe
    "callbacks.*.every*": COUNT,
    "trainer.num_nodes": COUNT,
    "trainer.accumulate_grad_batches": COUNT,
    "trainer.check_val_every_n_epoch": COUNT,
    "trainer.log_every_n_steps": COUNT,
    "trainer.num_sanity_val_steps": Bounds(0, beside=(-1,)),
    "trainer.gradient_clip_val": POSITIVE,
    "trainer.limit_val_batches": Bounds(0),
    "trainer.limit_*_batches": POSITIVE,
    "trainer.val_check_interval": POSITIVE,
}


LENGTHS = {"optimizer.betas": 2, "dataset.blur_sigma": 2}  # of lists


def bounds_of(option: str) -> Bounds | None:
    """The range of an option, where it has one."""
    return next((bounds for pattern, bounds in BOUNDS.items() if fnmatchcase(option, pattern)), None)
