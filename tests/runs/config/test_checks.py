"""An option that cannot be is refused in one line that names it, before anything is read or written."""

import copy
import functools
import inspect
from collections.abc import Sequence
from pathlib import Path

import lightning as L
import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from satclip.runs import hydra_setup
from satclip.runs.config import checks
from satclip.runs.config.composing import keys
from satclip.runs.config.trainer_options import REFUSED

CONF = Path(__file__).parents[3] / "conf"


@functools.cache
def composed(*overrides: str) -> DictConfig:
    """The config of a command line."""
    return hydra_setup.compose(CONF, overrides)


def config_of(overrides: Sequence[str]) -> DictConfig:
    """The same as Hydra makes it; where nothing is chosen anew, from what it made before, for that takes long."""
    base = composed("experiment=blue_marble_one_hot")
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        if not any((CONF / each.key_or_group).is_dir() or each.is_sweep_override() for each in parsed):
            config = copy.deepcopy(base)
            ConfigLoaderImpl._apply_overrides_to_config(parsed, config)
            return config
    except HydraException:
        pass
    return hydra_setup.compose(CONF, ["experiment=blue_marble_one_hot", *overrides])


def said_of(*overrides: str) -> str | None:
    """What is said of a command line, in one line; None where nothing is."""
    said = None
    try:
        checks.check(config_of(overrides))
    except (ValueError, ConfigCompositionException) as error:
        said = str(error)
    assert said is None or "\n" not in said, said
    return said


WHOLE = "takes a whole number"
REFUSALS = {
    "loss=match": "an image tower that does not learn, and TinyCNN does",
    "vision=statistics vision.windows=[2]": "shares of an image's side", "skip_zonal=0": "skip_zonal takes",
    "skip_damping=-1": "skip_damping takes", "dataset.scales=[8,1]": "dataset.scales are whole numbers",
    "seed=abc": f"seed {WHOLE}", "seed=-1": f"seed {WHOLE}", "seed=1.5": f"seed {WHOLE}", "seed=null": f"seed {WHOLE}",
    "seed=4294967296": "4294967295 at most", "epochs=1.5": f"epochs {WHOLE}", "epochs=-2": "or -1, got -2",
    "epochs=0": "epochs takes", "epochs=abc": f"epochs {WHOLE}", "epochs=null": f"epochs {WHOLE}",
    "embedding_dim=0": "embedding_dim takes", "embedding_dim=99999999999999999999": "embedding_dim takes",
    "temperature=0": "more than 0", "temperature=-1": "more than 0", "temperature=nan": "a finite number",
    "temperature=inf": "a finite number", "learn_temperature=3": "true or false", "compile=maybe": "true or false",
    "matmul_precision=fast": "highest or high or medium", "name=3": "quoted: name=", "name=null": "name takes text",
    "dataset.batch_size=1": "2 or more", "dataset.batch_size=abc": f"dataset.batch_size {WHOLE}",
    "dataset.split=null": "dataset.split takes text, got null", "dataset.split=None": "is one of block",
    "dataset.val_fraction=1": "less than 1", "dataset.image_size=1": "2 or more", "dataset.flips=3": "true or false",
    "dataset.blur_sigma=[1,2,3]": "2 of them", "dataset.bands=[NO]": "no band NO", "dataset.bands=R": "a list of texts",
    "dataset=s2_folder": "dataset.root is missing", "+dataset.foo=1": "no option dataset.foo",
    "experiment=region loss=clip dataset.root=x": "~loss.softness drops it where an experiment sets it",
    "+dataset.batch_sise=1": "did you mean dataset.batch_size?", "+foo=1": "no option foo",
    "optimizer.lr=-1": "optimizer.lr takes", "optimizer.lr=abc": "a finite number",
    "optimizer.betas=[2,3]": "less than 1", "optimizer.betas=[0.9]": "2 of them",
    "optimizer.weight_decay=-1": "0 or more", "optimizer.location_weight_decay=None": "null is written null",
    "scheduler.warmup=2": "1 at most", "scheduler.final_fraction=abc": "a finite number",
    "pe_type.hidden_dim=0": "1 or more", "pe_type.hidden_layers=0": "for none use the linear network",
    "pe_type.dropout=1": "less than 1", "pe_type.first_omega=nan": "a finite number",
    "+pe_type.in_dim=3": "follows from",
    "pe_type.hiden_dim=3": "did you mean pe_type.hidden_dim?", "embeding_dim=3": "did you mean embedding_dim?",
    "le_type.harmonics_calculation=null": "takes text", "le_type.harmonics_calculation=no": "orthonormal",
    "le_type=grid legendre_polys=20": "has no Legendre polynomials; drop legendre_polys=20",
    "vision.width=-3": "vision.width takes", "vision.shrink=9": "1 to 4", "vision=null": "vision takes one of resnet18",
    "vision=typo": "Could not find 'vision/typo'", "vision._target_=no.Class": "there is no 'no.Class'",
    "~vision": "vision is missing", "~dataset.root": "dataset.root is missing", "vision=timm vision.name=no": "timm",
    "loss.chunk=0": "1 or more", "report.degrees=1e-9": "0.01 or more",
    "report.degrees=0": "0.01 or more", "report.probe_places=abc": WHOLE,
    "report=3": "group of options", "callbacks.resumable.every_n_steps=0": "1 or more", "+callbacks.x=1": "callbacks.x",
    "callbacks.speed.every=abc": WHOLE, "seed=${nope}": "nope", "+logger.wandb.foo=1": "logger.wandb",
    "logger=wandb logger.wandb.offline=3": "true or false", "logger=wandb logger.wandb.tags=3": "a list of texts",
    "logger=wandb +logger.wandb.foo=3": "no option logger.wandb.foo", "logger=many": "satclip[tensorboard]",
    "trainer.max_epochs=null": "epochs", "trainer.accumulate_grad_batches=0": "1 or more",
    "trainer.precision=7": "16-mixed",
    "trainer.precision=16-mixed": "bf16-mixed is", "trainer.devices=0": "devices",
    "trainer.accelerator=gpu": "trainer=cpu",
    "trainer.accelerator=no": "invalid accelerator", "trainer.limit_train_batches=0": "more than 0",
    "trainer.log_every_n_steps=0": "1 or more", "+trainer.max_time=abc": "DD:HH:MM:SS", "+trainer.foo=1": "no option",
    "trainer.max_time=3": "+trainer.max_time=", "+trainer.strategy=fsdp": "trainer.strategy takes auto",
    "+trainer.gradient_clip_algorithm=value": "needs trainer.gradient_clip_val", "+trainer.profiler=no": "simple",
    "+trainer.val_check_interval=2.5": "val_check_interval", "+trainer.num_nodes=2": "torchrun or srun",
    "temperature=0.009": "give 0.01 at least", "vision.in_channels=5": "does not fit the 3 dataset.bands",
    "optimized_metric=val/loss": "begin with best/ or last/",
    "callbacks.checkpoint.monitor=nope": "takes one of val/loss",
    "callbacks=early_stopping callbacks.early_stopping.monitor=val/nope": "val/image_to_location/top10",
    "callbacks=early_stopping trainer.limit_val_batches=0": "needs validations",
    "dataset.image_size=64": "more than the 32 pixels of dataset.patch_size",
    "dataset.bands=[a": "cannot read", "+legendre_polys=3": "legendre_polys",
}  # fmt: skip


