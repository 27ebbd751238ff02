"""The end of a run: what it is worth is printed, saved beside the checkpoints and handed to the loggers."""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lightning.pytorch.loggers import Logger
from rich.console import Console
from torch import Tensor

from satclip.data.placed_datamodule import PlacedDataModule
from satclip.downstream.benchmark import files, terminal
from satclip.downstream.benchmark.run import Benchmark
from satclip.downstream.benchmark.short import figures, short_benchmark
from satclip.downstream.places import labelled_places
from satclip.downstream.search_report import embedded_images, retrieval_figures, retrieval_report, retrieval_table
from satclip.downstream.table import Table
from satclip.embedding import embed
from satclip.errors import is_raised_on_purpose
from satclip.location.encoder import LocationEncoder
from satclip.model import TwoTowers
from satclip.plots import globe_picture
from satclip.region import Region
from satclip.training.media import log_benchmark, log_media

log = logging.getLogger(__name__)
WIDTH = 120  # columns, where the output is a file
AUTO = "auto"
GLOBE = "globe"
EXAMPLES = "retrieval_examples"
BENCHMARK = "benchmark"  # folder in that of the run
# Draws one picture of an encoder: (encoder, path, region=None or a Region) -> the path that was written.
Picture = Callable[..., Path]


@dataclass(frozen=True)
class Found:
    """What a report found.

    Attributes:
        tables: by name; the retrieval.
        pictures: by name, the files that were drawn.
        pages: by name, the HTML pages that were written.
        benchmark: labels predicted where none is near; None where there were no labels.
        figures: of the weights that were reported on, by name.
        beside: of the other weights, by their name, the figures of the benchmark.
    """

    tables: Mapping[str, Table]
    pictures: Mapping[str, Path]
    pages: Mapping[str, Path]
    benchmark: Benchmark | None
    figures: Mapping[str, float]
    beside: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class FinalReport:
    """Retrieval on held-out places, the benchmark in short (few labels, none near), and pictures.

    Attributes:
        retrieval_places: validation places among which to search.
        probe_places: places over land that teach and are tested.
        degrees: spacing of the places of the globe, where `pictures` is None.
        bounds: [west, south, east, north] in degrees, where to probe and draw; "auto" for where the training places
            lie, if that is less than a third of the Earth; None for the whole globe.
        pictures: by name, (encoder, path, region=...) -> path. Each is drawn to `name.png`, shown in
            benchmark/report.html and handed to the loggers. None: the globe.
        pages: the same of pages to click, written to `name.html`; where they are is printed. None: none.

    Raises:
        ValueError: the bounds are none.
    """

    retrieval_places: int = 2000
    probe_places: int = 3000
    degrees: float = 0.5
    bounds: Sequence[float] | str | None = AUTO
    pictures: Mapping[str, Picture] | None = None
    pages: Mapping[str, Picture] | None = None

    def __post_init__(self) -> None:
        if self.bounds is None or self.bounds == AUTO:
            return
        if isinstance(self.bounds, str):
            raise ValueError(f"report.bounds takes auto, null or [west, south, east, north], got {self.bounds}")
        try:
            Region.of(self.bounds)
        except (TypeError, ValueError) as error:
            raise ValueError(f"report.bounds: {error}") from None

    def __call__(
        self,
        model: TwoTowers,
        data: PlacedDataModule,
        folder: Path,
        loggers: Sequence[Logger],
        *,
        described: str,
        recipe: Mapping[str, Any],
        beside: Mapping[str, LocationEncoder] | None = None,
    ) -> Found:
        """Evaluate `model`; tables and pictures go to `folder` and the loggers.

        Args:
            model: both towers.
            data: what they were trained on.
            folder: of the run.
            loggers: take the tables and the pictures.
            described: which weights these are, in words.
            recipe: of the training, as its checkpoint has it.
            beside: other weights of the same training, to be compared, by their name.
        """
        batch = data.validation_sample(self.retrieval_places)
        found = self.measured(
            model,
            batch,
            folder,
            described=described,
            recipe=recipe,
            beside=beside or {},
            held_out=data.collection.division.in_words(),
            region=self._region(data),
        )
        examples = self._examples(model, batch, folder, data.rgb)
        if examples is not None:
            found = replace(found, pictures={**found.pictures, EXAMPLES: examples})
        self._tell(found, folder, loggers)
        return found

    def _examples(self, model: TwoTowers, batch: Mapping[str, Tensor], folder: Path, rgb: Sequence[int]) -> Path | None:
        """Some patches and where they were looked for; None where there are no images to show."""
        if "image" not in batch:
            return None
        from satclip.plots.search_examples import search_examples, spread

        lonlat = batch["lonlat"][: self.retrieval_places].cpu()
        rows = spread(len(lonlat))
        images = batch["image"][rows.to(batch["image"].device)]
        pictures = embedded_images(model, {"image": images}, len(rows))
        locations = embed(model.location_encoder, lonlat).float().cpu()
        return search_examples(images.cpu(), rows, lonlat, pictures, locations, folder / f"{EXAMPLES}.png", rgb=rgb)

    def measured(
        self,
        model: TwoTowers,
        batch: Mapping[str, Tensor],
        folder: Path,
        *,
        described: str,
        recipe: Mapping[str, Any],
        beside: Mapping[str, LocationEncoder] = MappingProxyType({}),
        held_out: str = "",
        region: Region | None = None,
    ) -> Found:
        """The same on a batch of validation places, and with nothing said but warnings.

        Where packages of the demo extra are missing, or a region has too few places to probe, a warning says so and the
        rest is done.

        Args:
            model: both towers; evaluated as they are, left in the mode they came in.
            batch: validation places as the towers take them, {"image": [N, C, H, W], "lonlat": [N, 2]}.
            folder: takes retrieval.* and the pictures, and in benchmark/ the report of the benchmark and its tables.
            described, recipe, beside: as for the call.
            held_out: how the places of the batch were kept from training, in words.
            region: where to probe and draw; None for the whole globe.
        """
        retrieval = retrieval_report(
            model, batch, folder, places=self.retrieval_places, held_out=held_out, described=described
        )
        encoders = {described: copied(model.location_encoder), **beside}
        benchmark = self._benchmark(encoders, recipe, model, region)
        drawn = {GLOBE: partial(globe_picture, degrees=self.degrees)} if self.pictures is None else self.pictures
        pictures = _draw(drawn, ".png", encoders[described], folder, region)
        pages = _draw(self.pages or {}, ".html", encoders[described], folder, region)
        measured = retrieval_figures(retrieval)
        other: dict[str, Mapping[str, float]] = {}
        if benchmark is not None:
            measured |= figures(benchmark, described)
            other = {name: figures(benchmark, name) for name in beside}
            files.save(benchmark, folder / BENCHMARK, beside=[retrieval], pictures=pictures)
        return Found({"retrieval": retrieval}, pictures, pages, benchmark, measured, other)

    def retrieval(self, model: TwoTowers, data: PlacedDataModule) -> dict[str, float]:
        """The retrieval of other weights, with nothing printed or saved."""
        batch = data.validation_sample(self.retrieval_places)
        return retrieval_figures(retrieval_table(model, batch, places=self.retrieval_places))

    def _benchmark(
        self,
        encoders: Mapping[str, LocationEncoder],
        recipe: Mapping[str, Any],
        towers: TwoTowers,
        region: Region | None,
    ) -> Benchmark | None:
        try:
            tasks = labelled_places(self.probe_places, region=region)
            return short_benchmark(encoders, tasks, recipe=recipe, towers=towers)
        except (ModuleNotFoundError, ValueError) as error:
            if isinstance(error, ValueError) and not is_raised_on_purpose(error):
                raise
            log.warning("the report has no probe: %s", error)
            return None

    def _tell(self, found: Found, folder: Path, loggers: Sequence[Logger]) -> None:
        console = Console(width=None if sys.stdout.isatty() else WIDTH)
        for table in found.tables.values():
            console.print(table.rich())
        if found.benchmark is not None:
            terminal.tell_short(found.benchmark)
        console.print(f"Report, checkpoints and logs: {folder}", soft_wrap=True)
        for name, path in found.pages.items():
            console.print(f"{name.capitalize()}, to open in a browser: {path}", soft_wrap=True)
        log_media(loggers, "report", found.tables, found.pictures)
        if found.benchmark is not None:
            log_benchmark(loggers, "report", found.benchmark)

    def _region(self, data: PlacedDataModule) -> Region | None:
        if self.bounds is None:
            return None
        return Region.around(data.train_lonlat) if isinstance(self.bounds, str) else Region.of(self.bounds)


def _draw(
    pictures: Mapping[str, Picture], suffix: str, encoder: LocationEncoder, folder: Path, region: Region | None
) -> dict[str, Path]:
    drawn = {}
    for name, draw in pictures.items():
        try:
            drawn[name] = Path(draw(encoder, folder / f"{name}{suffix}", region=region))
        except ModuleNotFoundError as error:
            log.warning("the report lacks %s%s: %s", name, suffix, error)
    return drawn


def copied(encoder: LocationEncoder) -> LocationEncoder:
    """The same weights on the CPU, apart from the model: probing changes neither its mode nor its device."""
    weights = {name: tensor.detach().cpu().clone() for name, tensor in encoder.state_dict().items()}
    return LocationEncoder.with_weights(encoder.config(), weights, source="the trained encoder")
