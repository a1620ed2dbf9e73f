"""By which of its own names a source is asked for a genre, and the genres that most people begin with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .library.albums import key_of
from .models import Genre
from .names import rows_of
from .sources.librivox import SUBJECTS, LibriVox
from .sources.myanonamouse import GENRES, MyAnonamouse

KNOWN_NAMES: Mapping[str, tuple[str, ...]] = {
    LibriVox.name: tuple(SUBJECTS),
    MyAnonamouse.name: tuple(GENRES.values()),
}
"""Source -> all its genres, of those that have a list of them."""
MOST_NAMES = 3
"""Names of one source that a genre is asked by: each is a question of its own."""


@dataclass(frozen=True)
class Usual:
    """A genre that is offered to be looked at; what LibriVox and MyAnonamouse call it, empty where they have none such."""

    name: str
    librivox: str = ""
    myanonamouse: str = ""

    def at(self, source: str) -> str:
        return {LibriVox.name: self.librivox, MyAnonamouse.name: self.myanonamouse}.get(source, "")


USUAL = (
    Usual("Adventure", "Action & Adventure Fiction", "Action/Adventure"),
    Usual("Biography", "Biography & Autobiography", "Biographical"),
    Usual("Business", "", "Business"),
    Usual("Children's Books", "Children's Fiction", "Juvenile"),
    Usual("Classics", "Literary Fiction", "Literary Classics"),
    Usual("Drama", "Drama", ""),
    Usual("Fantasy", "Fantasy Fiction", "Fantasy"),
    Usual("General Fiction", "General Fiction", "General Fiction"),
    Usual("Historical Fiction", "Historical Fiction", "Historical Fiction"),
    Usual("History", "History", "History"),
    Usual("Horror", "Horror & Supernatural Fiction", "Horror"),
    Usual("Humor", "Humorous Fiction", "Humor"),
    Usual("Mystery", "Crime & Mystery Fiction", "Mystery"),
    Usual("Nonfiction", "Non-fiction", "General Non-Fic"),
    Usual("Philosophy", "Philosophy", "Philosophy"),
    Usual("Poetry", "Poetry", ""),
    Usual("Religion & Society", "Religion", "Pol/Soc/Relig"),
    Usual("Romance", "Romance", "Romance"),
    Usual("Science", "Science", "Math/Science/Tech"),
    Usual("Science Fiction", "Science Fiction", "Science Fiction"),
    Usual("Self-Help", "", "Self-Help"),
    Usual("Short Stories", "Short Stories", ""),
    Usual("Thriller", "Suspense, Espionage, Political & Thrillers", "Crime/Thriller"),
    Usual("Travel", "Travel & Geography", "Travel/Adventure"),
    Usual("True Crime", "", "True Crime"),
    Usual("Urban Fantasy", "", "Urban Fantasy"),
    Usual("Westerns", "Westerns", "Western"),
    Usual("Young Adult", "", "Young Adult"),
)
_USUAL = {key_of(usual.name): usual for usual in USUAL}


def names_at(source: str, genre: Genre) -> tuple[str, ...]:
    """The source's own names of a genre, () where it has none; no query where the genre's aliases are at hand.

    Its name and other names, as far as the source knows them; else what is usual. A source without a list is asked by each.
    """
    ours = [genre.name, *(alias.name for alias in genre.aliases.all())]
    known = KNOWN_NAMES.get(source)
    if known is None:
        return tuple(ours[:MOST_NAMES])
    by_key = {key_of(name): name for name in known}
    mapped = [by_key[key] for name in ours if (key := key_of(name)) in by_key]
    if not mapped:
        usual = [_USUAL[key] for name in ours if (key := key_of(name)) in _USUAL]
        mapped = [name for each in usual if (name := each.at(source))]
        # What is no genre of LibriVox is looked for as a tag.
        if not mapped and not usual and source == LibriVox.name:
            mapped = [genre.name]
    return tuple(dict.fromkeys(mapped))[:MOST_NAMES]


def choose(names: Iterable[str]) -> None:
    """Of the usual genres these are looked at, and the others are not; those that are not there yet are made."""
    wanted = {key_of(name) for name in names} & _USUAL.keys()
    chosen = {row.pk for row in rows_of(Genre, [_USUAL[key].name for key in sorted(wanted)])}
    Genre.objects.filter(pk__in=chosen, enabled=False).update(enabled=True)
    others = {row.pk for row in _there(_USUAL.keys() - wanted)}
    Genre.objects.filter(pk__in=others - chosen, enabled=True).update(enabled=False)


def chosen() -> set[str]:
    """Names of the usual genres that are looked at."""
    enabled = {
        key
        for row in Genre.objects.filter(enabled=True).prefetch_related("aliases")
        for key in (row.key, *(alias.key for alias in row.aliases.all()))
    }
    return {usual.name for key, usual in _USUAL.items() if key in enabled}


def _there(keys: Iterable[str]) -> list[Genre]:
    keys = list(keys)
    own = Genre.objects.filter(key__in=keys)
    return [*own, *Genre.objects.filter(aliases__key__in=keys)]
