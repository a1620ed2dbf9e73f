from .library import Author, Book, LibraryFile, Narrator, Series, SeriesEntry
from .network import Host, HttpCopy, ServiceState

__all__ = ["Author", "Book", "Host", "HttpCopy", "LibraryFile", "Narrator", "Series", "SeriesEntry", "ServiceState"]
