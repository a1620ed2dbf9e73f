"""`manage.py jobs`: look at Jobs and steer them from a terminal."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from scheduling.display import zone_of
from scheduling.exceptions import SchedulingError
from scheduling.models import Job
from scheduling.pauses import pause_everything, resume_everything
from scheduling.registry import registry
from scheduling.triggers import TriggerError, dst_note, fire_times


class Command(BaseCommand):
    help = "List, show, pause, resume, run and preview Jobs. Changes reach a running scheduler within a second."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        list_verb = verbs.add_parser("list", help="all Jobs")
        list_verb.add_argument("--json", action="store_true")
        for verb, text in (
            ("show", "one Job"),
            ("pause", "pause a Job"),
            ("resume", "resume a paused Job"),
            ("run", "queue a run now"),
            ("preview", "the next times it will run"),
        ):
            one = verbs.add_parser(verb, help=text)
            may_be_all = verb in ("pause", "resume")
            one.add_argument("id", nargs="?" if may_be_all else None, default="")
            one.add_argument("--json", action="store_true")
            if may_be_all:
                one.add_argument("--all", action="store_true", help="everything, with one switch")
            if verb == "pause":
                one.add_argument("--reason", default="")
                one.add_argument("--until", type=_moment, help="e.g. 2026-12-24T00:00")
            if verb == "run":
                one.add_argument("arguments", nargs="*", metavar="key=value")
            if verb == "preview":
                one.add_argument("--count", type=int, default=10)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        try:
            lines, data = getattr(self, f"_{verb}")(**options)
        except (SchedulingError, TriggerError) as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            self.stdout.write(json.dumps(data, cls=DjangoJSONEncoder, indent=2))
        else:
            self.stdout.write("\n".join(lines))

    def _list(self, **_: Any) -> tuple[list[str], Any]:
        jobs = list(Job.objects.select_related("runtime"))
        width = max((len(job.pk) for job in jobs), default=0)
        lines = [f"{job.pk:{width}}  {job.state:12}  {_local(job):22}  {job.schedule_in_words()}" for job in jobs]
        return lines or ["There are no Jobs yet; `manage.py runscheduler` creates them."], [_facts(job) for job in jobs]

    def _show(self, id: str, **_: Any) -> tuple[list[str], Any]:
        facts = _facts(Job.objects.by_id(id))
        return [f"{name:14} {value}" for name, value in facts.items()], facts

    def _pause(self, id: str, all: bool, reason: str, until: datetime | None, **_: Any) -> tuple[list[str], Any]:
        _check_one_or_all(id, all)
        if all and until:
            raise CommandError("A pause of everything has no end of its own: `jobs resume --all` ends it.")
        if all:
            pause = pause_everything(reason=reason)
            return ["Everything is paused; `jobs resume --all` ends it."], {"began_at": pause.began_at}
        job = Job.objects.by_id(id)
        job.pause(reason=reason, until=until)
        return [f"{job.pk} is paused{f' until {until}' if until else ''}."], _facts(job)

    def _resume(self, id: str, all: bool, **_: Any) -> tuple[list[str], Any]:
        _check_one_or_all(id, all)
        if all:
            moved = resume_everything()
            return [f"Resumed; {moved} Jobs whose time fell into the pause run at their next."], {"moved": moved}
        job = Job.objects.by_id(id)
        job.resume()
        return [f"{job.pk} runs next: {_local(job)}."], _facts(job)

    def _run(self, id: str, arguments: list[str], **_: Any) -> tuple[list[str], Any]:
        job = Job.objects.by_id(id)
        function = registry.get(job.function)
        task = job.run_now(arguments=function.parse_arguments(arguments, over=job.arguments))
        return [f"Task {task.pk} is queued."], {"task": task.pk, "status": task.status}

    def _preview(self, id: str, count: int, **_: Any) -> tuple[list[str], Any]:
        job = Job.objects.by_id(id)
        trigger = job.build_trigger()
        # Of a Job paused without an end: the times that it would have.
        start = (job.is_paused and job.paused_until) or timezone.now()
        times = fire_times(trigger, start=start, count=count)
        rows = [{"time": moment, "note": dst_note(moment, trigger)} for moment in times]
        lines = [f"{job.pk}: {trigger.in_words()} ({job.zone})"]
        if job.is_paused:
            until = f"until {job.paused_until}" if job.paused_until else "until it is resumed"
            lines.append(f"  It is paused {until}, so it does not run before then.")
        lines += [f"  {row['time']:%a %Y-%m-%d %H:%M:%S %Z}  {row['note']}".rstrip() for row in rows]
        return lines, rows


def _check_one_or_all(id: str, all: bool) -> None:
    if bool(id) == all:
        raise CommandError("Name one Job, or give --all.")


def _moment(text: str) -> datetime:
    moment = parse_datetime(text)
    if moment is None:
        raise ValueError(text)
    return moment if moment.tzinfo else timezone.make_aware(moment)


def _local(job: Job) -> str:
    if job.next_run_time is None:
        return "–"
    return f"{timezone.localtime(job.next_run_time, zone_of(job)):%Y-%m-%d %H:%M %Z}"


def _facts(job: Job) -> dict[str, Any]:
    return {
        "id": job.pk,
        "name": job.name,
        "state": job.state,
        "function": job.function,
        "arguments": job.arguments,
        "schedule": job.schedule_in_words(),
        "timezone": job.zone,
        "next_run_time": job.next_run_time,
        "paused_until": job.paused_until,
        "paused_reason": job.paused_reason,
    }
