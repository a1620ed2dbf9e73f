"""What the pages of guides show, and what they cost; and what differs between two texts."""

from __future__ import annotations

import html
import random
import time
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from audiobooks.admin.guides import linked
from audiobooks.differences import MOST_COMPARED, MOST_ROWS, Row, difference
from audiobooks.models import Guide
from scheduling.display import change_url
from tests.scheduling.test_roles import WHO, signed_in

pytestmark = pytest.mark.django_db
LIST = "/admin/audiobooks/guide/"
HOSTILE = '<script>alert("x")</script>'


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def make(place: str = "a.html", title: str = "A Guide", *texts: str, origin: str = "folder") -> Guide:
    for text in texts or ("Seed for 72 hours.",):
        guide, _ = Guide.seen(origin, place, title=title, text=text, now=timezone.now())
    return guide


def get(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def titles(client: Client, query: str) -> list[str]:
    response = client.get(f"{LIST}?{query}")
    assert response.status_code == 200
    return [guide.title for guide in response.context["cl"].result_list]


def version_url(guide: Guide, at: int = 0) -> str:
    return f"{LIST}{guide.pk}/versions/{guide.versions.all()[at].pk}/"


def test_every_page_costs_at_most_twelve_queries(administrator_client: Client) -> None:
    for number in range(60):
        guide = make(
            f"{number}.html", f"Guide {number:02}", *(f"text {number} {version}" for version in range(number % 4 + 1))
        )
    guide = make("x", "X", *(f"text {version}" for version in range(30)))
    for url in (
        LIST,
        f"{LIST}?p=2",
        f"{LIST}?q=text",
        f"{LIST}?state=gone",
        change_url(guide),
        version_url(guide, 3),
        f"{LIST}{guide.pk}/text/",
    ):
        administrator_client.get(url)
        with CaptureQueriesContext(connection) as queries:
            assert administrator_client.get(url).status_code == 200
        assert len(queries) <= 12, (url, [query["sql"][:90] for query in queries])


def test_the_list_reads_no_texts(client: Client) -> None:
    make("a", "A", "NEEDLE " * 1000)
    with CaptureQueriesContext(connection) as queries:
        page = get(client, LIST)
    assert "NEEDLE" not in page and '."text"' not in "".join(query["sql"] for query in queries)


def test_the_list_shows_where_what_was_searched_for_stands(client: Client) -> None:
    make("a", "A", f"{'word ' * 400}and the Nädel is here {HOSTILE} {'word ' * 400}")
    make("b", "B", "nothing of it")
    page = get(client, f"{LIST}?q=NADEL+the")
    assert "and the nadel is here &lt;script&gt;" in page and HOSTILE not in page
    assert titles(client, "q=NADEL+the") == ["A"] and titles(client, "q=nadel+nothing") == []


def test_filters(client: Client) -> None:
    make("a", "A")
    make("b", "B", origin="site")
    make("c", "C")
    Guide.objects.filter(title="B").update(missing_since=timezone.now())
    Guide.objects.filter(title="C").update(problem="It is no text.")
    for query, found in {
        "origin__exact=site": ["B"], "origin__exact=folder": ["A", "C"], "state=gone": ["B"], "state=there": ["A", "C"],
        "state=problem": ["C"], "state=x": ["A", "B", "C"], "": ["A", "B", "C"],
    }.items():  # fmt: skip
        assert titles(client, query) == found, query


def test_a_page_of_one_guide(client: Client, settings: LazySettings) -> None:
    settings.MAM_URL = "https://www.myanonamouse.net"
    text = (
        f"# Head {HOSTILE}\n\nPlain {HOSTILE}\nsecond line. See [the next](https://x.org/?a=1&b=2) or https://y.org/p.\n\n- One\n  - Deep\n\n"
        f"| Class | Slots |\n| --- | --- |\n| User | {HOSTILE} |\n\n> Quoted\n\n    as written {HOSTILE}\n\n[bad](javascript:alert(1))"
    )
    guide = make("/guides/?gid=1", f"Title {HOSTILE}", "older", text, origin="site")
    page = get(client, change_url(guide))
    assert HOSTILE not in page and html.escape(HOSTILE) in page
    for part in (
        "<h3>Head", "second line.", 'href="https://x.org/?a=1&amp;b=2">the next</a>', 'href="https://y.org/p."', "•", "library-level-1",
        '<th scope="col">Class</th>', "<blockquote>Quoted", "<pre>as written", "[bad](javascript:alert(1))",
        'href="https://www.myanonamouse.net/guides/?gid=1"', "As it was first seen", "What changed",
    ):  # fmt: skip
        assert part in page, part
    plain = client.get(f"{LIST}{guide.pk}/text/")
    assert plain["Content-Type"] == "text/plain; charset=utf-8" and plain["X-Content-Type-Options"] == "nosniff"
    assert plain.content.decode() == text


def test_what_is_gone_or_unreadable_is_said(client: Client) -> None:
    guide = make()
    Guide.objects.update(missing_since=timezone.now(), problem="It is no text.")
    page = get(client, change_url(guide))
    assert "kept as it was last seen" in page and "It is no text." in page and "Seed for 72 hours." in page


def test_a_version_shows_what_changed(client: Client) -> None:
    guide = make("a", "A", "one\n\nSeed for 72 hours.\n\nend", f"one\n\nSeed for 96 hours.\n\nend\n{HOSTILE}")
    page = get(client, version_url(guide))
    assert (
        "<del>72 </del>" in page and "<ins>96 </ins>" in page and html.escape(HOSTILE) in page and HOSTILE not in page
    )
    assert "2 lines new (+), 1 gone (−)." in page
    first = get(client, version_url(guide, 1))
    assert "oldest version that is kept" in first and "the next version" in first


def test_a_version_of_another_guide_is_not_found(client: Client) -> None:
    guide, other = make("a"), make("b")
    assert client.get(f"{LIST}{guide.pk}/versions/{other.versions.get().pk}/").status_code == 404
    for url in (f"{LIST}{guide.pk}/versions/x/", f"{LIST}999/versions/1/", f"{LIST}x/text/", f"{LIST}999/text/"):
        assert client.get(url, follow=False).status_code in (302, 404)


@pytest.mark.usefixtures("roles")
@pytest.mark.parametrize("who", WHO)
def test_who_may_read(who: str) -> None:
    guide = make()
    client = signed_in(who)
    may = who not in ("stranger", "member without rights")
    for url in (LIST, change_url(guide), version_url(guide), f"{LIST}{guide.pk}/text/"):
        assert (client.get(url).status_code == 200) == may, url


@pytest.mark.parametrize("step", ["add/", "{pk}/delete/"])
def test_nobody_writes_guides(client: Client, step: str) -> None:
    guide = make()
    for method in (client.get, client.post):
        assert method(LIST + step.format(pk=guide.pk)).status_code == 403
    assert client.post(change_url(guide), {"title": "Mine"}).status_code == 403
    assert Guide.objects.get().title == "A Guide"


@pytest.mark.parametrize(
    "lookup", ["text__contains=a", "searched__contains=a", "versions__text__contains=a", "digest=a", "place=a"]
)
def test_an_address_asks_for_no_other_field(client: Client, lookup: str) -> None:
    assert client.get(f"{LIST}?{lookup}").status_code in (302, 400)


def test_a_long_text_is_cut_on_the_page_and_whole_as_plain_text(client: Client) -> None:
    text = "\n".join(f"- item {number}" for number in range(30_000))
    guide = make("a", "A", text)
    started = time.process_time()
    page = get(client, change_url(guide))
    assert time.process_time() - started < 5
    assert "It goes on: see" in page and "item 29999" not in page
    assert get(client, f"{LIST}{guide.pk}/text/") == text


def test_addresses_in_a_text_are_links_and_all_else_is_escaped() -> None:
    assert linked("a [b](https://x.org/) <c>") == (
        'a <a class="underline" rel="noreferrer noopener" href="https://x.org/">b</a> &lt;c&gt;'
    )
    for text in (
        "[x](javascript:alert(1))",
        '<a href="x">',
        '[x](https://x.org/"onclick=1)',
        "javascript://x",
        "data:text/html,x",
    ):
        assert "<a" not in linked(text) or 'href="https://x.org/' in linked(text)
    assert "<" not in linked("[" * 5000 + "x" * 5000)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="[]()<>\"'&hx:/.tps ", max_size=80))
