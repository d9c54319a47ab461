"""How far a run of several steps is, and about how long the rest of it will take."""

import time
from collections.abc import Mapping

# The first parts of a step wait for what is loaded once: this many tell how long the rest takes.
FEWEST_PARTS = 3
# A step whose results were there already takes less than this share of the time it was to take.
# How fast this machine is cannot be told from it.
REUSED_SHARE = 0.1
# How sure the prediction itself is, in seconds of steps that took as long as was predicted.
SURE_SECONDS, SURE_SHARE = 0.5, 0.03
# Of a step that has taken longer than predicted and tells nothing of its parts.
STILL_SHARE = 0.2


class Outlook:
    """What was predicted of the steps of a run, corrected by what the finished ones took.

    Parameters
    ----------
    seconds : mapping of str to float
        About how long each step takes, in their order.
    """

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self._names = list(seconds)
        self._predicted = dict(seconds)
        self._took: dict[str, float] = {}
        self._place, self._running = -1, False
        self._began = time.monotonic()
        self._parts = 0, 0

    def __contains__(self, name: object) -> bool:
        return name in self._predicted

    @property
    def count(self) -> int:
        """The number of steps."""
        return len(self._names)

    @property
    def number(self) -> int:
        """Which step runs, or has ended last; from 1."""
        return self._place + 1

    @property
    def finished(self) -> int:
        """How many steps have ended so far."""
        return len(self._took)

    def begin(self, name: str) -> None:
        """Note that a step begins; one that was there before begins again, with all after it."""
        self._place, self._running = self._names.index(name), True
        self._began, self._parts = time.monotonic(), (0, 0)

    def progress(self, done: int, total: int) -> None:
        """Note how many parts of the step are done."""
        self._parts = done, total

    def end(self) -> None:
        """Note that the step has ended."""
        self._took[self._names[self._place]] = time.monotonic() - self._began
        self._running = False

    def left(self) -> float | None:
        """Return about how many seconds the rest of the run takes, None where nothing tells."""
        if not any(self._predicted.values()) and not (self._running and self._telling()):
            return None
        rest = sum(self._predicted[later] for later in self._names[self._place + 1 :])
        if not self._running:
            return self._pace() * rest
        elapsed = time.monotonic() - self._began
        predicted = self._predicted[self._names[self._place]]
        pace = self._pace()
        left = self._left_of_step(elapsed, pace * predicted)
        if elapsed + left > pace * predicted:  # the step that runs tells as well
            pace = self._pace(elapsed + left, predicted)
        return pace * rest + left

    def _pace(self, running: float = 0.0, predicted: float = 0.0) -> float:
        """Return how many times longer than predicted steps take, with the one that runs."""
        counted = {
            name: took
            for name, took in self._took.items()
            if took >= REUSED_SHARE * self._predicted[name]
        }
        took = sum(counted.values())
        foreseen = sum(self._predicted[name] for name in counted)
        sure = SURE_SECONDS + SURE_SHARE * sum(self._predicted.values())
        return (took + running + sure) / (foreseen + predicted + sure)

    def _telling(self) -> bool:
        """Return whether the parts of the step that are done tell how long the others take."""
        done, total = self._parts
        return done > 0 and done >= min(FEWEST_PARTS, total // 2)

    def _left_of_step(self, elapsed: float, foreseen: float) -> float:
        """Return how long the step that runs will still take."""
        if not self._telling():
            return max(foreseen - elapsed, STILL_SHARE * elapsed)
        done, total = self._parts
        share = min(1.0, done / total)
        by_parts = elapsed / share
        # The further it is, the more its own parts tell: the first ones may wait for much else.
        trusted = min(1.0, 3 * share) if foreseen > 0 else 1.0
        return (1 - share) * (trusted * by_parts + (1 - trusted) * max(foreseen, elapsed))


def left_text(outlook: Outlook) -> str:
    """Return how long the rest takes, after a comma; nothing where it cannot be told."""
    left = outlook.left()
    return "" if left is None else f", about {about_text(left)} left"


def about_text(seconds: float) -> str:
    """Return a time that is only about right: in whole seconds, and tens of them from a minute."""
    if seconds >= 59.5:
        return seconds_text(round(seconds, -1))
    return f"{max(1, round(seconds))} s"


def seconds_text(seconds: float) -> str:
    """Return a time in words."""
    # Loaded when the first is said, not when the command starts.
    from orimap.tasks.report import words

    return words.seconds_text(seconds)
