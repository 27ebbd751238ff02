"""GeoCLIP's location encoder, and TaxaBind's, which has its shape.

GeoCLIP (Vivanco Cepeda, Nayak and Shah 2023, arXiv 2309.16020; MIT) was trained on 4.7 million geotagged photographs.
Its weights ship in the PyPI wheel `geoclip`; they are read from there without importing the package, which asks for an
old huggingface_hub. TaxaBind (Sastry et al. 2025, WACV, arXiv 2411.00683) fine-tuned the same network on iNaturalist.
"""

import math
from collections.abc import Mapping
from functools import partial
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor, nn

from satclip.downstream.rivals.equal_earth import equal_earth
from satclip.downstream.rivals.frozen import GLOBE, Frozen
from satclip.downstream.rivals.weights_file import fitted, read_state, seeded

SIGMAS = (1, 16, 256)  # standard deviations of the frequencies of the three capsules, in the file's order
FREQUENCIES, HIDDEN, OUT = 256, 1024, 512
INSTALL = "pip install --no-deps geoclip"
REMEDY = "Give the file as its authors published it"
_INSIDE_WHEEL = "geoclip/model/weights/location_encoder_weights.pth"


class FourierFeatures(nn.Module):
    """Random Fourier features [B, 2] -> [B, 512]: cosines, then sines, of 2 pi v b^T."""

    b: Tensor

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.register_buffer("b", sigma * torch.randn(FREQUENCIES, 2))

    def forward(self, places: Tensor) -> Tensor:
        """Phases are taken in the places' float64: at sigma 256 a float32 phase is off by 1e-4."""
        phase = 2 * math.pi * (places @ self.b.to(places.dtype).T)
        return torch.cat((phase.cos(), phase.sin()), -1).to(self.b.dtype)


class Capsule(nn.Module):
    """One scale: Fourier features, three layers of ReLU, a linear head."""

    def __init__(self, sigma: float) -> None:
        super().__init__()
        layers: list[nn.Module] = [FourierFeatures(sigma)]
        for width in (2 * FREQUENCIES, HIDDEN, HIDDEN):
            layers += [nn.Linear(width, HIDDEN), nn.ReLU()]
        self.capsule = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(HIDDEN, OUT))

    def forward(self, places: Tensor) -> Tensor:
        """[B, 2] -> [B, 512]."""
        embedding: Tensor = self.head(self.capsule(places))
        return embedding


class GeoCLIP(nn.Module):
    """(latitude, longitude) in degrees [B, 2] to the sum of the capsules [B, 512], not normalised.

    The names of its weights are those of the published file.
    """

    def __init__(self, capsules: tuple[int, ...] = (0, 1, 2)) -> None:
        super().__init__()
        for number in capsules:
            self.add_module(f"LocEnc{number}", Capsule(SIGMAS[number]))

    def forward(self, latlon: Tensor) -> Tensor:
        """[B, 2] -> [B, 512]."""
        places = equal_earth(latlon)
        return torch.stack([capsule(places) for capsule in self.children()]).sum(0)


def geoclip(path: Path | None = None, *, name: str = "geoclip") -> Frozen:
    """GeoCLIP's encoder from the wheel, or from a file of its layout.

    Raises:
        ModuleNotFoundError: the wheel is not installed and no file is given; ends with how to install it.
        FileNotFoundError, ValueError: there is no such file, or it does not fit; names the tensors.
    """
    return _with_weights(path or wheel_weights(), name)


def taxabind(path: Path, *, name: str = "taxabind") -> Frozen:
    """TaxaBind's location encoder from its `location_encoder_weights.pth` (or a safetensors file of those names).

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it does not fit; names the tensors.
    """
    return _with_weights(path, name)


def bandwidths(state: Mapping[str, Tensor], seed: int) -> list[nn.Module]:
    """Each capsule alone, untrained: the architecture at one bandwidth (sigma 1, 16, 256)."""
    return [_fresh(state, (number,), seed) for number in range(len(SIGMAS))]


def wheel_weights() -> Path:
    """The file of weights inside the installed wheel `geoclip`.

    Raises:
        ModuleNotFoundError: it is not installed, or lacks the file.
    """
    try:
        files = metadata.files("geoclip") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if file.as_posix() == _INSIDE_WHEEL and path.is_file():
            return path
    raise ModuleNotFoundError(f"GeoCLIP's weights come with the package geoclip, which is missing: {INSTALL}")


def _with_weights(path: Path, name: str) -> Frozen:
    state = read_state(path)
    network = fitted(GeoCLIP(), state, source=str(path), remedy=REMEDY)
    return Frozen(name, GLOBE, network, latitude_first=True, fresh=partial(_fresh, state, (0, 1, 2)))


def _fresh(state: Mapping[str, Tensor], capsules: tuple[int, ...], seed: int) -> GeoCLIP:
    """Fresh linear layers over the published frequencies, which were never trained."""
    network = seeded(partial(GeoCLIP, capsules), seed)
    frequencies = {key: state[key] for key in network.state_dict() if key.endswith(".capsule.0.b")}
    network.load_state_dict(frequencies, strict=False)
    return network
