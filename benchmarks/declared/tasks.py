"""As many task functions with a Job each as BENCHMARK_DECLARED says, like a very large program."""

import os

from scheduling.context import TaskRun
from scheduling.registry import task

for number in range(int(os.environ["BENCHMARK_DECLARED"])):

    @task(f"declared.number_{number}", id=f"declared-{number}", cron=f"{number % 60} 3 * * *")
    def declared(run: TaskRun) -> None:
        """Do nothing."""
