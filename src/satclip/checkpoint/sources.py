"""Where a model comes from: a file, a folder, or a name on the Hugging Face hub."""

import re
from pathlib import Path

RELEASED = tuple(
    f"microsoft/SatCLIP-{tower}-L{degrees}" for tower in ("ResNet18", "ResNet50", "ViT16") for degrees in (10, 40)
)
FOLDER = ("config.json", "model.safetensors")
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
FILE_ENDINGS = (".ckpt", ".pt", ".pth", ".bin", ".safetensors")


def locate(source: str | Path) -> Path:
    """The file or folder that `source` names, fetched from the hub and cached where it is a name there.

    Raises:
        FileNotFoundError: it is no file, no folder, and cannot be a name on the hub.
        ConnectionError: it may be a name on the hub, but is neither cached nor can it be fetched.
    """
    path = Path(source).expanduser()
    if path.exists():
        return path
    name = str(source)
    if not HUB_NAME.fullmatch(name) or name.endswith(FILE_ENDINGS) or isinstance(source, Path):
        raise FileNotFoundError(
            f"no file or folder {source}; give a checkpoint, a folder that save_pretrained wrote, "
            f"or a name on the hub such as {RELEASED[-1]}"
        )
    if name in RELEASED:
        return fetched(name, f"{name.split('/')[1].lower()}.ckpt")
    for file in FOLDER:
        path = fetched(name, file)
    return path.parent


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
