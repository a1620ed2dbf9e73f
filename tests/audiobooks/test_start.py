"""`manage.py start`: its address, its children, and that they never outlive it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from scheduling.models import SchedulerProcess, Task
from tests.audiobooks.test_wsgi import answers
from tests.ports import free_port
from tests.scheduling.jobs import make_job
from tests.scheduling.processes import ROOT, wait_until


@pytest.mark.parametrize(
    "bind",
    [
        "localhost",
        "8000",
        ":8000",
        "127.0.0.1:99999",
        "127.0.0.1:0",
        "::1:8000",
        "[::1]",
        "http://a:80",
        "a:b",
        "a..b:80",
        "",
    ],
)
def test_an_address_that_is_none_is_said_in_a_sentence(bind: str) -> None:
    with pytest.raises(CommandError, match=r"such as 127\.0\.0\.1:8000"):
        call_command("start", "--check", bind=bind)


@pytest.mark.parametrize("bind", ["127.0.0.1:{}", "localhost:{}", "[::1]:{}"])
def test_a_taken_address_is_said_in_a_sentence(bind: str) -> None:
    family = socket.AF_INET6 if bind.startswith("[") else socket.AF_INET
    with socket.socket(family) as other:
        try:
            other.bind(("::1" if bind.startswith("[") else "127.0.0.1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        bind = bind.format(other.getsockname()[1])
        other.listen()
        with pytest.raises(CommandError, match=r"Is it running already\? WEB_BIND"):
            call_command("start", "--check", bind=bind)
    call_command("start", "--check", bind=bind)


def test_a_host_that_is_not_here_is_said_in_a_sentence() -> None:
    with pytest.raises(CommandError, match="cannot be used"):
        call_command("start", "--check", bind="192.0.2.1:8000")
    with pytest.raises(CommandError, match="cannot be used"):
        call_command("start", "--check", bind="no-such-host.invalid:8000")


def test_web_bind_is_the_address(process_env: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "start", "--check"],
        cwd=ROOT,
        env={**process_env, "WEB_BIND": "192.0.2.1:8123"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: The address 192.0.2.1:8123 cannot be used")


def descendants(pid: int) -> list[int]:
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return children + [below for child in children for below in descendants(child)]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Start:
    """`manage.py start` as a process."""

    def __init__(self, environment: dict[str, str], folder: Path, *before: str) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        with (folder / "start.log").open("wb") as output:
            self.process = subprocess.Popen(
                [*before, sys.executable, "manage.py", "start", "--bind", self.address],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.below: list[int] = []

    def wait_until_up(self, *, schedulers: int = 1) -> None:
        wait_until(lambda: answers(f"http://{self.address}/admin/login/"), seconds=90)
        wait_until(lambda: schedulers_alive() == schedulers, seconds=90)
        self.below = descendants(self.process.pid)

    def end(self) -> None:
        left = {*self.below, *descendants(self.process.pid)}
        self.process.kill()
        self.process.wait()
        for pid in filter(is_alive, left):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def started(environment: dict[str, str], folder: Path, *before: str) -> Iterator[Start]:
    start = Start(environment, folder, *before)
    try:
        yield start
    finally:
        print((folder / "start.log").read_text(errors="replace")[-5000:])
        start.end()


def schedulers_alive() -> int:
    return SchedulerProcess.objects.schedulers().filter(stopped_at=None).count()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "number",
    [
        *(signal.SIGTERM, signal.SIGKILL),
        *(pytest.param(number, marks=pytest.mark.slow) for number in (signal.SIGINT, signal.SIGHUP)),
    ],
)
def test_its_children_end_with_it(number: signal.Signals, process_env: dict[str, str], tmp_path: Path) -> None:
    with started(process_env, tmp_path) as start:
        start.wait_until_up()
        assert len(start.below) >= 4
        start.process.send_signal(number)
        assert start.process.wait(60) == (-number if number == signal.SIGKILL else 0)
        wait_until(lambda: not any(map(is_alive, start.below)), seconds=60)
        assert schedulers_alive() == 0, "the scheduler did not sign off"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_the_work_at_hand_may_end_first(number: signal.Signals, process_env: dict[str, str], tmp_path: Path) -> None:
    with started(process_env, tmp_path) as start:
        start.wait_until_up()
        task = make_job("sample.sleep", arguments={"seconds": 3}).run_now()
        wait_until(lambda: Task.objects.get(pk=task.pk).status == Task.Status.RUNNING, seconds=60)
        start.process.send_signal(number)
        assert start.process.wait(60) == 0
        task.refresh_from_db()
        assert task.status == Task.Status.COMPLETED


@pytest.mark.django_db(transaction=True)
def test_all_ends_when_its_terminal_is_closed(process_env: dict[str, str], tmp_path: Path) -> None:
    terminal = [sys.executable, "-c", "import pty, sys; pty.spawn(sys.argv[1:])"]
    with started(process_env, tmp_path, *terminal) as start:
        start.wait_until_up()
        start.process.kill()
        wait_until(lambda: not any(map(is_alive, start.below)), seconds=60)
        assert schedulers_alive() == 0, "the scheduler did not sign off"


@pytest.mark.django_db(transaction=True)
def test_a_signal_that_comes_while_it_starts_leaves_nothing_behind(process_env: dict[str, str], tmp_path: Path) -> None:
    with started(process_env, tmp_path) as start:
        wait_until(lambda: bool(descendants(start.process.pid)), seconds=60)
        start.below = descendants(start.process.pid)
        start.process.send_signal(signal.SIGINT)
        assert start.process.wait(60) == 0
        wait_until(lambda: not any(map(is_alive, start.below)), seconds=60)


@pytest.mark.django_db(transaction=True)
def test_under_nohup_it_outlives_its_terminal(process_env: dict[str, str], tmp_path: Path) -> None:
    with started(process_env, tmp_path, "nohup") as start:
        start.wait_until_up()
        start.process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            start.process.wait(2)
        wait_until(lambda: answers(f"http://{start.address}/admin/login/"), seconds=60)


@pytest.mark.django_db(transaction=True)
def test_with_schedulers_in_the_web_it_starts_no_other(process_env: dict[str, str], tmp_path: Path) -> None:
    with started({**process_env, "SCHEDULER_IN_WEB": "true"}, tmp_path) as start:
        start.wait_until_up(schedulers=2)
        with pytest.raises(AssertionError):
            wait_until(lambda: schedulers_alive() > 2, seconds=3)
        start.process.terminate()
        assert start.process.wait(60) == 0
