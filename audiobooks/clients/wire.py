"""How the adapters talk to a client's web interface: one attempt, within a time, to the very address that was configured.

Not `audiobooks.http`, whose pace and copies are for services of others: a client is the person's own, and its state is
wanted as it is now.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx

from audiobooks.exceptions import ClientError
from audiobooks.transport import BROKEN, OUT_OF_TIME, Transport

PATIENCE = 20.0
"""Seconds for one request, whatever it drips."""
MOST_BYTES = 64 * 1024 * 1024
"""Of an answer: a client with tens of thousands of torrents lists them all in one."""
_LONGEST_TEXT = 300
_ADDRESS = re.compile(r"\b[a-z]+://\S+|\bmagnet:\S+", re.IGNORECASE)
# Such as the passkey that a tracker complains about.
_KEY = re.compile(r"\b(?=[A-Za-z]*\d)[A-Za-z0-9]{20,}\b")


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int
    headers: httpx.Headers
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace").strip()

    def json(self) -> Any:
        """None where it is no JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


@cache
def _transport() -> Transport:
    """It keeps nothing between requests, and to read the certificates takes its time."""
    return Transport()


class Wire:
    """To one client. `label` is for people; `setting` names the setting that holds the address."""

    def __init__(self, url: str, *, label: str, setting: str, patience: float = PATIENCE) -> None:
        self.label, self.setting = label, setting
        self._url, self._patience = url, patience
        self._transport = _transport()

    def send(
        self,
        method: str,
        path: str = "",
        *,
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Any answer but a redirect, errors included. Raises ClientError where there is none."""
        try:
            request = httpx.Request(
                method,
                self._url + path,
                params=params,
                data=form,
                files=files,
                json=json,
                # Neither Referer nor Origin: a client that looks at them takes none, but no wrong ones.
                headers={"User-Agent": "AudiobookAutomation", "Accept-Encoding": "identity", **(headers or {})},
                extensions={
                    "timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._patience),
                    "deadline": time.monotonic() + self._patience,
                    "public_only": False,
                },
            )
            received = self._transport.handle_request(request)
            try:
                body = self._read(received)
            finally:
                received.close()
        except OUT_OF_TIME:
            raise ClientError(f"{self.label} did not answer in time.") from None
        except BROKEN as error:
            raise self._unreachable(error) from None
        except httpx.InvalidURL:
            raise ClientError(f"{self.setting} is no address of http or https.", permanent=True) from None
        return self._looked_at(Reply(status=received.status_code, headers=received.headers, body=body))

    def _read(self, received: httpx.Response) -> bytes:
        if received.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise ClientError(f"{self.label} answered in a packing that was not asked for.")
        body = bytearray()
        assert isinstance(received.stream, httpx.SyncByteStream)
        for chunk in received.stream:
            body += chunk
            if len(body) > MOST_BYTES:
                raise ClientError(f"{self.label} sent more than {MOST_BYTES:,} bytes.")
        return bytes(body)

    def _unreachable(self, error: Exception) -> ClientError:
        said = shown(str(error)) or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in said:
            return ClientError(f"{self.label} shows no certificate that can be trusted: {said}.", permanent=True)
        return ClientError(f"{self.label} could not be reached: {said}.")

    def _looked_at(self, reply: Reply) -> Reply:
        if 300 <= reply.status < 400:
            # Not followed: what is sent there is the password.
            raise ClientError(
                f"{self.label} sends us on to another address. Set {self.setting} to the one where it answers.",
                permanent=True,
            )
        if reply.status in (502, 503, 504):
            raise ClientError(f"{self.label} is not there: what stands before it answered with HTTP {reply.status}.")
        if reply.status in (408, 429) or reply.status >= 500:
            raise ClientError(f"{self.label} answered with HTTP {reply.status}.")
        return reply

    def not_understood(self, reply: Reply) -> ClientError:
        kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
        what = "with a web page" if "html" in kind or reply.text.startswith("<") else f"with HTTP {reply.status}"
        return ClientError(
            f"{self.label} answered {what}, which we do not understand. Is {self.setting} the address of its web interface?"
        )


def shown(text: str) -> str:
    """What a client or a tracker says, in a line, without addresses and what may be a key."""
    text = "".join(each if each.isprintable() else " " for each in text[: 4 * _LONGEST_TEXT])
    text = _KEY.sub("[key]", _ADDRESS.sub("[address]", text))
    return " ".join(text.split())[:_LONGEST_TEXT].rstrip(" .")
