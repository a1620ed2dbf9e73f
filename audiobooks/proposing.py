"""Works that are proposed: recognised again whatever the edition, looked for in the library, wanted and declined."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from scheduling.exceptions import NotAllowedNow

from .facts import BookFacts
from .fields import OF_THE_RECORDING, facts_of
from .library.albums import key_of
from .matching.likeness import read
from .matching.names import Person, person, same_person
from .matching.titles import parse_title
from .matching.works import keys_of, likeness
from .models import Author, Authorship, Book, Holding, Proposal, ProposalKey, with_names
from .names import lock_making
from .owning import SERVER, Held, record

T = TypeVar("T")

LIBRARY = "proposals"
"""As a library it says of books only that they are wanted; its items are proposals."""
COMPARED = 300
"""Works or books that are compared with a description at most."""
EDITIONS = 10
"""Other titles and authors of a work that are remembered at most."""
CHUNK = 50
PART = 400
"""Values in a statement: SQLite takes a bounded number."""
_BEST = (Book.Standing.OWNED, Book.Standing.WANTED, Book.Standing.KNOWN)
State = Proposal.State
ByLast = dict[str, list[tuple[Person, int]]]
"""Last name -> who has it, each with the key of the author."""


# --- recognising ------------------------------------------------------------------------------------------------------


def recognise(many: Sequence[BookFacts]) -> list[Proposal | None]:
    """The work of each description as it was proposed before, decided or not; a query for each few hundred keys."""
    keys = [keys_of(facts) for facts in many]
    by_key: dict[str, list[int]] = {}
    for part in _parts(sorted(set().union(*keys))):
        for key, work in ProposalKey.objects.filter(key__in=part).order_by("pk").values_list("key", "proposal"):
            by_key.setdefault(key, []).append(work)
    works = _proposals({work for each in by_key.values() for work in each})
    known = {pk: _called(work) for pk, work in works.items()}
    return [
        _nearest(facts, {pk: known[pk] for key in _telling_first(own) for pk in by_key.get(key, ())}, works)
        for facts, own in zip(many, keys, strict=True)
    ]


def _telling_first(keys: Iterable[str]) -> list[str]:
    """Those of a title or an identifier before those of an author, who may have written hundreds."""
    return sorted(keys, key=lambda key: (key.startswith("a:"), key))


def _nearest(facts: BookFacts, known: dict[int, list[BookFacts]], works: dict[int, Proposal]) -> Proposal | None:
    """Of those that are equally near, one that a person decided."""
    near = [
        (round(apart, 2), works[pk].state == State.PROPOSED, pk)
        for pk in list(known)[:COMPARED]
        if (apart := _apart(known[pk], facts)) is not None
    ]
    return works[min(near)[2]] if near else None


def _called(work: Proposal) -> list[BookFacts]:
    """The best known edition, and what others are called that are not told from it."""
    return [BookFacts.from_json(each) for each in (work.facts, *work.editions)]


def _apart(called: Iterable[BookFacts], facts: BookFacts) -> float | None:
    """From the nearest of them."""
    return min((apart for each in called if (apart := likeness(each, facts)) is not None), default=None)


def _proposals(pks: Collection[int]) -> dict[int, Proposal]:
    return {
        work.pk: work
        for part in _parts(sorted(pks))
        for work in Proposal.objects.filter(pk__in=part).select_related("book")
    }


def propose(facts: BookFacts, *, cause: str, why: str) -> Proposal:
    """A work that was not recognised. The transaction, and the lock under which nobody else makes it, are the caller's."""
    return Proposal.objects.create(
        title=facts.title[:512],
        authors=", ".join(facts.author_names)[:512],
        facts=facts.as_json(),
        cause=cause,
        why=why[:255],
    )


def learn(proposal: Proposal, editions: Iterable[BookFacts]) -> None:
    """Remember the keys of editions that were recognised, and what they know of the work beyond what is known."""
    editions = list(editions)
    keys = sorted(set().union(*map(keys_of, editions)))
    ProposalKey.objects.bulk_create([ProposalKey(proposal=proposal, key=key) for key in keys], ignore_conflicts=True)
    before = facts = BookFacts.from_json(proposal.facts)
    for other in editions:
        # Never another title or author in the place of those by which it is recognised.
        lacking = {
            name: value
            for name in ("authors", "series", "genres", "description")
            if not getattr(facts, name) and (value := getattr(other, name))
        }
        facts = replace(facts, **lacking)
    called = [facts, *map(BookFacts.from_json, proposal.editions)]
    for name in map(_name_of, editions):
        # What is told already is not kept, else one typing error after another leads to another work.
        if len(called) <= EDITIONS and _apart(map(_name_of, called), name) is None:
            called.append(name)
    others = [each.as_json() for each in called[1:]]
    if facts != before or len(others) != len(proposal.editions):
        proposal.facts, proposal.authors = facts.as_json(), ", ".join(facts.author_names)[:512]
        proposal.editions = others
        proposal.save(update_fields=["facts", "authors", "editions"])


