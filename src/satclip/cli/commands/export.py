"""`satclip export`: a location encoder for other programs."""

from pathlib import Path

import click

from satclip.cli import options
from satclip.cli.failures import expected, need


@click.command(
    short_help="Write a model as ONNX, safetensors or pt2.",
    epilog="""\b
Examples:
  satclip export microsoft/SatCLIP-ViT16-L40 --format onnx -o satclip.onnx
  satclip export last.ckpt --format safetensors -o my-encoder/
  satclip export last.ckpt --format pt2 --dtype float64 -o my-encoder.pt2

\b
Every format takes `lonlat`, float64 [N, 2], longitude first, in degrees, and gives [N, D].
The file is run before it gets its name: if its numbers differ from the model's, nothing is left behind.""",
)
@click.argument("source")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["onnx", "safetensors", "pt2"]),
    required=True,
    help="onnx (onnxruntime and others), pt2 (torch.export) or a safetensors folder (this package).",
)
@options.output_option("Where to: a file, or for safetensors a folder.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    help="Of weights and output. By default float32, and in safetensors as they were saved.",
)
def export(source: str, kind: str, output: Path, dtype: str | None) -> None:
    """Write the location encoder of SOURCE for other programs, and check what was written by running it.

    SOURCE is a checkpoint file, a safetensors folder or a name on the Hugging Face hub.
    """
    folder = kind == "safetensors"
    options.check_output(output, ("",) if folder else (f".{kind}",), folder=folder)
    if kind == "onnx":
        str(output).encode()  # before any work: onnxruntime takes names that are UTF-8 and no others
        need("export", "onnx", "onnxscript", "onnxruntime")

    from satclip.cli.exports import FORMATS, TOLERANCE, difference
    from satclip.cli.models import open_encoder
    from satclip.files import atomic_file, atomic_folder

    encoder = open_encoder(source, dtype=dtype if folder else dtype or "float32")
    atomic = atomic_folder if folder else atomic_file
    with expected(OSError, prefix=f"{output}: "), atomic(output) as part:
        FORMATS[kind].write(encoder, part)
        found = difference(encoder, FORMATS[kind], part)
        allowed = TOLERANCE[next(encoder.parameters()).dtype]
        if not found <= allowed:
            raise click.ClickException(
                f"the exported file differs from the model by {found:.1e} of its largest number, "
                f"more than {allowed:.0e}; nothing was kept: try another --format or --dtype"
            )
    click.echo(f"{output}: checked at 1,005 places, largest difference {found:.1e} of the largest number", err=True)
