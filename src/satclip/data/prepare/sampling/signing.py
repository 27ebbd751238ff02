"""Tokens with which the Planetary Computer's files can be read.

Its endpoint gives one for each container of a storage account, good for less than an hour
(planetarycomputer.microsoft.com/docs/concepts/sas). The package `planetary-computer` does the same, but has stood
still since 2023 on an interface of pydantic that is to be removed.
"""

import json
import threading
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import urllib3

from satclip.data.prepare.sampling.trouble import UnreachableError

ENDPOINT = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
HOSTS = ".blob.core.windows.net"  # of Azure's storage accounts
EARLY = timedelta(minutes=5)  # before it ends a token is renewed: a patch must be read with it


class Tokens:
    """One token for each container, asked for when first needed. Threads may share it.

    Args:
        pool: asks, with its retries.
        endpoint: that gives tokens.
    """

    def __init__(self, pool: urllib3.PoolManager, endpoint: str = ENDPOINT) -> None:
        self._pool, self._endpoint = pool, endpoint
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, datetime]] = {}

    def sign(self, address: str) -> str:
        """The address with its token; as it is where it is none of Azure's, or is signed.

        Raises:
            UnreachableError: no token was given.
        """
        parts = urlsplit(address)
        if not (parts.hostname or "").endswith(HOSTS) or "sig=" in parts.query:
            return address
        account, container = str(parts.hostname).split(".")[0], parts.path.strip("/").split("/")[0]
        key = f"{account}/{container}"
        with self._lock:
            if key not in self._known or self._known[key][1] - EARLY < datetime.now(UTC):
                self._known[key] = self._asked(key)
            token = self._known[key][0]
        return f"{address}{'&' if parts.query else '?'}{token}"

    def _asked(self, key: str) -> tuple[str, datetime]:
        """A token and when it ends."""
        try:
            answer = self._pool.request("GET", f"{self._endpoint}/{key}")
            if answer.status != 200:
                raise UnreachableError(f"no token for {key}: {self._endpoint} has status {answer.status}")
            told = json.loads(answer.data)
            return str(told["token"]), datetime.fromisoformat(told["msft:expiry"])
        except (urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError) as error:
            raise UnreachableError(f"no token for {key}: {error}") from None
