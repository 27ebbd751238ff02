"""GPS2Vec (Yin et al. 2019, ACM MM; 2021, IEEE TMM): one network per UTM zone, trained on Flickr photographs.

The authors' `models_visual.zip` and `models_tag.zip` (linked from github.com/yifangyin/GPS2Vec) hold Keras 2.2.5 files
`model_{zone}.h5`, "model_32 V.h5". Layers, from their model_visual.json and model_tag.json: `layer1`, `layer2`,
`layer3` (512, 1024, 2048, relu), then softmax heads `object` (1000) and `scene` (365), or `tag` (2000). How Keras nests
the groups inside a file is not written down by the authors: the datasets `kernel:0` and `bias:0` are found below the
layer's name wherever it stands, and a file in which that is not possible is refused by the layer's name.

Zones without enough photographs have no network, and what the encoder would say there is undefined: such places are
refused by the zone's name.
"""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.rivals.frozen import GLOBE, Array, Vectors, checked
from satclip.downstream.rivals.utm import extent, metres, zones

HOME = "models_visual.zip or models_tag.zip, linked from github.com/yifangyin/GPS2Vec"
CELLS = 20  # of the lattice over a zone, each way
SIGMA = 20_000.0  # metres
HIDDEN = ("layer1", "layer2", "layer3")
HEADS = (("object", "scene"), ("tag",))
Layer = tuple[NDArray[np.float32], NDArray[np.float32]]


class GPS2Vec:
    """Places in degrees to the heads' probabilities: [N, 2] -> [N, 1365] (visual) or [N, 2000] (tag).

    Args:
        folder: holds the files `model_{zone}.h5`.

    Raises:
        FileNotFoundError: there is no such file in `folder`.
    """

    seen = GLOBE

    def __init__(self, folder: Path, *, name: str = "gps2vec") -> None:
        self.folder, self.name = folder, name
        self.files = {path.stem.removeprefix("model_"): path for path in sorted(folder.glob("model_*.h5"))}
        if not self.files:
            raise FileNotFoundError(f"no model_*.h5 in {folder}; unpack {HOME} there")

    @property
    def fingerprint(self) -> str:
        """A hash of which files there are, how large and how old: they are too many to read for a name."""
        facts = [(zone, path.stat().st_size, path.stat().st_mtime_ns) for zone, path in self.files.items()]
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def __call__(self, lonlat: Array) -> Vectors:
        """Vectors of places in degrees.

        Raises:
            ValueError: places lie in zones without a network; names the zones.
            ValueError: a file does not fit; names its layers.
        """
        places = checked(lonlat).numpy()
        zone = zones(places)
        missing = {name: int(count) for name, count in zip(*np.unique(zone, return_counts=True), strict=True)}
        missing = {name: count for name, count in missing.items() if name not in self.files}
        if missing:
            shown = ", ".join(f"{name or 'polar'} ({count})" for name, count in list(missing.items())[:8])
            raise ValueError(
                f"{self.name} has no network for {sum(missing.values())} of {len(places)} places: UTM zones {shown}; "
                f"leave it out, or ask it about places in the {len(self.files)} zones of {self.folder}"
            )
        parts = {name: self._zone(name, places[zone == name]) for name in np.unique(zone)}
        vectors = np.empty((len(places), next(iter(parts.values())).shape[1]), np.float32)
        for name, part in parts.items():
            vectors[zone == name] = part
        return vectors

    def _zone(self, zone: str, lonlat: Array) -> NDArray[np.float32]:
        hidden = lattice(zone, lonlat).astype(np.float32)
        layers = read_layers(self.files[zone])
        for name in HIDDEN:
            kernel, bias = layers[name]
            hidden = np.maximum(hidden @ kernel + bias, 0)
        return np.concatenate([_softmax(hidden @ layers[name][0] + layers[name][1]) for name in _heads(layers)], 1)


def lattice(zone: str, lonlat: Array) -> Array:
    """exp(-distance / 20 km) to the centres of the zone's 20 x 20 cells, easting major: degrees [N, 2] -> [N, 400]."""
    reach, place = extent(zone), metres(zone, lonlat)
    centre = (np.arange(CELLS) + 0.5) / CELLS
    across = place[:, :1] - (reach.west + (reach.east - reach.west) * centre)
    along = place[:, 1:] - (reach.south + (reach.north - reach.south) * centre)
    distance = np.hypot(across[:, :, None], along[:, None, :])
    return np.asarray(np.exp(-distance / SIGMA).reshape(len(lonlat), -1))


def read_layers(path: Path) -> dict[str, Layer]:
    """Kernel and bias of every dense layer in a Keras file.

    Raises:
        ModuleNotFoundError: without h5py.
        ValueError: a layer is missing or has another shape; names it.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("GPS2Vec's files need h5py: pip install 'satclip[demo]'") from error
    found: dict[str, dict[str, NDArray[np.float32]]] = {}

    def visit(name: str, item: object) -> None:
        part = name.rsplit("/", 1)[-1].removesuffix(":0")
        if isinstance(item, h5py.Dataset) and part in ("kernel", "bias") and "optimizer" not in name:
            found.setdefault(name.split("/")[-2], {})[part] = np.asarray(item, np.float32)

    with h5py.File(path) as file:
        file.visititems(visit)
    layers = {name: (part["kernel"], part["bias"]) for name, part in found.items() if len(part) == 2}
    _check(layers, path)
    return layers


def _heads(layers: dict[str, Layer]) -> tuple[str, ...]:
    return next((heads for heads in HEADS if all(head in layers for head in heads)), ())


def _check(layers: dict[str, Layer], path: Path) -> None:
    heads = _heads(layers)
    missing = [name for name in HIDDEN if name not in layers] + ([] if heads else ["object and scene, or tag"])
    if missing:
        raise ValueError(
            f"{path} does not fit: {', '.join(missing)} is missing; it holds {', '.join(layers) or 'no layers'}. "
            f"Give a file of {HOME}"
        )
    width = CELLS**2
    for name in HIDDEN:
        kernel, bias = layers[name]
        if kernel.shape != (width, len(bias)):
            raise ValueError(f"{path} does not fit: {name} has shape {list(kernel.shape)}, not [{width}, {len(bias)}]")
        width = len(bias)
    for name in heads:
        if layers[name][0].shape != (width, len(layers[name][1])):
            raise ValueError(f"{path} does not fit: {name} takes {layers[name][0].shape[0]} numbers, not {width}")


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True), np.float32)
