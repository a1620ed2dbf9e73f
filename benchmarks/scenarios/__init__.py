"""The scenarios by name. Each yields its figures; its docstring is what `--help` says of it."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.figures import Figure
from benchmarks.scenarios.burst import burst
from benchmarks.scenarios.control import control
from benchmarks.scenarios.endurance import endurance
from benchmarks.scenarios.idle import idle
from benchmarks.scenarios.pauses import pauses
from benchmarks.scenarios.restart import restart
from benchmarks.scenarios.startup import startup
from benchmarks.scenarios.statements import statements
from benchmarks.scenarios.steady import same_second, steady
from benchmarks.scenarios.theft import theft
from benchmarks.sides import Bench

BOTH = ("sqlite", "postgres")


class Scenario(NamedTuple):
    run: Callable[[Bench], Iterator[Figure]]
    databases: tuple[str, ...] = BOTH


SCENARIOS: dict[str, Scenario] = {
    "burst": Scenario(burst),
    "steady": Scenario(steady),
    "same_second": Scenario(same_second),
    "statements": Scenario(statements, ("postgres",)),
    "endurance": Scenario(endurance, ("sqlite",)),
    "startup": Scenario(startup),
    "idle": Scenario(idle),
    "control": Scenario(control),
    "pauses": Scenario(pauses),
    "theft": Scenario(theft),
    "restart": Scenario(restart, ("postgres",)),
}
