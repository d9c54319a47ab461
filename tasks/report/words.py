"""Numbers, sizes and times in words."""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any


def decoded(value: Any) -> Any:
    """Return an attribute that may have been stored as JSON text."""
    if isinstance(value, str) and value[:1] in "[{":
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return value


def number(value: Any) -> float | None:
    """Return a finite number, or None for anything else."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None


def whole(value: Any) -> int | None:
    """Return a finite number as an integer, or None for anything else."""
    result = number(value)
    return None if result is None else round(result)


def plural(count: float, one: str, many: str | None = None) -> str:
    """Return the form of a word that goes with a number: pattern or patterns, is or are."""
    return one if count == 1 else many or one + "s"


def count_text(count: int, one: str, many: str | None = None) -> str:
    """Return ``1 pattern``, ``12 345 patterns``."""
    return f"{count:,} ".replace(",", "\u202f") + plural(count, one, many)


def units_text(units: str) -> str:
    """Return a unit as it is written beside numbers: electrons, grey levels, px."""
    return {"electron": "electrons", "grey level": "grey levels"}.get(units, units)


def cluster_text(cluster: int, names: Sequence[str] = ()) -> str:
    """Return a cluster's number, and its name if it has one: people count from 1, stores from 0."""
    name = names[cluster] if cluster < len(names) else ""
    return f"{cluster + 1} {name}".rstrip()


def figure_text(value: Any, digits: int = 3) -> str:
    """Return a number with ``digits`` significant digits, a dash for anything else."""
    known = number(value)
    if known is None:
        return "–"
    if known != 0 and not 1e-3 <= abs(known) < 10**6:
        mantissa, exponent = f"{known:.{digits - 1}e}".split("e")
        return f"{mantissa} × 10{_raised(int(exponent))}".replace("-", "−")
    # Beyond its digits a number is written out: 240, not 2.4e+02.
    text = f"{known:.{digits}g}"
    return (f"{known:.0f}" if abs(known) >= 1000 or "e" in text else text).replace("-", "−")


def _raised(exponent: int) -> str:
    """Return an exponent in raised digits."""
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def measured_text(value: Any, error: Any) -> str:
    """Return a number with its standard error, of which two digits: 4.04 ± 0.10."""
    known, spread = number(value), number(error)
    if known is None or spread is None or spread <= 0:
        return figure_text(known)
    power = math.floor(math.log10(max(abs(known), spread)))
    if not -4 <= power < 6:
        mantissa = measured_text(known / 10.0**power, spread / 10.0**power)
        return f"({mantissa}) × 10{_raised(power)}"
    decimals = max(0, 1 - math.floor(math.log10(spread)))
    # Adding 0 takes the sign off what was rounded to -0.
    text = f"{round(known, decimals) + 0.0:.{decimals}f} ± {spread:.{decimals}f}"
    return text.replace("-", "−")


def score_text(name: str, value: Any) -> str:
    """Return an image-quality metric as papers print it: 0.987, 42.3 dB."""
    known = number(value)
    if known is None:
        return "–"
    return f"{known:.1f} dB" if name == "PSNR" else f"{known:.3f}"


def percent_text(share: float) -> str:
    """Return a share (0..1) in per cent: 0 %, < 0.1 %, 3.2 %, 41 %."""
    percent = 100 * share
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return f"{percent:.1f} %" if 0 < percent < 9.95 else f"{percent:.0f} %"


def seconds_text(seconds: Any) -> str:
    """Return a time: 0.42 s, 8.3 s, 1 min 14 s, 2 h 5 min."""
    known = number(seconds)
    if known is None:
        return "–"
    if known < 59.5:
        return (
            f"{known:.2f} s" if known < 1 else f"{known:.1f} s" if known < 10 else f"{known:.0f} s"
        )
    minutes, rest = divmod(round(known), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def bytes_text(size: Any) -> str:
    """Return an amount of memory in powers of 1000: 740 kB, 1.2 GB."""
    known = number(size)
    if known is None:
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if known < 999.5:
            return f"{known:.{1 if known < 9.95 and unit != 'B' else 0}f} {unit}"
        known /= 1000
    return f"{known:.1f} TB"


def headline(
    decided: int | None,
    confidence: str | None,
    connected: int | None = None,
    *,
    crystal: bool = True,
    countable: bool = True,
) -> str:
    """Return the answer in one sentence.

    Parameters
    ----------
    decided : int or None
        Number of distinct patterns.
    confidence : str or None
    connected : int, optional
        Clusters, where patterns were split.
    crystal : bool
        Whether there is one at all: without, the number says nothing.
    countable : bool
        Whether there are enough positions for it to say something.
    """
    if decided is None:
        return "The number of distinct patterns is not decided"
    answer = count_text(decided, "distinct pattern") if crystal else "no crystal found"
    if not countable:
        answer = "too few positions to count" + ("" if crystal else f", {answer}")
    elif crystal and connected is not None and connected != decided:
        answer += f" in {count_text(connected, 'connected cluster')}"
    return f"{answer}, {confidence} confidence" if confidence else answer


def edited_headline(clusters: int, revision: str = "") -> str:
    """Return what a revision is in one sentence: no confidence is in what somebody chose.

    Parameters
    ----------
    clusters : int
    revision : str
        Its title; left out where it stands beside it.
    """
    answer = f"{count_text(clusters, 'cluster')}, edited by hand"
    return f"{answer} (revision {revision})" if revision else answer


def edited_reasons(edits: Iterable[str], automatic: str) -> list[str]:
    """Return why a revision is as it is: what was changed, and what the automatic result was."""
    return [*map(str, edits), f"The automatic result: {automatic}."]


# What a revision has in place of a confidence.
BY_HAND = "by hand"


def sentence(note: str) -> str:
    """Return a note with a capital at its beginning and a full stop at its end."""
    first = note.split(" ", 1)[0]
    if first.islower():  # a name such as ePattern stays as it is
        note = note[0].upper() + note[1:]
    return note if note.endswith((".", "!", "?")) else note + "."


def times_text(ratio: float) -> str:
    """Return a ratio: 2.4 times, 18 times, 1100 times."""
    return f"{ratio:.{1 if ratio < 9.95 else 0}f} times"


def region_text(region: Any) -> str:
    """Return a region (y0, y1, x0, x1) as it is given on the command line: 10:20,30:40."""
    known = decoded(region)
    if known is None or len(known) != 4:
        return "a region"
    y0, y1, x0, x1 = (int(edge) for edge in known)
    return f"{y0}:{y1},{x0}:{x1}"
