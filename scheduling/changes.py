"""Taking back a change of a Job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import FieldDoesNotExist
from django.db import transaction
from django.utils import timezone

from .exceptions import NotAllowedNow, UnknownJob
from .models import PAUSE_FIELDS, Job, JobChange

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def permission_to_undo(change: JobChange) -> str | None:
    """That of the step which undoing it amounts to; None for what is not undone: that a Job was made."""
    if change.before is None:
        return None
    if change.after is None:
        return "scheduling.add_job"
    return "scheduling.pause_job" if set(change.changed) <= set(PAUSE_FIELDS) else "scheduling.change_job"


def undo(change: JobChange, *, by: User | None = None) -> str:
    """Bring back what this change changed, and nothing else. Returns a sentence.

    Raises:
        NotAllowedNow: something of it was changed again since, or it is not undone.
        UnknownJob: the Job was deleted since.
        ValidationError: what was would not work any more.
    """
    if change.before is None:
        raise NotAllowedNow("That a Job was made is not undone: delete the Job.")
    with transaction.atomic():
        return _make_again(change, by=by) if change.after is None else _bring_back(change, by=by)


def _bring_back(change: JobChange, *, by: User | None) -> str:
    assert change.before is not None and change.after is not None
    try:
        job = Job.objects.locked(change.job_key)
    except UnknownJob:
        raise UnknownJob(f"The Job {change.job_key} was deleted since. Undo that first.") from None
    now = job.snapshot()
    if again := [label_of(name) for name in change.changed if name not in now or now[name] != change.after[name]]:
        raise NotAllowedNow(
            f"Changed again since then: {', '.join(again)}. Undo the later change first, or edit the Job."
        )
    before = {name: change.before[name] for name in change.changed}
    resumed = bool(before.get("paused_at")) and change.after["paused_at"] is None
    if resumed and not Job.from_snapshot(job.pk, {**now, **before}).is_paused:
        raise NotAllowedNow("That pause would be over already: its end has gone by.")
    if not before.keys().isdisjoint({"trigger", "run_at"}):
        _refuse_a_time_gone_by(Job.from_snapshot(job.pk, {**now, **before}))
    job.put_back(before, by=by)
    return f"Undone: {', '.join(map(label_of, before))}."


def _refuse_a_time_gone_by(job: Job) -> None:
    """Whether it ran may not be known any more: its Tasks are without it, or were cleaned up."""
    if job.trigger == Job.TriggerKind.ONCE and job.run_at and job.run_at <= timezone.now():
        raise NotAllowedNow("It was to run once, at a time that has gone by. Add a new Job instead.")


def _make_again(change: JobChange, *, by: User | None) -> str:
    assert change.before is not None
    runtime_holder = Job.objects.locked_or_new(change.job_key)
    if not runtime_holder._state.adding:
        raise NotAllowedNow(f"There is a Job {change.job_key} again.")
    job = Job.from_snapshot(change.job_key, change.before)
    job.declared = change.before.get("declared")
    _refuse_a_time_gone_by(job)
    job.clean()
    job.save_definition(by=by, kind=JobChange.Kind.UNDONE)
    return "Made again. The Tasks of before stay in the history without it."


def label_of(name: str) -> str:
    """What the form calls a field; of one that only another release knows, its name."""
    try:
        return str(Job._meta.get_field(name).verbose_name)  # type: ignore[union-attr]
    except FieldDoesNotExist:
        return name
