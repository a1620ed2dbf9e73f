"""Guides: a folder of saved pages and listed pages of a site on loopback become text with versions."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.utils import timezone

from audiobooks import crawl, guides
from audiobooks.checks import check_guides
from audiobooks.guides import read_guides
from audiobooks.http import Pace
from audiobooks.models import Guide, GuideVersion, Host, HttpCopy, SourceSession
from audiobooks.models.guides import MOST_VERSIONS, folded
from audiobooks.sources import myanonamouse_pages, registry
from audiobooks.sources.myanonamouse_pages import listed, path_of
from audiobooks.tasks import mam_scraping_task
from scheduling.conf import scheduling_settings
from scheduling.context import TaskRun
from scheduling.exceptions import TaskFailed
from tests.audiobooks.outside import Outside, Reply, Seen
from tests.audiobooks.running import Quiet
from tests.scheduling.processes import ROOT

pytestmark = pytest.mark.django_db
SESSION = "BrowserSession0NobodySees%3D"
KEY = "fedcba9876543210fedcba9876543210"


@pytest.fixture
def folder(tmp_path: Path, settings: LazySettings) -> Path:
    folder = tmp_path / "guides"
    folder.mkdir()
    settings.GUIDES_FOLDER = folder
    return folder


@pytest.fixture
def site(tmp_path: Path, settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    """The site, with three pages listed and no folder; as fast as one likes."""
    monkeypatch.setattr(myanonamouse_pages, "PACE", Pace(every=0.0, at_once=1))
    with Outside() as outside:
        settings.GUIDES_FOLDER = tmp_path / "none"
        settings.MAM_URL, settings.MAM_BROWSER_SESSION = outside.url, f"mam_id={SESSION};"
        settings.GUIDES_PAGES = ["/guides/?gid=1", "/guides/?gid=2", "/rules.php"]
        settings.SCHEDULING = {**settings.SCHEDULING, "SECRETS": (settings.MAM_BROWSER_SESSION, SESSION)}
        outside.otherwise = lambda seen: html(guide(f"Guide {seen.query.get('gid', 'of rules')}"))
        yield outside


def guide(title: str, text: str = "Seed for 72 hours.") -> str:
    return f'<html><body><nav>Menu</nav><div id="guideBox"><h1>Guides -> {title}</h1><p>{text}</div></body></html>'


def html(text: str, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, text.encode(), {"Content-Type": "text/html; charset=utf-8", **named})


def read(channel: Quiet | None = None) -> tuple[dict[str, int], TaskRun]:
    run = TaskRun(task_id=0, attempt=1, channel=channel or Quiet())
    return read_guides(run), run


def forget_copies() -> None:
    """As if it were the next night."""
    HttpCopy.objects.all().delete()
    Host.objects.all().delete()


def by_place() -> dict[str, Guide]:
    return {guide.place: guide for guide in Guide.objects.all()}


# -- the folder


def test_saved_pages_become_guides(folder: Path) -> None:
    (folder / "Start.html").write_text(guide("Start here"), encoding="utf-8")
    (folder / "more").mkdir()
    (folder / "more" / "Règles & co.txt").write_text("Be kind.\n", encoding="utf-8")
    (folder / "cover.png").write_bytes(b"\x89PNG\0")
    counts, run = read()
    assert counts == {"new": 2}
    assert (run.processed, run.items_succeeded, run.items_failed) == (2, 2, 0)
    found = by_place()
    assert {place: row.title for place, row in found.items()} == {
        "Start.html": "Start here", "more/Règles & co.txt": "Règles & co",
    }  # fmt: skip
    start = found["Start.html"]
    assert start.text == "# Guides -> Start here\n\nSeed for 72 hours." and start.origin == "folder"
    assert [version.text for version in start.versions.all()] == [start.text]


def test_what_is_unchanged_makes_no_version_and_is_not_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (folder / f"{name}.html").write_text(guide(name))
    read()
    before = by_place()
    (folder / "c.html").touch()
    reads: list[str] = []
    monkeypatch.setattr(guides, "read_file", lambda data, name: reads.append(name) or 1 / 0)
    os.utime(folder / "c.html", ns=(1, os.stat(folder / "c.html").st_mtime_ns))
    with pytest.raises(ZeroDivisionError):
        os.utime(folder / "c.html", ns=(1, 1))
        read()
    assert reads == ["c.html"]
    monkeypatch.undo()
    counts, _ = read()
    assert counts == {"unchanged": 3}
    assert GuideVersion.objects.count() == 3
    after = by_place()
    for name, row in before.items():
        assert after[name].changed_at == row.changed_at and after[name].checked_at > row.checked_at


def test_each_change_is_a_version_and_the_text_is_the_newest(folder: Path) -> None:
    page = folder / "a.html"
    for number, text in enumerate(("one", "two", "one", "one")):
        page.write_text(guide("A", text))
        os.utime(page, ns=(number, number))
        counts, _ = read()
    assert counts == {"unchanged": 1}
    row = Guide.objects.get()
    assert [version.text[-3:] for version in row.versions.all()] == ["one", "two", "one"]
    assert row.text.endswith("one") and row.changed_at == row.versions.first().seen_at  # type: ignore[union-attr]


def test_of_many_versions_the_newest_are_kept() -> None:
    for number in range(MOST_VERSIONS + 5):
        row, _ = Guide.seen("folder", "a", title="A", text=str(number), now=timezone.now())
    texts = list(row.versions.values_list("text", flat=True))
    assert len(texts) == MOST_VERSIONS and texts[0] == row.text == str(MOST_VERSIONS + 4) and texts[-1] == "5"


def test_a_file_that_is_gone_is_kept_and_may_come_back(folder: Path) -> None:
    for name in "ab":
        (folder / f"{name}.html").write_text(guide(name))
    read()
    (folder / "a.html").rename(folder / "a.old")
    counts, _ = read()
    assert counts == {"missing": 1, "unchanged": 1}
    row = by_place()["a.html"]
    assert row.missing_since is not None and "Seed" in row.text and row.versions.count() == 1
    since = row.missing_since
    assert read()[0] == {"unchanged": 1}
    assert by_place()["a.html"].missing_since == since
    (folder / "a.old").rename(folder / "a.html")
    assert read()[0] == {"unchanged": 2}
    assert by_place()["a.html"].missing_since is None


def test_an_empty_or_missing_folder_takes_nothing_away(folder: Path) -> None:
    (folder / "a.html").write_text(guide("A"))
    read()
    (folder / "a.html").unlink()
    with pytest.raises(TaskFailed, match=r"holds no pages, although some are known\. Is the disk mounted\?"):
        read()
    folder.rmdir()
    with pytest.raises(TaskFailed, match=r"cannot be read \(No such file or directory\)\. Is the disk mounted"):
        read()
    assert Guide.objects.get().missing_since is None


def test_with_no_folder_and_no_session_it_is_a_quiet_line(
    tmp_path: Path, settings: LazySettings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.GUIDES_FOLDER = tmp_path / "none"
    with caplog.at_level(logging.INFO):
        counts, run = read()
    assert counts == {} and run.processed == 0
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "No guides are read" in caplog.text
    (tmp_path / "none").mkdir()
    caplog.clear()
    assert read()[0] == {} and not caplog.records


def test_odd_files_cost_a_line_each(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.html").write_text(guide("OUTSIDE"))
    (folder / "good.html").write_text(guide("Good"))
    (folder / "link.html").symlink_to(outside / "secret.html")
    (folder / "linked").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.html")
    (folder / "binary.html").write_bytes(b"\x89PNG\0\1" * 100)
    (folder / "empty.txt").write_bytes(b"")
    (folder / "login.html").write_text("<form action='/takelogin.php'>")
    with (folder / "huge.html").open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    (folder / "dir.html").mkdir()
    (folder / "dir.html" / ".hidden.html").write_text(guide("HIDDEN"))
    (folder / ("x" * 200) / ("y" * 200)).mkdir(parents=True)
    (folder / ("x" * 200) / ("y" * 200) / ("z" * 200 + ".txt")).write_text("LONG")
    (folder / "new\nline <b>.txt").write_text("odd name")
    with open(os.fsencode(folder) + b"/\xff.txt", "w") as file:  # type: ignore[assignment]
        file.write("LATIN")  # type: ignore[arg-type]
    deep = folder / "/".join("d" * 14)
    deep.mkdir(parents=True)
    (deep / "deep.html").write_text(guide("DEEP"))
    counts, run = read()
    assert counts == {"new": 2, "unreadable": 4}
    assert {row.title for row in Guide.objects.all()} == {"Good", "new line <b>"}
    for place, why in (
        ("link.html", "It is a link"), ("linked", "It is a link"), ("loop", "It is a link"), ("binary.html", "It is no text"),
        ("empty.txt", "There is no text"), ("login.html", "asks you to sign in"), ("huge.html", "larger than 16 MB"),
        ("z.txt", "path is too long"), (r"\xff.txt", "not UTF-8"), ("d/d/d", "too deep"),
    ):  # fmt: skip
        assert any(place in line and why in line for line in caplog.text.splitlines()), (place, why)
    assert run.items_failed == 4


def test_what_fails_to_open_is_not_gone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refuse(path: Any, *args: Any, **options: Any) -> int:
        if str(path) in ("below", "a.html"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **options)

    (folder / "below").mkdir()
    for name in ("a.html", "below/b.html", "c.html"):
        (folder / name).write_text(guide(name))
    assert read()[0] == {"new": 3}
    os.utime(folder / "a.html", ns=(1, 1))
    monkeypatch.setattr(os, "open", refuse)
    counts, run = read()
    assert counts == {"unchanged": 1, "unreadable": 1} and run.items_failed == 2
    rows = by_place()
    assert not any(row.missing_since for row in rows.values())
    assert rows["a.html"].problem == "Permission denied" and "Seed" in rows["a.html"].text
    monkeypatch.undo()
    assert read()[0] == {"unchanged": 3}
    assert by_place()["a.html"].problem == ""


def test_a_file_that_becomes_a_link_while_it_is_read_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("OUTSIDE")
    (folder / "a.txt").write_text("inside")
    walk = guides._Walk(guides.Reading(TaskRun(task_id=0, attempt=1, channel=Quiet())), folder)
    for found in walk.files():
        (folder / "a.txt").unlink()
        (folder / "a.txt").symlink_to(tmp_path / "secret.txt")
        with pytest.raises(OSError):
            found.read()


def test_what_belongs_to_a_saved_page_is_a_guide_only_where_one_is_in_it(folder: Path) -> None:
    (folder / "Start.html").write_text("<iframe src=x></iframe><p>The page round it.")
    (folder / "Start_files").mkdir()
    (folder / "Start_files" / "frame.html").write_text(guide("In a frame"))
    (folder / "Start_files" / "ad.html").write_text("<p>Buy!")
    (folder / "Start_files" / "login.html").write_text("<form action='/takelogin.php'>")
    counts, run = read()
    assert counts == {"new": 2} and run.items_failed == 0
    assert set(by_place()) == {"Start.html", "Start_files/frame.html"}


def test_too_many_files_are_said_and_none_of_them_is_gone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        (folder / f"{name}.txt").write_text(name)
    read()
    monkeypatch.setattr(guides, "MOST_FILES", 2)
    counts, _ = read()
    assert counts == {"unchanged": 2}
    assert not Guide.objects.exclude(missing_since=None).exists()


def test_a_run_that_is_stopped_goes_on(folder: Path) -> None:
    for number in range(10):
        (folder / f"{number}.txt").write_text(f"text {number}")
    assert read(Quiet(stop_after=4))[0] == {"new": 4}
    assert read()[0] == {"new": 6, "unchanged": 4}
    assert GuideVersion.objects.count() == 10


@pytest.mark.django_db(transaction=True)
def test_a_run_that_is_killed_goes_on(folder: Path, process_env: dict[str, str]) -> None:
    for number in range(150):
        (folder / f"{number}.html").write_text(guide(str(number), f"text {number} " * 2000))
    code = (
        "import django; django.setup()\n"
        "from audiobooks.guides import read_guides\n"
        "from scheduling.context import TaskRun\n"
        "class Quiet:\n"
        "    def stop_wanted(self): return False\n"
        "    def report_progress(self, run): pass\n"
        "read_guides(TaskRun(task_id=0, attempt=1, channel=Quiet()))\n"
    )
    env = {**process_env, "GUIDES_FOLDER": str(folder)}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=env)
    try:
        deadline = time.monotonic() + 60
        while Guide.objects.count() < 5 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    done = Guide.objects.count()
    assert 5 <= done < 150
    assert GuideVersion.objects.count() == done
    counts, _ = read()
    assert counts == {"unchanged": done, "new": 150 - done}
    assert GuideVersion.objects.count() == 150
    assert all(len(row.text) > 10_000 for row in Guide.objects.all())


def test_two_at_once_make_one_guide(transactional_db: None) -> None:
    told: list[str] = []

    def see() -> None:
        told.append(Guide.seen("folder", "a", title="A", text="x", now=timezone.now())[1])
        connection.close()

    threads = [threading.Thread(target=see) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == ["new"] + ["unchanged"] * 5
    assert GuideVersion.objects.count() == 1


@pytest.mark.parametrize(
    ("asked", "is_found"),
    [
        ("seed", True), ("SEED hours", True), ("uber", True), ("ÜBER", True), ("title", True), ("seed nothing", False), ("%", False),
        ("_", False), ("", True), ("72", True), ("strasse", True), ("STRASSE", True),
    ],
)  # fmt: skip
def test_search(asked: str, is_found: bool) -> None:
    Guide.seen("folder", "a", title="A Title", text="Seed 72\nhours.  Über die Straße", now=timezone.now())
    assert Guide.objects.searched(asked).exists() == is_found


def test_the_marks_of_a_text_are_not_searched() -> None:
    text = "# Rules\n\n| Class | Slots |\n| --- | --- |\n| User | a > b |\n\n> Be kind -- or not"
    guide, _ = Guide.seen("folder", "a", title="T", text=text, now=timezone.now())
    assert guide.searched == "t rules class slots user a > b be kind -- or not"


def test_folded() -> None:
    assert folded(" Über\n ÉTÉ ") == "uber ete"


# -- the site


def test_listed_pages_are_read_one_by_one_by_one_who_says_who_he_is(site: Outside) -> None:
    counts, run = read()
    assert counts == {"new": 3} and run.items_succeeded == run.processed == 3
    assert [(seen.method, seen.path, seen.query) for seen in site.seen] == [
        ("GET", "/guides/", {"gid": "1"}), ("GET", "/guides/", {"gid": "2"}), ("GET", "/rules.php", {}),
    ]  # fmt: skip
    for seen in site.seen:
        assert seen.headers["user-agent"].startswith("AudiobookAutomation/")
        assert seen.headers["cookie"] == f"mam_id={SESSION}"
    rows = by_place()
    assert rows["/guides/?gid=1"].title == "Guide 1" and rows["/rules.php"].origin == "site"
    assert "Menu" not in rows["/rules.php"].text


def test_a_second_run_of_the_night_asks_nothing(site: Outside) -> None:
    read()
    assert read()[0] == {"unchanged": 3}
    assert len(site.seen) == 3 and GuideVersion.objects.count() == 3


def test_a_killed_run_asks_only_for_the_rest(site: Outside) -> None:
    read(Quiet(stop_after=1))
    assert len(site.seen) == 1
    assert read()[0] == {"unchanged": 1, "new": 2}
    assert len(site.seen) == 3


def test_the_next_night_only_what_changed_is_sent_and_stored(site: Outside) -> None:
    def answer(seen: Seen) -> Reply:
        if seen.headers.get("if-none-match") == '"1"':
            return Reply(304, b"", {"ETag": '"1"'})
        return html(guide(f"Guide {seen.query.get('gid')}"), ETag='"1"')

    site.otherwise = answer
    read()
    HttpCopy.objects.update(checked_at=timezone.now() - myanonamouse_pages.FRESH_FOR)
    site.gives("/rules.php", html(guide("Guide None", "Other rules.")))
    assert read()[0] == {"unchanged": 2, "changed": 1}
    assert [seen.headers.get("if-none-match") for seen in site.seen] == [None] * 3 + ['"1"'] * 3
    assert GuideVersion.objects.count() == 4


def test_the_pace_is_kept(site: Outside, settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert myanonamouse_pages.PACE.every >= 10 and myanonamouse_pages.PACE.at_once == 1
    monkeypatch.setattr(myanonamouse_pages, "PACE", Pace(every=0.7, at_once=1))
    site.otherwise = lambda seen: Reply(200, guide("x").encode(), delay=0.1)
    settings.GUIDES_PAGES = [f"/guides/?gid={number}" for number in range(3)]
    began = time.monotonic()
    read()
    # From the beginning, since what a connection takes on a busy machine makes an arrival later and none earlier.
    after = [seen.at - began for seen in site.seen]
    assert len(after) == 3 and all(number * 0.7 - 0.01 <= at < 30 for number, at in enumerate(after)), after


def test_pages_in_one_run_are_bounded_and_the_next_run_goes_on(
    site: Outside, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.GUIDES_PAGES = [f"/guides/?gid={number}" for number in range(5)]
    monkeypatch.setattr(guides, "MOST_PAGES", 2)
    asked = []
    for _ in range(3):
        site.seen.clear()
        read()
        forget_copies()
        asked.append([seen.query["gid"] for seen in site.seen])
    assert asked == [["0", "1"], ["2", "3"], ["4", "0"]]


LOGIN = "<html><body><form method=post action='/takelogin.php'><input name=email></form></body></html>"
ENDINGS: list[tuple[str, Reply, str, bool]] = [
    ("a login page with 200", html(LOGIN), "does not know the browser session", True),
    ("its words with 200", html("<html><body>Error, you are not signed in <br />Other error"), "does not know the browser", True),
    ("a redirect to the login", Reply(302, b"", {"Location": "/login.php?returnto=x"}), "does not know the browser", True),
    ("403 of a firewall", html("<html><h1>403 Forbidden</h1>nginx", 403), "refuses its pages", True),
    ("403 that says so", html("Error, you are not signed in", 403), "does not know the browser session", True),
    ("401", html("", 401), "refuses its pages", True),
    ("429", html("Too many", 429), "asked too often", False),
    ("429 that says how long", html("", 429, Retry_After="3600"), "asked too often", False),
    ("throttled with 200", html("<html><p>Too many requests"), "asked too often", False),
    ("500", html("oops", 500), "out of order", False),
    ("503", html("maintenance", 503, Retry_After="120"), "out of order", False),
    ("an answer that is cut", Reply(200, guide("x").encode(), cut=20), "", False),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "said", "mends"), [each[1:] for each in ENDINGS], ids=[each[0] for each in ENDINGS])
def test_a_refusal_ends_it_at_once_and_is_said(
    site: Outside, caplog: pytest.LogCaptureFixture, reply: Reply, said: str, mends: bool
) -> None:
    site.otherwise = lambda seen: reply
    if mends:
        with pytest.raises(TaskFailed, match=said) as failed:
            read()
        assert "No further page was asked for" in str(failed.value)
    else:
        counts, run = read()
        assert counts == {} and run.items_failed == 1
        assert said in caplog.text and "No further page was asked for" in caplog.text
    assert len(site.seen) == 1 and not Guide.objects.exists() and not HttpCopy.objects.exists()
    assert SESSION not in caplog.text


def test_a_refusal_after_some_pages_is_an_error_in_the_log(site: Outside, caplog: pytest.LogCaptureFixture) -> None:
    site.gives("/guides/", html(guide("One")), html(LOGIN))
    counts, _ = read()
    assert counts == {"new": 1} and len(site.seen) == 2
    assert [record.levelname for record in caplog.records if "does not know" in record.message] == ["ERROR"]


def test_retry_after_holds_for_the_next_run_too(site: Outside) -> None:
    site.otherwise = lambda seen: html("", 429, Retry_After="3600")
    read()
    counts, run = read()
    assert counts == {} and run.items_failed == 1 and len(site.seen) == 1


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (html("<html><body><p>Error: no such guide"), "with an error"), (Reply(302, b"", {"Location": "/g/1"}), "at another address"),
        (Reply(301, b"", {"Location": "http://127.0.0.2:1/x"}), "at another address"), (html("", 404), "no page"), (html("", 410), "no page"),
        (html("<html><script>x</script>"), "cannot be read"), (html('{"error": "x"}'), "no page"), (html(""), "no page"),
        (html("x", 400), "HTTP 400"), (Reply(200, b"\xff\xd8\xff\xe0\0\x10JFIF"), "no page"),
    ],
)  # fmt: skip
def test_what_concerns_one_page_leaves_the_others(
    site: Outside, caplog: pytest.LogCaptureFixture, reply: Reply, said: str
) -> None:
    site.gives("/rules.php", html(guide("Rules")))
    read()
    forget_copies()
    site.seen.clear()
    site.gives("/rules.php", reply)
    counts, run = read()
    assert counts["unchanged"] == 2 and run.items_failed == 1 and len(site.seen) == 3
    assert said in caplog.text
    row = by_place()["/rules.php"]
    assert "Seed for 72 hours." in row.text and row.versions.count() == 1
    assert bool(row.missing_since) == (reply.status in (404, 410)) != bool(row.problem)


def test_no_link_is_followed_and_no_other_host_asked(site: Outside) -> None:
    with Outside() as other:
        site.otherwise = lambda seen: html(guide("x", f"<a href='/guides/?gid=99'>n</a><img src='{other.url}/p.png'>"))
        site.gives("/rules.php", Reply(302, b"", {"Location": f"{other.url}/rules.php"}))
        read()
        assert len(site.seen) == 3 and not other.seen


def test_the_session_goes_to_the_site_alone_and_by_https(settings: LazySettings, site: Outside) -> None:
    settings.GUIDES_PAGES = ["/guides/?gid=1"]
    settings.MAM_URL = "http://www.myanonamouse.invalid"
    with pytest.raises(TaskFailed, match="over https alone"):
        read()
    assert not site.seen


def test_what_the_site_gives_in_place_of_the_session_is_kept_before_the_next_call(site: Outside) -> None:
    given = iter(range(1, 100))
    site.otherwise = lambda seen: html(
        guide("x"), Set_Cookie=f"mam_id=Rotated{next(given)}NobodySees; path=/; HttpOnly"
    )
    read()
    sent = [seen.headers["cookie"] for seen in site.seen]
    assert sent == [f"mam_id={SESSION}", "mam_id=Rotated1NobodySees", "mam_id=Rotated2NobodySees"]
    kept = SourceSession.objects.get()
    assert (kept.source, kept.current) == ("myanonamouse-pages", "Rotated3NobodySees")
    assert SESSION not in kept.seed


def test_a_new_session_that_a_person_pastes_counts(
    site: Outside, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.otherwise = lambda seen: html(guide("x"), Set_Cookie="mam_id=Rotated0; path=/")
    read()
    # Pasted into .env, and read when a process begins.
    settings.MAM_BROWSER_SESSION = "AnotherSession"
    monkeypatch.setattr(registry, "_SETTINGS_READ_AT", timezone.now())
    site.otherwise = lambda seen: html(guide("x"), Set_Cookie="mam_id=Rotated1; path=/")
    for _ in range(2):
        forget_copies()
        read()
    assert [seen.headers["cookie"] for seen in site.seen[3:]] == ["mam_id=AnotherSession"] + ["mam_id=Rotated1"] * 5


def test_the_sessions_for_pages_and_for_programs_are_two(site: Outside, settings: LazySettings) -> None:
    settings.MAM_SESSION = "ProgramSession"
    programs = registry.KeptSession("myanonamouse", settings.MAM_SESSION)
    programs.load()
    programs.save("ProgramRotated", seed=settings.MAM_SESSION)
    site.otherwise = lambda seen: html(guide("x"), Set_Cookie="mam_id=Rotated0; path=/")
    read()
    assert all("Program" not in seen.headers["cookie"] for seen in site.seen)
    assert dict(SourceSession.objects.values_list("source", "current")) == {
        "myanonamouse": "ProgramRotated", "myanonamouse-pages": "Rotated0",
    }  # fmt: skip


@pytest.mark.parametrize("pasted", ["mam_id=", "a b c", ";"])
def test_what_is_no_session_is_said(site: Outside, settings: LazySettings, pasted: str) -> None:
    settings.MAM_BROWSER_SESSION = pasted
    with pytest.raises(TaskFailed):
        read()
    assert not site.seen


@pytest.mark.parametrize(
    "given",
    [
        "guides", "", "//evil.net/x", "https://evil.net/guides/", "http://www.myanonamouse.net/guides/", "/../x", "/logout.php", "/tor/download.php/x",
        "/json/bonusBuy.php", "/takelogin.php", "/x?passkey=abcdef12", f"/x/{KEY}", "/a b", "/é", "javascript:/x", "/" + "x" * 300, "https://[x",
        "/rss.php?uid=1",
    ],
)  # fmt: skip
def test_what_is_no_page_to_read_is_not_asked_for(given: str) -> None:
    with pytest.raises(ValueError) as refused:
        path_of(given)
    assert KEY not in str(refused.value) and "abcdef12" not in str(refused.value)


def test_pages_may_be_listed_by_their_whole_address() -> None:
    given = ["https://www.myanonamouse.net/guides/?gid=1#top", "/guides/?gid=1", "/rules.php", "https://x.net/"]
    paths, problems = listed(given)
    assert paths == ["/guides/?gid=1", "/rules.php"] and len(problems) == 1


def test_the_pages_that_are_listed_by_default_are_pages(settings: LazySettings) -> None:
    paths, problems = listed(settings.GUIDES_PAGES)
    assert len(paths) == 11 and not problems and "/guides/?gid=72809" in paths


def test_a_wrong_page_leaves_the_others(
    site: Outside, settings: LazySettings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.GUIDES_PAGES = ["/logout.php", "/rules.php"]
    assert read()[0] == {"new": 1} and len(site.seen) == 1
    assert "does something" in caplog.text
    settings.GUIDES_PAGES = ["/logout.php"]
    with pytest.raises(TaskFailed, match="does something"):
        read()


def test_wrong_settings_are_said_at_the_start(settings: LazySettings) -> None:
    settings.GUIDES_PAGES, settings.MAM_URL = ["/logout.php", "/rules.php"], "http://www.myanonamouse.net"
    assert check_guides(None) == []
    settings.MAM_BROWSER_SESSION = SESSION
    assert [found.id for found in check_guides(None)] == ["audiobooks.E020", "audiobooks.E021"]
    settings.GUIDES_PAGES, settings.MAM_URL = ["/rules.php"], "http://127.0.0.1:9"
    assert check_guides(None) == []


# -- the task


@pytest.mark.parametrize("crawl_fails", [False, True])
@pytest.mark.parametrize("guides_fail", [False, True])
def test_what_fails_in_one_half_of_the_task_leaves_the_other(
    folder: Path, settings: LazySettings, monkeypatch: pytest.MonkeyPatch, *, crawl_fails: bool, guides_fail: bool
) -> None:
    def new_releases(run: TaskRun) -> None:
        run.result = {"new": 7}
        if crawl_fails:
            raise TaskFailed("The tracker is silent.")

    monkeypatch.setattr(crawl, "new_releases", new_releases)
    (folder / "a.html").write_text(guide("A"))
    if guides_fail:
        settings.GUIDES_FOLDER = folder / "a.html"
    run = TaskRun(task_id=0, attempt=1, channel=Quiet())
    problems = ["The tracker is silent."] * crawl_fails + ["cannot be read"] * guides_fail
    if problems:
        with pytest.raises(TaskFailed, match=".*".join(map(re.escape, problems))):
            mam_scraping_task.function(run)
    else:
        mam_scraping_task.function(run)
    assert run.result == {"new": 7, **({} if guides_fail else {"guides": {"new": 1}})}
    assert Guide.objects.count() == (0 if guides_fail else 1)


def test_a_source_that_fails_leaves_the_guides(folder: Path, settings: LazySettings) -> None:
    (folder / "a.html").write_text(guide("A"))
    settings.SOURCES = ["fiction"]
    settings.TORZNAB_INDEXERS = [{"name": "fiction", "url": "http://127.0.0.1:9/api", "key": "TheKey77"}]
    run = TaskRun(task_id=0, attempt=1, channel=Quiet())
    with pytest.raises(TaskFailed) as failed:
        mam_scraping_task.function(run)
    assert "TheKey77" not in str(failed.value)
    assert run.result["guides"] == {"new": 1} and run.result["new"] == 0


@pytest.mark.parametrize("fails", [False, True])
def test_a_stop_between_the_halves_ends_it_and_loses_no_problem(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    (folder / "a.html").write_text(guide("A"))
    channel = Quiet()

    def new_releases(run: TaskRun) -> None:
        channel.stop_after = 0
        if fails:
            raise TaskFailed("The tracker is silent.")

    monkeypatch.setattr(crawl, "new_releases", new_releases)
    run = TaskRun(task_id=0, attempt=1, channel=channel)
    if fails:
        with pytest.raises(TaskFailed, match="silent"):
            mam_scraping_task.function(run)
    else:
        mam_scraping_task.function(run)
    assert not Guide.objects.exists()


# -- secrets


@pytest.mark.parametrize("reply", [None, *(each[1] for each in ENDINGS)], ids=["well", *(each[0] for each in ENDINGS)])
def test_secrets_are_shown_nowhere(
    site: Outside, folder: Path, settings: LazySettings, caplog: pytest.LogCaptureFixture, reply: Reply | None
) -> None:
    settings.GUIDES_FOLDER = folder
    assert SESSION in scheduling_settings().SECRETS
    page = guide("Mine", f"""passkey={KEY} {SESSION} <a href="https://t.x.net/{KEY}/announce">a</a> mam_id=Rotated1NobodySees
        https://x.net/rss.php?user=alice&amp;passkey=keyNobodySees1 Rotated1NobodySees""")  # fmt: skip
    (folder / "mine.html").write_text(page.replace("Rotated1NobodySees", SESSION))
    for name in ("audiobooks", "scheduling", "httpx", "task"):
        caplog.set_level(logging.DEBUG, name)

    def answer(seen: Seen) -> Reply:
        if reply is None or not reply.body:
            return html(page, Set_Cookie="mam_id=Rotated1NobodySees")
        return Reply(
            reply.status,
            reply.body + page.encode(),
            {**reply.headers, "Set-Cookie": "mam_id=Rotated1NobodySees"},
            cut=reply.cut,
        )

    site.otherwise = answer
    shown: list[str] = []
    try:
        counts, run = read()
        shown += [str(counts), repr(run.result), run.text]
    except TaskFailed as error:
        shown += [str(error), repr(error), repr(error.__context__), repr(error.__cause__)]
    for model in (Guide, GuideVersion):
        shown += [str(row) for row in model.objects.values()]
    assert Guide.objects.exists()
    shown += [caplog.text, *(str(record.__dict__) for record in caplog.records)]
    shown += [host.last_error for host in Host.objects.all()]
    shown += [str(copy.url) + (copy.content() or b"").decode() for copy in HttpCopy.objects.all()]
    assert caplog.records
    found = re.findall(rf"\w*NobodySees\w*|{KEY}|alice", "\n".join(shown))
    assert not found
