from .library import Author, Book, LibraryFile, Narrator, Series, SeriesEntry

__all__ = ["Author", "Book", "LibraryFile", "Narrator", "Series", "SeriesEntry"]
