"""Schedulers inside web processes: gunicorn's workers beside a `runscheduler`, killed and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from scheduling.conf import scheduling_settings
from scheduling.models import SchedulerProcess, Task
from tests.ports import free_port
from tests.scheduling.processes import ROOT, running_scheduler, wait_until
from tests.scheduling.test_crashes import assert_no_fire_time_is_lost
from tests.scheduling.test_running import ended, make_job

pytestmark = pytest.mark.django_db(transaction=True)


@contextlib.contextmanager
def gunicorn(environment: dict[str, str], folder: Path, *, workers: int) -> Iterator[subprocess.Popen[bytes]]:
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "gunicorn", "audiobooks.wsgi", "--bind", address, "--workers", str(workers)]
    with (folder / "gunicorn.log").open("wb") as output:
        web = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**environment, "SCHEDULER_IN_WEB": "true", "SCHEDULER_WORKERS": "2"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: answers(f"http://{address}/admin/login/"), seconds=90)
        yield web
    finally:
        web.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            web.wait(60)
        web.kill()
        web.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


def in_web(web: subprocess.Popen[bytes]) -> list[int]:
    """The process ids of gunicorn's workers that are alive as schedulers."""
    children = Path(f"/proc/{web.pid}/task/{web.pid}/children").read_text().split()
    alive = SchedulerProcess.objects.alive().schedulers().values_list("pid", flat=True)
    return [int(pid) for pid in children if int(pid) in alive]


@pytest.mark.slow
def test_web_processes_with_schedulers_share_the_work(process_env: dict[str, str], tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    with running_scheduler(process_env, tmp_path) as alone, gunicorn(process_env, tmp_path, workers=2) as web:
        wait_until(lambda: len(in_web(web)) == 2, seconds=90)
        jobs = [
            make_job(
                "sample.mark",
                id=f"often-{number}",
                trigger="interval",
                interval=timedelta(seconds=0.2),
                anchor=timezone.now() + timedelta(seconds=0.02 * number),
                arguments={"path": str(marks)},
                coalesce=False,
                max_instances=1000,
            )
            for number in range(5)
        ]
        time.sleep(2)
        killed = in_web(web)[0]
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: len(in_web(web)) == 2 and killed not in in_web(web), seconds=90)
        time.sleep(2)
        for job in jobs:
            job.pause()
        # The others close the killed one's row and what it left. As if the time were over in which it may only be silent.
        late = timezone.now() - timedelta(seconds=scheduling_settings().LOST_AFTER)
        SchedulerProcess.objects.filter(pid=killed, stopped_at=None).update(heartbeat_at=late)
        wait_until(lambda: SchedulerProcess.objects.filter(pid=killed, stopped_at__isnull=False).exists(), seconds=120)
        wait_until(lambda: not Task.objects.active().exists(), seconds=120)
        assert alone.stop() == 0
        task = ended(make_job("sample.noop").run_now())
        assert task.status == Task.Status.COMPLETED
        assert task.owner is not None and task.owner.pid in in_web(web)
        web.terminate()
        assert web.wait(60) == 0
        assert not SchedulerProcess.objects.filter(stopped_at=None).exists(), "a web process did not sign off"
    ran = [int(line.split()[1]) for line in marks.read_text().splitlines()]
    assert len(ran) == len(set(ran)), "a Task was run twice"
    for job in jobs:
        assert_no_fire_time_is_lost(job)
