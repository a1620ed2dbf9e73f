"""The admin of Jobs, Tasks and scheduler processes. Every change is a POST with its own permission."""

import django_apscheduler.admin  # noqa: F401  (registers its pages now, so that they can be taken away below)
from django.contrib import admin
from django_apscheduler.models import DjangoJob, DjangoJobExecution

from . import changes, dashboard, days, jobs, pauses, processes, tasks  # noqa: F401  (registers the pages)

# Its own pages would change next run times past the Job, and run jobs in the web process.
admin.site.unregister([DjangoJob, DjangoJobExecution])

# Unfold's app stands before ours, so its admin/index.html is found first; ours extends it.
admin.site.index_template = "scheduling/admin/index.html"
admin.site.index = dashboard.index  # type: ignore[method-assign]
