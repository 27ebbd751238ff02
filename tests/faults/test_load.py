"""Two thousand steps on two ranks with a loader that drops, delays and corrupts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from satclip.data.blue_marble_datamodule import BlueMarbleDataModule

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("linux")]
STEPS = 2000


def test_a_long_run_with_an_unreliable_loader_ends_with_every_step_counted_and_memory_flat(
    tmp_path: Path, imagery: Path, start: Callable[..., Any], logged: Callable[..., Any], ledger: Callable[..., None]
) -> None:
    folder = tmp_path / "run"
    run = start(
        "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true",
        "dataset._target_=unreliable.UnreliableBlueMarble", "dataset.keep_in_memory=false", "dataset.num_workers=1",
        "dataset.max_bad_fraction=0.1", "dataset.batch_size=16", "epochs=1000", f"trainer.max_steps={STEPS}",
        "trainer.check_val_every_n_epoch=20", "trainer.log_every_n_steps=50", f"hydra.run.dir={folder}",
    )  # fmt: skip
    memory: dict[int, int] = {}

    def enough() -> bool:
        step = 50 * len(logged(folder, "train/loss"))
        if step not in memory:
            memory[step] = run.memory()
        return step >= STEPS - 50

    run.wait_for(enough, timeout=500)
    run.end(code=0, timeout=60)

    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == STEPS
    assert [step for step, _ in logged(folder, "train/loss")] == list(range(49, STEPS, 50))
    data = BlueMarbleDataModule(imagery, places=400, patch_size=20, kilometres_per_pixel=20.0, image_size=16,
                                val_fraction=0.2, split_buffer_km=0)  # fmt: skip
    data.setup()
    rows = data.collection.train_rows
    counts = [max(value for _, value in logged(folder, f"data/bad/{cause}")) for cause in ("missing", "unreadable")]
    assert sum(counts) == int((rows % 100 <= 1).sum())
    early = [kilobytes for step, kilobytes in memory.items() if 500 <= step < 1000]
    late = [kilobytes for step, kilobytes in memory.items() if step >= 1500]
    growth = max(late) / max(early) - 1
    assert growth < 0.05, memory
    hurt = f"{int(sum(counts))} of {len(rows)} patches, each replaced by another"
    recovery = f"no pause; memory {growth:+.1%} of {max(early) // 1000:,} MB"
    ledger(f"loader drops, delays, corrupts over {STEPS} steps", hurt, recovery)
