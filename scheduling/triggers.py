"""placeholder, to be replaced by the full module"""
from __future__ import annotations
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone as tz
from zoneinfo import ZoneInfo
from cronsim import CronSim, CronSimError
class TriggerError(ValueError):
    field = ""
@dataclass(frozen=True)
class CronTrigger:
    expression: str
    timezone: str
    def __post_init__(self):
        try: CronSim(self.expression, datetime.now(tz.utc))
        except CronSimError as e: raise TriggerError(str(e)) from e
    def next_after(self, m):
        for t in CronSim(self.expression, m.astimezone(ZoneInfo(self.timezone))):
            if t.timestamp() > m.timestamp(): return t
    def in_words(self): return self.expression
@dataclass(frozen=True)
class IntervalTrigger:
    every: timedelta
    anchor: datetime
    timezone: str
    def next_after(self, m):
        if self.anchor > m: return self.anchor
        return self.anchor + ((m - self.anchor)//self.every + 1)*self.every
    def in_words(self): return f"every {self.every}"
@dataclass(frozen=True)
class OnceTrigger:
    at: datetime
    def next_after(self, m): return self.at if self.at > m else None
    def in_words(self): return f"once {self.at}"
Trigger = CronTrigger | IntervalTrigger | OnceTrigger
@dataclass(frozen=True)
class DueTimes:
    recent: list
    missed_count: int = 0
    missed_count_is_exact: bool = True
    last_missed: object = None
    folded: int = 0
def due_times(trigger, *, first, now, oldest, limit):
    ts=[]; t=first
    while t and t<=now: ts.append(t); t=trigger.next_after(t)
    ok=[t for t in ts if oldest is None or t>=oldest]; miss=ts[:len(ts)-len(ok)]
    return DueTimes(ok[-limit:], len(miss), True, miss[-1] if miss else None, max(0,len(ok)-limit))
def fire_times(trigger, *, start, count):
    out=[]; t=start
    for _ in range(count):
        t=trigger.next_after(t)
        if t is None: break
        out.append(t)
    return out
def dst_note(m, t): return ""
def from_apscheduler(trigger, *, timezone, now, **f):
    if trigger=="interval": return IntervalTrigger(timedelta(**f), now+timedelta(**f), timezone)
    if trigger=="date": return OnceTrigger(f.get("run_date") or now)
    return CronTrigger(f"{f.get('minute',0)} {f.get('hour','*')} {f.get('day','*')} * {f.get('day_of_week','*')}".replace("sun","0"), timezone)
