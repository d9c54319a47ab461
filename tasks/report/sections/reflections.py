"""What the registered reflections show."""

from collections.abc import Collection, Mapping
from typing import Any

from orimap.tasks.report.results import Results, reflection_map_titles, uniform_value, units_of
from orimap.tasks.report.words import (
    bytes_text,
    count_text,
    figure_text,
    number,
    plural,
    units_text,
    whole,
)
from orimap.tasks.report.words import times_text as times
from orimap.tasks.store import variables

# What each map of reflections is, said where it is drawn.
EXPLAINED = {
    "scan_direct_intensity": "The bright field is the intensity of the direct beam.",
    "scan_intensity_sum": "An intensity is the height of a disc above the background.",
    "scan_prominence_sum": "A prominence is a peak above the lowest value around it.",
    "scan_noise": "Noise is the standard deviation in the corners of a pattern.",
    "scan_prominence_threshold": "The prominence needed is what a maximum must have to be "
    "registered.",
}
WITH_DIRECT_BEAM = {"scan_intensity_sum", "scan_prominence_sum", "scan_reflection_count"}


def maps_caption(drawn: Collection[str]) -> str:
    """Say what the maps of reflections are, those that are drawn."""
    said = [text for name, text in EXPLAINED.items() if name in drawn]
    if WITH_DIRECT_BEAM & set(drawn):
        said.append("Sums and numbers of reflections include the direct beam.")
    return " ".join(said)


def reflection_sentences(facts: Mapping[str, Any]) -> list[str]:
    """Say which patterns have no direct beam and how small the registered list is."""
    found = []
    without = whole(facts.get("patterns_without_direct_beam")) or 0
    if without:
        found.append(
            f"{count_text(without, 'pattern')} {plural(without, 'has', 'have')} no direct beam "
            "that was recognised; the bright field is 0 there."
        )
    sizes = [number(facts.get(f"{what}_bytes")) for what in ("list", "patterns")]
    if all(sizes):
        text = f"The list of reflections takes {bytes_text(sizes[0])}, {_less(*sizes)} than the "
        text += "patterns it comes from"
        disk = [number(facts.get(f"{what}_disk_bytes")) for what in ("list", "patterns")]
        if all(disk):
            text += f" (compressed, on disk: {_less(*disk)})"
        found.append(text + ".")
    return found


def _less(size: float, other: float) -> str:
    """Say how many times less, or more, one size is than another."""
    return f"{times(other / size)} less" if size <= other else f"{times(size / other)} more"


def uniform_sentences(results: Results) -> list[str]:
    """Say the value of each map of reflections that is the same everywhere."""
    _, uniform = reflection_map_titles(results)
    sentences = []
    for name, title in uniform.items():
        stored = results.groups["reflection_maps"][name]
        units = units_of(results, "reflection_maps", name)
        if name == variables.scan_prominence_threshold.name and units == "1":
            units = "standard deviations of the noise"
        unit = "" if units == "1" else f" {units_text(units)}"
        sentences.append(
            f"The {title} is {figure_text(uniform_value(stored.values))}{unit} everywhere."
        )
    return sentences
