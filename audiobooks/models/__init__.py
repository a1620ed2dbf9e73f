from .acquisitions import (
    Acquisition,
    AcquisitionEvent,
    BlockedRelease,
    FetchingStop,
    Follow,
    Listing,
    WorkMark,
    WorkSearch,
)
from .books import Authorship, Book, Holding, LibraryFile, Reading, SeriesEntry, Work, with_names
from .charts import Chart, ChartEntry
from .guides import Guide, GuideVersion
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
from .sources import Crawl, Release, SourceSession

__all__ = [
    "Acquisition",
    "AcquisitionEvent",
    "Author",
    "AuthorAlias",
    "Authorship",
    "BlockedRelease",
    "Book",
    "BookChange",
    "Chart",
    "ChartEntry",
    "Crawl",
    "FetchingStop",
    "Follow",
    "Genre",
    "GenreAlias",
    "Guide",
    "GuideVersion",
    "Holding",
    "Host",
    "HttpCopy",
    "LibraryFile",
    "Listing",
    "Merge",
    "MetadataRun",
    "Named",
    "Narrator",
    "NarratorAlias",
    "Proposal",
    "ProposalKey",
    "ProviderMatch",
    "Reading",
    "Release",
    "Series",
    "SeriesAlias",
    "SeriesEntry",
    "ServiceState",
    "SourceSession",
    "Upload",
    "Work",
    "WorkMark",
    "WorkSearch",
    "with_names",
]
