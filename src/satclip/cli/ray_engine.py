"""The embedding of a table on Ray Data: read here, embedded by workers anywhere in the cluster, written here.

One process reads, because the rows of a file have an order and one reader outruns dozens of encoders; the results come
back in that order, so that every output is the one a single machine would write.
"""

import logging
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import ray.data
from numpy.typing import DTypeLike

from satclip.cli.engines import Bad, Piece, embed_piece
from satclip.cli.tables.places import Places
from satclip.location.encoder import LocationEncoder

_BLOCK_BYTES = 1 << 22  # of what is read: some 65,000 rows, whose embeddings still fit in a worker's memory
# A piece of the table travels as one value, in Arrow's own format: whatever its columns are called and hold, Ray, which
# would put them together with those of other pieces, leaves them as they are.
_PIECE = pa.schema([("rows", pa.large_binary()), ("numbers", pa.large_binary())])


def embed_on_ray(
    places: Places,
    encoder: LocationEncoder,
    *,
    bad: Bad,
    batch_size: int,
    dtype: DTypeLike,
    device: str = "auto",
    workers: int | None = None,
) -> Iterator[Piece]:
    """Rows and their embeddings [n, D], in the order of the table.

    Joins the cluster that RAY_ADDRESS names, else starts Ray on this machine. `encoder` lies on the CPU; each worker
    takes one CPU, and one GPU with it where `device` is cuda, or auto and the cluster has any.
    """
    started = not ray.is_initialized()
    if started:
        _start(workers)
    try:
        resources = ray.cluster_resources()
        on_gpu = device == "cuda" or (device == "auto" and resources.get("GPU", 0) >= 1)
        count = workers or int(resources["GPU" if on_gpu else "CPU"])
        here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}  # the file may lie on this machine alone
        context = ray.data.DataContext.get_current()
        context.target_max_block_size = _BLOCK_BYTES
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        blocks = (
            ray.data.from_items([0])
            .map_batches(_Reader(places), batch_format="pyarrow", num_cpus=0, label_selector=here)
            .map_batches(
                _Worker,
                fn_constructor_args=(encoder, "cuda" if on_gpu else "cpu"),
                fn_kwargs={"bad": bad, "batch_size": batch_size, "dtype": np.dtype(dtype).name},
                batch_format="pyarrow",
                batch_size=None,
                compute=ray.data.ActorPoolStrategy(min_size=1, max_size=count, initial_size=count),
                num_cpus=1,
                num_gpus=1 if on_gpu else 0,
            )
        )
        for table in blocks.iter_batches(batch_format="pyarrow", batch_size=None):
            for rows, numbers in _unpacked(table):
                yield rows, np.frombuffer(numbers, dtype).reshape(-1, encoder.embedding_dim)
    finally:
        if started:
            ray.shutdown()


def _start(workers: int | None) -> None:
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what matters arrives as an exception
    ray.init(num_cpus=workers, include_dashboard=False, **quiet)


class _Reader:
    """Reads the table where it lies, and hands it on piece by piece."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def __call__(self, _: pa.Table) -> Iterator[pa.Table]:
        for rows, lonlat in self._places.pieces():
            yield _packed([(rows, lonlat)])


class _Worker:
    """Holds the encoder on one device, and embeds the pieces it is given."""

    def __init__(self, encoder: LocationEncoder, device: str) -> None:
        self._encoder = encoder.to(device)

    def __call__(self, table: pa.Table, *, bad: Bad, batch_size: int, dtype: str) -> pa.Table:
        options: dict[str, Any] = {"bad": bad, "batch_size": batch_size, "dtype": dtype}
        return _packed(
            [
                embed_piece(rows, np.frombuffer(numbers).reshape(-1, 2).copy(), self._encoder, **options)
                for rows, numbers in _unpacked(table)
            ]
        )


def _packed(pieces: list[Piece]) -> pa.Table:
    """Pieces as rows of a table: the rows of each in Arrow's format, its numbers as bytes."""
    rows = []
    for batch, _ in pieces:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        rows.append(sink.getvalue().to_pybytes())
    numbers = [np.ascontiguousarray(values).tobytes() for _, values in pieces]
    return pa.table([pa.array(rows, pa.large_binary()), pa.array(numbers, pa.large_binary())], schema=_PIECE)


def _unpacked(table: pa.Table) -> Iterator[tuple[pa.RecordBatch, bytes]]:
    for rows, numbers in zip(table.column("rows"), table.column("numbers"), strict=True):
        with pa.ipc.open_stream(rows.as_buffer()) as stream:
            yield stream.read_next_batch(), numbers.as_py()
