"""Make the table and the figure of what ``run.py`` measured.

    python tests/benchmarks/deciding/table.py FOLDER

Reads FOLDER/rows.csv; writes FOLDER/table.md and FOLDER/exact_k.png.
"""

import argparse
from pathlib import Path

import rows
from figure import draw
from rows import Row
from summary import CONDITIONS, CONFIDENCES, LEAST_OVERLAPPING, confidences, part, summarise
from ways import BY_NAME, WAYS

PARTS = {
    "Reporting half (odd numbers)": "reporting",
    "Measured once, at the end (odd numbers from 81)": "fresh",
    "Tuning half (even numbers)": "tuning",
}
COLUMNS = (
    *("way", "scans", "exact k", "within one", "median error of k", "median ARI", "lowest ARI"),
    *("ARI below .5", "median overlap F1", "median processor time", "no answer"),
)


def main() -> None:
    """Write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    measured = rows.read(folder / "rows.csv")
    text = page(measured)
    (folder / "table.md").write_text(text)
    draw(part(measured, "reporting") or measured, folder / "exact_k.png")
    print(text)


def page(measured: list[Row]) -> str:
    """Return the whole Markdown page."""
    parts = ["# Deciding k: orimap and its peers", origin(measured)]
    for title, name in PARTS.items():
        these = part(measured, name)
        if not these:
            continue
        parts += [f"## {title}", main_table(these)]
        common = on_common_scans(these)
        if 0 < len({row.number for row in common}) < len({row.number for row in these}):
            parts += ["The same on the scans that all of these ways were measured on:"]
            parts += [main_table(common)]
        parts += ["Share of exact k by what makes it hard (a scan can be in several):"]
        parts += [condition_table(these)]
        told = confidence_table(these)
        if told:
            parts += ["What the stated confidence means:", told]
    parts.append(
        f"Overlap F1: positions where a second pattern is at least half the first; over scans with "
        f"at least {LEAST_OVERLAPPING} such positions. Processor time of a strategy other than "
        "orimap's own is of deciding anew from the fits of that run. A way without an answer "
        "counts as wrong, and is left out of the ARI."
    )
    return "\n\n".join(parts) + "\n"


def origin(measured: list[Row]) -> str:
    """Say when and with what code the rows were measured."""
    dates = sorted({row.measured for row in measured})
    own = sorted({row.code for row in measured if _own(row)})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    code = f"; orimap at {', '.join(own)} (+: with changes not committed)" if own else ""
    return f"Measured {when}{code}."


def _own(row: Row) -> bool:
    return row.way.startswith("orimap")


def on_common_scans(part: list[Row]) -> list[Row]:
    """Return the rows of scans that every way has; the paper's rule is for small ones and left out.

    A way that takes long may have been measured on fewer scans, which are not the same mix.
    """
    part = [row for row in part if BY_NAME[row.way].strategy != "published"]
    scans_of = [{row.number for row in part if row.way == way} for way in {row.way for row in part}]
    common = set.intersection(*scans_of) if scans_of else set()
    return [row for row in part if row.number in common]


def main_table(part: list[Row]) -> str:
    """Return one row for each way."""
    lines = []
    for title, of_way in _by_way(part):
        s = summarise(of_way)
        lines.append(
            (
                title,
                str(s.scans),
                _percent(s.exact),
                _percent(s.within_one),
                "-" if s.error is None else f"{s.error:+g}",
                _decimal(s.ari),
                _decimal(s.lowest_ari),
                _percent(s.poor),
                _decimal(s.overlap_f1),
                "-" if s.cpu_seconds is None else f"{s.cpu_seconds:.0f} s",
                str(s.failures),
            )
        )
    return _markdown(COLUMNS, lines)


def condition_table(part: list[Row]) -> str:
    """Return the share of exact k for each way and condition."""
    columns = [
        f"{name} ({len({row.number for row in part if holds(row)})})"
        for name, holds in CONDITIONS.items()
    ]
    lines = []
    for title, of_way in _by_way(part):
        chosen = [[row for row in of_way if holds(row)] for holds in CONDITIONS.values()]
        shares = [_percent(summarise(rows).exact) if rows else "-" for rows in chosen]
        lines.append((title, *shares))
    return _markdown(("way", *columns), lines)


def confidence_table(part: list[Row]) -> str:
    """Return, for ways that state a confidence that varies, how often it is given and right."""
    lines = []
    for title, of_way in _by_way(part):
        if len({row.confidence for row in of_way if row.confidence}) < 2:
            continue
        cells = [
            f"{_percent(share)}: {right} of {given} right"
            for share, given, right in confidences(of_way).values()
        ]
        lines.append((title, *cells))
    return _markdown(("way", *CONFIDENCES), lines) if lines else ""


def _by_way(part: list[Row]) -> list[tuple[str, list[Row]]]:
    """Return title and rows of every way that has some, in the order of the ways."""
    of_ways = [(way.title, [row for row in part if row.way == way.name]) for way in WAYS]
    return [(title, of_way) for title, of_way in of_ways if of_way]


def _markdown(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    aligned = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, aligned, *lines))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}".replace("0.", ".", 1)


if __name__ == "__main__":
    main()
