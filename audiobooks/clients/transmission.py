"""Transmission, 2.80 or later, by its RPC in the dialect that all versions up to 4.x speak.

Source: transmission/transmission, docs/rpc-spec.md, and libtransmission/rpcimpl.cc for what it leaves out.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Mapping
from typing import Any

from audiobooks.clients.base import Download, Phase
from audiobooks.clients.paths import ours
from audiobooks.clients.reading import count, hashes_asked, moment, most, records, refuse_other_magnet, share, text
from audiobooks.clients.wire import PATIENCE, Reply, Wire, shown
from audiobooks.exceptions import ClientError, TorrentRefused

_SESSION = "X-Transmission-Session-Id"
_FIELDS = (
    *("hashString", "name", "status", "percentDone", "leftUntilDone", "sizeWhenDone", "metadataPercentComplete"),
    *("error", "errorString", "downloadDir", "activityDate", "trackerStats"),
)
_STOPPED, _VERIFY_QUEUED, _VERIFYING, _SEED_QUEUED, _SEEDING = 0, 1, 2, 5, 6
_LOCAL_ERROR = 3
_SETS_LABELS = 16
"""The RPC version (of 3.00) that knows labels, but not yet while adding."""


class Transmission:
    """One to a process. A password that was refused is not tried again: it blocks who does so."""

    name = "transmission"
    label = "Transmission"

    def __init__(
        self,
        *,
        url: str,
        user: str,
        password: str,
        category: str,
        paths: Mapping[str, str],
        patience: float = PATIENCE,
    ) -> None:
        """`category` becomes a label. `user` is empty where Transmission lets us in without. `patience` is for tests."""
        url = url.rstrip("/")
        # Of its web pages people know the address without the path.
        url = url if re.fullmatch(r"\w+://[^/]+/.+", url) else url + "/transmission/rpc"
        self._wire = Wire(url, label=self.label, setting="TRANSMISSION_URL", patience=patience)
        self._credentials = {}
        if user or password:
            pair = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._credentials = {"Authorization": f"Basic {pair}"}
        self._category, self._paths = category, paths
        self._session = ""
        self._refused: ClientError | None = None

    def version(self) -> str:
        version = text(self._ask("session-get").get("version")).partition(" ")[0]
        if not version:
            raise _not_understood()
        return version

    def add(self, torrent: bytes | str, hash: str) -> None:
        if isinstance(torrent, str):
            refuse_other_magnet(torrent, hash)
        if self.downloads([hash]):
            return
        what = {"filename": torrent} if isinstance(torrent, str) else {"metainfo": base64.b64encode(torrent).decode()}
        result, arguments = self._asked("torrent-add", {**what, "labels": [self._category]})
        if result != "success":
            raise TorrentRefused(f"Transmission did not take the torrent: {shown(result)}.")
        if not self.downloads([hash]):
            raise ClientError("Transmission took the torrent, but does not list it. Look at its log.")
        if "torrent-added" in arguments and self._ask("session-get").get("rpc-version") == _SETS_LABELS:
            self._ask("torrent-set", {"ids": [hash.lower()], "labels": [self._category]})

    def downloads(self, hashes: Collection[str]) -> Mapping[str, Download]:
        asked = hashes_asked(hashes)
        if not asked:
            return {}
        rows = records(self._ask("torrent-get", {"ids": list(asked), "fields": list(_FIELDS)}).get("torrents"))
        if rows is None:
            raise _not_understood()
        by_hash = {text(row.get("hashString")).lower(): row for row in rows}
        return {
            as_asked: self._download(by_hash[hash], as_asked) for hash, as_asked in asked.items() if hash in by_hash
        }

    def free_space(self) -> int | None:
        folder = text(self._ask("session-get").get("download-dir"))
        result, arguments = self._asked("free-space", {"path": folder})
        return count(arguments.get("size-bytes")) if result == "success" else None

    def _download(self, row: Mapping[str, Any], hash: str) -> Download:
        name, folder = text(row.get("name")), text(row.get("downloadDir"))
        client_path = _joined(folder, name)
        trackers = records(row.get("trackerStats")) or []
        return Download(
            hash=hash,
            name=name,
            phase=_phase(row),
            size=count(row.get("sizeWhenDone")) or None,
            left=count(row.get("leftUntilDone")) if _has_metadata(row) else None,
            seeds=most(*(each.get("seederCount") for each in trackers)),
            path=ours(client_path, self._paths),
            client_path=client_path,
            error=shown(text(row.get("errorString"))) if row.get("error") else "",
            active_at=moment(row.get("activityDate")),
            is_seeding=row.get("status") in (_SEED_QUEUED, _SEEDING),
        )

    # --- its procedure calls ---

    def _ask(self, method: str, arguments: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        result, answer = self._asked(method, arguments or {})
        if result != "success":
            raise ClientError(f"Transmission does not do what it was asked: {shown(result)}.")
        return answer

    def _asked(self, method: str, arguments: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """Its word on how it went, and what it answers. Raises ClientError."""
        if self._refused:
            raise ClientError(str(self._refused), permanent=True)
        reply = self._send(method, arguments)
        if reply.status == 409:
            # Its guard against pages of others in a browser: it names what to send from now on, again after each restart.
            self._session = reply.headers.get(_SESSION, "")
            reply = self._send(method, arguments)
        if reply.status != 200:
            raise self._unexpected(reply)
        data = reply.json()
        if not isinstance(data, dict) or not isinstance(data.get("result"), str):
            raise self._wire.not_understood(reply)
        answer = data.get("arguments")
        return data["result"], answer if isinstance(answer, dict) else {}

    def _send(self, method: str, arguments: Mapping[str, Any]) -> Reply:
        session = {_SESSION: self._session} if self._session else {}
        return self._wire.send(
            "POST", json={"method": method, "arguments": arguments}, headers={**session, **self._credentials}
        )

    def _unexpected(self, reply: Reply) -> ClientError:
        if reply.status == 401:
            self._refused = ClientError(
                "Transmission does not take TRANSMISSION_USER and TRANSMISSION_PASSWORD. Correct them in .env, and restart.",
                permanent=True,
            )
            return self._refused
        if reply.status == 403:
            return ClientError(
                "Transmission does not let this machine in: its address is not in rpc-whitelist, or it sent too many wrong "
                "passwords, which a restart of Transmission forgets.",
                permanent=True,
            )
        if reply.status == 421:
            return ClientError(
                "Transmission does not answer to the host name in TRANSMISSION_URL. Add it there to rpc-host-whitelist.",
                permanent=True,
            )
        if reply.status == 409:
            return ClientError("Transmission gives out sessions that it does not take itself.")
        return self._wire.not_understood(reply)


def _phase(row: Mapping[str, Any]) -> Phase:
    status = row.get("status")
    if row.get("error") == _LOCAL_ERROR:
        return Phase.FAILED
    if status in (_VERIFY_QUEUED, _VERIFYING):
        return Phase.BUSY
    # A magnet link without its torrent yet has nothing left either; `isFinished` means that it has seeded enough.
    is_whole = (
        _has_metadata(row)
        and share(row.get("percentDone")) >= 1
        and count(row.get("leftUntilDone")) == 0
        and count(row.get("sizeWhenDone"))
    )
    if is_whole and status in (_STOPPED, _SEED_QUEUED, _SEEDING):
        return Phase.DONE
    return Phase.STOPPED if status == _STOPPED else Phase.RUNNING


def _has_metadata(row: Mapping[str, Any]) -> bool:
    return share(row.get("metadataPercentComplete")) >= 1


def _joined(folder: str, name: str) -> str:
    if not folder or not name:
        return ""
    separator = "\\" if "\\" in folder and "/" not in folder else "/"
    return folder.rstrip("/\\") + separator + name


def _not_understood() -> ClientError:
    return ClientError("Transmission answered with something that we do not understand.")
