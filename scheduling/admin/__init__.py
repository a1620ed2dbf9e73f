"""The admin of Jobs, Tasks and scheduler processes. Every change is a POST with its own permission."""

from django.contrib import admin
from django_apscheduler.models import DjangoJob, DjangoJobExecution

from . import jobs, processes, tasks  # noqa: F401  (registers the pages)

# Its own pages would change next run times past the Job, and run jobs in the web process.
admin.site.unregister([DjangoJob, DjangoJobExecution])
