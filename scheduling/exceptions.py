"""The errors that scheduling raises on purpose. Each message is a sentence for a person."""

from collections.abc import Mapping


class SchedulingError(Exception):
    """Something asked of the scheduler cannot be done; the message says what and what to do."""


class UnknownTaskFunction(SchedulingError):
    """No function of that name is registered with `@task` in this process."""


class UnknownJob(SchedulingError):
    """No Job has that id."""


class NotAllowedNow(SchedulingError):
    """The row's state does not allow the step, e.g. to cancel a Task that has ended."""


class ArgumentError(SchedulingError):
    """Arguments do not fit a task function's signature.

    `problems` maps each argument's name to a sentence.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__("; ".join(f"{name}: {text}" for name, text in self.problems.items()))


class TaskFailed(SchedulingError):
    """Raised by a task function to fail its Task with a sentence instead of a traceback.

    retry: False where trying again changes nothing until a person does something, so that the Job's retries are not used.
    """

    def __init__(self, message: str = "", *, retry: bool = True) -> None:
        super().__init__(message)
        self.retry = retry


class TaskCancelled(SchedulingError):
    """A run in this process was cancelled by somebody else."""


class TaskStopped(BaseException):
    """Raised inside a task function that is cancelled or out of time.

    Not an Exception, so that a task function's own `except Exception` does not swallow it.
    """
