"""Networks on top of an encoding: the `pe_type` of a configuration."""

from satclip.location.networks.perceptron import MLP, FCNet, Linear
from satclip.location.networks.protocol import Network
from satclip.location.networks.siren import Siren

NETWORKS: dict[str, type] = {network.name: network for network in (Siren, FCNet, MLP, Linear)}

__all__ = ["MLP", "NETWORKS", "FCNet", "Linear", "Network", "Siren"]
