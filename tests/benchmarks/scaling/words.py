"""Numbers and tables in Markdown."""

from collections.abc import Sequence


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]], *, text: bool = False) -> str:
    """Return a table; the columns after the first are numbers, or text as well."""
    aligned = ["---", *["---" if text else "--:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, aligned, *lines))


def time_of(seconds: float) -> str:
    """Return a time to two or three digits."""
    if seconds >= 3 * 3600:
        return f"{seconds / 3600:.3g} h"
    if seconds >= 600:
        return f"{seconds / 60:.3g} min"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def size_of(size: float) -> str:
    """Return bytes to two or three digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def number_of(many: float) -> str:
    """Return a large number to three digits, in words that are read at a glance."""
    for unit, name in ((1e9, "billion"), (1e6, "million")):
        if many >= unit:
            return f"{many / unit:.3g} {name}"
    return f"{many:,.0f}"
