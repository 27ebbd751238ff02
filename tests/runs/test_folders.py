"""Each run in a folder of its own, and none left of one that could not begin."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from satclip import launch_environment
from satclip.runs import again, folders, lock


def config_of(pattern: str, mode: str = "run") -> object:
    """As much of Hydra's config as says where a run goes."""
    return OmegaConf.create({"now": "10-00-00", "hydra": {mode: {"dir": pattern}, "overrides": {"hydra": []}}})


def test_runs_of_one_second_each_get_a_folder(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(folders._new, [tmp_path / "name" / "10-00-00"] * 8))
    assert len({*got}) == 8
    assert {path.name for path in got} == {"10-00-00", *(f"10-00-00_{number}" for number in range(2, 9))}
    for path in got:
        lock.release(path)


def test_the_tasks_of_srun_name_one_folder_whenever_each_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SLURM_NTASKS", "2"), ("SLURM_JOB_ID", "7"), ("SLURM_STEP_ID", "1")):
        monkeypatch.setenv(name, value)
    assert {launch_environment.started("%H-%M-%S-%f") for _ in range(3)} == {"slurm-7-1"}
    OmegaConf.register_new_resolver("started", launch_environment.started, replace=True)
    (tmp_path / "slurm-7-1").mkdir()  # by another task, or before the job was put back into the queue
    assert folders._choose(config_of(f"{tmp_path}/${{started:x}}"), "run") == tmp_path / "slurm-7-1"  # type: ignore[arg-type]
    lock.release(tmp_path / "slurm-7-1")


def test_a_sweep_tells_its_jobs_of_another_folder(tmp_path: Path) -> None:
    OmegaConf.register_new_resolver("now", lambda _: "10-00-00", replace=True)
    (tmp_path / "10-00-00").mkdir()
    config = config_of(f"{tmp_path}/${{now:x}}", "sweep")
    folder = folders._choose(config, "sweep")  # type: ignore[arg-type]
    assert folder == tmp_path / "10-00-00_2"
    assert config.hydra.sweep.dir == str(folder)  # type: ignore[attr-defined]
    assert config.hydra.overrides.hydra == [f'hydra.sweep.dir="{folder}"']  # type: ignore[attr-defined]
    lock.release(folder)


@pytest.mark.parametrize("mode", ["run", "sweep"])
@pytest.mark.parametrize("name", ["../x", "/x", "a/../../b", ".."])
def test_a_name_that_leads_out_of_outputs_is_refused_before_a_folder_is_made(
    name: str, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    config = OmegaConf.create(
        {"name": name, "hydra": {mode: {"dir": f"outputs/{name}/10-00-00"}, "overrides": {"hydra": []}}}
    )
    with pytest.raises(ValueError, match=r"leads out of outputs/NAME; give a name without \.\."):
        folders._choose(config, mode)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["here"]


def test_a_folder_that_was_given_is_the_one(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert folders._choose(config_of(f"{tmp_path}/mine"), "run") == tmp_path / "mine"  # type: ignore[arg-type]
    lock.release(tmp_path / "mine")


@pytest.mark.parametrize(
    ("left", "kept"),
    [(".hydra/config.yaml", False), ("train.log", False), ("checkpoints/last.ckpt", True), ("csv/metrics.csv", True)],
)
def test_a_start_that_failed_leaves_no_folder_and_a_run_does(tmp_path: Path, left: str, kept: bool) -> None:
    file = tmp_path / "outputs" / "name" / "now" / left
    file.parent.mkdir(parents=True)
    file.touch()
    folders._remove_if_worthless(tmp_path / "outputs" / "name" / "now")
    assert file.exists() is kept
    assert (tmp_path / "outputs" / "name").exists() is kept


def test_the_command_that_resumes_a_run_is_whole(tmp_path: Path) -> None:
    given = ["--config-dir", "my", "seed=1", "name=a b", "ckpt_path=old.ckpt", "hydra.run.dir=x", "epochs=3"]
    assert again.resuming(given, tmp_path, ["epochs=5"]) == [
        "--config-dir", "my", "seed=1", "name=a b", "epochs=5", f"hydra.run.dir={tmp_path}", "ckpt_path=auto",
    ]  # fmt: skip
    behind = ["seed=1", "-cd", "my", "epochs=3", "--config-name=other"]  # Hydra takes no option behind those
    assert again.resuming(behind, tmp_path)[:5] == ["-cd", "my", "--config-name=other", "seed=1", "epochs=3"]
    assert again.quoted(tmp_path / 'a "b"') == f'"{tmp_path}/a \\"b\\""'  # as Hydra reads it


@pytest.mark.parametrize("option", ["dataset.urls=pipe:rm", "+callbacks.x={_target_: os.system}", "hydra/launcher=x"])
def test_options_out_of_a_file_run_no_code(option: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="names code to run"):
        again.refuse_code(["seed=1", option], tmp_path)


@pytest.mark.slow
def test_three_runs_begun_at_once_all_end_well(project: Path, tmp_path: Path, imagery: Path) -> None:
    command = [
        sys.executable, str(project / "train.py"), "experiment=blue_marble_one_hot", "trainer=smoke",
        f"dataset.root={imagery}", "dataset.places=400", "dataset.patch_size=20",
        "dataset.kilometres_per_pixel=20.0", "dataset.image_size=16",
        "dataset.batch_size=64", "report=null",
    ]  # fmt: skip
    runs = [subprocess.Popen([*command, f"seed={seed}"], cwd=tmp_path, stdout=subprocess.DEVNULL) for seed in range(3)]
    assert [process.wait(300) for process in runs] == [0, 0, 0]
    assert len(list(tmp_path.glob("outputs/blue_marble_one_hot/*/checkpoints/last.ckpt"))) == 3
