"""Whose word counts more, field by field."""

PERSON = "person"
FOLDER = "folder"
"""Tags and places of files: what a scan read."""
UNLOCKED = "unlocked"
"""What a person wrote, and gave free again: it is trusted least."""

_AUDIBLE = ("audnexus", "audible")
_RECORDINGS = (*_AUDIBLE, "librivox", "hardcover")
# A server or an export repeats what some program once read in such a catalogue.
_LIBRARIES = ("audiobookshelf", "libation", "openaudible", "list")
_PRINTED = ("open_library", "google_books", "goodreads")


def _order(*catalogues: str, printed: tuple[str, ...] = _PRINTED, files_last: bool = False) -> tuple[str, ...]:
    """Tags are what a ripper wrote: below catalogues of recordings, above those that know none."""
    if files_last:
        return (PERSON, *catalogues, *_LIBRARIES, *printed, FOLDER)
    return (PERSON, *catalogues, *_LIBRARIES, FOLDER, *printed)


_ORDER = _order(*_RECORDINGS)
_BY_FIELD = {
    # Google's are of some edition; Open Library's are rare.
    "subtitle": _order(*_RECORDINGS, printed=("google_books", "open_library", "goodreads")),
    # Hardcover and Open Library tell authors from translators; Audible writes the role into the name, where we drop it.
    "authors": _order("hardcover", *_AUDIBLE, "librivox"),
    # Audible itself lists all series of a book, Audnexus two at most; Hardcover's are kept by readers.
    "series": _order("audible", "audnexus", "hardcover", "librivox"),
    # Audible's are few and even, Open Library's every word that a librarian ever used, a tag's what a player wanted.
    "genres": _order(*_RECORDINGS, printed=("google_books", "open_library", "goodreads"), files_last=True),
    # Tags hold advertisements and a ripper's notes.
    "description": _order(*_RECORDINGS, printed=("google_books", "open_library", "goodreads"), files_last=True),
    # What was measured outweighs what is said of it.
    "runtime": (PERSON, FOLDER, "audiobookshelf", *_RECORDINGS, "libation", "openaudible", "list"),
}
"""Field -> sources, the most trusted first."""


def rank(field: str, source: str) -> int:
    """0 is trusted most; a source without a name or place here least."""
    order = _BY_FIELD.get(field, _ORDER)
    return order.index(source) if source in order else len(order)
