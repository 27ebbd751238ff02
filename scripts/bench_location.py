"""Time the location encoder: harmonics, the whole encoder, its training and grids, each beside what it should match.

Contestants run in turn, repeat after repeat, so that a busy machine slows all of them; ratios are of medians. Times are
microseconds a place, from degrees to result. Nothing is fetched.
"""

import argparse
import json
import math
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.polynomial import Legendre, Polynomial
from torch import Tensor
from torch.nn import functional as F

from satclip.harmonics import harmonic_tables
from satclip.harmonics.batches import SPHERICART_POLYS, by_torch
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.grid import encode_rows
from satclip.location.networks import Siren
from satclip.sphere import uniform_on_sphere

Row = dict[str, Any]
Job = Callable[[], object]
LARGEST = 2**28  # float64 numbers of one result: 2 GiB
BARE_ROWS = 16_384
FLOATS = {"float32": torch.float32, "float64": torch.float64}


def places(count: int) -> Tensor:
    """Even over the surface, float64 [count, 2]."""
    return uniform_on_sphere(count, torch.Generator().manual_seed(0))


def race(jobs: dict[str, Job], repeats: int) -> dict[str, float]:
    """Median seconds of each job, warm, run in turn; short jobs are looped up to a millisecond."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    loops = {}
    for name, job in jobs.items():
        job()
        start = time.perf_counter()
        job()
        loops[name] = max(1, round(1e-3 / (time.perf_counter() - start)))
    for _ in range(repeats):
        for name, job in jobs.items():
            start = time.perf_counter()
            for _ in range(loops[name]):
                job()
            seconds[name].append((time.perf_counter() - start) / loops[name])
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak_mib(job: Job) -> int | None:
    """MiB that a job holds at its highest, beyond what the process held before; Linux only."""
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if not reset.exists():
        return None

    def resident(field: str) -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(field))

    reset.write_text("5")
    before = resident("VmRSS")
    job()
    return (resident("VmHWM") - before) // 1024


def sphericart_job(lonlat: Tensor, count: int) -> Job | None:
    """The fastest library, float64, from degrees; None where it is not installed or not exact."""
    if count > SPHERICART_POLYS:
        return None
    try:
        import sphericart
    except ImportError:
        return None
    calculator, degrees = sphericart.SphericalHarmonics(count - 1), lonlat.numpy()

    def job() -> object:
        longitude, latitude = np.deg2rad(degrees).T
        ring = np.cos(latitude)
        vectors = np.stack((ring * np.cos(longitude), ring * np.sin(longitude), np.sin(latitude)), -1)
        return calculator.compute(vectors)

    return job


def scipy_job(lonlat: Tensor, count: int) -> Job:
    """scipy, every degree and order in one call."""
    from scipy.special import sph_harm_y

    degree = np.repeat(np.arange(count), np.arange(count) + 1)
    order = np.arange(len(degree)) - degree * (degree + 1) // 2
    longitude, latitude = np.deg2rad(lonlat.numpy()).T[..., None]
    return lambda: sph_harm_y(degree, order, np.pi / 2 + latitude, longitude + np.pi)


def loop_job(lonlat: Tensor, count: int) -> Job:
    """A Python loop over (l, m) of expanded polynomials: how the reference does it."""
    terms = []
    for degree in range(count):
        for order in range(-degree, degree + 1):
            m = abs(order)
            powers = Legendre.basis(degree).deriv(m).convert(kind=Polynomial).coef
            log_norm = (
                math.log((2 * degree + 1) / (2 * math.pi)) + math.lgamma(degree - m + 1) - math.lgamma(degree + m + 1)
            )
            terms.append((order, m, torch.from_numpy(powers * math.exp(log_norm / 2))))

    def job() -> Tensor:
        longitude, latitude = torch.deg2rad(lonlat).unbind(-1)
        z, ring, features = latitude.sin(), latitude.cos(), []
        for order, m, powers in terms:
            polynomial = sum(power * z**k for k, power in enumerate(powers) if power)
            wave = (m * longitude).sin() if order < 0 else (m * longitude).cos()
            features.append(polynomial * ring**m * wave)
        return torch.stack(features, -1)

    return job


def features_table(degrees: list[int], batches: list[int], repeats: int) -> list[Row]:
    """Harmonics: ours, ours without sphericart, sphericart, and at one batch scipy and the loop."""
    table = []
    for count in degrees:
        encoding, tables = SphericalHarmonics(count), harmonic_tables(count)
        for batch in batches:
            if batch * count**2 > LARGEST:
                continue
            lonlat = places(batch)
            jobs: dict[str, Job] = {}
            for name, dtype in FLOATS.items():
                jobs[name] = partial(encoding, lonlat, dtype)
                jobs[f"torch_{name}"] = partial(by_torch, lonlat, tables, dtype)
            if rival := sphericart_job(lonlat, count):
                jobs["sphericart"] = rival
            if batch == 1000 and count <= 40:
                jobs |= {"scipy": scipy_job(lonlat, count), "loop": loop_job(lonlat, count)}
            with torch.inference_mode():
                micro = {name: 1e6 * value / batch for name, value in race(jobs, repeats).items()}
            row: Row = {"L": count, "batch": batch, **micro}
            if rival:
                row |= {f"sphericart/{name}": micro["sphericart"] / micro[name] for name in FLOATS}
            table.append(row)
    return table


def encoder(count: int, dtype: torch.dtype) -> LocationEncoder:
    """The published size: two layers of 512, 256 numbers out."""
    torch.manual_seed(0)
    return LocationEncoder(SphericalHarmonics(count), partial(Siren, hidden_dim=512), 256).to(dtype).eval()


def bare_products(model: LocationEncoder, rows: int) -> Job:
    """The network's matrix products and nothing else: the limit."""
    weights = [layer.weight for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
    inputs = [torch.randn(rows, weight.shape[1], dtype=weight.dtype) for weight in weights]
    return lambda: [F.linear(given, weight) for given, weight in zip(inputs, weights, strict=True)]


def encoder_table(degrees: list[int], batches: list[int], repeats: int) -> list[Row]:
    """The whole encoder against the bare products of its network, and the memory it takes."""
    table = []
    for count in degrees:
        for name, dtype in FLOATS.items():
            model = encoder(count, dtype)
            for batch in batches:
                job, rows = partial(model, places(batch)), min(batch, BARE_ROWS)
                with torch.inference_mode():
                    peak = peak_mib(job)
                    rounds = 1 if batch > 100_000 else repeats
                    seconds = race({"encoder": job, "bare": bare_products(model, rows)}, rounds)
                ours, bare = 1e6 * seconds["encoder"] / batch, 1e6 * seconds["bare"] / rows
                table.append(
                    {
                        "L": count,
                        "dtype": name,
                        "batch": batch,
                        "encoder": ours,
                        "bare_products": bare,
                        "encoder/bare": ours / bare,
                        "peak_mib": peak,
                    }
                )
    return table


def training_table(degrees: list[int], batch: int, repeats: int) -> list[Row]:
    """Forward and backward of the encoder against its network on features that are already there."""
    table = []
    for count in degrees:
        model, lonlat = encoder(count, torch.float32).train(), places(batch)
        features = torch.randn(batch, count**2)
        jobs: dict[str, Job] = {
            "encoder": lambda m=model, x=lonlat: m(x).sum().backward(),
            "network": lambda m=model, x=features: m.network(x).sum().backward(),
        }
        micro = {name: 1e6 * value / batch for name, value in race(jobs, repeats).items()}
        table.append({"L": count, "batch": batch, **micro, "encoder/network": micro["encoder"] / micro["network"]})
    return table


def grid_table(degrees: list[int], resolution: float, rows: int, repeats: int) -> list[Row]:
    """`rows` of the latitudes of a world map by separation, and place by place."""
    table = []
    lons = torch.arange(-180, 180, resolution, dtype=torch.float64)
    lats = torch.linspace(90, -90, rows, dtype=torch.float64)
    lonlat = torch.cartesian_prod(lats, lons).flip(-1)
    for count in degrees:
        model = encoder(count, torch.float32)
        with torch.inference_mode():
            difference = (torch.cat(list(encode_rows(model, lons, lats))).flatten(0, 1) - model(lonlat)).abs().max()
            jobs: dict[str, Job] = {
                "grid": lambda m=model: [block.shape for block in encode_rows(m, lons, lats)],
                "place_by_place": partial(model, lonlat),
            }
            micro = {name: 1e6 * value / len(lonlat) for name, value in race(jobs, repeats).items()}
        faster = micro["place_by_place"] / micro["grid"]
        table.append(
            {
                "L": count,
                "degrees": resolution,
                "rows": rows,
                **micro,
                "times_faster": faster,
                "difference": difference.item(),
            }
        )
    return table


def show(title: str, table: list[Row]) -> None:
    """Print a table; what a row lacks is left blank."""
    names = list(dict.fromkeys(name for row in table for name in row))
    cells = [[_cell(row.get(name)) for name in names] for row in table]
    widths = [max(len(line[i]) for line in [names, *cells]) for i in range(len(names))]
    print(f"\n{title}")
    for line in [names, *cells]:
        print("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)))


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < value < 1e-3 else f"{value:.2f}" if value < 100 else f"{value:.0f}"
    return "" if value is None else str(value)


def main() -> None:
    """Parse the command line, run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer degrees, batches and repeats: under a minute")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch (%(default)s)")
    parser.add_argument("--json", type=Path, help="also write the tables there")
    chosen = ["features", "encoder", "training", "grid"]
    parser.add_argument("--tables", nargs="+", choices=chosen, default=chosen, help="which ones (all)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    degrees = [10, 40] if arguments.quick else [10, 20, 40, 100]
    repeats = 3 if arguments.quick else 7
    small = [1, 1000, 16_384]
    batches = small if arguments.quick else [1, 100, 1000, 2000, BARE_ROWS, 100_000, 1_000_000]
    makers: dict[str, tuple[str, Callable[[], list[Row]]]] = {
        "features": ("Harmonics, us a place", lambda: features_table(degrees, batches, repeats)),
        "encoder": (
            "Encoder, two layers of 512, 256 out, us a place",
            lambda: encoder_table(degrees, small if arguments.quick else [1, 1000, BARE_ROWS, 1_000_000], repeats),
        ),
        "training": (
            "Forward and backward, float32, us a place",
            lambda: training_table(degrees, 2048 if arguments.quick else 8192, repeats),
        ),
        "grid": (
            "World grid, float32, us a place",
            lambda: grid_table(degrees, *((0.5, 20) if arguments.quick else (0.1, 60)), repeats=min(repeats, 3)),
        ),
    }
    machine = f"{platform.processor() or platform.machine()}, {arguments.threads} threads, torch {torch.__version__}"
    print(machine)
    tables = {}
    for name in arguments.tables:
        title, make = makers[name]
        tables[name] = make()
        show(title, tables[name])
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, "tables": tables}, indent=1) + "\n")


if __name__ == "__main__":
    main()
