"""The location encoder: an encoding of (longitude, latitude) and a network on top."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from numpy.typing import NDArray
from torch import Tensor

from satclip.coordinates import coordinates
from satclip.embedding import embed
from satclip.harmonics import one_thread_after_a_fork
from satclip.location.capture import computes_now, only_numbers, refuse_recording
from satclip.location.described import NEEDED, described, nested
from satclip.location.encodings import ENCODINGS, Encoding, SphericalHarmonics
from satclip.location.hub import PretrainedMixin
from satclip.location.networks import NETWORKS, BandedSiren, Network
from satclip.location.places import block_rows, check_tensor, in_blocks, no_place
from satclip.location.skip import Skip
from satclip.sphere import check_lonlat

SKIP_OPTIONS = ("skip_degrees", "skip_scale", "skip_damping", "skip_zonal")
COMPUTED = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


class LocationEncoder(PretrainedMixin):
    """Places in degrees, longitude first, to embeddings of `embedding_dim` numbers, not normalised.

    `network` is called with `in_dim` and `out_dim`; dimensions flow from the encoding. Features are computed at the
    encoding's own precision, whatever autocast says, and handed to the network in the network's dtype. Without
    gradients the work goes in blocks of places, so memory does not grow with the features of all of them.

    With `skip_degrees` = K the harmonics of degrees 1 to K - 1 go past the network into the last K^2 - 1 numbers of the
    embedding, with a standard deviation of `skip_scale` over the sphere (numbers of fresh sine networks have about 1),
    falling with the degree by `skip_damping`, and `skip_zonal` times as much for latitude alone (see `Skip`).

    Raises:
        ValueError: `skip_degrees` or bands of degrees without harmonics, beyond theirs, or no dimension is left over.
    """

    if TYPE_CHECKING:

        def __call__(self, lonlat: Tensor) -> Tensor:
            """As `forward`."""
            ...

    def __init__(
        self,
        encoding: Encoding,
        network: Callable[..., Network],
        embedding_dim: int,
        *,
        skip_degrees: int = 0,
        skip_scale: float = 1.0,
        skip_damping: float = 0.0,
        skip_zonal: float = 1.0,
    ) -> None:
        super().__init__()
        self.encoding = encoding
        self.skip = Skip(skip_degrees, skip_scale, skip_damping, skip_zonal)
        self.skip.check(encoding, embedding_dim)
        self.network = network(in_dim=encoding.dim, out_dim=embedding_dim - self.skip.dim)
        if isinstance(self.network, BandedSiren) and not isinstance(encoding, SphericalHarmonics):
            raise ValueError(f"pe_type={self.network.name} needs le_type=sphericalharmonics, got {encoding.name}")
        self.embedding_dim = embedding_dim
        self.nested: tuple[int, ...] = ()  # prefixes that training made embeddings of their own, the whole width last
        self.source: str | None = None  # where the weights came from, once they are loaded

    def forward(self, lonlat: Tensor) -> Tensor:
        """[B, 2] degrees -> [B, embedding_dim] in the network's dtype.

        A row with NaN has an embedding of NaN. So has one that is infinite or beyond a pole, where the rows cannot be
        looked at: on a GPU, where that would wait for it, and in what is traced, compiled, exported or transformed.
        Unless gradients are asked for the places: then a step may lead over a pole.

        Raises:
            TypeError: when `lonlat` is no tensor, or neither float64, float32 nor whole numbers, or the weights are no
                floats.
            ValueError: when `lonlat` is not [B, 2], or on a CPU has infinite places or latitudes beyond 90 degrees.
        """
        check_tensor(lonlat)
        numbers = only_numbers(lonlat)
        if numbers:
            one_thread_after_a_fork()
        if lonlat.requires_grad:
            return self._embed_blocks(lonlat)
        outside = no_place(lonlat)
        if numbers:
            if not outside.any():
                return self._embed_blocks(lonlat)
            if (outside & ~lonlat.isnan().any(-1)).any():
                check_lonlat(lonlat)
        return self._embed_blocks(lonlat).masked_fill(outside[:, None], math.nan)

    @property
    def auxiliary(self) -> tuple[str, ...]:
        """Names of the terms that `with_auxiliary` gives: those of encoding and network; most have none."""
        return tuple(name for part in (self.encoding, self.network) for name in getattr(part, "auxiliary", ()))

    def with_auxiliary(self, lonlat: Tensor, image_embeddings: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The embedding [B, D] and, by name, the terms [B, ...] that encoding and network add to a loss in training.

        Args:
            lonlat: degrees [B, 2].
            image_embeddings: of the same places, [B, D], not normalised, with their gradient.
        """
        check_tensor(lonlat)
        encoding: Any = self.encoding
        network: Any = self.network
        features, terms = (
            encoding.with_auxiliary(lonlat, image_embeddings, self.dtype)
            if getattr(encoding, "auxiliary", ())
            else (self.encoding(lonlat, self.dtype), {})
        )
        embedding, more = (
            network.with_auxiliary(features, image_embeddings)
            if getattr(network, "auxiliary", ())
            else (self.network(features), {})
        )
        return self.skip.beside(embedding, features[..., self.skip.features]), {**terms, **more}

    def extra_repr(self) -> str:
        """What a reader wants to know first: D, L or the scales, where it comes from."""
        options = ", ".join(f"{name}={value}" for name, value in self.encoding.options().items())
        origin = f", source={self.source!r}" if self.source else ""
        encoding, network = self.encoding, self.network
        return f"{encoding.name}({options}) -> {encoding.dim} -> {network.name} -> {self.embedding_dim}{origin}"

    def __prepare_scriptable__(self) -> NoReturn:
        """Called by torch.jit.script, which could follow none of the ways that fit what is at hand.

        Raises:
            TypeError: always, with what to do instead.
        """
        raise TypeError(
            "a location encoder cannot be scripted: `satclip export` writes it as ONNX or pt2 for other programs, "
            "torch.compile and torch.jit.trace take it as it is"
        )

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        weight = self.network.first.weight
        return weight.device if isinstance(weight, Tensor) else torch.device("cpu")  # quantised ones have no other

    @property
    def learned_dim(self) -> int:
        """The first numbers of the embedding, which the network gives; those behind them pass by it."""
        return self.embedding_dim - self.skip.dim

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights, and so of the embeddings.

        Raises:
            TypeError: the weights are no floats that a network computes in.
        """
        weight = self.network.first.weight
        if not isinstance(weight, Tensor):  # a method of layers that are quantised while they run
            return torch.float32
        if weight.dtype not in COMPUTED:
            raise TypeError(f"the encoder's weights are {weight.dtype}, which no network computes in; encoder.float()")
        return weight.dtype

    def embed(self, places: Any, *, batch_size: int = 8192) -> NDArray[Any]:
        """Embeddings of places as people keep them, in NumPy: [N, D] of the weights' dtype, or [D] for one place alone.

        In evaluation mode, without gradients, in batches, on the encoder's device, and leaves it as it was. Weights of
        half the width give float32.

        Args:
            places: an array, tensor or list [N, 2] of degrees, longitude first; one place (longitude, latitude); a data
                frame whose columns are found by name; a GeoDataFrame of points.
            batch_size: places of one call of the encoder.

        Raises:
            TypeError: `places` holds no numbers.
            ValueError: rows are no places, or have another shape; lists them and the remedy.
            RuntimeError: the call is traced, compiled or exported, which would keep its result as a constant.
        """
        refuse_recording("encoder.embed")
        lonlat, alone = coordinates(places)
        check_lonlat(lonlat)
        found = embed(self, lonlat, batch_size=batch_size)
        array: NDArray[Any] = found.to(torch.promote_types(found.dtype, torch.float32)).numpy()
        return array[0] if alone else array

    def untrained(self, seed: int = 0) -> "LocationEncoder":
        """The same architecture with fresh weights, drawn from `seed` by the constructors that a training calls.

        It shows what the shape of an encoder is worth before it has seen an image. In evaluation mode, on the same
        device and in the same dtype; the caller's random numbers stay as they were.
        """
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            torch.manual_seed(seed)
            fresh = type(self).from_config(self.config())
        fresh.source = f"untrained, seed {seed}"
        return fresh.to(self.device, self.dtype).eval()

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build this encoder again, ready for JSON."""
        return {
            "embedding_dim": self.embedding_dim,
            **self.skip.config(),
            **({"nested": list(self.nested)} if self.nested else {}),
            "encoding": {"name": self.encoding.name, **self.encoding.options()},
            "network": {"name": self.network.name, **self.network.options()},
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "LocationEncoder":
        """Build an encoder, with fresh weights, from what `config` returned.

        Raises:
            TypeError: `config` is no dictionary.
            ValueError: a part is missing or no description, the encoding or the network has an unknown name; lists the
                known ones.
        """
        if not isinstance(config, Mapping):
            raise TypeError(
                f"from_config takes the dictionary that config() returns, got {type(config).__name__}: "
                "LocationEncoder.from_config(encoder.config()), or encoder.untrained(seed)"
            )
        encoding_class, encoding = described(config, "encoding", ENCODINGS)
        network_class, network = described(config, "network", NETWORKS)
        dim = config.get("embedding_dim")
        if isinstance(dim, bool) or not isinstance(dim, int) or dim < 1:
            raise ValueError(f"embedding_dim must be a whole number above 0, got {dim!r}; {NEEDED}")
        skip = {name: config[name] for name in config if name in SKIP_OPTIONS}
        try:
            encoder = cls(encoding_class(**encoding), partial(network_class, **network), dim, **skip)
        except TypeError as error:  # an option of another name or type, which the constructors take as it comes
            raise ValueError(f"the encoding or the network takes no such options ({error}); {NEEDED}") from error
        encoder.nested = nested(config, dim)
        return encoder

    def from_features(self, features: Tensor) -> Tensor:
        """From what the encoding gives, [B, F], to the embedding [B, embedding_dim]."""
        return self.skip.beside(self.network(features), features[..., self.skip.features])

    def _embed(self, lonlat: Tensor) -> Tensor:
        return self.from_features(self.encoding(lonlat, self.dtype))

    def _embed_blocks(self, lonlat: Tensor) -> Tensor:
        whole = torch.is_grad_enabled() or not computes_now(lonlat)
        return (
            self._embed(lonlat) if whole else in_blocks(self._embed, lonlat, block_rows(self.encoding, lonlat.device))
        )