def _name_of(facts: BookFacts) -> BookFacts:
    """Without its identifiers, and what else tells nothing of a work."""
    return BookFacts(
        title=facts.title[:512], subtitle=facts.subtitle[:512], authors=facts.authors[:10], series=facts.series[:10]
    )


# --- the library ------------------------------------------------------------------------------------------------------


def look_in_library(works: Iterable[int] | None = None) -> int:
    """Find the books that are of these works, or of all; returns of how many works that changed.

    What is owned is looked at again, since a person may have said that the book is another.
    """
    proposals = Proposal.objects.all() if works is None else Proposal.objects.filter(pk__in=list(works))
    pks = list(proposals.order_by("pk").values_list("pk", flat=True))
    by_last = _authors_by_last_name() if pks else {}
    return sum(_look(list(_proposals(part).values()), by_last) for part in _parts(pks, CHUNK))


def look_at_books(*, added_since: datetime) -> int:
    """The same the other way round, for books that are new; returns of how many works that changed."""
    if not Proposal.objects.exists():
        return 0
    pks = list(Book.objects.filter(added_at__gte=added_since).order_by("pk").values_list("pk", flat=True))
    changed = 0
    for part in _parts(pks, CHUNK):
        books = list(with_names(Book.objects.filter(pk__in=part).order_by("pk")))
        for book, work in zip(books, recognise([facts_of(book) for book in books]), strict=True):
            if work is not None and (work.book is None or _is_better(book, work.book)):
                Proposal.objects.filter(pk=work.pk).update(book=book)
                work.book = book
                changed += 1
    return changed


def _is_better(book: Book, other: Book) -> bool:
    return _BEST.index(Book.Standing(book.standing)) < _BEST.index(Book.Standing(other.standing))


def _look(proposals: list[Proposal], by_last: ByLast) -> int:
    called = {proposal.pk: _called(proposal) for proposal in proposals}
    books = _books_like([facts for each in called.values() for facts in each], by_last)
    present = {proposal.book_id for proposal in proposals if proposal.book_id} - {book.pk for book in books}
    books += with_names(Book.objects.filter(pk__in=present))
    wishes = Holding.objects.filter(library=LIBRARY, item__in=[str(proposal.pk) for proposal in proposals])
    wished = set(wishes.values_list("item", "book"))
    by_key: dict[str, list[Book]] = {}
    by_pk = {book.pk: book for book in books}
    described = {book.pk: facts_of(book) for book in books}
    for book in books:
        for key in keys_of(described[book.pk]):
            by_key.setdefault(key, []).append(book)
    changed = 0
    for proposal in proposals:
        own = called[proposal.pk]
        alike = {book.pk: book for each in own for key in keys_of(each) for book in by_key.get(key, ())}
        near = [
            (_BEST.index(Book.Standing(book.standing)), apart, book.pk)
            for book in alike.values()
            if (apart := _apart(own, described[book.pk])) is not None
        ]
        # A book that a person wants for this work stays its book, whatever it is called, until the work is owned.
        if (str(proposal.pk), proposal.book_id) in wished and (wanted := by_pk.get(proposal.book_id or 0)):
            near.append((_BEST.index(Book.Standing(wanted.standing)), 0, wanted.pk))
        found = min(near)[2] if near else None
        if found != proposal.book_id:
            Proposal.objects.filter(pk=proposal.pk).update(book=found)
            changed += 1
    return changed


def _authors_by_last_name() -> ByLast:
    """All: a key of the database has neither "Sir Terry Pratchett" nor "Pratchett, Terry" at "Terry Pratchett"."""
    found: ByLast = {}
    for pk, name in Author.objects.order_by().values_list("pk", "name"):
        if who := person(name):
            found.setdefault(who.last, []).append((who, pk))
    return found


