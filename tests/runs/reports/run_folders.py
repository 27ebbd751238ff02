"""Folders as runs leave them, without the runs."""

import json
import math
from pathlib import Path

import yaml

CSV = "step,epoch,train/loss,val/loss,val/image_to_location/top10\n"


def run(
    folder: Path,
    *overrides: str,
    loss: float | None = 1.0,
    gain: float = 0.1,
    vision: str = "tiny",
    config: dict[str, object] | None = None,
    steps: int = 5,
) -> Path:
    """A finished run with that val/loss; an unfinished one for None."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").write_bytes(b"")
    options = dict(each.split("=", 1) for each in overrides)
    polys, seed = options.get("legendre_polys", "10"), int(options.get("seed", 0))
    node = {
        "name": "demo",
        "seed": seed,
        "epochs": 4,
        "optimizer": {"lr": 1e-3},
        "trainer": {"max_epochs": "${epochs}"},
    }
    node |= {"le_type": {"legendre_polys": int(polys)}, "output_dir": "${hydra:runtime.output_dir}", **(config or {})}
    choices = {"vision": vision, "legendre_polys": polys, "hydra/launcher": "basic"}
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(list(overrides)))
    (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(node, sort_keys=False))
    (folder / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump({"hydra": {"runtime": {"choices": choices}}}))
    (folder / "csv").mkdir()
    final = 2.0 if loss is None else loss
    lines = [f"{10 * i},{i},{final + 1 / (i + 1):.4f},{final + 0.5 / (i + 1):.4f},{i / steps}\n" for i in range(steps)]
    (folder / "csv" / "metrics.csv").write_text(CSV + "".join(lines))
    if loss is None:
        return folder
    figures = {"best/epoch": 3.0, "last/epoch": 4.0, "best/val/loss": loss, "last/val/loss": loss + 0.1}
    figures |= {"best/retrieval/image_to_location/top10": 0.5, "best/retrieval/image_to_location/median_km": 812.0}
    figures |= {
        "best/probe/cells_10/100/elevation_R2": gain + 0.2,
        "best/probe/mean": gain + 0.3,
        "best/gain/mean": gain,
    }
    (folder / "metrics.json").write_text(json.dumps(figures))
    head = "task,holdout,asked,row,metric,score,low,high,over_untrained,over_untrained_low,over_untrained_high\n"
    (folder / "benchmark").mkdir()
    scores = f"{gain + 0.2},{gain},{gain + 0.4},{gain},{gain - 0.1},{gain + 0.1}"
    (folder / "benchmark" / "summary.csv").write_text(
        f"{head}elevation,cells 10,100,best weights,R2,{scores}\nelevation,cells 10,100,IDW,R2,.9,.8,1,,,\n"
    )
    return folder


def sweep(root: Path, degrees: tuple[int, ...] = (5, 10, 20), towers: tuple[str, ...] = ("tiny", "vit16")) -> Path:
    """L x tower x two seeds; the last job is missing, the one before failed, the one before that lost in NaN."""
    root.mkdir(parents=True)
    jobs = [(polys, tower, seed) for polys in degrees for tower in towers for seed in (0, 1)]
    task = [f"legendre_polys={','.join(map(str, degrees))}", f"vision={','.join(towers)}", "seed=0,1"]
    hydra = {"hydra": {"overrides": {"task": task}, "sweeper": {"_target_": "hydra.basic_sweeper.BasicSweeper"}}}
    (root / "multirun.yaml").write_text(yaml.safe_dump(hydra))
    for number, (polys, tower, seed) in enumerate(jobs[:-1]):
        loss = 1 / polys + (0.02 if tower == "tiny" else 0.0) + 0.001 * seed
        left = len(jobs) - number
        given = (f"legendre_polys={polys}", f"vision={tower}", f"seed={seed}")
        value = None if left == 2 else math.nan if left == 3 else loss
        made = run(root / str(number), *given, loss=value, gain=0.01 * polys, vision=tower)
        if left == 2:
            (made / "failed.json").write_text('{"error": "out of <memory> & \\"more\\""}')
    return root
