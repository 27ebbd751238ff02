"""Everything in conf/ and sweeps/ composes; every experiment builds."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import hydra
import numpy as np
import pytest
import torch
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException
from hydra.types import HydraContext
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from satclip.better import higher_is_better, is_loss
from satclip.runs import hydra_setup
from satclip.runs.config import checks
from satclip.runs.reports.scoring import CHANGES_THE_LOSS
from satclip.runs.sweeping import wandb_file
from satclip.training.callbacks.resumable import STOP

CONF = Path(__file__).parents[1] / "conf"
SWEEPS = CONF.parent / "sweeps"


def choices(group: str) -> list[str]:
    """The options that a group has as files."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml") if not path.stem.startswith("_"))


def compose(*overrides: str) -> DictConfig:
    """The resolved config of a command line."""
    config = hydra_setup.compose(CONF, overrides)
    OmegaConf.resolve(config)
    return config


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """A table of vectors, from which a config on features takes what follows."""
    np.save(tmp_path / "vectors.npy", np.ones((3, 512), np.float32))
    (tmp_path / "vectors.csv").write_text("lon,lat\n1,2\n3,4\n5,6\n")
    return tmp_path / "vectors.npy"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """What a store says of itself, from which a config on features takes what follows."""
    s2 = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]
    (tmp_path / "manifest.json").write_text(
        json.dumps({"format": 1, "kind": "features", "bands": s2, "image_size": 224, "dim": 384})
    )
    return tmp_path


def test_the_card_s_command_composes_as_it_says() -> None:
    config = compose("location_encoder=sh_siren", "vision=vit16", "legendre_polys=40")
    assert config.le_type == {
        "_target_": "satclip.location.encodings.SphericalHarmonics",
        "harmonics_calculation": "orthonormal",
        "legendre_polys": 40,
    }
    assert config.pe_type["_target_"] == "satclip.location.networks.Siren"
    assert config.vision.in_channels == 13
    assert config.dataset.root == "data/s2_100k"


@pytest.mark.parametrize(
    "group",
    sorted(
        folder.name
        for folder in CONF.iterdir()
        if folder.is_dir() and folder.name not in ("experiment", "hydra", "task", "protocol")
    ),
)
def test_every_option_of_a_group_composes(group: str, vectors: Path) -> None:
    assert choices(group), f"conf/{group} is empty"
    for choice in choices(group):
        overrides = [] if group in ("dataset", "location_encoder", "le_type") else ["dataset=blue_marble"]
        if choice in ("features", "teacher"):
            overrides = ["dataset=features", f"dataset.root={vectors}"]
        compose(f"{group}={choice}", *overrides)


@pytest.mark.parametrize("bundle", choices("location_encoder"))
def test_every_bundle_builds_in_the_main_job(bundle: str) -> None:
    degrees = [] if bundle.startswith("sh_") else ["~legendre_polys"]
    loss = ["loss=tte"] if bundle == "voronoi" else []
    omega = [] if "siren" in bundle else ["~pe_type.first_omega"]
    width = ["~pe_type.hidden_dim"] if bundle.endswith("linear") else []
    command = ["experiment=blue_marble", f"location_encoder={bundle}", *degrees, *loss, *omega, *width]
    checks.check(hydra_setup.compose(CONF, command))


def test_tte_s_encoder_composes_in_its_published_size() -> None:
    config = compose("location_encoder=voronoi", "le_type.published=true", "embedding_dim=512", "dataset=blue_marble")
    encoder = instantiate(config.model.location_encoder)
    assert sum(weight.numel() for weight in encoder.parameters()) == 3_453_057


@pytest.mark.parametrize("degree", [1, 7, 10, 25, 40, 99, 100])
def test_any_degree_is_an_option(degree: int) -> None:
    config = compose("experiment=blue_marble_one_hot", f"legendre_polys={degree}")
    assert instantiate(config.le_type).dim == degree**2


