"""What an image must be before a tower looks at it."""

from torch import Tensor


def check_images(images: Tensor, in_channels: int, *, exact: int | None = None, least: int = 1) -> None:
    """Refuse images that are not [B, in_channels, H, W] with H = W = `exact`, or with both sides at least `least`.

    Raises:
        ValueError: says what was expected, what came, and which option to change.
    """
    if images.ndim != 4:
        raise ValueError(f"expected images [B, {in_channels}, H, W], got {list(images.shape)}; add the batch dimension")
    channels, height, width = images.shape[1:]
    if channels != in_channels:
        raise ValueError(
            f"the image tower takes {in_channels} bands, got {channels} in images {list(images.shape)}; "
            "list as many dataset.bands as vision.in_channels says"
        )
    if exact is not None and (height, width) != (exact, exact):
        raise ValueError(
            f"the image tower takes {exact} x {exact} pixels, got {height} x {width}; set dataset.image_size={exact}"
        )
    if min(height, width) < least:
        raise ValueError(
            f"the image tower takes at least {least} x {least} pixels, got {height} x {width}; raise dataset.image_size"
        )
