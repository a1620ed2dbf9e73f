from .books import Authorship, Book, Holding, LibraryFile, Reading, SeriesEntry, Work, with_names
from .charts import Chart, ChartEntry
from .imports import Upload
from .library import (
    Author,
    AuthorAlias,
    Genre,
    GenreAlias,
    Merge,
    Named,
    Narrator,
    NarratorAlias,
    Series,
    SeriesAlias,
)
from .metadata import BookChange, MetadataRun, ProviderMatch
from .network import Host, HttpCopy, ServiceState
from .proposals import Proposal, ProposalKey

__all__ = [
    "Author",
    "AuthorAlias",
    "Authorship",
    "Book",
    "BookChange",
    "Chart",
    "ChartEntry",
    "Genre",
    "GenreAlias",
    "Holding",
    "Host",
    "HttpCopy",
    "LibraryFile",
    "Merge",
    "MetadataRun",
    "Named",
    "Narrator",
    "NarratorAlias",
    "Proposal",
    "ProposalKey",
    "ProviderMatch",
    "Reading",
    "Series",
    "SeriesAlias",
    "SeriesEntry",
    "ServiceState",
    "Upload",
    "Work",
    "with_names",
]