def test_no_text_makes_another_tag(text: str) -> None:
    shown = str(linked(text))
    assert shown.count("<") == 2 * shown.count('<a class="underline" rel="noreferrer noopener" href="http')


# -- differences


def told(rows: tuple[Row, ...]) -> list[str]:
    signs = {"same": " ", "gone": "-", "new": "+", "gap": "~"}
    return [signs[row.kind] + "".join(text for _, text in row.words) for row in rows]


@pytest.mark.parametrize(
    ("before", "after", "rows"),
    [
        ("a", "a", []), ("", "", []), ("", "a", ["+a"]), ("a", "", ["-a"]), ("a\nb\nc", "a\nc", [" a", "-b", " c"]),
        ("1\n2\n3\n4\nx\n5\n6\n7", "1\n2\n3\n4\ny\n5\n6\n7", [" 3", " 4", "-x", "+y", " 5", " 6"]),
        ("x\n1\n2\n3\n4\n5\n6\n7\nx", "y\n1\n2\n3\n4\n5\n6\n7\ny", ["-x", "+y", " 1", " 2", "~", " 6", " 7", "-x", "+y"]),
        ("a\n\nb", "a\nb", []), ("a", "a\n\nb", [" a", "+b"]),
    ],
)  # fmt: skip
def test_lines(before: str, after: str, rows: list[str]) -> None:
    assert told(difference(before, after).rows) == rows


