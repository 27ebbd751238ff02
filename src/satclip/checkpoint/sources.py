"""Where a model comes from: a file, a folder, or a name on the Hugging Face hub."""

import difflib
import logging
import re
from pathlib import Path

from satclip.weights import printable

log = logging.getLogger(__name__)

RELEASED = tuple(
    f"microsoft/SatCLIP-{tower}-L{degrees}" for tower in ("ResNet18", "ResNet50", "ViT16") for degrees in (10, 40)
)
PACKAGED = {"blue-marble": Path(__file__).parents[1] / "pretrained" / "blue-marble"}  # carried in the package
FOLDER = ("config.json", "model.safetensors")
OF_A_RUN = ("best.ckpt", "last.ckpt")  # the first that is there
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
FILE_ENDINGS = (".ckpt", ".pt", ".pth", ".bin", ".safetensors")
UNTRAINED = "untrained:"


def locate(source: str | Path) -> Path:
    """The file or folder that `source` names, fetched from the hub and cached where it is a name there.

    What lies here by that name comes first, then what the package carries, then the hub.
    A run's folder stands for its best checkpoint, or for its last one where there is no best.

    Raises:
        FileNotFoundError: it is no file, no folder, and cannot be a name on the hub; or a folder without a model.
        ConnectionError: it may be a name on the hub, but is neither cached nor can it be fetched.
    """
    name = str(source)
    path = Path(source)
    if path.parts[:1] == ("~",):
        path = path.expanduser()
    try:
        folder, there = bool(name) and path.is_dir(), bool(name) and path.exists()
    except OSError as error:
        raise FileNotFoundError(f"cannot look at {printable(name)}: {error.strerror}; give another path") from error
    if folder:
        return _inside(path)
    if there:
        return path.parent if path.name in FOLDER else path
    if name in PACKAGED and not isinstance(source, Path):
        return PACKAGED[name]
    if not HUB_NAME.fullmatch(name) or name.endswith(FILE_ENDINGS) or isinstance(source, Path):
        raise FileNotFoundError(
            f"no file or folder {printable(name) or 'has an empty name'}; give a checkpoint, a run's folder, a folder "
            f"that save_pretrained wrote, {', '.join(PACKAGED)}, or a name on the hub such as {RELEASED[-1]}"
            f"{nearest(name)}"
        )
    if name not in RELEASED and name.lower().startswith("microsoft/") and nearest(name):
        raise FileNotFoundError(f"{name} is none of the released models{nearest(name)}")
    if name in RELEASED:
        return fetched(name, released_file(name))
    for file in FOLDER:
        path = fetched(name, file)
    return path.parent


def nearest(name: str) -> str:
    """`; did you mean ...?` where a model of a known name is much like this one, with or without its owner."""
    known = {full.lower(): full for full in (*PACKAGED, *RELEASED)}
    known |= {full.split("/")[1].lower(): full for full in RELEASED}
    close = difflib.get_close_matches(name.lower().replace("_", "-"), known, 1, 0.75)
    return f"; did you mean {known[close[0]]}?" if close else ""


def cached(repository: str) -> Path | None:
    """The file of a released model in the cache of huggingface_hub; None where it has not been fetched."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, released_file(repository))
    return Path(found) if isinstance(found, str) else None


def released_file(repository: str) -> str:
    """The name of a released model's checkpoint in its repository."""
    return f"{repository.split('/')[1].lower()}.ckpt"


def _inside(folder: Path) -> Path:
    """The folder itself where `save_pretrained` wrote it, else the checkpoint of the run whose folder it is."""
    if any((folder / name).exists() for name in FOLDER):
        return folder
    for checkpoints in (folder / "checkpoints", folder):
        for name in OF_A_RUN:
            if (checkpoints / name).is_file():
                log.info("%s: taking %s", folder, checkpoints / name)
                return checkpoints / name
    runs = sorted({path.parents[1].name for name in OF_A_RUN for path in folder.glob(f"*/checkpoints/{name}")})
    several = f"; it holds the runs {', '.join(runs[-3:])}: give one of them" if runs else ""
    raise FileNotFoundError(
        f"no model in the folder {folder}: neither {' and '.join(FOLDER)} (save_pretrained) "
        f"nor checkpoints/{' or checkpoints/'.join(OF_A_RUN)} (a run){several}"
    )


def fetched(repository: str, file: str) -> Path:
    """The file in the cache of huggingface_hub, fetched first where it is not there yet.

    Raises:
        ConnectionError: it is neither cached nor can it be fetched.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache

    try:
        if not isinstance(try_to_load_from_cache(repository, file), str):
            get_hf_file_metadata(hf_hub_url(repository, file), timeout=10)  # fails at once; a download retries for long
        return Path(hf_hub_download(repository, file))
    except Exception as error:  # of the HTTP library, which changes between versions, or OSError
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConnectionError(
            f"{repository} is no file here, and {file} cannot be fetched from the hub by that name "
            f"({type(error).__name__}: {reason}); check name and network, or fetch it elsewhere and give its path"
        ) from error
