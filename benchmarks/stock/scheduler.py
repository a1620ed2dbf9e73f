"""A scheduler process as django-apscheduler's documentation has it. Prints READY when it is started."""

import os

import django

django.setup()

from apscheduler.events import EVENT_SCHEDULER_STARTED, SchedulerEvent  # noqa: E402
from apscheduler.schedulers.blocking import BlockingScheduler  # noqa: E402
from django_apscheduler.jobstores import DjangoJobStore  # noqa: E402

from benchmarks.stock import functions  # noqa: E402


def main() -> None:
    scheduler = BlockingScheduler(timezone="UTC")
    scheduler.add_jobstore(DjangoJobStore(), "default")
    for number in range(int(os.environ.get("BENCHMARK_DECLARED", "0"))):
        scheduler.add_job(
            functions.noop, "cron", minute=number % 60, hour=3, id=f"declared-{number}", replace_existing=True
        )
    scheduler.add_listener(say_ready, EVENT_SCHEDULER_STARTED)
    scheduler.start()


def say_ready(event: SchedulerEvent) -> None:
    print("READY", flush=True)


main()
