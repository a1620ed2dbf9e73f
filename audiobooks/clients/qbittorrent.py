"""qBittorrent, 4.4 or later, by its Web API (2.8.4 or later).

Sources: https://github.com/qbittorrent/qBittorrent/wiki/WebUI-API-(qBittorrent-5.0), and the repository's
WebAPI_Changelog.md, src/webui/api/torrentscontroller.cpp and authcontroller.cpp for what differs between versions.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from audiobooks.clients.base import Download, Phase
from audiobooks.clients.paths import ours
from audiobooks.clients.reading import count, hashes_asked, moment, most, records, refuse_other_magnet, share, text
from audiobooks.clients.wire import PATIENCE, Reply, Wire, shown
from audiobooks.exceptions import ClientError, TorrentRefused

logger = logging.getLogger(__name__)

LISTED_WITHIN = 10.0
"""Seconds: it adds in the background."""
_PAUSE = 0.1
_LOOKS_AT_SPACE, _SPACE_PAUSE = 4, 0.25
_MOST_NAMED = 50
"""Hashes that fit into an address; for more, all torrents are listed."""
_BANNED_FOR = timedelta(hours=1)
"""As it is set out of the box; it does not say how long."""

_DONE_AND_OFFERED = {"uploading", "stalledUP", "queuedUP", "forcedUP"}
_DONE_AND_STOPPED = {"pausedUP", "stoppedUP"}
_BUSY = {"moving", "checkingUP", "checkingDL", "checkingResumeData"}
_STOPPED = {"pausedDL", "stoppedDL"}
_RUNNING = {"downloading", "forcedDL", "queuedDL", "stalledDL", "allocating", "metaDL", "forcedMetaDL", "unknown"}
_FAILED = {
    "error": "qBittorrent stopped it because of an error, which its log names.",
    "missingFiles": "qBittorrent no longer finds its files.",
}
_EXPLAINED_BY_LOG = _FAILED["error"]


class QBittorrent:
    """One to a process, which signs in once. A password that was refused is not tried again: five such, and it bans us.

    Shared freely between threads.
    """

    name = "qbittorrent"
    label = "qBittorrent"

    def __init__(
        self,
        *,
        url: str,
        user: str,
        password: str,
        category: str,
        paths: Mapping[str, str],
        patience: float = PATIENCE,
        listed_within: float = LISTED_WITHIN,
    ) -> None:
        """`user` is empty where qBittorrent lets us in without. `paths`: see audiobooks.clients.paths. The last two, in
        seconds, are for tests."""
        self._wire = Wire(url.rstrip("/") + "/api/v2/", label=self.label, setting="QBITTORRENT_URL", patience=patience)
        self._user, self._password = user, password
        self._category, self._paths = category, paths
        self._listed_within = listed_within
        self._sign_in_lock = threading.Lock()
        self._cookies: Mapping[str, str] | None = None
        """None before the first time."""
        self._refused: ClientError | None = None
        self._banned_until = 0.0
        self._strange_states: set[str] = set()

    def version(self) -> str:
        reply = self._ask("GET", "app/version")
        version = reply.text.removeprefix("v")
        if reply.status != 200 or not version[:1].isdigit() or len(version) > 40:
            raise self._unexpected(reply)
        return version

    def add(self, torrent: bytes | str, hash: str) -> None:
        if isinstance(torrent, str):
            refuse_other_magnet(torrent, hash)
        if self.downloads([hash]):
            return
        self._make_category()
        # As the torrent file has it: one that is laid out otherwise might lie loose among the files of others.
        form = {"category": self._category, "contentLayout": "Original"}
        if isinstance(torrent, str):
            reply = self._ask("POST", "torrents/add", form={**form, "urls": torrent})
        else:
            part = ("book.torrent", torrent, "application/x-bittorrent")
            reply = self._ask("POST", "torrents/add", form=form, files={"torrents": part})
        is_taken = self._is_taken(reply)
        if not self._is_listed(hash, within=self._listed_within if is_taken else 0):
            if is_taken:
                raise ClientError("qBittorrent took the torrent, but does not list it. Look at its log.")
            raise TorrentRefused("qBittorrent did not take the torrent: it is broken, or not allowed there.")

    def downloads(self, hashes: Collection[str]) -> Mapping[str, Download]:
        asked = hashes_asked(hashes)
        if not asked:
            return {}
        found: dict[str, Download] = {}
        if len(asked) <= _MOST_NAMED:
            found = self._among(self._list({"hashes": "|".join(asked)}), asked)
        if len(found) < len(asked):
            # It finds torrents by one of their hashes alone, and those of two versions have another one.
            found = self._among(self._list({}), asked)
        return self._explained(found)

    def free_space(self) -> int | None:
        space = self._free_space()
        # It begins to look when a session is new, and says 0 until it has.
        for _ in range(_LOOKS_AT_SPACE):
            if space != 0:
                break
            time.sleep(_SPACE_PAUSE)
            space = self._free_space()
        return space

    def _free_space(self) -> int | None:
        reply = self._ask("GET", "sync/maindata")
        data = reply.json()
        if reply.status != 200 or not isinstance(data, dict):
            raise self._unexpected(reply)
        state = data.get("server_state")
        return count(state.get("free_space_on_disk")) if isinstance(state, dict) else None

    # --- adding ---

    def _make_category(self) -> None:
        reply = self._ask("POST", "torrents/createCategory", form={"category": self._category, "savePath": ""})
        if reply.status == 400:
            raise ClientError(
                "qBittorrent takes no category of the name that TORRENT_CATEGORY has. Correct it in .env.",
                permanent=True,
            )
        # 409: there is one.
        if reply.status not in (200, 204, 409):
            raise self._unexpected(reply)

    def _is_taken(self, reply: Reply) -> bool:
        """Of the answer to torrents/add. Where it is not, qBittorrent may have had the torrent before."""
        if reply.status == 415:
            raise TorrentRefused("qBittorrent says that this is no proper torrent file.")
        if reply.status == 409:
            return False
        if reply.status not in (200, 202):
            raise self._unexpected(reply)
        if reply.text == "Ok.":
            return True
        if reply.text == "Fails.":
            return False
        # Since 5.2.
        counts = reply.json()
        if not isinstance(counts, dict) or "success_count" not in counts:
            raise self._unexpected(reply)
        return bool(count(counts["success_count"]) or count(counts.get("pending_count")))

    def _is_listed(self, hash: str, *, within: float) -> bool:
        deadline = time.monotonic() + within
        while not self.downloads([hash]):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE)
        return True

    # --- listing ---

    def _list(self, params: Mapping[str, str]) -> list[dict[str, Any]]:
        reply = self._ask("GET", "torrents/info", params=params)
        rows = records(reply.json())
        if reply.status != 200 or rows is None:
            raise self._unexpected(reply)
        return rows

    def _among(self, rows: list[dict[str, Any]], asked: Mapping[str, str]) -> dict[str, Download]:
        by_hash = {hash: row for row in rows for hash in _hashes(row)}
        return {
            as_asked: self._download(by_hash[hash], as_asked) for hash, as_asked in asked.items() if hash in by_hash
        }

    def _download(self, row: Mapping[str, Any], hash: str) -> Download:
        state = text(row.get("state"))
        phase = self._phase(row, state)
        client_path = text(row.get("content_path"))
        found = Download(
            hash=hash,
            name=text(row.get("name")),
            phase=phase,
            size=count(row.get("size")) or None,
            # Without the description of a magnet it says that nothing is left.
            left=count(row.get("amount_left")) if count(row.get("size")) else None,
            seeds=most(row.get("num_seeds"), row.get("num_complete")),
            path=ours(client_path, self._paths),
            client_path=client_path,
            error=_FAILED.get(state, ""),
            active_at=moment(row.get("last_activity")),
            is_seeding=state in _DONE_AND_OFFERED,
        )
        if client_path and client_path.rstrip("/\\") == text(row.get("save_path")).rstrip("/\\"):
            return replace(found, path=None, is_loose=True)
        return found

    def _explained(self, found: dict[str, Download]) -> dict[str, Download]:
        """With what its log says of those that it stopped: their rows do not say why."""
        stopped = {hash: each for hash, each in found.items() if each.error == _EXPLAINED_BY_LOG and each.name}
        if not stopped:
            return found
        reply = self._ask("GET", "log/main", params={"normal": "false", "info": "false"})
        lines = [text(each.get("message")) for each in records(reply.json()) or ()]
        said = {hash: [line for line in lines if each.name in line] for hash, each in stopped.items()}
        # The reason stands at the end, behind long paths.
        reasons = {hash: each[-1].rpartition("Reason: ")[2].strip('".') for hash, each in said.items() if each}
        return found | {hash: replace(found[hash], error=shown(reason)) for hash, reason in reasons.items()}

    def _phase(self, row: Mapping[str, Any], state: str) -> Phase:
        if state in _FAILED:
            return Phase.FAILED
        if state in _BUSY:
            return Phase.BUSY
        if state in _STOPPED:
            return Phase.STOPPED
        if state in _DONE_AND_OFFERED | _DONE_AND_STOPPED:
            is_whole = share(row.get("progress")) >= 1 and count(row.get("amount_left")) == 0 and count(row.get("size"))
            return Phase.DONE if is_whole else Phase.RUNNING
        if state not in _RUNNING and state not in self._strange_states:
            self._strange_states.add(state)
            logger.warning(
                "qBittorrent says “%s” of a torrent, which we do not know: it is taken to be running.", shown(state)
            )
        return Phase.RUNNING

    # --- the session ---

    def _ask(self, method: str, path: str, **sent: Any) -> Reply:
        """Signed in; where the session has run out, once more. Raises ClientError."""
        cookies = self._session()
        reply = self._wire.send(method, path, headers=_cookie(cookies), **sent)
        if reply.status == 403 and self._user:
            cookies = self._session(instead_of=cookies)
            reply = self._wire.send(method, path, headers=_cookie(cookies), **sent)
        if reply.status == 403:
            hint = "its answers are for others only" if self._user else "it wants a user and a password"
            raise ClientError(
                f"qBittorrent does not let us in: {hint}. Set QBITTORRENT_USER and QBITTORRENT_PASSWORD in .env.",
                permanent=True,
            )
        return reply

    def _session(self, instead_of: Mapping[str, str] | None = None) -> Mapping[str, str]:
        """Cookies. One that has run out is replaced once, however many threads find it out."""
        if not self._user:
            return {}
        with self._sign_in_lock:
            if self._cookies is None or self._cookies is instead_of:
                self._cookies = self._signed_in()
            return self._cookies

    def _signed_in(self) -> Mapping[str, str]:
        left = self._banned_until - time.monotonic()
        if left > 0:
            raise _banned(timedelta(seconds=left))
        if self._refused:
            raise ClientError(str(self._refused), permanent=True)
        reply = self._wire.send("POST", "auth/login", form={"username": self._user, "password": self._password})
        if reply.status == 403:
            self._banned_until = time.monotonic() + _BANNED_FOR.total_seconds()
            raise _banned(_BANNED_FOR)
        # Before 5.2, and since.
        if (reply.status, reply.text) == (200, "Fails.") or reply.status == 401:
            self._refused = ClientError(
                "qBittorrent does not take QBITTORRENT_USER and QBITTORRENT_PASSWORD. Correct them in .env, and restart."
                + (
                    " If they are right, it does not take the host name in QBITTORRENT_URL."
                    if reply.status == 401
                    else ""
                ),
                permanent=True,
            )
            raise self._refused
        if (reply.status, reply.text) not in ((200, "Ok."), (204, "")):
            raise self._unexpected(reply)
        # Their name has been SID and is now QBT_SID_ with the port.
        return dict(_pairs(reply.headers.get_list("set-cookie")))

    def _unexpected(self, reply: Reply) -> ClientError:
        if reply.status in (401, 421):
            return ClientError(
                "qBittorrent does not answer to the host name in QBITTORRENT_URL. Add it there under Web UI, Server domains.",
                permanent=True,
            )
        if reply.status in (404, 405) and not reply.text.startswith("<"):
            return ClientError(
                "qBittorrent does not know what it was asked: it is of a version that we do not know, or QBITTORRENT_URL "
                "leads to something else.",
                permanent=True,
            )
        return self._wire.not_understood(reply)


def _hashes(row: Mapping[str, Any]) -> Iterator[str]:
    """Of either version; that of the second also as long as one of the first, which is how it is asked for."""
    for name in ("hash", "infohash_v1", "infohash_v2"):
        if hash := text(row.get(name)).lower():
            yield hash
            yield hash[:40]


def _pairs(set_cookie: list[str]) -> Iterator[tuple[str, str]]:
    for header in set_cookie:
        name, equals, value = header.partition(";")[0].partition("=")
        if equals and name.strip():
            yield name.strip(), value.strip()


def _cookie(cookies: Mapping[str, str]) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())} if cookies else {}


def _banned(left: timedelta) -> ClientError:
    return ClientError(
        "qBittorrent has banned this machine for a while, after too many wrong passwords. Correct QBITTORRENT_USER and "
        "QBITTORRENT_PASSWORD in .env; a restart of qBittorrent ends the ban.",
        permanent=True,
        retry_after=left,
    )
