"""Whose word counts more, field by field."""

PERSON = "person"
FOLDER = "folder"
"""Tags and places of files: what a scan read."""

# Audible's catalogue describes recordings; a server or an export repeats what some program once read there; tags are what a
# ripper wrote; the catalogues of printed books know no recordings.
_ORDER = (
    PERSON,
    "audnexus",
    "audible",
    "librivox",
    "hardcover",
    "audiobookshelf",
    "libation",
    "openaudible",
    "csv",
    FOLDER,
    "goodreads",
    "open_library",
    "google_books",
)
# What was measured outweighs what is said of it.
_MEASURED = (
    PERSON,
    FOLDER,
    "audiobookshelf",
    *(source for source in _ORDER if source not in (PERSON, FOLDER, "audiobookshelf")),
)
# Tags hold advertisements and a ripper's notes; a catalogue of printed books describes the work.
_DESCRIBED = (*(source for source in _ORDER if source != FOLDER), FOLDER)

_BY_FIELD = {"runtime": _MEASURED, "description": _DESCRIBED, "genres": _DESCRIBED}


def rank(field: str, source: str) -> int:
    """0 is trusted most; a source without a name or place here least."""
    order = _BY_FIELD.get(field, _ORDER)
    return order.index(source) if source in order else len(order)
