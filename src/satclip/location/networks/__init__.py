"""Networks on top of an encoding: the `pe_type` of a configuration."""

from satclip.location.networks.banded_siren import BandedLinear, BandedSiren
from satclip.location.networks.perceptron import MLP, FCNet, Linear
from satclip.location.networks.protocol import Network
from satclip.location.networks.residual_siren import ResidualSiren
from satclip.location.networks.siren import Siren

NETWORKS: dict[str, type] = {
    network.name: network for network in (Siren, FCNet, MLP, Linear, BandedSiren, ResidualSiren)
}

__all__ = [
    "MLP",
    "NETWORKS",
    "BandedLinear",
    "BandedSiren",
    "FCNet",
    "Linear",
    "Network",
    "ResidualSiren",
    "Siren",
]
