"""For the templates of the admin."""

from typing import Any

from django import template
from django.template import Context

from scheduling import display
from scheduling.pauses import alive_and_paused

register = template.Library()

register.filter("moment", display.moment)
register.filter("length", display.length)
register.filter("status_label", display.status_label)
register.filter("state_label", display.state_label)
register.filter("change_url", display.change_url)
register.filter("step_url", display.step_url)
register.filter("pause_in_words", display.pause_in_words)
register.filter("waited", display.waited)
register.filter("author_of", display.author_of)


@register.inclusion_tag("scheduling/admin/warning.html", takes_context=True)
def scheduler_warning(context: Context, pause_form: Any = None) -> dict[str, Any]:
    """Banners while no scheduler is alive, and while everything is paused; one query.

    With `pause_form`, a PauseEverythingForm, the switch as well.
    """
    is_alive, pause = alive_and_paused()
    return {
        "is_alive": is_alive,
        "pause_form": pause_form,
        "pause": pause,
        **{name: context.get(name) for name in ("perms", "csrf_token")},
    }
