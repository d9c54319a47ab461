"""Make the table of realistic scans, and the figure of what a stated confidence is worth.

    python tests/benchmarks/deciding/realistic_table.py FOLDER

Reads FOLDER/realistic.csv, and FOLDER/rows.csv for the kinematical family where it is there; writes
FOLDER/realistic.md and FOLDER/reliability.png.
"""

import argparse
from pathlib import Path
from statistics import median

import realistic
import rows
from realistic import Scan
from summary import CONFIDENCES, part

# A map is right where it has this ARI inside grains; the number, where it can be defended.
RIGHT_INSIDE = 0.95
NEAR_CEILING = 0.95


def main() -> None:
    """Write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    measured = realistic.read(folder / "realistic.csv")
    kinematical = [r for r in rows.read(folder / "rows.csv") if r.way == "orimap"]
    text = page(measured)
    (folder / "realistic.md").write_text(text)
    families = {
        "realistic": [(r.confidence, is_right(r)) for r in measured if r.way == "orimap"],
        "kinematical": [(r.confidence, r.exact) for r in part(kinematical, "reporting")],
    }
    draw(families, folder / "reliability.png")
    print(text)


def is_right(row: Scan) -> bool:
    """Return whether number and map are right; a single pattern has a map by itself."""
    inside = row.ari_inside is None or row.k_true == 1 or row.ari_inside >= RIGHT_INSIDE
    return row.defensible and inside


def page(measured: list[Scan]) -> str:
    """Return the whole Markdown page."""
    dates = sorted({row.measured for row in measured})
    codes = sorted({row.code for row in measured})
    parts = [
        "# Realistic scans: orimap and a careful user",
        f"Measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))} at {', '.join(codes)}.",
    ]
    for seed in sorted({row.seed for row in measured}):
        of_seed = [row for row in measured if row.seed == seed]
        parts += [f"## {seed}", in_short(of_seed), scans_table(of_seed)]
    parts.append(
        "ARI over the specimen (inside grains, where one pattern fills 95 % or more); ceiling: "
        "that of the likeliest map with the true mean pattern of each grain; white: specimen "
        "without a cluster; false: told to overlap inside grains."
    )
    return "\n\n".join(parts) + "\n"


def in_short(of_seed: list[Scan]) -> str:
    """Sum the rows of each way up in a line."""
    lines = []
    for way in realistic.WAYS:
        own = [row for row in of_seed if row.way == way and row.failure is None]
        if not own:
            continue
        with_top = [row for row in own if row.ceiling]
        near = sum(row.ari >= NEAR_CEILING * row.ceiling for row in with_top)
        inside = [row.ari_inside for row in own if row.ari_inside is not None and row.k_true > 1]
        lines.append(
            f"{way}: number right on {sum(r.defensible for r in own)} of {len(own)}, within one on "
            f"{sum(abs(r.k - r.k_true) <= 1 or r.defensible for r in own)}; map within 5 % of the "
            f"ceiling on {near} of {len(with_top)}; inside grains median ARI "
            f"{median(inside):.3f}."
        )
        high = [row for row in own if row.confidence == "high"]
        if high:
            lines[-1] += f" High confidence on {len(high)}, right on {sum(map(is_right, high))}."
    return "\n".join(f"- {line}" for line in lines)


def scans_table(of_seed: list[Scan]) -> str:
    """Return one line a scan, both ways side by side."""
    head = ("scan", "true", "ceiling", "orimap", "confidence", "ARI", "white", "false")
    head += ("careful user", "ARI")
    lines = [head, ("---", *["--:"] * (len(head) - 1))]
    for scan in sorted({row.scan for row in of_seed}):
        ours, user = (
            next((r for r in of_seed if r.scan == scan and r.way == way), None)
            for way in realistic.WAYS
        )
        known = ours or user
        lines.append(
            (
                scan,
                str(known.k_true),
                "" if known.ceiling is None else f"{known.ceiling:.2f}",
                *_number_and_map(ours)[:1],
                (ours.confidence or "") if ours else "",
                *_number_and_map(ours)[1:],
                "" if not ours else f"{100 * ours.white:.1f} %",
                ""
                if not ours or ours.false_overlap is None
                else f"{100 * ours.false_overlap:.1f} %",
                *_number_and_map(user),
            )
        )
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _number_and_map(row: Scan | None) -> tuple[str, str]:
    if row is None or row.failure:
        return "", "no answer" if row else ""
    number = f"**{row.k}**" if row.defensible else str(row.k)
    inside = "" if row.ari_inside is None else f" ({row.ari_inside:.2f})"
    return number, f"{row.ari:.2f}{inside}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def draw(families: dict[str, list[tuple[str | None, bool]]], path: Path) -> None:
    """Draw, for each family and stated confidence, how often it was right and on how many scans."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for place, (family, told) in enumerate(families.items()):
        for i, confidence in enumerate(CONFIDENCES):
            right = [is_right for given, is_right in told if given == confidence]
            if not right:
                continue
            x = i + 0.36 * (place - 0.5)
            share = 100 * sum(right) / len(right)
            colour = ("#0b6e99", "#8a8a8a")[place]
            label = family if i == 0 else None
            axes.bar(x, share, width=0.32, color=colour, label=label)
            axes.annotate(
                f"{sum(right)} of {len(right)}",
                (x, share),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
    axes.axhline(95, color="black", linewidth=0.8, linestyle="--")
    axes.set_xticks(range(len(CONFIDENCES)), CONFIDENCES)
    axes.set(ylim=(0, 118), ylabel="number and map right (%)", xlabel="stated confidence")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper right")
    figure.savefig(path, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main()
