"""Time the training step on stored vectors: beside the naive step, the bare matrix products, and training from patches.

    python scripts/benchmarks/bench_training.py                                 # minutes; Linux for the memory
    python scripts/benchmarks/bench_training.py data/some_s2_patches --json bench_training.json
    python scripts/benchmarks/bench_training.py --device cuda --precision bf16

Cached is the training of head, location encoder (two sine layers of 512, D = 256) and temperature on a SYNTHETIC store
of 100,000 x 384 random numbers. Naive (naive_step.py) is the same training from the same store in plain PyTorch:
recurrence of the harmonics on whole vectors, the B x B matrix, torch's AdamW. Ways take turns, repeat after repeat, and
medians count; shares are of a step that is cut in parts.

Uncached is a frozen ResNet-18 on 13 bands of 224 pixels. What a patch costs there (reading it where patches are given,
augmentation, forward) is timed on `--patches` of them, and is added to a cached step for each patch of its batch; its
weights are random, which takes the same time.
"""

import argparse
import json
import platform
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

import torch
from cached_step import LOSSES, PARTS, Batch, CachedStep, Store, bare_products, towers
from naive_step import NaiveStep, plain_clip, plain_soft
from timing import Job, Row, peak_mib, race, show, trim
from uncached import milliseconds_a_patch

from satclip.harmonics import harmonic_tables
from satclip.harmonics.batches import by_torch, kernel
from satclip.location.encodings import SphericalHarmonics

EPOCH = 100_000
WIDTH = 384
PLAIN = {"clip": plain_clip, "soft_clip": plain_soft}
TABLES = ("uncached", "cached", "shares", "harmonics")


