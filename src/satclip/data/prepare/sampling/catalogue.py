"""A STAC API: its scenes at a place, its files' addresses signed, and whether a file's server is well."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NoReturn

import urllib3
from pystac_client import Client
from pystac_client.conformance import ConformanceClasses
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from urllib3.util.retry import Retry

from satclip.data.prepare.sampling.signing import Tokens
from satclip.data.prepare.sampling.trouble import SceneError, UnreachableError

PLANETARY_COMPUTER = "planetary-computer"
PRESETS = {
    PLANETARY_COMPUTER: "https://planetarycomputer.microsoft.com/api/stac/v1",
    "earth-search": "https://earth-search.aws.element84.com/v1",
}
PAGE, MOST = 100, 1000  # scenes of an answer, and of a search
AGAIN = (429, 500, 502, 503, 504)  # statuses that may be another a moment later
GONE = (404, 410)


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for: `times` retries, first after `wait` seconds and twice as long each time.

    A request that stands still for `timeout` seconds counts as failed.
    """

    times: int = 5
    wait: float = 1.0
    timeout: float = 60.0

    @property
    def retry(self) -> Retry:
        """The same for urllib3, which pystac-client uses too; POST is how one searches."""
        return Retry(
            self.times, backoff_factor=self.wait, status_forcelist=AGAIN, allowed_methods=None, raise_on_status=False
        )


class Catalogue:
    """One collection of a STAC API. Threads may share it.

    Args:
        url: of the API's landing page, or a name in `PRESETS`.
        collection: its id there.
        signed: whether addresses are signed for the Planetary Computer; of that preset they always are.
        patience: with servers.
    """

    def __init__(self, url: str, collection: str, *, signed: bool = False, patience: Patience | None = None) -> None:
        self.url, self.collection = PRESETS.get(url, url), collection
        self.signed = signed or url == PLANETARY_COMPUTER
        self.patience = patience or Patience()
        self._pool = urllib3.PoolManager(retries=self.patience.retry, timeout=self.patience.timeout, maxsize=32)
        self._tokens = Tokens(self._pool)
        self._own = threading.local()  # sessions of requests are not made for several threads

    def check(self) -> None:
        """Make sure that it can be searched for the collection.

        Raises:
            ValueError: it is no STAC API, or lacks the collection.
            UnreachableError: it does not answer.
        """
        client = self._client()
        if not client.conforms_to(ConformanceClasses.ITEM_SEARCH):
            raise ValueError(f"{self.url} has no search (item-search); --catalogue takes the address of a STAC API")
        try:
            found = client.get_collection(self.collection)
        except APIError as error:
            self._unreachable(error)
        # Where it must look through a list, pystac-client 0.9 gives the last one when none is right.
        if found is None or found.id != self.collection:
            raise ValueError(
                f"{self.url} has no collection {self.collection}; look at {self.url}/collections and write the right "
                "one into the sensor's yaml"
            )

    def search(
        self, place: tuple[float, float], first: date, last: date, limits: dict[str, dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Scenes at a place from `first` to `last`, at most `MOST` of them, as JSON.

        `limits` are those of the query extension; a catalogue without it gives more than was asked for, so a caller
        checks each scene again.

        Raises:
            UnreachableError: it does not answer.
        """
        client = self._client()
        asked = limits if client.conforms_to(ConformanceClasses.QUERY) else None
        try:
            found = client.search(
                collections=[self.collection], intersects={"type": "Point", "coordinates": list(place)},
                datetime=f"{first}/{last}", query=asked or None, limit=PAGE, max_items=MOST,
            )  # fmt: skip
            return list(_whole(found.items_as_dicts()))
        except (APIError, ValueError, TypeError, AttributeError) as error:
            self._unreachable(error)

    def sign(self, address: str) -> str:
        """The address as it can be read: with the Planetary Computer's token for an hour, or as it is.

        Raises:
            UnreachableError: no token was given.
        """
        return self._tokens.sign(address) if self.signed else address

    def make_sure_of(self, address: str) -> None:
        """Ask a file's server for one byte: nothing to say of it where that comes.

        Raises:
            SceneError: there is no such file.
            UnreachableError: the server does not give it.
        """
        if not address.startswith(("http://", "https://")):
            return
        try:
            answer = self._pool.request("GET", address, headers={"Range": "bytes=0-0"}, preload_content=False)
            answer.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(f"{_bare(address)}: {error}") from None
        if answer.status in GONE:
            raise SceneError("file missing", f"{_bare(address)}: status {answer.status}")
        if answer.status >= 300:
            word = "; --sign signs for the Planetary Computer" if answer.status in (401, 403, 409) else ""
            raise UnreachableError(f"{_bare(address)}: status {answer.status}{word}")

    def _client(self) -> Client:
        if not hasattr(self._own, "client"):
            io = StacApiIO(max_retries=self.patience.retry, timeout=self.patience.timeout)
            try:
                self._own.client = Client.open(self.url, stac_io=io)
            except (APIError, ValueError, KeyError, TypeError, AttributeError) as error:
                self._unreachable(error)
        client: Client = self._own.client
        return client

    def _unreachable(self, error: Exception) -> NoReturn:
        status = f"status {_status(error)}, " if _status(error) else ""
        said = " ".join(str(error).split())[:200]
        raise UnreachableError(f"{self.url}: {status}{said or type(error).__name__}") from None


def moment(scene: dict[str, Any]) -> datetime | None:
    """When a scene was taken; None where it does not say."""
    about = scene["properties"]
    try:
        taken = datetime.fromisoformat(str(about.get("datetime") or about.get("start_datetime")))
    except ValueError:
        return None
    return taken if taken.tzinfo else taken.replace(tzinfo=UTC)


def _whole(scenes: Iterator[Any]) -> Iterator[dict[str, Any]]:
    """Raises ValueError where something is no scene."""
    for scene in scenes:
        parts = (scene.get("properties"), scene.get("assets")) if isinstance(scene, dict) else ()
        if not parts or not scene.get("id") or not all(isinstance(part, dict) for part in parts):
            raise ValueError("an answer with something that is no STAC item")
        yield scene


def _status(error: Exception) -> int | None:
    return getattr(error, "status_code", None)


def _bare(address: str) -> str:
    """Without a signature, which nobody else should read in a log."""
    return address.split("?")[0]
