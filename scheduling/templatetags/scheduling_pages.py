"""For the templates of the admin."""

from typing import Any

from django import template

from scheduling import display
from scheduling.models import SchedulerProcess

register = template.Library()

register.filter("moment", display.moment)
register.filter("length", display.length)
register.filter("status_label", display.status_label)
register.filter("state_label", display.state_label)
register.filter("change_url", display.change_url)
register.filter("step_url", display.step_url)
register.filter("pause_in_words", display.pause_in_words)
register.filter("waited", display.waited)


@register.inclusion_tag("scheduling/admin/warning.html")
def scheduler_warning() -> dict[str, Any]:
    """A red banner while no scheduler is alive; one query."""
    return {"is_alive": SchedulerProcess.objects.alive().schedulers().exists()}
