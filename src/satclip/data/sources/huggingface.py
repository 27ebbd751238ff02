"""What the Hugging Face hub holds of a data set."""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from satclip.files import atomic_file

log = logging.getLogger(__name__)
WAIT = 5  # seconds for a first sign of the hub


@dataclass(frozen=True)
class HubShards:
    """The *.tar of a data set at one of its revisions, in the order of their names.

    What is kept of it in a file are names and checksums, never addresses: those follow from the hub that is asked.

    Attributes:
        endpoint: of the hub.
        repository: the data set.
        revision: its commit.
        names: of the tars in it.
        digests: of their contents, where the hub tells.
    """

    endpoint: str
    repository: str
    revision: str
    names: list[str]
    digests: list[str]

    @property
    def urls(self) -> list[str]:
        """Their addresses at that revision."""
        from huggingface_hub import hf_hub_url

        return [
            hf_hub_url(
                self.repository, name, repo_type="dataset", revision=self.revision or None, endpoint=self.endpoint
            )
            for name in self.names
        ]

    @property
    def keys(self) -> list[str]:
        """What tells each content from any other: a commit that leaves a shard as it is leaves its key."""
        where = f"{self.endpoint}/{self.repository}"
        return [
            f"{where}/{name}@{digest or self.revision}" for name, digest in zip(self.names, self.digests, strict=True)
        ]


def hub_shards(repository: str, kept: Path, *, renew: bool = True) -> HubShards:
    """All *.tar of a data set on the hub; the list is kept in a file, of which it is known what it is of.

    Args:
        repository: the data set.
        kept: the file.
        renew: ask the hub although a list of this data set is kept, which then only serves where it does not answer.

    Raises:
        OSError: the hub does not answer, or does not know the data set, and no list of it was kept; or what it lists
            are no names of files.
    """
    from huggingface_hub import constants

    known = _kept(kept, repository, constants.ENDPOINT)
    if known is not None and not renew:
        return known
    try:
        found = _asked(repository, constants.ENDPOINT)
    except OSError as error:
        if known is None:
            raise
        log.warning("%s: using the list of %s at revision %s that was kept", error, repository, known.revision[:12])
        return known
    kept.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(kept) as part:
        part.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return found


def _asked(repository: str, endpoint: str) -> HubShards:
    """What the hub lists now."""
    require_hub()
    # Not among the imports above: it takes half a second, and only this needs it.
    from huggingface_hub import HfApi

    try:
        info = HfApi(endpoint=endpoint).dataset_info(repository, files_metadata=True)
    except Exception as error:
        raise OSError(f"the hub does not give {repository}: {error}") from error
    files = sorted(
        ((file.rfilename, file.lfs.sha256 if file.lfs else "") for file in info.siblings or []),
        key=lambda file: file[0],
    )
    shards = [(check_file_name(name), digest) for name, digest in files if name.endswith(".tar")]
    if not shards:
        raise OSError(f"{repository} on the hub holds no *.tar")
    return HubShards(endpoint, repository, info.sha or "", [name for name, _ in shards], [each for _, each in shards])


def _kept(path: Path, repository: str, endpoint: str) -> HubShards | None:
    """The list in a file, if it is one of this data set on this hub."""
    try:
        found = HubShards(**json.loads(path.read_text(encoding="utf-8")))
        texts = (found.endpoint, found.repository, found.revision, *found.names, *found.digests)
        if not all(isinstance(text, str) for text in texts) or not 0 < len(found.names) == len(found.digests):
            raise ValueError("no list of shards")
        for name in found.names:
            check_file_name(name)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        log.info("ignoring unreadable %s (%s)", path, error)
        return None
    if (found.repository, found.endpoint) != (repository, endpoint):
        log.info("%s is of %s, not of %s", path, found.repository, repository)
        return None
    return found


def check_file_name(name: str) -> str:
    """The name of a file in a repository as it is, if it is nothing else: no address, and no way out of a folder.

    Raises:
        OSError: it is one.
    """
    parts = name.split("/")
    odd = any(letter in name for letter in "\\:") or not name.isprintable()
    if odd or any(part in ("", ".", "..") for part in parts):
        raise OSError(f"{name!r} in a list of files is no name of a file in a folder; do not use this data set")
    return name


def require_hub() -> None:
    """Make sure that the hub answers; its own client retries for half a minute.

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
