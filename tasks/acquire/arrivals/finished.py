"""Tell when an acquisition is finished, in layers: companions, header, time, an opening test.

While anything of it still changes it is growing. When nothing has changed for the settling time,
its header is asked for its length. Where nothing says how long it is, the settling time is longer.
What passes is opened, in a process of its own. What does not pass is asked again when it changes;
if it never does, it is put aside with the reason.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orimap.tasks.acquire.arrivals.expected_size import Told, ends_in_zeros, told_by_header
from orimap.tasks.acquire.arrivals.find_arrivals import Arrival

SETTLE_SECONDS = 3.0
# Where the format does not say how long it is, only a pause tells that it is over: a microscope
# that stores row by row may pause for seconds.
UNSURE_TIMES = 10
# How long an acquisition may stay incomplete without any change: a copy over a bad connection.
PATIENCE_SECONDS = 3600.0


@dataclass(frozen=True)
class Opened:
    """What the opening test found.

    Parameters
    ----------
    outcome : str
        "scan"; "no scan" (it can be read and holds none); "missing" (a file of it is not there);
        "refused".
    words : str
        The reason, or the name of the missing file.
    remedy : str
    rows : int
        Whole rows of a scan that has fewer patterns than its file promises; 0 where it has all.
    """

    outcome: Literal["scan", "no scan", "missing", "refused"]
    words: str = ""
    remedy: str = ""
    rows: int = 0


@dataclass(frozen=True)
class Judgement:
    """How finished an acquisition is, in words, and when to look again.

    ``digest`` stands for its content where it has settled. ``stalled``: it is incomplete, and for
    longer than a pause lasts nothing has come. ``keep_rows``: those that are whole, of a scan that
    was stopped early; 0 for all.
    """

    state: Literal["growing", "waiting", "settled", "not a scan", "quarantined"]
    words: str
    again_seconds: float = 0.0
    digest: str = ""
    stalled: bool = False
    keep_rows: int = 0


@dataclass
class _Watched:
    """One acquisition over time; moments are of a clock that never jumps."""

    signature: str
    changed: float
    told: Told | None = None
    digest: str = ""
    digested: float = 0.0
    judged: Judgement | None = None


class Finishing:
    """Follows acquisitions until each is finished.

    Parameters
    ----------
    folder : Path
        That they lie in.
    opens : callable
        The opening test, called with an acquisition.
    settle_seconds, patience_seconds : float
        Without change: until it counts as written; until it is given up where it is incomplete.
    unsure_times : float
        How many times the settling time it takes where the format does not say how long it is.
    """

    def __init__(
        self,
        folder: Path,
        opens: Callable[[Arrival], Opened],
        *,
        settle_seconds: float = SETTLE_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        unsure_times: float = UNSURE_TIMES,
    ) -> None:
        self.folder, self.opens = folder, opens
        self.settle_seconds, self.patience_seconds = settle_seconds, patience_seconds
        self.unsure_times = unsure_times
        self._watched: dict[Path, _Watched] = {}

    def keep_only(self, mains: set[Path]) -> None:
        """Forget all others."""
        self._watched = {main: each for main, each in self._watched.items() if main in mains}

    def judge_anew(self, main: Path) -> None:
        """Forget what was found of an acquisition in the end, for another look."""
        watched = self._watched.get(main)
        if watched is not None and watched.judged is not None:
            watched.judged = None

    def judge(self, arrival: Arrival, now: float) -> Judgement:
        """Tell how finished an acquisition is.

        Parameters
        ----------
        arrival : Arrival
            As it was found just now.
        now : float
            Seconds of a clock that never jumps.

        Raises
        ------
        OSError
            If its files cannot be read: gone since they were found, a network that hangs.
        """
        watched = self._watched.get(arrival.main)
        if watched is None or watched.signature != arrival.signature:
            self._watched[arrival.main] = _Watched(arrival.signature, now)
            return Judgement("growing", "being written", self.settle_seconds)
        if watched.judged is not None:
            return watched.judged
        quiet = now - watched.changed
        if quiet < self.settle_seconds:
            return Judgement("growing", "being written", self.settle_seconds - quiet)
        if watched.told is None or watched.told.whole is False:
            watched.told = _told(arrival)
        told = watched.told
        if told.whole is False:
            return self._incomplete(watched, arrival, told, quiet)
        if watched.digest == "":
            watched.digest, watched.digested = arrival.identity(self.folder), now
        needed = self._needed_seconds(arrival, told)
        if quiet < needed:
            words = (
                told.words if told.whole is None else "it ends in zeros: is it still being written?"
            )
            return Judgement("growing", words, needed - quiet)
        return self._open(watched, arrival, now, quiet)

    def _needed_seconds(self, arrival: Arrival, told: Told) -> float:
        """Return the settling time of an acquisition: longer where its end proves nothing."""
        single = arrival.main.is_file()
        if told.whole is None or (single and ends_in_zeros(arrival.main)):
            return self.unsure_times * self.settle_seconds
        return self.settle_seconds

    def _incomplete(
        self, watched: _Watched, arrival: Arrival, told: Told, quiet: float
    ) -> Judgement:
        """Wait for the rest, but not for ever: then a stopped scan keeps its whole rows."""
        if told.missing:
            words, rest = f"waiting for companion {told.missing}", "copy that one"
        else:
            what = "the file" if arrival.main.is_file() else "it"
            words, rest = f"{what} is incomplete: {told.words}", "copy it"
        if quiet < self.patience_seconds:
            again = min(max(self.settle_seconds, quiet / 4), self.patience_seconds - quiet)
            stalled = quiet >= self.unsure_times * self.settle_seconds
            state = "waiting" if told.missing else "growing"
            limit = _time_text(self.patience_seconds)
            words = f"{words}; it is given up when nothing has changed for {limit}"
            return Judgement(state, words, again, stalled=stalled)
        words = f"{words}; nothing has changed for {_time_text(quiet)}"
        rows = 0 if told.missing else self.opens(arrival).rows
        if rows:
            words = f"the scan was stopped early, {rows} whole rows are kept ({words})"
            digest = arrival.identity(self.folder)
            watched.judged = Judgement("settled", words, digest=digest, keep_rows=rows)
        else:
            words = f"{words}; {rest} again, and it is analysed by itself"
            watched.judged = Judgement("quarantined", words)
        return watched.judged

    def _open(self, watched: _Watched, arrival: Arrival, now: float, quiet: float) -> Judgement:
        """Make the opening test; an acquisition of unknown length gets a second chance."""
        if watched.digested < now:
            digest = arrival.identity(self.folder)
            if digest != watched.digest:
                watched.digest, watched.digested, watched.changed = digest, now, now
                return Judgement("growing", "being written", self.settle_seconds)
        opened = self.opens(arrival)
        if opened.outcome == "missing":
            return self._incomplete(watched, arrival, Told(False, missing=opened.words), quiet)
        if opened.outcome == "refused" and opened.rows:
            return self._incomplete(watched, arrival, Told(False, opened.words), quiet)
        unsure = watched.told is None or watched.told.whole is None
        patient = 2 * self.unsure_times * self.settle_seconds
        if opened.outcome == "refused" and unsure and quiet < patient:
            return Judgement("growing", f"cannot be read yet: {opened.words}", patient - quiet)
        if opened.outcome == "refused":
            told = f"{opened.words}; {opened.remedy}" if opened.remedy else opened.words
            watched.judged = Judgement("quarantined", told)
        elif opened.outcome == "no scan":
            watched.judged = Judgement("not a scan", opened.words)
        else:
            watched.judged = Judgement("settled", "finished", digest=watched.digest)
        return watched.judged


def _time_text(seconds: float) -> str:
    """Write a time in minutes, a short one in seconds."""
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _told(arrival: Arrival) -> Told:
    """Ask the header of the main file; it may not even be there yet."""
    if arrival.missing:
        return Told(False, missing=arrival.missing)
    if not arrival.size:
        return Told(False, "0 bytes")
    return told_by_header(arrival.main)
