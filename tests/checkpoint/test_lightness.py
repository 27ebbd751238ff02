"""Loading a location encoder costs little: no image library, no trainer, no configuration."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

SCRIPT = """
import json, sys, time
import torch
start = time.process_time()
import satclip
light = set(sys.modules)
encoder = satclip.load_location_encoder(sys.argv[1])
seconds = time.process_time() - start
heavy = "torchgeo timm torchvision rasterio lightning pytorch_lightning hydra omegaconf".split()
heavy += "numba pandas matplotlib wandb".split()
print(json.dumps([[name for name in heavy if name in sys.modules], seconds, [name for name in heavy if name in light]]))
"""


def test_loading_builds_the_location_tower_alone_and_takes_under_two_seconds_beyond_torch(
    published: Callable[..., Path],
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(published(vision_layers="moco_vit16"))],
        capture_output=True,
        text=True,
        check=True,
    )
    heavy, seconds, heavy_at_import = json.loads(done.stdout)
    assert heavy == []
    assert heavy_at_import == []
    assert seconds < 2
