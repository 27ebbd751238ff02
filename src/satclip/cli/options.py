"""Options that several commands share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

DTYPES = ("float32", "float64", "float16")
OURS = ("zarr.json", "model.safetensors")  # in a folder that a command here made, and may replace
LARGEST_BATCH = 1_048_576  # more is no faster anywhere, and takes gigabytes for nothing
PICTURES = (".png", ".pdf", ".svg")


class Degrees(click.ParamType[float]):
    """A finite number of degrees from `low` to `high`; without `low` itself where `above`."""

    name = "degrees"

    def __init__(self, what: str, low: float, high: float, *, above: bool = False) -> None:
        self.what, self.low, self.high, self.above = what, low, high, above

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number; NaN fits no range."""
        number: float = click.FLOAT.convert(value, param, ctx)
        if not (self.low < number if self.above else self.low <= number) or not number <= self.high:
            least = f"be above {self.low:g} and at most" if self.above else f"lie in {self.low:g}.."
            self.fail(f"{self.what} must {least}{' ' if self.above else ''}{self.high:g}, got {number:g}", param, ctx)
        return number


def model_option(function: Function) -> Function:
    """`--model SOURCE`."""
    return click.option(
        "--model",
        "source",
        required=True,
        metavar="SOURCE",
        help="blue-marble, a checkpoint file, run's folder, safetensors folder or hub name "
        "(microsoft/SatCLIP-ViT16-L40); untrained:SOURCE for fresh weights.",
    )(function)


def dims_option(function: Function) -> Function:
    """`--dims`: the first numbers of the embedding alone."""
    return click.option(
        "--dims",
        type=click.IntRange(min=1),
        metavar="N",
        help="Only the first N numbers, brought to length 1: for models trained with loss=nested.",
    )(function)


def index_options(function: Function) -> Function:
    """`--index`, `--retrieval`, `--exclude-within-km`: training patches put back into the embedding."""
    for option in (
        click.option(
            "--exclude-within-km",
            type=click.FloatRange(0, 20_000),
            default=0.0,
            show_default=True,
            metavar="KM",
            help="With --index: patches so near to a place are not there for it.",
        ),
        click.option(
            "--retrieval",
            type=click.Choice(["range", "range+"]),
            default="range",
            show_default=True,
            help="With --index: by likeness, or by likeness and distance.",
        ),
        click.option(
            "--index",
            "store",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            metavar="STORE",
            help="Store of the model's training patches (satclip index), retrieved beside the embedding.",
        ),
    ):
        function = option(function)
    return function


def device_option(function: Function) -> Function:
    """`--device`."""
    return click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda", "mps"]),
        default="auto",
        show_default=True,
        help="Where to compute; auto takes cuda, else mps, else cpu.",
    )(function)


def batch_size_option(function: Function) -> Function:
    """`--batch-size`."""
    return click.option(
        "--batch-size",
        type=click.IntRange(min=1, max=LARGEST_BATCH),
        default=8192,
        show_default=True,
        help="Places per forward pass.",
    )(function)


def dtype_option(function: Function) -> Function:
    """`--dtype`: of the output; float64 also computes in float64."""
    return click.option(
        "--dtype",
        type=click.Choice(DTYPES),
        default="float32",
        show_default=True,
        help="Numbers in the output; float64 also computes in float64, the others in float32.",
    )(function)


def output_option(kinds: str) -> Callable[[Function], Function]:
    """`-o FILE`, with the kinds of file it can be in its help."""
    return click.option(
        "-o", "--output", "output", required=True, type=click.Path(path_type=Path), metavar="FILE", help=kinds
    )


def check_output(
    output: Path,
    suffixes: tuple[str, ...],
    *,
    input_file: Path | None = None,
    folder: bool = False,
    option: str = "-o",
) -> None:
    """Refuse a target of `option` that cannot work before any work is done; `folder` where one is to be made.

    Raises:
        click.BadParameter: for another kind of file, a place that is not there, the input itself, or a folder that
            holds something else.
    """

    def refuse(reason: str) -> NoReturn:
        raise click.BadParameter(reason, param_hint=option)

    if not output.name.endswith(suffixes):
        refuse(f"{output.name} must end in one of {', '.join(suffixes)}")
    if not output.absolute().parent.is_dir():
        refuse(f"there is no folder {output.parent}: make it first")
    if not os.access(output.absolute().parent, os.W_OK):
        refuse(f"{output.parent} cannot be written to: name a file elsewhere")
    if output.is_dir() and not folder:
        refuse(f"{output} is a folder: name a file")
    if folder and output.exists() and not output.is_dir():
        refuse(f"{output} is a file: name a folder")
    if folder and output.is_dir() and any(output.iterdir()) and not any((output / name).exists() for name in OURS):
        refuse(f"{output} holds something else, which would be lost: name a new folder")
    if input_file is not None and output.exists() and output.samefile(input_file):
        refuse("the output would replace the input: choose another name")


def land_option(*, land: bool) -> Callable[[Function], Function]:
    """`--land/--no-land`, by default as given."""
    return click.option(
        "--land/--no-land",
        "land",
        default=land,
        show_default=True,
        help="Land alone, nodata over the ocean (Natural Earth 1:50m; whole-world pictures 1:110m); or both.",
    )


def spacing_option(function: Function) -> Function:
    """`--resolution` of a picture."""
    return click.option(
        "--resolution",
        type=Degrees("the spacing", 0.001, 30),
        default=0.5,
        show_default=True,
        metavar="DEGREES",
        help="Spacing of the places that are embedded; pictures of a region take at least 250 along its longer side.",
    )(function)


def refuse_grid_options(option: str) -> None:
    """Refuse `--bounds` and `--resolution` where no grid is asked for, which `option` would do.

    Raises:
        click.UsageError: one of them was given.
    """
    context = click.get_current_context()
    for name in ("bounds", "resolution"):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} is of a grid, and none is asked for: give {option} as well")


def grid_options(function: Function) -> Function:
    """`--resolution` and `--bounds` of a grid of cells."""
    bounds = click.option(
        "--bounds",
        type=float,
        nargs=4,
        default=(-180, -90, 180, 90),
        show_default=True,
        metavar="WEST SOUTH EAST NORTH",
        help="Part of the world that the grid covers, in degrees; east below west lies across the date line.",
    )
    return click.option(
        "--resolution",
        type=Degrees("the side of a cell", 0, 180, above=True),
        default=1.0,
        show_default=True,
        metavar="DEGREES",
        help="Side of a cell of the grid.",
    )(bounds(function))
