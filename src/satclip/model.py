"""Two towers that meet in one space: images on one side, places on the other."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from satclip.location.encoder import LocationEncoder
from satclip.location.published import location_tower
from satclip.vision.published import image_tower


class TwoTowers(nn.Module):
    """An image tower, a location tower and the scale of their similarity.

    The towers may be of different dtypes: released location encoders are float64, images are float32.

    Args:
        vision: images [B, C, H, W] -> [B, D].
        location_encoder: (longitude, latitude) in degrees [B, 2] -> [B, D].
        temperature: cosine similarities are divided by it; `logit_scale`, the logarithm of its inverse, is learned.

    Raises:
        ValueError: the temperature is not positive, or the towers have different D.
    """

    def __init__(self, vision: nn.Module, location_encoder: LocationEncoder, *, temperature: float = 0.07) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        image_dim = getattr(vision, "embedding_dim", location_encoder.embedding_dim)
        if image_dim != location_encoder.embedding_dim:
            raise ValueError(
                f"the image tower gives {image_dim} numbers, the location tower {location_encoder.embedding_dim}; "
                "build both with the same embedding_dim"
            )
        self.vision = vision
        self.location_encoder = location_encoder
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))

    def encode_image(self, images: Tensor) -> Tensor:
        """Reflectance [B, C, H, W] -> [B, D], not normalised, in the image tower's dtype.

        Raises:
            TypeError: the images are no tensor.
            ValueError: the images are whole numbers, or of another shape than the tower takes.
        """
        embedding: Tensor = self.vision(self._reflectance(images))
        return embedding

    def encode_features(self, features: Tensor) -> Tensor:
        """The image tower's head alone, on features that were computed before: [B, K] -> [B, D]."""
        vision: Any = self.vision
        embedding: Tensor = vision.head(features)
        return embedding

    def encode_image_and_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """As `encode_image`, and what the tower's head works on: [B, C, H, W] -> [B, D], [B, K].

        A tower that has features is `head(features(images))`.
        """
        vision: Any = self.vision
        features: Tensor = vision.features(self._reflectance(images))
        embedding: Tensor = vision.head(features)
        return embedding, features

    def check_features(self) -> None:
        """Refuse a tower that cannot tell its features from its embedding.

        Raises:
            ValueError: it has no `features`, or no `head`.
        """
        if not (callable(getattr(self.vision, "features", None)) and callable(getattr(self.vision, "head", None))):
            raise ValueError(
                f"the loss asks for image_features, and the image tower {type(self.vision).__name__} has no features() "
                "and head(); choose another of its inputs, or a tower with both"
            )

    def encode_location_and_auxiliary(
        self, lonlat: Tensor, image_embeddings: Tensor, names: Sequence[str]
    ) -> tuple[Tensor, list[Tensor]]:
        """Location embeddings [B, D], and the terms of these names that the encoder computes beside them, [B, ...].

        Raises:
            ValueError: a term has not one row a place: it could be put together neither over parts of a batch nor over
                ranks.
        """
        embedding, terms = self.location_encoder.with_auxiliary(lonlat, image_embeddings)
        for name in names:
            if terms[name].ndim < 1 or len(terms[name]) != len(lonlat):
                raise ValueError(
                    f"the location encoder's term {name} is {list(terms[name].shape)} for {len(lonlat)} places; it "
                    "must have one row a place, [B, ...]: no mean of parts is the mean of the whole"
                )
        return embedding, [terms[name] for name in names]

    def check_auxiliary(self, names: Sequence[str], *, sees_images: bool = True) -> None:
        """Refuse terms that the location encoder does not compute, or not without image embeddings.

        Raises:
            ValueError: names them and those that there are.
        """
        known = tuple(getattr(self.location_encoder, "auxiliary", ()))
        if unknown := [name for name in names if name not in known]:
            there = (
                f"it has {', '.join(known)}" if known else "it has none; choose an encoder that has, or another loss"
            )
            raise ValueError(f"the loss asks for the location encoder's auxiliary {', '.join(unknown)}, and {there}")
        if names and not sees_images:
            raise ValueError(
                f"the location encoder's auxiliary {', '.join(names)} need image embeddings, and this loss has none; "
                "add a contrastive one beside it (loss=combined)"
            )

    def _reflectance(self, images: Tensor) -> Tensor:
        if not isinstance(images, Tensor):
            raise TypeError(
                f"images must be a tensor [B, C, H, W], got {type(images).__name__}; torch.as_tensor(images)"
            )
        if not images.is_floating_point():
            raise ValueError(f"images must be reflectance in floats (DN / 10000 for Sentinel-2), got {images.dtype}")
        weight = next(self.vision.parameters(), images)
        return images.to(weight.dtype)

    def encode_location(self, lonlat: Tensor) -> Tensor:
        """(longitude, latitude) in degrees [B, 2] -> [B, D], not normalised, in the location tower's dtype."""
        embedding: Tensor = self.location_encoder(lonlat)
        return embedding

    def forward(self, images: Tensor, lonlat: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled cosine similarities: images x locations, and the same transposed.

        Computed in float32 at least, also under autocast: a logit of 100 has no decimals left in bfloat16.
        """
        image, location = self.encode_image(images), self.encode_location(lonlat)
        dtype = torch.promote_types(image.dtype, torch.float32)
        with torch.autocast(image.device.type, enabled=False):
            image, location = F.normalize(image.to(dtype), dim=-1), F.normalize(location.to(dtype), dim=-1)
            logits_per_image = self.logit_scale.exp().to(dtype) * image @ location.T
        return logits_per_image, logits_per_image.T


class SatCLIP(TwoTowers):
    """The published system (arXiv 2311.17179), built with its own keywords and with fresh weights.

    Args:
        embed_dim: D.
        image_resolution: side of the images in pixels.
        vision_layers: "moco_resnet18", "moco_resnet50" or "moco_vit16", four block counts (CLIP's ResNet), or a depth
            (CLIP's ViT).
        vision_width: channels after the ResNet's stem, features a token of the ViT.
        vision_patch_size: side of the ViT's patches in pixels.
        in_channels: bands.
        le_type: encoding of the location, a name of `satclip.location.encodings.ENCODINGS`.
        pe_type: network on top of it: siren, mlp, fcnet or linear.
        frequency_num: scales of the multi-scale encodings.
        max_radius: their coarsest.
        min_radius: their finest.
        harmonics_calculation: "analytic" in all released models; see `SphericalHarmonics`.
        legendre_polys: L of the spherical harmonics.
        sh_embedding_dims: in released hyper-parameters; without effect there and here.
        ffn: a keyword of the published class; without effect there and here.
        num_hidden_layers: hidden layers of siren and mlp.
        capacity: their width.
        pretrained: fetch the Sentinel-2 weights of a moco backbone and freeze them; without, they are random and learn.

    Raises:
        ValueError: an unknown name; lists the choices.
        ConnectionError: the pretrained weights are not cached and cannot be fetched.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        image_resolution: int,
        vision_layers: str | int | Sequence[int],
        vision_width: int,
        vision_patch_size: int,
        in_channels: int,
        le_type: str,
        pe_type: str,
        frequency_num: int,
        max_radius: float,
        min_radius: float,
        harmonics_calculation: str,
        legendre_polys: int = 10,
        sh_embedding_dims: int | None = None,
        ffn: bool = True,
        num_hidden_layers: int = 2,
        capacity: int = 256,
        pretrained: bool = True,
    ) -> None:
        location = location_tower(
            embed_dim=embed_dim,
            le_type=le_type,
            pe_type=pe_type,
            frequency_num=frequency_num,
            max_radius=max_radius,
            min_radius=min_radius,
            legendre_polys=legendre_polys,
            harmonics_calculation=harmonics_calculation,
            num_hidden_layers=num_hidden_layers,
            capacity=capacity,
        )
        vision = image_tower(
            embed_dim=embed_dim,
            image_resolution=image_resolution,
            vision_layers=vision_layers,
            vision_width=vision_width,
            vision_patch_size=vision_patch_size,
            in_channels=in_channels,
            pretrained=pretrained,
        )
        super().__init__(vision, location)

    @property
    def visual(self) -> nn.Module:
        """The image tower, under its published name."""
        return self.vision

    @property
    def location(self) -> LocationEncoder:
        """The location tower, under its published name."""
        return self.location_encoder
