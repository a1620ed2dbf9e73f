"""How what lies outside fails. An adapter raises these and nothing else of its own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any


class ServiceError(Exception):
    """A service did not answer, or not with what was asked for; the message is a sentence for a person, without secrets.

    permanent: asking again changes nothing until a person does something (a key, an address).
    retry_after: how long the service wants to be left alone, where it says so.
    """

    def __init__(self, message: str, *, permanent: bool = False, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after


class Unreachable(ServiceError):
    """No answer, or half of one: no address, no connection, a broken one, no certificate to trust, no time left."""


class LeftAlone(ServiceError):
    """Not asked, since the host has asked for quiet or has failed too often; `retry_after` says for how long."""


class Forbidden(ServiceError):
    """Not asked, since the address is none that may be asked: not http(s), private, or a redirect to a stranger."""


class BadAnswer(ServiceError):
    """An answer that is not what was asked for: not JSON, cut off, too large. The message holds how it begins, and `text`
    its first few thousand characters, without secrets, where it was no JSON."""

    def __init__(
        self, message: str, *, permanent: bool = False, retry_after: timedelta | None = None, text: str = ""
    ) -> None:
        super().__init__(message, permanent=permanent, retry_after=retry_after)
        self.text = text


class HttpError(ServiceError):
    """The host answered with an error. `status` is HTTP's; `data` is its JSON, None where it sent none, or its text where
    text was asked for; `text` is how the answer begins, without secrets, or of a redirect that was not followed where it
    leads."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        data: Any = None,
        permanent: bool = False,
        retry_after: timedelta | None = None,
        text: str = "",
    ) -> None:
        super().__init__(message, permanent=permanent, retry_after=retry_after)
        self.status = status
        self.data = data
        self.text = text


class ProviderError(ServiceError):
    """Of a metadata provider, whose answer its adapter has understood."""


class NoRecord(ProviderError):
    """A provider is well and says why it has no record: `reason` is `region`, `delisted` or `not a book`."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message, permanent=True)
        self.reason = reason


class LibraryError(ServiceError):
    """Of a library server."""


class SourceError(ServiceError):
    """Of a source of releases."""


class SignedOut(SourceError):
    """The source does not know us (any more), which is not "nothing found": a person has to give it a new session or key."""


class WrongSession(SignedOut):
    """What it was given is a session of another kind than the one for programs."""


class WrongAddress(SourceError):
    """The source knows the session, but not the address of the internet that it is used from."""


class Throttled(SourceError):
    """The source was asked too often; `retry_after` says for how long it wants quiet."""


class Refused(SourceError):
    """The source does not give this release now; the message says why, such as that the member has fetched too much."""


class Gone(SourceError):
    """The source has no such release any more."""


class ClientError(ServiceError):
    """Of a download client. `permanent`: a person has to do something, such as to correct the password."""


class OtherContent(ClientError):
    """What is sent is not what was promised, as its size or checksum tells."""


class TorrentRefused(ClientError):
    """The client is well, and does not take this torrent."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)
