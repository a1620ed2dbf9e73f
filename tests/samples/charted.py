"""Two months of charts of an invented household: works that come, go, come back, are owned, wanted and declined."""

from __future__ import annotations

import io
from datetime import timedelta
from random import Random

import time_machine
from django.contrib.auth.models import User
from django.utils import timezone
from PIL import Image

from audiobooks import covers
from audiobooks.charts import discover
from audiobooks.fields import Offer, new_book
from audiobooks.genres import names_at
from audiobooks.library.albums import key_of
from audiobooks.models import Book, Genre, Proposal, Work
from audiobooks.proposing import decline, want
from scheduling.context import TaskRun
from tests.audiobooks.running import Quiet
from tests.fakes.charted import Charted, facts

WEEKS = 9
FIRST = (
    "The Glass",
    "A Harbour of",
    "Seven",
    "The Last",
    "Beneath the",
    "Letters from the",
    "Winter",
    "The Quiet",
    "No",
    "Every",
)
SECOND = (
    "Meridian",
    "Lanterns",
    "Orchards",
    "Cartographer",
    "Saltworks",
    "Observatory",
    "Ferrymen",
    "Almanac",
    "Tides",
    "Beekeeper",
)
PEOPLE = (
    "Ilse Varga",
    "Tomas Reed",
    "Nora Ferris",
    "Adaeze Okafor",
    "Mikkel Brandt",
    "Yuki Tanabe",
    "Rosa Delgado",
    "Samuel Oakes",
)


def fill(
    by: User, *, genres: tuple[str, ...] = ("Fantasy", "Mystery", "Science Fiction", "History"), weeks: int = WEEKS
) -> None:
    random = Random(7)
    for name in genres:
        Genre.objects.create(name=name, key=key_of(name), enabled=True)
    known = {genre.name: names_at("librivox", genre)[0] for genre in Genre.objects.all()}
    pools = {name: _works(random, at) for at, name in enumerate(genres)}
    now = timezone.now()
    for week in range(weeks):
        fake = Charted("librivox", "LibriVox")
        for name, pool in pools.items():
            for at in range(len(pool) - 1):
                if random.random() < 0.4:
                    pool[at], pool[at + 1] = pool[at + 1], pool[at]
            if random.random() < 0.8:
                pool.insert(random.randrange(3, 9), pool.pop(random.randrange(10, len(pool))))
            fake.put(known[name], list(pool[:10]), days=30 if name == "History" and week > 3 else 7)
        with time_machine.travel(now - timedelta(weeks=weeks - 1 - week), tick=False):
            discover(TaskRun(task_id=0, attempt=1, channel=Quiet()), sources=[fake])
    charted = list(Proposal.objects.order_by("pk"))
    for at, proposal in enumerate(charted):
        if at % 9 == 1:
            decline(proposal, by)
        elif at % 9 == 4:
            want(proposal, by)
        elif at % 7 == 2:
            _own(proposal, at)


def _works(random: Random, at: int) -> list[object]:
    titles = [f"{first} {second}" for first in FIRST for second in SECOND]
    chosen = random.sample(titles[at::4], 18)
    return [
        facts(
            title,
            random.choice(PEOPLE),
            series="The Salt Cycle" if number % 4 == 0 else "",
            position=str(number + 1) if number % 4 == 0 else "",
            narrators=(random.choice(PEOPLE),),
            runtime=random.randrange(9_000, 90_000),
            language="en",
            description=f"{title} is an invented book. " * 8,
        )
        for number, title in enumerate(chosen)
    ]


def _own(proposal: Proposal, at: int) -> None:
    picture = io.BytesIO()
    image = Image.radial_gradient("L").resize((600, 600))
    Image.merge(
        "RGB", [image.rotate(90 * turn).point(lambda v, turn=turn: (v * (at + turn + 2)) % 256) for turn in range(3)]
    ).save(picture, "PNG")
    offers = {"title": Offer(proposal.title, "folder"), "authors": Offer([proposal.authors], "folder")}
    book = new_book(Work.objects.create(title=proposal.title, key=key_of(proposal.title)), offers, now=timezone.now())
    Book.objects.filter(pk=book.pk).update(cover=covers.keep(picture.getvalue()))
    Proposal.objects.filter(pk=proposal.pk).update(book=book)
