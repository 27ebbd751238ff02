"""What the Hugging Face hub holds of a data set."""

import json
import logging
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from satclip.data.atomic import atomic_file

log = logging.getLogger(__name__)
WAIT = 5  # seconds for a first sign of the hub


def hub_shards(repository: str, kept: Path) -> list[str]:
    """Addresses of all *.tar of a data set on the hub, in the order of their names; the list is kept in a file.

    Raises:
        OSError: the hub does not answer, or does not know the data set, and no list was kept.
    """
    if kept.exists():
        known: list[str] = json.loads(kept.read_text())
        return known
    require_hub()
    # Not among the imports above: it takes half a second, and only this needs it.
    from huggingface_hub import HfApi, hf_hub_url

    try:
        files = HfApi().list_repo_files(repository, repo_type="dataset")
    except Exception as error:
        raise OSError(f"the hub does not give {repository}: {error}") from error
    urls = [hf_hub_url(repository, name, repo_type="dataset") for name in sorted(files) if name.endswith(".tar")]
    kept.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(kept) as part:
        part.write_text(json.dumps(urls))
    return urls


def require_hub() -> None:
    """Make sure that the hub answers; its own client goes on trying for half a minute.

    Raises:
        OSError: it does not.
    """
    from huggingface_hub import constants

    try:
        with urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=WAIT):
            pass
    except HTTPError:  # an answer, be it that it wants something else
        pass
    except (URLError, TimeoutError) as error:
        raise OSError(f"{constants.ENDPOINT} does not answer ({getattr(error, 'reason', error)})") from None
