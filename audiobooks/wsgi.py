"""For gunicorn: `gunicorn audiobooks.wsgi`. With SCHEDULER_IN_WEB each web process runs a scheduler as well.

Not together with gunicorn's --preload: threads do not survive its fork.
"""

import atexit
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "audiobooks.settings")

application = get_wsgi_application()


def _start_scheduler() -> None:
    from scheduling.conf import scheduling_settings
    from scheduling.scheduler import initialize_scheduler, shutdown_scheduler, start_scheduler

    if scheduling_settings().START_IN_WEB:
        initialize_scheduler()
        start_scheduler()
        atexit.register(shutdown_scheduler, wait=False)


_start_scheduler()