def _books_like(many: Collection[BookFacts], by_last: ByLast) -> list[Book]:
    """Books of one of the titles, or by one of the authors, whose names may be written otherwise."""
    titles, names, asins, authors = set[str](), set[str](), set[str](), set[int]()
    for facts in many:
        plain = parse_title(facts.title, facts.subtitle).title
        for who in read(facts).authors[:5]:
            authors |= {pk for other, pk in by_last.get(who.last, ()) if same_person(who, other)}
        for title in (facts.title, plain, facts.title.partition(":")[0], f"{facts.title} {facts.subtitle}"):
            bare = title.lower().removeprefix("the ").removeprefix("a ").removeprefix("an ")
            titles |= {key_of(each) for each in (title, bare, f"the {bare}", f"a {bare}", f"an {bare}")} - {""}
        names |= {key_of(name) for name in facts.author_names[:5]} - {""}
        asins |= {facts.asin} - {""}
    found = set[int]()
    for part in _parts(sorted(titles)):
        found |= set(Book.objects.filter(work__key__in=part).order_by().values_list("pk", flat=True)[: PART * 10])
    for part in _parts(sorted(names)):
        by = Authorship.objects.filter(author__key__in=part) | Authorship.objects.filter(author__aliases__key__in=part)
        found |= set(by.order_by().values_list("book", flat=True)[: PART * 10])
    for some in _parts(sorted(authors)):
        written = Authorship.objects.filter(author__in=some).order_by()
        found |= set(written.values_list("book", flat=True)[: PART * 10])
    for part in _parts(sorted(asins)):
        found |= set(Book.objects.filter(asin__in=part).order_by().values_list("pk", flat=True))
    return [book for some in _parts(sorted(found)) for book in with_names(Book.objects.filter(pk__in=some))]


# --- deciding ---------------------------------------------------------------------------------------------------------


def want(proposal: Proposal, by: User) -> None:
    """The library wants a book of it.

    Raises:
        NotAllowedNow: it is decided already, or owned.
    """
    with transaction.atomic():
        # Before the proposal's, in the order in which a chart takes them, else the two wait for each other.
        lock_making()
        row = _undecided(proposal)
        look_in_library([row.pk])
        row = Proposal.objects.select_related("book").get(pk=row.pk)
        if row.book is not None and row.book.standing == Book.Standing.OWNED:
            raise NotAllowedNow("It is in the library already.")
        # What was wanted before stays so when this wish is taken back.
        if row.book is None or row.book.standing != Book.Standing.WANTED:
            book, _ = record(_held(row), now=timezone.now())
            Proposal.objects.filter(pk=row.pk).update(book=book)
        _decided(row, State.WANTED, by)


def _held(proposal: Proposal) -> Held:
    """Any recording of the work in its language will do, so that nothing else is said of one."""
    facts = BookFacts.from_json(proposal.facts)
    unknown = {name: getattr(BookFacts(), name) for name in OF_THE_RECORDING - {"language", "isbn"}}
    facts = replace(facts, **unknown, isbns=(), is_audio=None)
    return Held(library=LIBRARY, item=str(proposal.pk), facts=facts, standing=Book.Standing.WANTED)


def decline(proposal: Proposal, by: User) -> None:
    """Raises:
    NotAllowedNow: it is decided already.
    """
    with transaction.atomic():
        _decided(_undecided(proposal), State.DECLINED, by)


def take_back(proposal: Proposal) -> None:
    """It is proposed again. A book that only this wish made wanted is one that is known of.

    Raises:
        NotAllowedNow: nothing was decided.
    """
    with transaction.atomic():
        # Nobody finds the book wanted meanwhile, and counts on it.
        lock_making()
        row = Proposal.objects.select_for_update().get(pk=proposal.pk)
        if row.state == State.PROPOSED:
            raise NotAllowedNow("Nothing is decided of it.")
        if row.state == State.WANTED:
            _no_longer_wanted(row)
        Proposal.objects.filter(pk=row.pk).update(state=State.PROPOSED, decided_at=None, decided_by=None)


def _no_longer_wanted(proposal: Proposal) -> None:
    wishes = Holding.objects.filter(library=LIBRARY)
    holding = wishes.filter(item=str(proposal.pk)).first()
    if holding is None:
        return
    book = Book.objects.filter(pk=holding.book_id, standing=Book.Standing.WANTED)
    other = Proposal.objects.filter(book=holding.book_id, state=State.WANTED).exclude(pk=proposal.pk).first()
    if other is not None and not wishes.filter(item=str(other.pk)).exists():
        # It found the book wanted already, and is the wish by which it is from now on.
        wishes.filter(pk=holding.pk).update(item=str(other.pk))
        return
    holding.delete()
    # A server says of nothing that it is wanted, and what a list said before has not made it so.
    lists = Holding.objects.filter(book=holding.book_id, seen_at__gt=holding.seen_at)
    if other is None and not lists.exclude(library__startswith=SERVER).exists():
        book.update(standing=Book.Standing.KNOWN)


def _undecided(proposal: Proposal) -> Proposal:
    row = Proposal.objects.select_for_update().get(pk=proposal.pk)
    if row.state != State.PROPOSED:
        raise NotAllowedNow(f"It is {row.get_state_display()} already; take that back first.")
    return row


def _decided(proposal: Proposal, state: str, by: User) -> None:
    Proposal.objects.filter(pk=proposal.pk).update(state=state, decided_at=timezone.now(), decided_by=by)


def _parts(values: Sequence[T], size: int = PART) -> list[Sequence[T]]:
    return [values[start : start + size] for start in range(0, len(values), size)]
