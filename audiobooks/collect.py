"""From approval to shelf: each acquisition is taken as far as it goes, one step after the other.

A step is done again where a process died in it, and comes to the same: the info hash is kept before the client is given
the torrent, the client has it once, parts are taken up where they broke off, and a place on the shelf is kept before it
is written to. What cannot go on by itself is one line for a person, with its cause.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import stat
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from scheduling.context import TaskRun, each_on_its_own
from scheduling.exceptions import NotAllowedNow
from scheduling.outcomes import storable

from . import budget, recordings, shelf
from .acquire import (
    UNWANTED,
    State,
    begin_anew,
    drop_unwanted,
    is_owned,
    move,
    narrators_wanted,
    next_candidate,
    refresh_accounts,
    release_of,
    unwanted,
    wanted_of,
)
from .clients import over_http
from .clients.base import Download, Phase, TorrentClient
from .clients.registry import torrent_client
from .exceptions import ClientError, Gone, LibraryError, OtherContent, Refused, ServiceError, TorrentRefused
from .facts import BookFacts
from .fields import facts_of
from .http import Doorway
from .ledger import GB, Unreadable, silence_of
from .library.base import LibraryUnavailable
from .library.folder import is_hidden
from .matching.profile import Verdict
from .models import Acquisition, Book, FetchingStop, LibraryFile, Release, ServiceState, with_names
from .placing import PlacingError, below, forget, place, shelf_files
from .scan import scan_place
from .services import configured_by
from .shelf_path import target_for
from .sources import registry
from .sources.base import RemoteFile
from .torrents import BadTorrent, hash_of_magnet, read_torrent

T = TypeVar("T")
CLIENT = "client:"
"""How the names of their ServiceStates begin."""
HTTP = over_http.NAME
FOR_TRANSFERS = 240.0
"""Seconds of a run in which files are fetched by HTTP: the next goes on where this one breaks off."""
FOR_CHECK = 600.0
"""Seconds that the files of one may be played; what takes longer is tried again behind the others."""
KEPT_DAYS = 30
"""For which files are kept that did not come into the library."""
UNSEEN_FOR = timedelta(days=7)
"""For which that stays reserved which was given up and may run on in a client that is not set any more."""
DEADLINES = {
    State.APPROVED: timedelta(days=1),
    State.FETCHING: timedelta(days=3),
    State.FETCHED: timedelta(hours=6),
    State.CHECKED: timedelta(hours=6),
}
"""After which a state is stuck; of downloading, without a byte."""
# No larger than a key may be.
_NUMBERED = re.compile(r".+-[0-9]{1,18}")


class Waits(Exception):
    """Nothing can be done of it in this run; the message says why."""


class Moved(Exception):
    """It is in another state by now, which is seen to."""


class NeedsAPerson(Exception):
    """It goes on once a person has seen to what the message says."""


@dataclass
class Monitor:
    """One look at all that is open."""

    run: TaskRun
    http: Doorway = field(default_factory=Doorway)
    client: TorrentClient | None = None
    downloads: Mapping[str, Download] = field(default_factory=dict)
    client_error: ClientError | None = None
    until: float = field(default_factory=lambda: time.monotonic() + FOR_TRANSFERS)
    counts: Counter[str] = field(default_factory=Counter)


def monitor(run: TaskRun) -> None:
    """Take each acquisition as far as it goes; `run.result` tells how many went where."""
    budget.forget_accounts_of_the_future(timezone.now())
    look = Monitor(run, client=torrent_client())
    run.result = look.counts
    drop_unwanted()
    # So that who approves something need not wait for it.
    accounts = partial(refresh_accounts, run, look.http, Acquisition.objects.filter(state__in=Acquisition.OPEN))
    each_on_its_own([accounts, *(partial(step, look) for step in (_advance_all, _settle, _clear))])


def _advance_all(look: Monitor) -> None:
    _ask_client(look)
    rows = Acquisition.objects.filter(state__in=Acquisition.RESERVING)
    # What is nearly on the shelf first, then what is fetched here, which takes long, and last what took too long to check.
    order = [State.CHECKED, State.FETCHED, State.FETCHING, State.APPROVED]
    due = sorted(
        rows.values_list("pk", "state", "client", "check_result__unended"),
        key=lambda row: (bool(row[3]), row[2] == HTTP, order.index(State(row[1])), row[0]),
    )
    look.run.progress(total=len(due))
    each_on_its_own(partial(_advance, look, pk) for pk, *_ in due)


def _ask_client(look: Monitor) -> None:
    if look.client is None:
        return
    fetching = Acquisition.objects.filter(state=State.FETCHING, client=look.client.name)
    if hashes := set(fetching.values_list("hash", flat=True)):
        try:
            look.downloads = _with_client(look, lambda client: client.downloads(hashes))
        except ClientError as error:
            look.run.warning("%s", error)


def _settle(look: Monitor) -> None:
    """Of what was given up, and runs on in the client until it is removed there or has all: that ends its reservation.

    So does UNSEEN_FOR in which its client was not the one that is asked: what it spends is seen elsewhere by then.
    """
    if look.run.should_stop:
        return
    now = timezone.now()
    long_ago = now - UNSEEN_FOR
    unseen = budget.running_on().exclude(client__in=_present(look)).filter(state_since__lt=long_ago)
    for row in unseen.exclude(progress_at__gte=long_ago):
        named = row.client or "the download client"
        budget.settled(
            row,
            f"Nothing is reserved for it any more: {named} is not the client that .env sets, so that nobody knows whether "
            f"{named} still downloads it.",
        )
    running = budget.running_on().filter(client__in=_present(look))
    hashes = {row.hash for row in running}
    if not hashes:
        return
    try:
        downloads = _with_client(look, lambda client: client.downloads(hashes))
    except ClientError:
        # It has been told of.
        return
    for row in running:
        if row.hash not in downloads or (downloads[row.hash].size and downloads[row.hash].left == 0):
            budget.settled(row)
    running.update(progress_at=now)


def _present(look: Monitor) -> tuple[str, ...]:
    """What `client` is of what the present client has or may have: a process may have died before it was kept."""
    return () if look.client is None else ("", look.client.name)


def _with_client(look: Monitor, question: Callable[[TorrentClient], T]) -> T:
    """Ask the client, unless it has failed in this run, or is left alone since a password was refused: it locks us out
    after a few of those.

    Raises:
        ClientError
    """
    assert look.client is not None
    if look.client_error is not None:
        raise look.client_error
    name, configured = f"{CLIENT}{look.client.name}", _configured(look.client)
    state = ServiceState.objects.of(name, configured)
    if state is not None and state.is_off:
        look.client_error = ClientError(state.last_error, permanent=True)
        raise look.client_error
    try:
        answer = question(look.client)
    except TorrentRefused:
        raise
    except ClientError as error:
        look.client_error = error
        ServiceState.objects.record_failure(name, configured, error)
        raise
    if state is not None and state.consecutive_failures:
        ServiceState.objects.record_success(name, configured)
    return answer


def _configured(client: TorrentClient) -> str:
    values = (getattr(settings, f"{client.name.upper()}_{part}") for part in ("URL", "USER", "PASSWORD"))
    return configured_by("clients", (client.name, *values))


def ask_clients_again() -> None:
    """In the next run, whatever they answered: a person says that it was seen to."""
    ServiceState.objects.filter(name__startswith=CLIENT).update(off_until=None)


def check_again(row: Acquisition) -> None:
    """In the next run, what its check doubts: a person may have written meanwhile what is wanted."""
    if row.check_result:
        again = {**row.check_result, "of": ""}
        Acquisition.objects.filter(pk=row.pk, state=State.FETCHED).update(check_result=again)


def _advance(look: Monitor, pk: int) -> None:
    if look.run.should_stop:
        return
    with contextlib.ExitStack() as at_its_end:
        at_its_end.callback(lambda: look.run.progress(look.run.processed + 1))
        at_its_end.push(partial(_tell_what_tripped, look, pk))
        _go_on(look, pk)


def _tell_what_tripped(look: Monitor, pk: int, _: object, error: BaseException | None, __: object) -> None:
    """What no step foresees ends the Task, which has the traceback, when the others were seen to; the row says so, too."""
    if isinstance(error, Exception):
        look.counts["need you"] += 1
        look.run.failed()
        _needs_you(
            Acquisition.objects.get(pk=pk),
            f"This program tripped over it ({type(error).__name__}); the Task that failed says where. It is tried again in "
            "each run. Give it up, or take the next candidate.",
        )


def _go_on(look: Monitor, pk: int) -> None:
    """Step after step, until one waits."""
    while not look.run.should_stop:
        row = Acquisition.objects.select_related("work").get(pk=pk)
        before, step = row.state, _STEPS.get(row.state)
        if step is None:
            look.counts[row.state] += 1
            return
        look.run.progress(text=f"{row.get_state_display()}: {row.why or row.name}")
        try:
            step(look, row)
        except Moved:
            pass
        except NotAllowedNow as why:
            # A person decided otherwise meanwhile.
            look.run.log("%s: %s", row.name, why)
            return
        except Waits as why:
            look.counts["waiting"] += 1
            look.run.log("%s: %s", row.name, why)
            _mark_overdue(row, str(why))
            return
        except NeedsAPerson as why:
            look.counts["need you"] += 1
            look.run.failed()
            _needs_you(row, str(why))
            return
        if before == Acquisition.objects.values_list("state", flat=True).get(pk=pk):
            return


def _needs_you(row: Acquisition, why: str) -> None:
    """Since when it does is kept while the cause is the same."""
    # It may name a file, whose name need be no UTF-8.
    why = storable(why)
    if row.problem != why:
        Acquisition.objects.filter(pk=row.pk, state=row.state).update(problem=why, problem_since=timezone.now())
        row.problem = why


def _mark_overdue(row: Acquisition, why: str) -> None:
    since = (row.progress_at or row.state_since) if row.state == State.FETCHING else row.state_since
    if timezone.now() - since > DEADLINES[State(row.state)]:
        _needs_you(row, f"It is stuck since {since:%d %b %Y %H:%M} UTC. {why}")
    elif row.problem:
        Acquisition.objects.filter(pk=row.pk, state=row.state).update(problem="", problem_since=None)
        row.problem = ""


# --- approved -> downloading ------------------------------------------------------------------------------------------


def _hand_over(look: Monitor, row: Acquisition) -> None:
    if FetchingStop.objects.filter(ended_at=None).exists():
        raise Waits("All fetching is stopped by a person.")
    if unwanted(Acquisition.objects.filter(pk=row.pk)).exists():
        move(row, State.CANCELLED, UNWANTED)
        return
    if is_owned(row):
        move(row, State.CANCELLED, "The library has it by now; nothing was fetched.")
        return
    if row.source not in registry.turned_on():
        raise NeedsAPerson(f"The source {row.source} is not turned on any more. Turn it on in .env, or decline this.")
    source = registry.source(row.source)
    if source.by_torrent:
        # Before the source is asked for a torrent, which it may count as fetched.
        _is_ready(look)
        _has_room(look, row.hash, row.size)
    try:
        release = release_of(row)
    except Release.DoesNotExist:
        next_candidate(row, State.FAILED, "The release is not known any more.")
        return
    now = _asked(look, row, lambda http: source.look_again(http, release))
    if now is None:
        next_candidate(row, State.FAILED, f"{source.label} has this release no more.")
        return
    if now.counts and not row.counts:
        _propose_again(row, silence_of(row.source), counts=True, free=now.free)
        return
    if row.counts and row.free and not now.free:
        _propose_again(row, "It is not free any more: to fetch it would count against your ratio.", free=now.free)
        return
    _reserve(row, size=now.size if now.size is not None else row.size, free=now.free)
    content = _asked(look, row, lambda http: source.content(http, now))
    if isinstance(content, tuple):
        _take_parts(row, content)
    else:
        _give_to_client(look, row, content)


def _reserve(row: Acquisition, *, size: int | None, free: bool | None, **kept: Any) -> None:
    """Reserve what it is now known to take; where there is no room for that any more, it is to be approved again.

    Raises:
        Waits: what the account allows has to be read first, or fetching is stopped.
        Moved: there is no room.
        NeedsAPerson: what room a disk has is not known.
        NotAllowedNow: it is not approved any more.
    """
    refusals = budget.recheck(row.pk, size=size, free=free, **kept)
    if not refusals:
        row.size, row.free = size, free
    elif unreadable := [each for each in refusals if isinstance(each, Unreadable)]:
        raise NeedsAPerson(" ".join(unreadable))
    elif all(each.transient for each in refusals):
        raise Waits(" ".join(refusals))
    else:
        _propose_again(row, f"The budget has no room for it any more. {' '.join(refusals)}", size=size, free=free)
        raise Moved


def _is_ready(look: Monitor) -> None:
    if look.client is None:
        raise NeedsAPerson(
            "No download client is set. Set QBITTORRENT_URL or TRANSMISSION_URL in .env, which says how."
        )
    try:
        _with_client(look, lambda client: client.version())
    except ClientError as error:
        _raise(error)


def _raise(error: ServiceError) -> None:
    raise NeedsAPerson(str(error)) if error.permanent else Waits(str(error))


def _asked(look: Monitor, row: Acquisition, question: Callable[[Doorway], Any]) -> Any:
    """Raises:
    Moved: it is gone for good, or not given.
    Waits, NeedsAPerson: it is not answered.
    """
    outcome = registry.ask(look.http, registry.source(row.source), question)
    error = outcome.error
    if error is None:
        return outcome.answer
    if isinstance(error, Gone):
        next_candidate(row, State.FAILED, str(error))
        raise Moved
    if isinstance(error, Refused):
        _propose_again(row, str(error))
        raise Moved
    _raise(error)


def _propose_again(row: Acquisition, why: str, **values: Any) -> None:
    """What was approved is not what is offered: this reservation ends, and no rule approves it anew."""
    begin_anew(row, why, verdict=Verdict.DOUBTFUL, reasons=[storable(why), *row.reasons], **values)


def _take_parts(row: Acquisition, parts: tuple[RemoteFile, ...]) -> None:
    if not parts:
        next_candidate(row, State.FAILED, "It has no files of a format that is wanted.")
        return
    sizes = [part.size for part in parts if part.size is not None]
    size = sum(sizes) if len(sizes) == len(parts) else row.size
    _reserve(row, size=size, free=row.free, parts=[vars_of(part) for part in parts])
    now = timezone.now()
    move(row, State.FETCHING, f"{len(parts)} files are fetched by HTTP.", client=HTTP, handed_at=now, progress_at=now)


def vars_of(part: RemoteFile) -> dict[str, Any]:
    return {"name": part.name, "url": part.url, "size": part.size, "md5": part.md5, "sha1": part.sha1}


def _give_to_client(look: Monitor, row: Acquisition, content: bytes | str) -> None:
    assert look.client is not None
    size: int | None
    try:
        if isinstance(content, bytes):
            torrent = read_torrent(content)
            if torrent.hostile:
                next_candidate(row, State.FAILED, f"The torrent is not safe: {torrent.hostile[0]}")
                return
            if torrent.private and not row.counts:
                # Not all indexers say of a tracker that it counts, yet its torrents have to.
                _propose_again(row, silence_of(row.source), counts=True)
                return
            own, size = torrent.hash, torrent.size
            parts = [{"name": "/".join(each.path), "size": each.size} for each in torrent.files]
        else:
            own, size, parts = hash_of_magnet(content), row.size, []
    except BadTorrent as error:
        next_candidate(row, State.FAILED, str(error))
        return
    _has_room(look, own, size)
    # Kept before it is handed over: a process that dies in between finds the torrent by it, and it counts from here on.
    _reserve(row, size=size, free=row.free, hash=own, parts=parts)
    row.hash = own
    try:
        _with_client(look, lambda client: client.add(content, own))
    except TorrentRefused as error:
        next_candidate(row, State.FAILED, str(error))
        return
    except ClientError as error:
        _raise(error)
    now = timezone.now()
    move(
        row, State.FETCHING, f"Handed to {look.client.label}.", client=look.client.name, handed_at=now, progress_at=now
    )


def _has_room(look: Monitor, own: str, size: int | None) -> None:
    """Where the client saves, which may be another disk than that of AUDIOBOOKS_DOWNLOADS, beside what else it has to fetch.

    Raises:
        Waits: it would leave less than is kept free.
    """
    try:
        free = _with_client(look, lambda client: client.free_space())
    except ClientError as error:
        _raise(error)
    coming = Acquisition.objects.filter(fetched_at=None, hash__gt="", client__in=_present(look)).exclude(hash=own)
    left = sum(max((each or 0) - fetched, 0) for each, fetched in coming.values_list("size", "fetched"))
    if free is not None and free - left - (size or 0) < settings.BUDGET_FREE_GB * GB:
        raise Waits("The disk that the download client saves on has no room for it.")


# --- downloading -> downloaded ----------------------------------------------------------------------------------------


def _look_at_download(look: Monitor, row: Acquisition) -> None:
    if row.client == HTTP:
        _fetch_parts(look, row)
        return
    client = look.client
    if client is None or client.name != row.client:
        raise NeedsAPerson(
            f"It was handed to {row.client}, which .env names no more. Set it again, or give this up; what it "
            f"takes stays reserved for {UNSEEN_FOR.days} days then."
        )
    download = look.downloads.get(row.hash)
    if download is None:
        # Handed over in this very run.
        try:
            download = _with_client(look, lambda client: client.downloads([row.hash])).get(row.hash)
        except ClientError as error:
            _raise(error)
    if download is None:
        raise NeedsAPerson(
            f"{client.label} has the torrent no more: somebody removed it there. Fetch it again, or give it up."
        )
    _keep_progress(row, download)
    if download.phase not in (Phase.DONE, Phase.FAILED):
        _may_go_on(row, f"Stop it in {client.label}")
    match download.phase:
        case Phase.DONE:
            _is_downloaded(row, download, client)
        case Phase.FAILED:
            raise NeedsAPerson(f"{client.label} says: {download.error or 'it failed'}")
        case Phase.STOPPED:
            raise Waits(f"It is stopped in {client.label}.")
        case Phase.BUSY:
            raise Waits(f"{client.label} checks or moves its files.")
        case Phase.RUNNING:
            seeds = "no peer has all of it" if download.seeds == 0 else "downloading"
            raise Waits(f"{seeds}. {download.error}".strip())


def _keep_progress(row: Acquisition, download: Download) -> None:
    if download.size is None or download.left is None:
        return
    there = max(download.size - download.left, 0)
    if there > row.fetched:
        Acquisition.objects.filter(pk=row.pk).update(fetched=there, progress_at=timezone.now())
        row.fetched, row.progress_at = there, timezone.now()
    # A client that leaves padding out has less.
    if row.size is None or download.size > row.size:
        budget.grown(row, download.size)


def _may_go_on(row: Acquisition, otherwise: str) -> None:
    """Raises:
    NeedsAPerson: it has grown, and there is no room for that.
    """
    if broken := "; ".join(figure.label for figure in budget.overdrawn(row)):
        raise NeedsAPerson(
            f"It is larger than it was said to be, and breaks a limit by that ({broken}). {otherwise}, or make room."
        )


def _is_downloaded(row: Acquisition, download: Download, client: TorrentClient) -> None:
    if download.is_loose:
        raise NeedsAPerson(
            f"It is downloaded, and its files lie loose in {client.label}'s folder of all downloads, {download.client_path}. "
            "Remove it there, and propose it again: it is then fetched into a folder of its own."
        )
    if download.path is None or not _is_there(download.path):
        raise NeedsAPerson(
            f"It is downloaded, and cannot be seen from here: {client.label} has it at {download.client_path}. "
            "Say in DOWNLOAD_PATHS in .env where that is for this program."
        )
    move(row, State.FETCHED, f"Downloaded by {client.label}.", content=str(download.path), fetched_at=timezone.now())


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # Its folder is closed to us.
        return False


def folder_of(row: Acquisition) -> Path:
    """Of what is fetched by HTTP."""
    return Path(settings.AUDIOBOOKS_DOWNLOADS) / f"{row.source}-{row.pk}"


def _clear(look: Monitor) -> None:
    """Remove what was fetched by HTTP and is in the library, and after KEPT_DAYS what came to nothing."""
    library = Path(settings.AUDIOBOOKS_LIBRARY)
    # What was begun to be placed, and came to nothing.
    begun = Acquisition.objects.exclude(state__in=(*Acquisition.OPEN, State.IMPORTED)).exclude(target="")
    # Of a disk that is away nothing is gone.
    with contextlib.suppress(NeedsAPerson):
        _is_mounted(library)
        for row in begun:
            if forget(Path(row.content), library, row.target):
                Acquisition.objects.filter(pk=row.pk).update(target="")
    downloads = Path(settings.AUDIOBOOKS_DOWNLOADS)
    try:
        if not downloads.is_dir():
            return
        # The folder may be the torrent client's as well.
        folders = {
            each.name: each
            for each in downloads.iterdir()
            if _NUMBERED.fullmatch(each.name) and not each.is_symlink() and over_http.is_ours(each)
        }
    except OSError as error:
        look.run.warning("%s cannot be looked into: %s", downloads, error)
        return
    keys = [int(name.rpartition("-")[2]) for name in folders]
    old = timezone.now() - timedelta(days=KEPT_DAYS)
    over = Q(state=State.IMPORTED) | (~Q(state__in=Acquisition.OPEN) & Q(state_since__lt=old))
    for row in Acquisition.objects.filter(over, pk__in=keys, client=HTTP):
        # Of another name, it is not ours.
        if (folder := folders.get(folder_of(row).name)) is not None:
            try:
                shutil.rmtree(folder)
            except OSError as error:
                look.run.warning("%s could not be removed: %s", folder, error)


def _fetch_parts(look: Monitor, row: Acquisition) -> None:
    if FetchingStop.objects.filter(ended_at=None).exists():
        raise Waits("All fetching is stopped by a person.")
    _may_go_on(row, "Give it up")
    parts = [RemoteFile(**each) for each in row.parts]

    looked_at = 0.0

    def stop_wanted() -> bool:
        nonlocal looked_at
        if look.run.should_stop or time.monotonic() > look.until:
            return True
        if time.monotonic() - looked_at < 1:
            return False
        looked_at = time.monotonic()
        is_stopped = FetchingStop.objects.filter(ended_at=None).exists() or bool(budget.overdrawn(row))
        return is_stopped or not Acquisition.objects.filter(pk=row.pk, state=State.FETCHING).exists()

    def keep(there: int) -> None:
        Acquisition.objects.filter(pk=row.pk).update(fetched=there, progress_at=timezone.now())
        if row.size is None or there > row.size:
            budget.grown(row, there)

    try:
        is_done = over_http.fetch(
            look.http,
            parts,
            folder_of(row),
            should_stop=stop_wanted,
            progress=keep,
        )
    except (Gone, OtherContent) as error:
        next_candidate(row, State.FAILED, str(error))
        return
    except ServiceError as error:
        _raise(error)
    if not is_done:
        _may_go_on(row, "Give it up")
        raise Waits("The next run goes on with it.")
    move(row, State.FETCHED, "Downloaded.", content=str(folder_of(row)), fetched_at=timezone.now(), fetched=F("size"))


# --- downloaded -> checked --------------------------------------------------------------------------------------------


def _check(look: Monitor, row: Acquisition) -> None:
    if row.check_result.get("of") == row.content and row.check_result["verdict"] == recordings.Verdict.DOUBTFUL:
        # It has been played, and is as it was.
        raise NeedsAPerson(_doubts(row.check_result["problems"]))
    if row.check_result.get("unended"):
        # The run that tried it may have been killed.
        _mark_overdue(row, _UNENDED)
    _follow(look, row)
    book = _book(row)
    wanted = recordings.Wanted(
        facts=wanted_of(book),
        runtimes=_runtimes(row),
        narrators=narrators_wanted(book),
        languages=tuple(settings.RELEASE_LANGUAGES),
        unabridged=settings.RELEASE_UNABRIDGED,
        release=row.name,
    )
    content, files, expected = _files_of(row)
    begun = {**row.check_result, "of": "", "unended": True}
    Acquisition.objects.filter(pk=row.pk).update(check_result=begun)
    until = time.monotonic() + FOR_CHECK
    try:
        check = recordings.check(
            content,
            wanted,
            expected=expected,
            only=files,
            should_stop=lambda: look.run.should_stop or time.monotonic() > until,
        )
    except recordings.Unended:
        raise Waits(_UNENDED) from None
    except OSError as error:
        Acquisition.objects.filter(pk=row.pk).update(check_result={})
        raise NeedsAPerson(f"What was downloaded cannot be looked at: {error}") from None
    result = {**check.as_json(), "of": row.content}
    Acquisition.objects.filter(pk=row.pk).update(check_result=result)
    said = " ".join(problem.sentence for problem in check.problems)
    match check.verdict:
        case recordings.Verdict.OK:
            move(row, State.CHECKED, f"Checked: {len(check.files)} files play.")
        case recordings.Verdict.WRONG:
            following = next_candidate(row, State.QUARANTINED, f"Wrong recording. {said}")
            look.run.warning("%s: wrong recording. %s", row.name, said)
            if following is not None:
                look.run.log("Proposed instead: %s", following.name)
        case recordings.Verdict.DOUBTFUL:
            raise NeedsAPerson(_doubts(result["problems"]))


_UNENDED = "Its check has not come to an end. Is its disk slow? It is tried again, and can be taken as it is."


def _doubts(problems: list[dict[str, Any]]) -> str:
    return f"It may be the wrong recording. {' '.join(each['sentence'] for each in problems)}"


def _follow(look: Monitor, row: Acquisition) -> None:
    """Where the client has moved it since it was downloaded; what its check found goes on to hold.

    Raises:
        Waits, NeedsAPerson: the client does not answer.
    """
    if look.client is None or look.client.name != row.client or _is_there(Path(row.content)):
        return
    try:
        download = _with_client(look, lambda client: client.downloads([row.hash])).get(row.hash)
    except ClientError as error:
        _raise(error)
    if download is None or download.phase != Phase.DONE or download.path is None or not _is_there(download.path):
        return
    row.content = str(download.path)
    if row.check_result.get("of"):
        row.check_result = {**row.check_result, "of": row.content}
    Acquisition.objects.filter(pk=row.pk, state=row.state).update(content=row.content, check_result=row.check_result)


def _book(row: Acquisition) -> Book:
    books = Book.objects.filter(pk=row.book_id) if row.book_id else Book.objects.filter(work=row.work_id)
    book = with_names(books).order_by("pk").first()
    if book is None:
        raise NeedsAPerson("The book that was wanted is not known any more. Give it up.")
    return book


def _runtimes(row: Acquisition) -> tuple[int, ...]:
    """Seconds, of the whole recordings of the work that are known."""
    known = Book.objects.filter(work=row.work_id, runtime__isnull=False).exclude(abridged=True).order_by("pk")
    return tuple(round(runtime.total_seconds()) for runtime in known.values_list("runtime", flat=True) if runtime)


def _files_of(
    row: Acquisition,
) -> tuple[Path, list[PurePosixPath] | None, list[recordings.ExpectedFile]]:
    """Where its files lie; which those are below that, None where that is not known; and what there should be.

    Torrents of one folder's name share that folder. A client may give a file another name than the torrent has, so one that
    is not there is looked for by its size. What is hidden is none of a recording, in the folder as in the list.

    Raises:
        NeedsAPerson: it is not there, or cannot be looked into.
    """
    content = Path(row.content)
    try:
        is_file = stat.S_ISREG(content.lstat().st_mode)
        there = {} if is_file else {each: (content / each).lstat().st_size for each in below(content)}
    except (OSError, PlacingError) as error:
        raise NeedsAPerson(f"What was downloaded cannot be looked at: {error}") from None
    named = _named(row)
    if not named:
        return content, None, []
    if is_file:
        # Of a torrent of one file the client names that, whatever folders it lies in.
        ((_, size), *_) = named
        name = PurePosixPath(content.name)
        return content, [name], [recordings.ExpectedFile(path=str(name), size=size)]
    named = [(path, size) for path, size in named if not any(map(is_hidden, path.parts))]
    # Those of one size and ending under other names are taken in order, where there are as many as are sought.
    left, sought = dict(there), Counter[tuple[int | None, str]]()
    for path, size in named:
        if left.pop(path, None) is None:
            sought[size, path.suffix.lower()] += 1
    alike = {
        kind: iter(like)
        for kind, number in sought.items()
        if len(like := sorted(path for path, size in left.items() if (size, path.suffix.lower()) == kind)) == number
    }
    found, expected = [], []
    for path, size in named:
        at = path if path in there else next(alike.get((size, path.suffix.lower()), iter(())), None)
        found += [at] if at else []
        expected.append(recordings.ExpectedFile(path=str(at or path), size=size))
    return content, found, expected


def _named(row: Acquisition) -> list[tuple[PurePosixPath, int | None]]:
    """Path below the content, and bytes, as the torrent or the source has them."""
    if row.client == HTTP:
        paths = over_http.paths([RemoteFile(**each) for each in row.parts])
    else:
        # A torrent of a folder names it; one of a single file names the file.
        whole = [PurePosixPath(each["name"]) for each in row.parts]
        paths = [path if len(path.parts) == 1 else path.relative_to(path.parts[0]) for path in whole]
    return [(path, each["size"]) for path, each in zip(paths, row.parts, strict=True)]


# --- checked -> in the library ----------------------------------------------------------------------------------------


def _import(look: Monitor, row: Acquisition) -> None:
    if is_owned(row):
        move(row, State.CANCELLED, "The library has it by now: what was downloaded stays where it is.")
        return
    book = _book(row)
    library = Path(settings.AUDIOBOOKS_LIBRARY)
    _is_mounted(library)
    _follow(look, row)
    content, files, _ = _files_of(row)
    if not row.target:
        target = target_for(settings.SHELF_PATH, _on_the_shelf(book, row))
        # Kept before it is written to, so that who goes on after a kill goes on with the same.
        Acquisition.objects.filter(pk=row.pk, target="").update(target=target)
        row.target = target
    try:
        wanted = shelf_files(content, only=files)
        placed = place(content, wanted, library, row.target, keep_free=int(settings.BUDGET_FREE_GB * GB))
    except PlacingError as error:
        raise NeedsAPerson(str(error)) from None
    except OSError as error:
        raise NeedsAPerson(f"What was downloaded cannot be looked at: {error}") from None
    try:
        owner = scan_place(look.run, root=library, place=placed.target, book=book.pk)
    except LibraryUnavailable as error:
        raise NeedsAPerson(str(error)) from None
    if owner is None:
        raise NeedsAPerson(f"It is in the library at {placed.target}, and its files cannot be read there.")
    links = sum(file.is_link for file in placed.files)
    how = "linked" if links == len(placed.files) else "copied" if not links else "partly copied"
    text = f"In the library at {placed.target}: {len(placed.files)} files, {how}."
    move(row, State.IMPORTED, text, target=placed.target, book=owner)
    look.run.succeeded()
    look.run.log("%s", text)
    try:
        shelf.tell_to_scan()
    except LibraryError as error:
        look.run.warning("Audiobookshelf was not told: %s", error)


def _is_mounted(library: Path) -> None:
    """Raises:
    NeedsAPerson: the folder is empty, and held files: a scan would take what is put there now for all there is.
    """
    try:
        is_empty = not any(not each.name.startswith(".") for each in library.iterdir())
    except OSError as error:
        raise NeedsAPerson(f"The library's folder cannot be looked into: {error}.") from None
    if is_empty and LibraryFile.objects.filter(missing_since=None).exists():
        raise NeedsAPerson(f"{library} is empty, and held books: is its disk not mounted? Nothing was put there.")


def _on_the_shelf(book: Book, row: Acquisition) -> BookFacts:
    """The work, with the reader and the ASIN that the release itself names: those that are known may be of another recording."""
    release = Release.objects.filter(source=row.source, key=row.key).only("facts").first()
    said = BookFacts.from_json(release.facts) if release else BookFacts()
    return replace(facts_of(book), narrators=said.narrators, asin=said.asin)


_STEPS: dict[str, Callable[[Monitor, Acquisition], None]] = {
    State.APPROVED: _hand_over,
    State.FETCHING: _look_at_download,
    State.FETCHED: _check,
    State.CHECKED: _import,
}
