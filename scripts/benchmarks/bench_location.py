"""Time the location encoder: harmonics, the whole encoder, its training and grids, each beside what it should match.

The ways run in turn, repeat after repeat, so that a busy machine slows all of them; ratios are of medians. Times are
microseconds a place, from degrees to result. On a shared machine set OMP_WAIT_POLICY=passive, lest idle threads spin.
"""

import argparse
import json
import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from reference_harmonics import loop_job, scipy_job, sphericart_job
from timing import Job, Row, peak_mib, race, show
from torch import Tensor
from torch.nn import functional as F

from satclip.harmonics import harmonic_tables
from satclip.harmonics.batches import by_torch
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.grid import encode_rows
from satclip.location.networks import Siren
from satclip.sphere import uniform_on_sphere

LARGEST = 2**27  # float64 numbers of one result: 1 GiB
MANY = 100_000
BARE_ROWS = 16_384
FLOATS = {"float32": torch.float32, "float64": torch.float64}


def places(count: int) -> Tensor:
    """Even over the surface, float64 [count, 2]."""
    return uniform_on_sphere(count, torch.Generator().manual_seed(0))


def features_table(degrees: list[int], batches: list[int], repeats: int) -> list[Row]:
    """Harmonics: ours, ours without sphericart, sphericart, and at one batch scipy and the loop."""
    table = []
    for count in degrees:
        encoding, tables = SphericalHarmonics(count), harmonic_tables(count)
        for batch in batches:
            if batch * count**2 > LARGEST:
                continue
            lonlat = places(batch)
            jobs: dict[str, Job] = {name: partial(encoding, lonlat, dtype) for name, dtype in FLOATS.items()}
            # Apart, because the scratch memory it frees decides whether the others' results lie in warm pages.
            slow: dict[str, Job] = {
                f"torch_{name}": partial(by_torch, lonlat, tables, dtype) for name, dtype in FLOATS.items()
            }
            if rival := sphericart_job(lonlat, count):
                jobs["sphericart"] = rival
            if batch == 1000 and count <= 40:
                slow |= {"scipy": scipy_job(lonlat, count), "loop": loop_job(lonlat, count)}
            with torch.inference_mode():
                micro = {
                    name: 1e6 * value / batch for some in (jobs, slow) for name, value in race(some, repeats).items()
                }
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
                if batch > MANY and (count > 40 or dtype == torch.float64):
                    continue  # minutes, for nothing new
                job, rows = partial(model, places(batch)), min(batch, BARE_ROWS)
                with torch.inference_mode():
                    peak = peak_mib(job)
                    jobs: dict[str, Job] = {"encoder": job, "bare": bare_products(model, rows)}
                    seconds = race(jobs, 1 if batch > MANY else repeats)
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
                        "of_it_result": batch * model.embedding_dim * dtype.itemsize // 2**20,
                    }
                )
    return table


def forward_and_backward(model: Callable[[Tensor], Tensor], given: Tensor) -> None:
    """One step without its optimiser."""
    torch.autograd.backward(model(given).sum())


def drain(model: LocationEncoder, lons: Tensor, lats: Tensor) -> None:
    """Embed a grid and keep nothing, as one who writes rows to a file."""
    for _ in encode_rows(model, lons, lats):
        pass


def training_table(degrees: list[int], batch: int, repeats: int) -> list[Row]:
    """Forward and backward of the encoder against its network on features that are already there."""
    table = []
    for count in degrees:
        model, lonlat = encoder(count, torch.float32).train(), places(batch)
        features = torch.randn(batch, count**2)
        jobs: dict[str, Job] = {
            "encoder": partial(forward_and_backward, model, lonlat),
            "network": partial(forward_and_backward, model.network, features),
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
                "grid": partial(drain, model, lons, lats),
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
