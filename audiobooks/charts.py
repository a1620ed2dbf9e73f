"""The verb behind `top10_discovery`: the top 10 of the week of each genre that is looked at.

Which works are on a chart, and where:

1. A source is asked for what was fetched most in the last 7 days, by each of its own names of the genre. Where all sources
   together have fewer than 10 works, they are asked again about 14, 30 and 90 days; the shortest window that has the most
   works counts, and the chart says so.
2. The editions of a work in the answer of one source count once, by the best of them.
3. Sources are joined by rank, since they count unlike things: a work gets 10 points for the first place at a source, 9 for the
   second, down to 1 for the tenth, and the points of all sources are added.
4. Of works with equal points the one with the better best place comes first, then the one that stood better on the chart before,
   then by title.

A run in a week that has its chart already replaces it in one transaction, but not by less: where a source that the chart was made
of does not answer now, or with nothing, or where they all have fewer works than are on it, the chart stays. What a person decided
is never touched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial

from django.db import transaction
from django.utils import timezone

from scheduling.context import TaskRun, each_on_its_own
from scheduling.exceptions import TaskFailed
from scheduling.history import today

from .courses import week_before, weeks_of
from .display import day_of
from .facts import BookFacts
from .genres import names_at
from .http import Doorway
from .library.albums import key_of
from .matching.works import same_works
from .models import Chart, ChartEntry, Genre, Proposal
from .names import lock_making
from .proposing import learn, look_in_library, propose, recognise
from .sources import registry
from .sources.base import Release, Source

TOP = 10
ASKED = 30
"""Releases that a source is asked for: of ten works several may be there in many editions."""
WINDOWS = (7, 14, 30, 90)
"""Days."""
LOOKED_AT_ONCE = 500
"""Proposals between two looks whether to stop."""

NO_GENRE = (
    "No genre is looked at, so there is no chart to make. Open “Genres” in the admin, press “Choose genres”, and tick those "
    "that you like. Nothing was done."
)
NO_SOURCE = (
    "No source is turned on: name one in SOURCES in .env, such as librivox, which needs no account. Nothing was done."
)


# --- the rule ---------------------------------------------------------------------------------------------------------


@dataclass
class Placed:
    """A work as the sources have it: `releases` the best first, `places` by source."""

    releases: list[Release]
    places: dict[str, int]
    known: Proposal | None = None

    @property
    def points(self) -> int:
        return sum(max(TOP + 1 - place, 0) for place in self.places.values())

    @property
    def best(self) -> int:
        return min(self.places.values())


Answers = Mapping[str, Sequence[Sequence[Release]]]
"""Source -> its lists, one for each of its names of the genre, in the order of asking."""


def interleaved(lists: Sequence[Sequence[Release]]) -> list[Release]:
    """The lists of one source as one: the first of each, then the second of each; each release once."""
    longest = max(map(len, lists), default=0)
    first: dict[str, Release] = {}
    for place in range(longest):
        for each in lists:
            if place < len(each):
                first.setdefault(each[place].id, each[place])
    return list(first.values())


def joined(answers: Answers, known: Sequence[Proposal | None], before: Mapping[int, int]) -> list[Placed]:
    """The works of the answers in the order of the chart.

    known: for each release of `releases_of(answers)` the work that it was recognised as. before: work -> its rank on the chart before.
    """
    releases = releases_of(answers)
    firsts = same_works([release.facts for release in releases])
    work_of = _by_known_works(firsts, known)
    placed: dict[int, Placed] = {}
    taken: Counter[str] = Counter()
    for place, release in enumerate(releases):
        work = placed.setdefault(work_of[place], Placed([], {}))
        work.known = _decided_first(work.known, known[place])
        work.releases.append(release)
        if release.source not in work.places:
            taken[release.source] += 1
            work.places[release.source] = taken[release.source]
    for work in placed.values():
        work.releases.sort(key=lambda release: work.places[release.source])
    last = TOP + 1

    def order(work: Placed) -> tuple[int, int, int, str, str]:
        stood = before.get(work.known.pk, last) if work.known else last
        first = work.releases[0]
        return (-work.points, work.best, stood, key_of(first.facts.title), first.id)

    return sorted((work for work in placed.values() if work.points), key=order)


def releases_of(answers: Answers) -> list[Release]:
    """Those of each source in its order; a release without a title is of no work."""
    return [release for lists in answers.values() for release in interleaved(lists) if key_of(release.facts.title)]


def _by_known_works(firsts: Sequence[int], known: Sequence[Proposal | None]) -> list[int]:
    """Like `firsts`, and what was recognised as one work is one, too."""
    groups: dict[int, Proposal | None] = {}
    for first, work in zip(firsts, known, strict=True):
        groups[first] = _decided_first(groups.get(first), work)
    first_of: dict[int, int] = {}
    for first, work in groups.items():
        if work is not None:
            first_of.setdefault(work.pk, first)
    return [first if (work := groups[first]) is None else first_of[work.pk] for first in firsts]


def _decided_first(one: Proposal | None, other: Proposal | None) -> Proposal | None:
    """Editions of one work that were taken for two works before: the one that a person decided, else the older."""
    there = [each for each in (one, other) if each is not None]
    return min(there, key=lambda each: (each.state == Proposal.State.PROPOSED, each.pk), default=None)


def monday_of(day: date) -> date:
    return day - timedelta(days=day.weekday())


# --- asking -----------------------------------------------------------------------------------------------------------


@dataclass
class Asked:
    """What the sources said of a genre: `window` is that of `answers`; `errors` and `without` are by label of the source."""

    answers: Answers = field(default_factory=dict)
    window: int = WINDOWS[0]
    works: int = 0
    looked: int = 0
    """The longest window that was asked about."""
    errors: dict[str, str] = field(default_factory=dict)
    without: list[str] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    """Names of sources that were asked, and failed or had nothing."""

    @property
    def note(self) -> str:
        told = []
        if self.window > WINDOWS[0]:
            told.append(f"{WINDOWS[0]} days have fewer than {TOP} works, so {self.window} days were looked at.")
        if self.works < TOP:
            told.append(f"There are only {self.works} in {self.looked} days.")
        told += [f"{label} did not answer: {error}" for label, error in self.errors.items()]
        return " ".join(told)


def ask(run: TaskRun, http: Doorway, genre: Genre, sources: Sequence[Source]) -> Asked:
    """Ask all sources about the shortest window, then about longer ones, until there are enough works."""
    found = Asked()
    mapped = {source.name: names_at(source.name, genre) for source in sources}
    found.without = [source.label for source in sources if not mapped[source.name]]
    asked = [source for source in sources if mapped[source.name]]
    for window in WINDOWS:
        answers: dict[str, list[Sequence[Release]]] = {}
        for source in asked:
            if run.should_stop:
                return found
            if source.label in found.errors:
                continue
            answers[source.name] = []
            for name in mapped[source.name]:
                answer, error = _popular(http, source, name, today() - timedelta(days=window))
                answers[source.name].append(answer)
                if error:
                    found.errors[source.label] = error
                    # Half of what it has is no answer of its own.
                    del answers[source.name]
                    break
        found.looked = window
        works = len(set(same_works([release.facts for release in releases_of(answers)])))
        if works > found.works:
            found.answers, found.window, found.works = answers, window, works
        if works >= TOP or len(found.errors) == len(asked):
            break
    found.silent = {source.name for source in asked} - _who_has_something(found.answers)
    return found


def _popular(http: Doorway, source: Source, name: str, since: date) -> tuple[Sequence[Release], str]:
    """The answer, and why there is none; an old copy that stands for an answer is none of this week."""
    outcome = registry.ask(http, source, lambda view: source.popular(view, name, since=since, limit=ASKED))
    return (() if outcome.error else outcome.answer or ()), str(outcome.error or "")


def _who_has_something(answers: Answers) -> set[str]:
    return {name for name, lists in answers.items() if any(lists)}


# --- a run ------------------------------------------------------------------------------------------------------------


def discover(run: TaskRun, *, sources: Sequence[Source] | None = None) -> None:
    """Make the chart of this week of each genre that is looked at; `run.result` tells how many, and what is new.

    sources: those of the settings, unless they are given.

    Raises:
        TaskFailed: no genre is looked at, no source is turned on, or none answered.
        Exception: something of one genre that this code does not bear; the charts of the others are made.
    """
    genres = list(Genre.objects.filter(enabled=True).order_by("name", "pk").prefetch_related("aliases"))
    if not genres:
        raise TaskFailed(NO_GENRE)
    if sources is None:
        sources = registry.sources()
    if not sources:
        raise TaskFailed(NO_SOURCE)
    week, counts, failed = monday_of(today()), Counter[str](), dict[str, str]()
    run.log(
        "The week of %s; genres: %s; sources: %s", day_of(week), len(genres), ", ".join(each.label for each in sources)
    )
    run.progress(text="Looking for what was proposed in the library")
    _look_in_library(run)
    run.progress(total=len(genres))
    http = Doorway()

    def count(outcome: str) -> None:
        counts[outcome] += 1
        if outcome in ("broken", "failed"):
            run.failed()
        else:
            run.succeeded()
        run.progress(run.processed + 1)

    def tell_what_broke(genre: Genre, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Exception):
            run.error("%s: making its chart broke (%s).", genre, type(error).__name__)
            count("broken")

    def chart(genre: Genre) -> None:
        if run.should_stop:
            return
        run.progress(text=genre.name)
        with ExitStack() as at_its_end:
            at_its_end.push(partial(tell_what_broke, genre))
            asked = ask(run, http, genre, sources)
            if run.should_stop:
                return
            failed.update(asked.errors)
            outcome = _keep(run, genre, week, asked, counts)
        count(outcome)

    def conclude() -> None:
        if run.should_stop:
            run.warning("Stopped: %s of %s genres are done. What is done stays.", run.items_succeeded, len(genres))
        run.result = {"week": week.isoformat(), **counts, **({"failed sources": failed} if failed else {})}

    each_on_its_own([*(partial(chart, genre) for genre in genres), conclude])
    if counts["failed"] and counts["failed"] == run.processed:
        reasons = "; ".join(f"{label}: {error}" for label, error in failed.items())
        raise TaskFailed(f"No source answered, so no chart was made or changed. {reasons}")


def _look_in_library(run: TaskRun) -> None:
    """All that was ever proposed, in parts, so that it can be stopped."""
    keys = list(Proposal.objects.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(keys), LOOKED_AT_ONCE):
        if run.should_stop:
            return
        look_in_library(keys[start : start + LOOKED_AT_ONCE])


def _keep(run: TaskRun, genre: Genre, week: date, asked: Asked, counts: Counter[str]) -> str:
    """Write the chart, if there is one to write; returns what came of it, for the counts."""
    for label, error in asked.errors.items():
        run.error("%s: %s did not answer: %s", genre, label, error)
    if asked.without:
        run.log("%s: it has no name at %s; its page says how to give it one.", genre, ", ".join(asked.without))
    there = Chart.objects.filter(genre=genre, week=week).first()
    if there is not None and (lost := asked.silent & set(there.sources)):
        run.warning("%s: the chart of this week stays, since now nothing came from %s.", genre, ", ".join(sorted(lost)))
        return "failed" if not asked.works and asked.errors else "kept"
    if not asked.works:
        run.warning("%s: no source has anything, so nothing is concluded.", genre)
        return "failed" if asked.errors else "empty"
    has = there.entries.count() if there is not None else 0
    if there is not None and asked.works < has and set(there.sources) <= _who_has_something(asked.answers):
        run.warning(
            "%s: the chart of this week stays: it has %s works, and its sources have only %s now.",
            *(genre, has, asked.works),
        )
        return "kept"
    entries = make_chart(genre, week, asked)
    new = sum(entry.is_new for entry in entries)
    counts["works"] += len(entries)
    counts["proposed"] += new
    run.log(
        "%s: works on the chart: %s, of them proposed for the first time: %s. %s", genre, len(entries), new, asked.note
    )
    return "charts"


@dataclass(frozen=True)
class Made:
    entry: ChartEntry
    is_new: bool


def make_chart(genre: Genre, week: date, asked: Asked) -> list[Made]:
    """Write the week's chart in the place of the one that is there, and propose what was not known; one transaction."""
    with transaction.atomic():
        # Nobody else makes a work of the same.
        lock_making()
        before = _ranks_before(genre, week)
        known = recognise([release.facts for release in releases_of(asked.answers)])
        works = joined(asked.answers, known, before)[:TOP]
        values = {
            "name": genre.name,
            "key": genre.key,
            "window": asked.window,
            "sources": sorted(_who_has_something(asked.answers)),
            "note": asked.note,
            "made_at": timezone.now(),
        }
        chart, _ = Chart.objects.update_or_create(genre=genre, week=week, defaults=values)
        chart.entries.all().delete()
        made = [_entry(chart, rank, work) for rank, work in enumerate(works, 1)]
        ChartEntry.objects.bulk_create([each.entry for each in made])
        look_in_library(each.entry.proposal_id for each in made)
    return made


def _entry(chart: Chart, rank: int, work: Placed) -> Made:
    best, proposal = work.releases[0], work.known
    if proposal is None:
        why = f"Number {rank} of {chart.title} in the week of {day_of(chart.week)}"
        proposal = propose(best.facts, cause=Proposal.Cause.CHART, why=why)
    learn(proposal, _each_once(work.releases))
    entry = ChartEntry(
        chart=chart,
        rank=rank,
        proposal=proposal,
        title=best.facts.title[:512],
        authors=", ".join(best.facts.author_names)[:512],
        facts=best.facts.as_json(),
        source=best.source[:64],
        release=best.id[:255],
        link=best.link if len(best.link) <= 1000 else "",
        count=best.fetched,
        points=work.points,
    )
    return Made(entry, is_new=work.known is None)


def _each_once(releases: Iterable[Release]) -> list[BookFacts]:
    return list({release.facts.title: release.facts for release in releases}.values())


def _ranks_before(genre: Genre, week: date) -> dict[int, int]:
    before = week_before(weeks_of([genre.pk]).get(genre.pk, ()), week)
    if before is None:
        return {}
    rows = ChartEntry.objects.filter(chart__genre=genre, chart__week=before).order_by()
    return dict(rows.values_list("proposal", "rank"))
