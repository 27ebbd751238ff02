"""The location encoder that torchgeo ships since 0.10 (torchgeo pull request 3640): SatCLIP's, by the weight's name."""

from importlib.metadata import version

import torch

from satclip.downstream.rivals.frozen import GLOBE, Frozen
from satclip.optional_import import optional

DEFAULT = "SATCLIP_VIT16_L40"


def torchgeo(weights: str = "") -> Frozen:
    """torchgeo's SatCLIP location encoder, [N, 2] -> [N, 256], its weights fetched by torchgeo.

    Raises:
        ModuleNotFoundError: torchgeo is not installed, or has no location encoder yet.
        ValueError: it has no weights of that name; lists them.
        ConnectionError: the weights are not cached and cannot be fetched.
    """
    models = optional("torchgeo.models")
    if models is None:
        raise ModuleNotFoundError("torchgeo does not work here: pip install 'torchgeo>=0.10'")
    if not hasattr(models, "SatCLIP_Weights"):
        raise ModuleNotFoundError(
            f"torchgeo {version('torchgeo')} has no location encoder; 0.10 has (Python 3.12): pip install -U torchgeo"
        )
    known = {weight.name: weight for weight in models.SatCLIP_Weights}
    name = weights or DEFAULT
    if name not in known:
        raise ValueError(f"torchgeo has no location weights {name}; it has {', '.join(known)}")
    try:
        network: torch.nn.Module = models.satclip(weights=known[name])
    except OSError as error:
        raise ConnectionError(
            f"torchgeo cannot fetch {name} ({error}); check the network, or fill its cache"
        ) from error
    return Frozen(f"torchgeo {name}", GLOBE, network)
