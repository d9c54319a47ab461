"""How long a worker may live, so that it leaves before its batch system ends it."""

import re

# Seconds of the fields of a time that has one or two of them; with three it is hours, minutes and
# seconds everywhere. From the manuals of sbatch, qsub (PBS and Grid Engine), bsub and oarsub.
FIELDS = {
    "slurm": ((60,), (60, 1)),
    "pbs": ((1,), (60, 1)),
    "sge": ((1,), (60, 1)),
    "lsf": ((60,), (3600, 60)),
    "oar": ((3600,), (3600, 60)),
    # It has none of its own: that of our profiles, whose two fields are hours and minutes.
    "htcondor": ((3600,), (3600, 60)),
}
HOURS_MINUTES_SECONDS = (3600, 60, 1)
DAY_SECONDS = 86400

# A worker that leaves hands over what it holds, and its job has spent time on starting it.
LEAVING_SHARE = 0.1
LEAST_LEAVING_SECONDS, MOST_LEAVING_SECONDS = 30, 600
# Workers that started together leave one after the other, and are replaced one after the other.
STAGGER_SHARE = 0.1
# In a job that is shorter, a worker would leave before it has done anything.
SHORTEST_SECONDS = 240


def walltime_seconds(system: str, walltime: str | None) -> int | None:
    """Return the walltime of a job in seconds, None where it has none or an unlimited one.

    Parameters
    ----------
    system : str
        The batch system, whose way of writing times it is: 30:00 is half an hour to Slurm and 30
        hours to LSF.
    walltime : str or None
    """
    match = re.fullmatch(r"(?:(\d+)-)?(\d+(?::\d+){0,2})(?:/.*)?", str(walltime or "").strip())
    if match is None or system not in FIELDS:
        return None
    numbers = [int(part) for part in match[2].split(":")]
    if match[1] is not None:  # days, then hours first
        fields = HOURS_MINUTES_SECONDS
    else:
        fields = (*FIELDS[system], HOURS_MINUTES_SECONDS)[len(numbers) - 1]
    days = int(match[1] or 0) * DAY_SECONDS
    return days + sum(n * seconds for n, seconds in zip(numbers, fields, strict=False)) or None


def lifetime_options(system: str, walltime: str | None) -> list[str]:
    """Return the options with which a Dask worker leaves before its job is ended.

    It is not started again within its job, which is about to end: another job takes its place.
    """
    seconds = walltime_seconds(system, walltime)
    if seconds is None or seconds < SHORTEST_SECONDS:
        return []
    leaving = min(MOST_LEAVING_SECONDS, max(LEAST_LEAVING_SECONDS, LEAVING_SHARE * seconds))
    # Dask takes a time within the lifetime plus or minus the stagger.
    stagger = STAGGER_SHARE * seconds / 2
    lifetime = seconds - leaving - stagger
    return [
        *("--lifetime", f"{lifetime:.0f}s", "--lifetime-stagger", f"{stagger:.0f}s"),
        "--no-lifetime-restart",
    ]
