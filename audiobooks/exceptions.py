"""How what lies outside fails. An adapter raises these and nothing else of its own."""

from __future__ import annotations

from datetime import timedelta


class ServiceError(Exception):
    """A service did not answer, or not with what was asked for; the message is a sentence for a person, without secrets.

    permanent: asking again changes nothing until a person does something (a key, an address).
    retry_after: how long the service wants to be left alone, where it says so.
    status: HTTP's, of the answer, if there was one.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool = False,
        retry_after: timedelta | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after
        self.status = status


class ProviderError(ServiceError):
    """Of a metadata provider."""


class LibraryError(ServiceError):
    """Of a library server."""