@pytest.mark.parametrize("written", ["12", '"12"', "101"])
def test_a_degree_in_a_file_of_ones_own_needs_no_quotes(written: str, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - blue_marble_one_hot\n"
        f"  - override /legendre_polys: {written}\n  - _self_\n"
    )
    overrides = [f"hydra.searchpath=[file://{tmp_path}]", "experiment=mine"]
    if written == "101":
        with pytest.raises(ConfigCompositionException, match="whole number from 1 to 100, got 101"):
            hydra_setup.compose(CONF, overrides)
    else:
        assert hydra_setup.compose(CONF, overrides).le_type.legendre_polys == 12


def test_the_command_line_beats_the_experiment_and_the_experiment_beats_the_defaults() -> None:
    assert compose("experiment=satclip_vit16_l10").le_type.legendre_polys == 10
    assert compose("experiment=satclip_vit16_l10", "legendre_polys=33").le_type.legendre_polys == 33


@pytest.mark.parametrize("encoding", [name for name in choices("le_type") if not name.startswith("sphericalharmonics")])
def test_degrees_are_refused_where_the_encoding_has_none(encoding: str) -> None:
    with pytest.raises(ValueError, match=r"has no Legendre polynomials; drop legendre_polys=20"):
        checks.check(hydra_setup.compose(CONF, [f"le_type={encoding}", "legendre_polys=20"]))
    checks.check(hydra_setup.compose(CONF, [f"le_type={encoding}"]))


@pytest.mark.parametrize("experiment", choices("experiment"))
def test_every_experiment_composes_and_builds(experiment: str, store: Path, vectors: Path) -> None:
    # Weights cannot be fetched in a test: the towers are the same without them.
    weights = [] if experiment.startswith(("blue_marble", "distil")) else ["vision.weights=none"]
    root = {
        "cached": [f"dataset.root={store}"],
        "vit16": [f"dataset.root={store}"],
        "geoclip": [f"dataset.root={vectors}"],
        "region": ["dataset.root=patches"],
    }
    weights += root.get(experiment.rpartition("_")[2], [])
    config = compose(f"experiment={experiment}", "trainer.accelerator=cpu", "trainer.precision=32-true", *weights)
    checks.check(config)
    model = instantiate(config.model)
    assert model.model.location_encoder.embedding_dim == config.embedding_dim
    instantiate(config.dataset)
    instantiate(config.trainer, logger=False)
    for node in [*config.callbacks.values(), *config.logger.values()]:
        if "wandb" not in node["_target_"]:
            instantiate(node)


@pytest.mark.parametrize("experiment", [name for name in choices("experiment") if name.startswith("satclip_")])
def test_a_published_experiment_has_the_published_shape(experiment: str, store: Path) -> None:
    cached = experiment.endswith("_cached")
    config = compose(f"experiment={experiment}", *([f"dataset.root={store}"] if cached else []))
    _, backbone, degree = experiment.removesuffix("_cached").split("_")
    assert config.dataset["_target_"].rpartition(".")[2] == ("FeatureDataModule" if cached else "S2DataModule")
    assert config.dataset.split == "random"
    assert config.le_type.legendre_polys == int(degree[1:])
    assert config.le_type.harmonics_calculation == "analytic"
    assert backbone in (config.vision.name, "vit16")
    assert (config.pe_type.hidden_dim, config.pe_type.first_omega, config.pe_type.dropout) == (512, 30.0, 0.5)
    assert config.dataset.batch_size * config.trainer.accumulate_grad_batches == 8192