@pytest.mark.parametrize("given", REFUSALS)
def test_what_cannot_be_is_refused_by_name(given: str) -> None:
    said = said_of(*given.split(" "))
    assert said is not None
    assert REFUSALS[given] in said


@pytest.mark.parametrize(
    "given", ["temperature=0.01", "callbacks.checkpoint.monitor=train/loss", "optimized_metric=null"]
)
def test_what_is_at_the_edge_is_let_through(given: str) -> None:
    assert said_of(given) is None


@pytest.mark.parametrize("name", REFUSED)
def test_an_option_of_the_trainer_without_effect_is_refused(name: str) -> None:
    value = {"limit_test_batches": "3", "limit_predict_batches": "3", "fast_dev_run": "1", "overfit_batches": "2"}
    sign = "" if name == "use_distributed_sampler" else "+"
    text = {"plugins": "null", "model_registry": "x", "reload_dataloaders_every_n_epochs": "1", **value}.get(
        name, "true"
    )
    if name in ("logger", "callbacks"):
        text = "null"
    said = said_of(f"{sign}trainer.{name}={text}")
    assert said is not None
    assert said.startswith(f"trainer.{name} has no place here: ")


WORKING = {
    "val_check_interval": "2", "min_epochs": "1", "min_steps": "3", "max_time": "00:00:01:00", "detect_anomaly": "true",
    "benchmark": "true", "inference_mode": "false", "profiler": "simple", "enable_checkpointing": "false",
    "enable_progress_bar": "false", "strategy": "ddp", "num_nodes": "1", "gradient_clip_algorithm": "value",
}  # fmt: skip


def test_every_option_of_the_trainer_is_in_the_config_works_or_is_refused() -> None:
    here = hydra_setup.compose(CONF, []).trainer.keys()
    known = {*here, *WORKING, *REFUSED}
    assert set(inspect.signature(L.Trainer.__init__).parameters) - {"self"} - known == set()


@pytest.mark.parametrize("name", WORKING)
def test_what_works_is_let_through(name: str) -> None:
    assert said_of(f"+trainer.{name}={WORKING[name]}", "trainer.gradient_clip_val=1.0") is None


def test_a_job_of_a_sweep_is_not_asked_for_the_devices_of_another_machine() -> None:
    config = hydra_setup.compose(CONF, ["experiment=satclip_vit16_l40", "trainer=ddp"])
    checks.check(config, here=False)
    with pytest.raises(ValueError, match="trainer=cpu trains on the CPU"):
        checks.check(config)


LEAVES = [
    name
    for experiment in ("experiment=blue_marble_one_hot", "experiment=satclip_vit16_l10 trainer=cpu logger=csv")
    for name in keys(OmegaConf.to_container(hydra_setup.compose(CONF, experiment.split())))
]
VALUES = st.one_of(
    st.sampled_from(
        ["null", "true", "[]", "{}", "[1,2]", "{a: 1}", "''", "nan", "-inf", "1e400", "-0.0", "???", "${x}", "None"]
    ),
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(str),
    st.lists(st.integers(-3, 3), max_size=3).map(str),
    st.text(max_size=12),
    st.text(max_size=12).map(lambda text: "'" + text.replace("\\", "").replace("'", "") + "'"),
)


def hold_any_override(name: str, value: str, prefix: str) -> None:
    """Whatever is given to an option: it is let through, or refused in a line."""
    said_of(f"{prefix}{name}={value}")


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(LEAVES), VALUES, st.sampled_from(["", "", "+", "++"]))
def test_no_value_of_any_option_ends_in_a_traceback(name: str, value: str, prefix: str) -> None:
    hold_any_override(name, value, prefix)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(LEAVES), VALUES, st.sampled_from(["", "", "+", "++"]))
def test_no_value_of_any_option_ends_in_a_traceback_whatever_is_tried(name: str, value: str, prefix: str) -> None:
    hold_any_override(name, value, prefix)
