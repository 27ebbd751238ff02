"""Lightning's TensorBoard logger, in the run's folder."""

from importlib.util import find_spec
from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger


def tensorboard_logger(*, folder: str) -> TensorBoardLogger:
    """Lightning's, that writes to `folder`.

    Raises:
        ImportError: TensorBoard is not installed; says how to.
    """
    if find_spec("tensorboard") is None and find_spec("tensorboardX") is None:
        raise ImportError(
            "tensorboard is not installed: pip install 'satclip[tensorboard]', or choose logger=csv or wandb"
        )
    return TensorBoardLogger(Path(folder).parent, name=None, version=Path(folder).name)
