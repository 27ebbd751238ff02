"""Places for a picture: among candidates, those whose location embedding is most like the embedding of the picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from satclip.checkpoint.sources import locate
from satclip.checkpoint.stored import OurCheckpoint, PublishedCheckpoint, read_checkpoint
from satclip.data.batches.batch import RawBatch
from satclip.data.batches.patches import form_of
from satclip.data.datamodule import S2DataModule
from satclip.data.geotiff.bands import SENTINEL2
from satclip.data.geotiff.decode import decoding
from satclip.data.geotiff.place import centre
from satclip.downstream.rivals.trained import seen_by
from satclip.embedding import embed
from satclip.likeness import most_alike
from satclip.runs.indexing import data_of
from satclip.sphere import great_circle_km

CONTRASTIVE = ("ClipLoss", "SigLIPLoss", "SoftClipLoss", "NestedLoss", "CombinedLoss")


@dataclass(frozen=True)
class Guess:
    """A place for a picture.

    Attributes:
        lon, lat: of the candidate, degrees.
        similarity: cosine of the two embeddings.
        share: softmax of similarity / temperature over all candidates: how the model weighs them, and no probability of
            being right, for the place need not be among them.
        km: great-circle distance to where the file says that it lies; None where it does not say.
    """

    lon: float
    lat: float
    similarity: float
    share: float
    km: float | None


class Predictor:
    """Both towers of a checkpoint, and candidate places embedded once.

    Args:
        source: a checkpoint of ours or of the published system, or the folder of a run.
        candidates: degrees, float64 [N, 2].
        device: where the towers run.

    Raises:
        FileNotFoundError, ConnectionError, ValueError: it holds no two towers, or does not say what pictures it takes.
    """

    def __init__(self, source: str | Path, candidates: Tensor, *, device: str = "cpu") -> None:
        path = locate(source)
        stored = None if path.is_dir() else read_checkpoint(path)
        if isinstance(stored, OurCheckpoint):
            self.data = data_of(stored.recipe, str(source), None)
            self.recipe = stored.recipe
        elif isinstance(stored, PublishedCheckpoint):
            self.data, self.recipe = S2DataModule(".", bands=SENTINEL2), {}
        else:
            raise ValueError(f"{source} holds a location encoder alone; give the checkpoint of a training run")
        if not len(candidates):
            raise ValueError("there is no candidate to choose from; give more, or larger bounds")
        self.towers = stored.towers().eval().to(device)
        self.candidates = candidates
        self.keys = F.normalize(embed(self.towers.location_encoder, candidates).float(), dim=-1)

    @property
    def notes(self) -> list[str]:
        """What a reader must know before believing a guess."""
        said = [f"pretraining saw: {seen_by(self.recipe) if self.recipe else 'S2-100K, all over the land'}"]
        config: dict[str, Any] = self.recipe.get("config") or {}
        dataset = config.get("dataset") or {}
        if dataset.get("split") == "all":
            said.append("it trained on every patch of its data: one of those is remembered, not recognised")
        loss = str((config.get("loss") or {}).get("_target_", "")).rpartition(".")[2]
        if loss and loss not in CONTRASTIVE:
            said.append(
                f"its loss, {loss}, asks what a picture is like and not which place it shows: expect look-alikes"
            )
        return said

    def __call__(self, patch: Path, *, top: int, apart_km: float) -> list[Guess]:
        """The best places for the picture in a GeoTIFF of the form of the training's patches, `apart_km` apart.

        Raises:
            ValueError: it is no such picture; says what was expected.
        """
        found = F.normalize(self._embed(patch).float(), dim=-1)[0].cpu()
        alike = (self.keys @ found).double()
        share = torch.softmax(alike * float(self.towers.logit_scale.detach().exp()), 0)
        best = self._apart(alike, top, apart_km)
        own = centre(patch)
        guesses = []
        for row in best:
            lon, lat = self.candidates[row].tolist()
            km = None if own is None else float(great_circle_km(self.candidates[row], own))
            guesses.append(Guess(lon, lat, float(alike[row]), float(share[row]), km))
        return guesses

    def _apart(self, alike: Tensor, top: int, apart_km: float) -> list[int]:
        if apart_km == 0:
            return alike.topk(min(top, len(alike))).indices.tolist()
        first = int(alike.argmax())
        rest = most_alike(alike, self.candidates, self.candidates[first], top - 1, apart_km=apart_km)
        return [first, *rest.tolist()]

    @torch.no_grad()
    def _embed(self, patch: Path) -> Tensor:
        """The picture as validation sees it, embedded: [1, D]."""
        content = patch.read_bytes()
        form = form_of([content], [patch.name], self.data.bands, self.data.augmentation.image_size)
        image = form.batch(1)
        with decoding():
            size = form.decode(content, image.numpy()[0])
        raw: RawBatch = {
            "image": image, "lonlat": torch.zeros(1, 2, dtype=torch.float64), "id": torch.zeros(1, dtype=torch.int64),
            "bad": [], **form.extent([size]),
        }  # fmt: skip
        images = self.data.transform(raw)["image"]
        return self.towers.encode_image(images.to(self.towers.logit_scale.device))