def test_words_within_a_line() -> None:
    gone, new = difference("Seed for 72 hours or more.", "Seed for 96 hours or more.").rows
    assert gone.words == ((False, "Seed for "), (True, "72 "), (False, "hours or more."))
    assert new.words == ((False, "Seed for "), (True, "96 "), (False, "hours or more."))
    assert difference("abc", "something else").rows == (
        Row("gone", ((False, "abc"),)),
        Row("new", ((False, "something else"),)),
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from("abcde"), max_size=30), st.lists(st.sampled_from("abcde"), max_size=30))
def test_gone_and_new_lines_make_the_one_of_the_other(old: list[str], new: list[str]) -> None:
    found = difference("\n".join(old), "\n".join(new))
    counts = {kind: [row.words[0][1] for row in found.rows if row.kind == kind] for kind in ("gone", "new")}
    assert len(old) - found.gone + found.new == len(new)
    for line in set("abcde"):
        assert old.count(line) - counts["gone"].count(line) + counts["new"].count(line) == new.count(line)


def hostile() -> list[tuple[str, Any]]:
    some = random.Random(1)
    lines = [str(some.randrange(60)) for _ in range(MOST_COMPARED)]
    shuffled = some.sample(lines, len(lines))
    words = [" ".join(str(some.randrange(9)) for _ in range(150)) for _ in range(MOST_COMPARED)]
    other = [" ".join(str(some.randrange(9)) for _ in range(150)) for _ in range(MOST_COMPARED)]
    return [
        ("few kinds of lines", (lines, shuffled)), ("the same line", (["x"] * 500_000, ["x"] * 499_999)),
        ("words", (words, other)), ("two kinds", (["x", "y"] * 600, ["y", "x", "x"] * 400)),
        ("long", ([str(number) for number in range(100_000)], [str(-number) for number in range(100_000)])),
        ("one long line", (["a b " * 100_000], ["b a " * 100_000])), ("reversed", (lines, lines[::-1])),
    ]  # fmt: skip


@pytest.mark.parametrize("name", [name for name, _ in hostile()])
@pytest.mark.slow
def test_the_longest_texts_are_compared_in_seconds(name: str) -> None:
    old, new = dict(hostile())[name]
    started = time.process_time()
    found = difference("\n".join(old), "\n".join(new))
    assert time.process_time() - started < 6
    assert len(found.rows) <= MOST_ROWS
    if name == "long":
        assert found.is_rough and found.is_cut and found.gone == 99_999 and found.new == 99_999
