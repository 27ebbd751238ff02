"""Build the project's W&B workspace and report: `python scripts/wandb_dashboard.py ENTITY [--project satclip]`.

Loss, retrieval, temperature, throughput, probes by hold-out, the globe over time, samples that were bad. `--dry-run`
needs neither key nor network: it writes both as JSON.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from satclip.optional_import import require

try:
    require("dashboard", "wandb_workspaces")
    import wandb
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws
except ModuleNotFoundError as error:
    sys.exit(f"error: {error}")

STEP = "trainer/global_step"
BOTH = ("image_to_location", "location_to_image")
TASKS = ("elevation_R2", "climate_zone_accuracy", "land_cover_accuracy", "country_accuracy")
HOLDOUTS = ("cells_10/100", "cells_10/300")
# Which panel shows which keys; tests/test_dashboard.py holds them against what a run of train.py logs.
LINES: dict[str, dict[str, tuple[str, ...]]] = {
    "Training": {
        "loss": ("train/loss", "val/loss", "best/val/loss"),
        "temperature": ("train/temperature",),
        "learning rate": ("train/learning_rate",),
        "samples per second": ("train/samples_per_second",),
        "bad samples": ("data/bad_samples",),
    },
    "Retrieval": {
        "top 10": tuple(f"val/{way}/top10" for way in BOTH),
        "top 1": tuple(f"val/{way}/top1" for way in BOTH),
        "median error, km": tuple(f"val/{way}/median_km" for way in BOTH),
    },
    "Probes while it trains (callbacks=probe)": {
        "elevation, R2": ("probe/elevation/r2",),
        "climate zone, accuracy": ("probe/climate_zone/accuracy",),
    },
}
BARS: dict[str, tuple[str, ...]] = {
    **{f"{each.replace('/', ', ')} labels": tuple(f"best/probe/{each}/{task}" for task in TASKS) for each in HOLDOUTS},
    "gain over untrained": ("best/gain/mean",),
}
MEDIA = {"globe over time": ("globe",), "split": ("split",), "globe of the best": ("report/globe",)}
OPTIONS = ("seed", "optimizer/lr", "embedding_dim")  # of parallel coordinates, as wandb flattens them


def sections() -> dict[str, list[Any]]:
    """Panels by section."""
    found: dict[str, list[Any]] = {
        name: [wr.LinePlot(title=title, x=STEP, y=list(keys)) for title, keys in panels.items()]
        for name, panels in LINES.items()
    }
    found["Probes by hold-out, of the best weights"] = [
        wr.BarPlot(title=title, metrics=[wr.SummaryMetric(key) for key in keys]) for title, keys in BARS.items()
    ]
    found["Pictures"] = [wr.MediaBrowser(title=title, media_keys=list(keys)) for title, keys in MEDIA.items()]
    columns = [wr.ParallelCoordinatesPlotColumn(wr.Config(name)) for name in OPTIONS]
    columns.append(wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric("best/val/loss")))
    found["Sweeps"] = [
        wr.ParallelCoordinatesPlot(columns=columns),
        wr.ParameterImportancePlot(with_respect_to="best/val/loss"),
    ]
    return found


def keys() -> set[str]:
    """Everything that a panel shows."""
    lines = {key for panels in LINES.values() for each in panels.values() for key in each}
    return lines | {key for each in (*BARS.values(), *MEDIA.values()) for key in each}


def workspace(entity: str, project: str) -> Any:
    """The workspace, not yet saved."""
    made = [ws.Section(name=name, panels=panels, is_open=True) for name, panels in sections().items()]
    return ws.Workspace(entity=entity, project=project, name="satclip", sections=made)


def blocks() -> Iterator[Any]:
    """The report's blocks. A panel grid with a set of runs asks the server, so that is added where it is saved."""
    yield wr.TableOfContents()
    for name, panels in sections().items():
        yield wr.H2(name)
        yield wr.PanelGrid(panels=panels)


def as_json(entity: str, project: str) -> dict[str, Any]:
    """Workspace and report as W&B would store them."""
    view = workspace(entity, project)._to_model().spec.model_dump_json(by_alias=True, exclude_none=True)
    report = {
        name: [json.loads(panel._to_model().model_dump_json(by_alias=True, exclude_none=True)) for panel in panels]
        for name, panels in sections().items()
    }
    return {"workspace": json.loads(view), "report": report}


def main() -> None:
    """Write the JSON, or save both at W&B."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("entity", help="user or team at W&B")
    parser.add_argument("--project", default="satclip")
    parser.add_argument("--dry-run", action="store_true", help="write dashboard.json and contact nobody")
    parser.add_argument("--output", type=Path, default=Path("dashboard.json"), help="of --dry-run")
    given = parser.parse_args()
    if given.dry_run:
        given.output.write_text(json.dumps(as_json(given.entity, given.project), indent=1))
        print(given.output)
        return
    try:
        if not wandb.login(prompt=False, verify=False):
            sys.exit("error: W&B has no key; `wandb login` stores one, and --dry-run needs none")
        print(workspace(given.entity, given.project).save().url)
        report = wr.Report(project=given.project, entity=given.entity, title="satclip", blocks=list(blocks()))
        print(report.save().url)
    except (wandb.errors.Error, OSError) as error:
        sys.exit(f"error: W&B cannot be reached ({error}); --dry-run needs no network")


if __name__ == "__main__":
    main()
