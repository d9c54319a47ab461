"""Draw curves: what changes as k grows, how noise grows with brightness."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.ticker import AutoLocator, FuncFormatter, MaxNLocator, NullFormatter

from orimap.tasks.report.figures.palette import cluster_colours
from orimap.tasks.report.figures.style import GRID, INK, QUIET, SHADE
from orimap.tasks.report.words import figure_text, units_text

BLUE, ORANGE = cluster_colours(2)
SIZE = (5.4, 3.7)
CAMERA_SIZE = (7.6, 4.0)
# Noise that grows by less than this factor is drawn on even scales, not on logarithmic ones.
WIDE = 10
# Saturation is marked up to so many times the largest intensity.
NEAR = 3


def curve_axes(up: str, along: str = "number of components k") -> tuple[Figure, Axes]:
    """Return a figure with one plain pair of axes, and what they are called."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(colors=INK, labelsize=9, color=QUIET)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel(along, color=INK)
    axes.set_ylabel(up, color=INK)
    return figure, axes


def write_powers(axis: Axis) -> None:
    """Write the numbers of a logarithmic axis in letters of one size."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: figure_text(value, 1)))
    axis.set_minor_formatter(NullFormatter())


def _mark(axes: Axes, decided: int | None, fitted: int | None) -> None:
    """Mark the decided k, and the fitted one where it differs."""
    if decided is not None:
        axes.axvline(decided, color=ORANGE, lw=1.8, label=f"decided: {decided}", zorder=1.5)
    if fitted is not None and fitted != decided:
        axes.axvline(
            fitted, color=ORANGE, lw=1.2, ls=(0, (2, 2)), label=f"fitted: {fitted}", zorder=1.5
        )


def draw_legend(axes: Axes, marks: Sequence[Artist | Container] | None = None) -> None:
    """Put the legend above the axes, where it hides no point; of all marks, or of those given."""
    axes.figure.legend(
        handles=marks, loc="outside upper left", ncols=len(marks) if marks else 3, fontsize=8.5,
        frameon=False, labelcolor=INK, columnspacing=1.2, handlelength=1.6,
    )  # fmt: skip


def loss_figure(
    k: np.ndarray,
    loss: np.ndarray,
    *,
    relative: np.ndarray | None = None,
    error: np.ndarray | None = None,
    knee: int | None = None,
    interest: tuple[int, int] | None = None,
    decided: int | None = None,
    fitted: int | None = None,
    units: str = "electron",
) -> Figure:
    """Draw the K-component loss with its knee and the range of interest.

    Parameters
    ----------
    k, loss : (k,) arrays
        Mean absolute error over all entries, in ``units``.
    relative : (k,) array, optional
        The same divided by the mean intensity: drawn as a second scale.
    error : (k,) array, optional
        Standard error of the loss, 0 where it is exact.
    knee, decided, fitted : int, optional
    interest : (lowest, highest) k, optional
    """
    figure, axes = curve_axes(f"mean absolute error ({units_text(units)})")
    if interest is not None:
        label = f"range of interest: {interest[0]} to {interest[1]}"
        axes.axvspan(interest[0] - 0.5, interest[1] + 0.5, color=SHADE, lw=0, label=label, zorder=0)
    _mark(axes, decided, fitted)
    bars = error if error is not None and np.nanmax(error, initial=0) > 0 else None
    axes.errorbar(k, loss, yerr=bars, color=BLUE, marker="o", ms=4.5, lw=1.6, label="loss")
    if knee is not None and knee in k:
        at = float(loss[np.flatnonzero(np.asarray(k) == knee)[0]])
        axes.plot(
            [knee], [at], marker="D", ms=10, mfc="none", mec=INK, mew=1.5, ls="",
            label=f"knee: {knee}",
        )  # fmt: skip
    if relative is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            factors = np.asarray(relative, float) / loss
        factors = factors[np.isfinite(factors) & (factors > 0)]
        if factors.size:
            factor = float(np.median(factors))
            scale = axes.secondary_yaxis(
                "right", functions=(lambda v: v * factor, lambda v: v / factor)
            )
            scale.set_ylabel("… over the mean intensity", color=INK)
            scale.tick_params(labelsize=9, color=QUIET)
            scale.spines["right"].set_color(QUIET)
    draw_legend(axes)
    return figure


def held_out_figure(
    k: np.ndarray,
    drop: np.ndarray,
    error: np.ndarray,
    *,
    threshold: float | None = None,
    decided: int | None = None,
    fitted: int | None = None,
) -> Figure:
    """Draw how much the held-out half is described better by each further component.

    Parameters
    ----------
    k, drop, error : (k,) arrays
        Held-out deviance of k - 1 less that of k, with its standard error. NaN is left out.
        Drops of 0 or less have no logarithm and are drawn as open triangles at the bottom.
    threshold : float, optional
        Below this a drop counts as none.
    """
    figure, axes = curve_axes("drop in held-out error per pattern")
    k, drop, error = (np.asarray(values, float) for values in (k, drop, error))
    gains = np.isfinite(drop) & (drop > 0)
    lows = [drop[gains].min()] if gains.any() else [1.0]
    lows += [threshold] if threshold is not None and threshold > 0 else []
    bottom, top = min(lows) / 3, max([*drop[gains], *lows]) * 2
    _mark(axes, decided, fitted)
    bars = np.nan_to_num(error[gains])
    lower = np.minimum(bars, drop[gains] - bottom)
    axes.errorbar(
        k[gains], drop[gains], yerr=[np.maximum(lower, 0), bars], color=BLUE, marker="o", ms=4.5,
        lw=1.6, capsize=2.5, label="drop from k − 1 to k",
    )  # fmt: skip
    losses = np.isfinite(drop) & ~gains
    if losses.any():
        axes.plot(
            k[losses], np.full(losses.sum(), bottom * 1.15), ls="", marker="v", mfc="none",
            mec=QUIET, ms=7, label="no gain (0 or below)", clip_on=False,
        )  # fmt: skip
    if threshold is not None and threshold > 0:
        axes.axhline(threshold, color=INK, lw=1, ls="--", label="threshold")
    axes.set_yscale("log")
    write_powers(axes.yaxis)
    axes.set_ylim(bottom, top)
    draw_legend(axes)
    return figure


def distinct_figure(
    k: np.ndarray,
    distinct: np.ndarray,
    *,
    background: np.ndarray | None = None,
    decided: int | None = None,
    fitted: int | None = None,
) -> Figure:
    """Draw how many patterns stay distinct after merging, against how many were fitted.

    Parameters
    ----------
    k, distinct, background : (k,) arrays
        Counts; below 0 where there is none.
    """
    figure, axes = curve_axes("distinct patterns", "number of components fitted")
    k, distinct = np.asarray(k), np.asarray(distinct)
    axes.plot(k, k, color=QUIET, lw=1, ls=":", label="every component distinct")
    if decided is not None:
        axes.axhline(decided, color=ORANGE, lw=1.8, label=f"decided: {decided}", zorder=1.5)
    if fitted is not None:
        axes.axvline(
            fitted, color=ORANGE, lw=1.2, ls=(0, (2, 2)), label=f"fitted: {fitted}", zorder=1.5
        )
    known = distinct >= 0
    axes.plot(
        k[known], distinct[known], color=BLUE, marker="o", ms=4.5, lw=1.6, label="after merging"
    )
    if background is not None and np.any(np.asarray(background) > 0):
        axes.bar(k, np.maximum(background, 0), width=0.5, color="#c9ced6", label="background")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_ylim(bottom=0)
    draw_legend(axes)
    return figure


def scree_figure(
    spectra: Mapping[str, np.ndarray], *, decided: int | None = None, fitted: int | None = None
) -> Figure:
    """Draw singular values on a logarithmic scale; each spectrum relative to its first value."""
    figure, axes = curve_axes("singular value over the first", "direction")
    for (name, values), colour, marker in zip(
        spectra.items(), (BLUE, INK), ("o", "s"), strict=False
    ):
        values = np.asarray(values, float)
        values = values[np.isfinite(values) & (values > 0)]
        if values.size:
            axes.plot(
                np.arange(1, len(values) + 1), values / values[0], color=colour, marker=marker,
                ms=3.5, lw=1.4, label=name,
            )  # fmt: skip
    _mark(axes, decided, fitted)
    axes.set_yscale("log")
    write_powers(axes.yaxis)
    draw_legend(axes)
    return figure


def camera_figure(
    mean: np.ndarray,
    variances: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    line: tuple[float, float] | None = None,
    offset: float | None = None,
    read_noise: float | None = None,
    saturation: float | None = None,
    units: str = "",
    table: Mapping[str, str] | None = None,
) -> Figure:
    """Draw how the variance of the noise grows with brightness (photon transfer).

    Parameters
    ----------
    mean : (brightness,) array
        Intensity of groups of pixels, in ``units``.
    variances : mapping of name to two (brightness,) arrays
        Variance and its standard error; the first, that of single pixels, decides on the scale.
    line : (gain, shift), optional
        Variance as gain * (mean + shift).
    offset : float, optional
        Intensity without electrons: drawn as 0.
    read_noise : float, optional
        Standard deviation without electrons.
    saturation : float, optional
        Largest value that can be; marked unless it is far off.
    table : mapping of str to str, optional
        What was measured, written beside the curves.
    """
    above = "" if offset is None else " above the offset"
    figure, axes = curve_axes(
        "variance of the noise" + (f" ({units}²)" if units else ""),
        f"mean intensity{above}" + (f" ({units})" if units else ""),
    )
    figure.set_size_inches(CAMERA_SIZE)
    zero = offset or 0.0
    x = np.asarray(mean, float) - zero
    lowest = [float(np.nanmin(value)) for value, _ in variances.values()]
    most = max(float(np.nanmax(value)) for value, _ in variances.values())
    wide = lowest[0] > 0 and most > WIDE * lowest[0]
    # A sum over neighbours may come out below 0; its error bar is then cut off at the bottom.
    least = max(min(lowest), lowest[0] / WIDE)
    marks = [
        axes.errorbar(
            x, value, yerr=error, color=colour, marker=marker, ms=4, lw=0, elinewidth=1.1,
            label=name,
        )
        for (name, (value, error)), colour, marker in zip(
            variances.items(), (BLUE, ORANGE), ("o", "s"), strict=True
        )
    ]  # fmt: skip
    if wide:
        _logarithmic(axes, x)
    else:
        axes.xaxis.set_major_locator(AutoLocator())
    left, right = axes.get_xlim()
    if line is not None:
        gain, shift = line
        # As many points between two groups as between any others: smooth on every scale.
        along = np.interp(np.linspace(0, len(x) - 1, 500), np.arange(len(x)), np.sort(x))
        marks += axes.plot(
            along, gain * (along + zero + shift), color=INK, lw=1.4, zorder=3,
            label="gain × intensity + constant",
        )  # fmt: skip
    # Noise of read-out that is far below all that was seen would leave the figure empty.
    if read_noise and (not wide or read_noise**2 > lowest[0] / WIDE):
        level = read_noise**2
        least, most = min(least, level), max(most, level)
        marks.append(
            axes.axhline(level, color=QUIET, lw=1.2, ls=(0, (3, 2)), label="read-out noise²")
        )
    if saturation is not None and saturation - zero <= NEAR * x.max():
        right = max(right, 1.1 * (saturation - zero))
        label = f"saturation: {saturation:g}"
        marks.append(axes.axvline(saturation - zero, color=INK, lw=1, ls=":", label=label))
    axes.set_xlim(left, right)
    if wide:
        axes.set_ylim(least / 1.6, most * 1.6)
    _write_column(axes, table or {})
    draw_legend(axes, marks)
    return figure


def _logarithmic(axes: Axes, x: np.ndarray) -> None:
    """Make both scales logarithmic; along x evenly near 0 where some values are not above it."""
    axes.set_yscale("log")
    write_powers(axes.yaxis)
    if x.min() > 0:
        axes.set_xscale("log")
        write_powers(axes.xaxis)
        return
    dim = max(-x.min(), np.abs(x[x != 0]).min(initial=1.0))
    even = 10.0 ** math.ceil(math.log10(dim))
    axes.set_xscale("symlog", linthresh=even)
    write_powers(axes.xaxis)
    axes.set_xlim(left=x.min() - 0.3 * even)


def _write_column(axes: Axes, table: Mapping[str, str]) -> None:
    """Write what was measured in a column to the right of some axes."""
    for i, (name, value) in enumerate(table.items()):
        for text, down, size, colour in ((name, 0.0, 8.5, QUIET), (value, 0.058, 10.5, INK)):
            axes.text(
                1.05, 0.97 - 0.17 * i - down, text, transform=axes.transAxes, fontsize=size,
                color=colour, va="top",
            )  # fmt: skip