LONG = pytest.mark.slow  # 55 points


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=LONG if p.stem.startswith("encodings") else ()) for p in sorted(SWEEPS.glob("*.yaml"))],
    ids=lambda path: path.stem,
)
def test_every_point_of_a_sweep_composes(path: Path) -> None:
    sweep = wandb_file.read(path)
    found = list(wandb_file.points(sweep))
    assert len(found) >= 9
    for point in found:
        checks.check(compose(*point), here=False)


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_sweep_file_hands_groups_to_train_py_and_compares_a_figure_that_is_logged(path: Path) -> None:
    sweep = wandb_file.read(path)
    assert (sweep["program"], sweep["command"][-1]) == ("train.py", "${args_no_hyphens}")
    metric, given = sweep["metric"], sweep["parameters"]
    assert metric["goal"] == ("maximize" if higher_is_better(metric["name"]) else "minimize")
    monitor = given.get("callbacks.checkpoint.monitor", {"value": "val/loss"})["value"]
    assert metric["name"] == f"best/{monitor}"  # the one that W&B is told after every validation
    assert given["logger"] == {"value": "wandb"}
    words = wandb_file.arguments(sweep)
    assert (f"hydra.sweeper.prune_by={monitor}" in words) is ("early_terminate" in sweep)


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_sweep_looks_for_the_least_loss_among_those_that_mean_different_things(path: Path) -> None:
    sweep = wandb_file.read(path)
    varied = [name for name, spec in sweep["parameters"].items() if "value" not in spec]
    if sweep["method"] != "grid" and any(name.startswith(CHANGES_THE_LOSS) for name in varied):
        assert not is_loss(sweep["metric"]["name"])


@pytest.mark.parametrize(("options", "degrees"), [([], 16), (["legendre_polys=10"], 10), (["skip_degrees=4"], 4)])
def test_the_main_job_s_skip_fits_its_encoding(options: list[str], degrees: int) -> None:
    config = compose("experiment=blue_marble", *options)
    assert config.skip_degrees == degrees
    assert config.vision.features == 512 - (degrees**2 - 1)


@pytest.mark.parametrize("launcher", ["submitit_slurm", "submitit_local", "ray", "basic"])
def test_a_launcher_s_preset_has_only_what_its_plugin_takes(launcher: str) -> None:
    hydra_setup.register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose("train", overrides=[f"hydra/launcher={launcher}"], return_hydra_config=True)
    config.hydra.sweep.dir, config.hydra.job.name = "multirun", "train"
    made = Plugins.instance()._instantiate(config.hydra.launcher)
    if launcher == "submitit_slurm":
        assert (made.params["gpus_per_node"], made.params["tasks_per_node"]) == (1, 1)  # type: ignore[attr-defined]
    if launcher == "ray":
        assert made.ray_cfg.remote == {"num_cpus": 1, "num_gpus": min(1, torch.cuda.device_count())}  # type: ignore[attr-defined]


@pytest.mark.slow
def test_slurm_is_told_to_send_the_signal_at_which_a_run_saves(tmp_path: Path) -> None:
    (tmp_path / "srun").touch(0o755)
    script = """
import sys
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.plugins import Plugins
from hydra.core.utils import setup_globals
from hydra.types import HydraContext, RunMode
from satclip.runs import hydra_setup
setup_globals()
hydra_setup.register()
loader = ConfigLoaderImpl(create_config_search_path(sys.argv[1]))
config = loader.load_configuration("train", ["hydra/launcher=submitit_slurm"], run_mode=RunMode.MULTIRUN)
context = HydraContext(loader, Callbacks())
Plugins.instance().instantiate_launcher(hydra_context=context, task_function=print, config=config)
from submitit.slurm.slurm import _make_sbatch_string
print(_make_sbatch_string(command="x", folder=".", signal_delay_s=config.hydra.launcher.signal_delay_s))
"""
    surroundings = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    surroundings.pop("SUBMITIT_PREEMPT_SIGNAL", None)
    command = [sys.executable, "-c", script, str(CONF)]
    done = subprocess.run(command, capture_output=True, text=True, env=surroundings, timeout=100, check=True)
    (asked,) = re.findall(r"#SBATCH --signal=(\w+)@600", done.stdout)
    assert getattr(signal, f"SIG{asked}") in STOP


def test_slurm_is_asked_for_only_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hydra_setup.register()
    monkeypatch.setenv("PATH", str(tmp_path))
    for launcher, refused in (("submitit_slurm", True), ("submitit_local", False)):
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            config = hydra.compose("train", overrides=[f"hydra/launcher={launcher}"], return_hydra_config=True)
        loader = ConfigLoaderImpl(create_config_search_path(str(CONF)))
        given = {"hydra_context": HydraContext(loader, Callbacks()), "task_function": print, "config": config}
        with pytest.raises(SystemExit, match="no srun on this machine; start it on") if refused else nullcontext():
            Plugins.instance().instantiate_launcher(**given)