class Bench:
    """One device, one precision, and the store that all steps read."""

    def __init__(self, device: str, precision: str, repeats: int) -> None:
        self.device, self.repeats = torch.device(device), repeats
        self.autocast = torch.bfloat16 if precision == "bf16" else None
        self.store = Store(EPOCH, WIDTH, self.device)

    def wait(self) -> None:
        """Until a GPU has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def done(self, job: Job) -> Job:
        """The job and the wait for it."""

        def whole() -> None:
            job()
            self.wait()

        return whole

    def peak(self, job: Job) -> tuple[int | None, int | None]:
        """MiB at a job's highest, beyond what was held before and in all: of the GPU, or of this process (Linux)."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
            self.done(job)()
            highest = torch.cuda.max_memory_allocated(self.device)
            return (highest - before) // 2**20, highest // 2**20
        trim()
        held = resident()
        beyond = peak_mib(job)
        return beyond, None if held is None or beyond is None else held + beyond

    def cached(self, loss: str, legendre_polys: int, size: int, patch: dict[str, float]) -> tuple[Row, Row]:
        """A line of the table of steps, and one of the shares of ours."""
        model = towers(legendre_polys, WIDTH, self.device)
        ours = CachedStep(model, LOSSES[loss]().to(self.device), self.autocast)
        memory = self.peak(lambda: ours.step(self.store.batch(0, size)))  # with nothing of the others in the process
        naive = NaiveStep(model, PLAIN[loss], self.autocast)
        naive_memory, _ = self.peak(lambda: naive.step(self.store.batch(0, size)))
        naive = NaiveStep(model, PLAIN[loss], self.autocast)  # with our weights again
        apart = difference(ours, naive, self.store.batch(0, size))
        numbers = count()

        def fetch() -> Batch:
            return self.store.batch(next(numbers), size)

        bare = bare_products(model, loss, fetch())
        jobs: dict[str, Job] = {
            "cached": self.done(lambda: ours.step(fetch())),
            "naive": self.done(lambda: naive.step(fetch())),
            "products": self.done(bare),
        }
        seconds = race(jobs, self.repeats)
        times, steps = seconds["naive"] / seconds["cached"], EPOCH / size
        row: Row = {
            "loss": loss, "L": legendre_polys, "batch": size,
            "step, s": seconds["cached"], "naive, s": seconds["naive"], "times faster": times,
            "step/products": seconds["cached"] / seconds["products"],
            "samples/s": size / seconds["cached"], "epoch, s": steps * seconds["cached"],
            "epochs/h": 3600 / (steps * seconds["cached"]),
        }  # fmt: skip
        if patch:
            whole = EPOCH * sum(patch.values()) / 1000 + steps * seconds["cached"]
            row |= {"uncached epochs/h": 3600 / whole, "times uncached": whole / (steps * seconds["cached"])}
        row |= {"MiB": memory[0], "naive MiB": naive_memory, "process MiB": memory[1], "gradients apart": apart}
        return row, {name: row[name] for name in ("loss", "L", "batch")} | self.shares(ours, fetch)

    def shares(self, ours: CachedStep, fetch: Callable[[], Batch]) -> Row:
        """Milliseconds and percent of each part of a step."""
        seconds: dict[str, list[float]] = {name: [] for name in PARTS}
        for _ in range(self.repeats + 1):
            taken: dict[str, float] = defaultdict(float)
            before = time.perf_counter()
            for name in ours.parts(fetch):
                self.wait()
                now = time.perf_counter()
                taken[name] += now - before
                before = now
            for name in PARTS:
                seconds[name].append(taken[name])
        medians = {name: median(found[1:]) for name, found in seconds.items()}  # the first warms up
        total = sum(medians.values())
        shown = {f"{name}, ms": 1e3 * value for name, value in medians.items()}
        return shown | {f"{name}, %": 100 * value / total for name, value in medians.items()}

    def harmonics(self, legendre_polys: int, size: int) -> Row:
        """A batch of harmonics: computed, as without numba, and taken from a table of all places."""
        encoding = SphericalHarmonics(legendre_polys).to(self.device)
        with torch.inference_mode():
            table = encoding(self.store.lonlat, torch.float32).contiguous()
            rows = self.store.order[:size]
            lonlat = self.store.lonlat[rows]
            jobs: dict[str, Job] = {"computed": self.done(partial(encoding, lonlat, torch.float32))}
            if self.device.type == "cpu" and kernel() is not None:
                tables = harmonic_tables(legendre_polys)
                jobs["without numba"] = partial(by_torch, lonlat, tables, torch.float32)
            jobs["from a table"] = self.done(partial(table.index_select, 0, rows))
            seconds = race(jobs, max(5, self.repeats))
        shown = {f"{name}, ms": 1e3 * value for name, value in seconds.items()}
        return {"L": legendre_polys, "batch": size} | shown | {"table, MiB": table.nbytes // 2**20}


def difference(ours: CachedStep, naive: NaiveStep, batch: Batch) -> float:
    """The largest norm of a difference between gradients of one parameter, over the norm of the naive one."""
    mine, theirs = ours.gradients(batch), naive.gradients(batch)
    assert mine.keys() == theirs.keys()

    return max(float((each - theirs[name]).norm() / theirs[name].norm()) for name, each in mine.items())


def resident() -> int | None:
    """MiB that this process holds; Linux only."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmRSS")) // 1024


def main() -> None:
    """Parse the command line, run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, nargs="?", help="folder with images/*.tif (12 bands) and index.csv; random")
    parser.add_argument("--quick", action="store_true", help="small batches, few repeats: under two minutes")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="32", choices=["32", "bf16"], help="of the towers (%(default)s)")
    parser.add_argument("--batch", type=int, nargs="+", help="sizes (512 8192; quick: 512 2048)")
    parser.add_argument("--legendre-polys", type=int, nargs="+", default=[10, 40], help="L (10 40)")
    parser.add_argument("--loss", nargs="+", choices=[*LOSSES], default=[*LOSSES], help="which ones (all)")
    parser.add_argument("--patches", type=int, help="of the uncached training (128; quick: 32)")
    parser.add_argument("--repeats", type=int, help="turns (5; quick: 3)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch (%(default)s)")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, help="which ones (all)")
    parser.add_argument("--json", type=Path, help="also write the tables there")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda needs an NVIDIA GPU and a torch that sees it; leave it out for the CPU")
    torch.set_num_threads(options.threads)
    quick = options.quick
    bench = Bench(options.device, options.precision, options.repeats or (3 if quick else 5))
    card = torch.cuda.get_device_name() if options.device == "cuda" else platform.processor() or platform.machine()
    machine = f"{card}, {options.threads} threads, torch {torch.__version__}, {options.precision}"
    print(f"{machine}\nSYNTHETIC store: {EPOCH:,} x {WIDTH} random numbers in float16, random places")

    sizes = options.batch or ([512, 2048] if quick else [512, 8192])
    cases = [(loss, polys, size) for size in sizes for polys in options.legendre_polys for loss in options.loss]
    tables: dict[str, list[Row]] = {}
    patch: dict[str, float] = {}
    if "uncached" in options.tables:
        patch = milliseconds_a_patch(options.root, bench.device, options.patches or (32 if quick else 128), bench.wait)
        tables["uncached"] = [{f"{name}, ms": value for name, value in patch.items()}]
        show("A patch on its way through a frozen ResNet-18, uncached", tables["uncached"])
    if {"cached", "shares"} & {*options.tables}:
        pairs = [bench.cached(*case, patch) for case in cases]
        tables["cached"], tables["shares"] = [row for row, _ in pairs], [row for _, row in pairs]
        show(f"Training on stored vectors, an epoch of {EPOCH:,}", tables["cached"])
        show("Parts of a step", tables["shares"])
    if "harmonics" in options.tables:
        tables["harmonics"] = [bench.harmonics(polys, size) for size in sizes for polys in options.legendre_polys]
        show("A batch of harmonics, float32", tables["harmonics"])
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "tables": tables}, indent=1) + "\n")


if __name__ == "__main__":
    main()
