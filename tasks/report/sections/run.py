"""The run: what was repaired, what was asked for, time and memory, changes by hand."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orimap.tasks.report import words
from orimap.tasks.report.results import Results, analysed_mask
from orimap.tasks.report.sections import tables
from orimap.tasks.report.words import count_text, decoded, percent_text, sentence


@dataclass(frozen=True)
class RepairsSection:
    """What was masked, clipped or repaired, where that was ``recorded``.

    ``of_centring`` says whether one of the sentences tells if patterns were centred.
    """

    sentences: Sequence[str]
    recorded: bool
    of_centring: bool


@dataclass(frozen=True)
class RunSection:
    """Time and memory of the run, what was asked for, and where it ran."""

    steps: Sequence[tables.StepRow]
    seconds: str
    peak: str
    predicted: str
    request: str
    versions: Mapping[str, str]
    machine: Mapping[str, str]


@dataclass(frozen=True)
class RevisionSection:
    """What somebody changed by hand, in sentences, and whether that is ``outdated``."""

    name: str
    edits: Sequence[str]
    outdated: str


def repairs_section(results: Results, notes: Sequence[str]) -> RepairsSection:
    """Return what was repaired; ``notes`` are remarks of the run itself."""
    facts = results.attr("acquisition")
    said = repairs(
        facts, results.values("acquisition", "detector_mask"), analysed_mask(results), notes
    )
    return RepairsSection(said, bool(facts), any("centred" in text for text in said))


def run_section(results: Results, run: Mapping[str, Any], request: Mapping[str, Any]) -> RunSection:
    """Return what ``run.json`` says of the run."""
    return RunSection(
        steps=tables.step_rows(run.get("steps") or []),
        seconds=words.seconds_text(run.get("seconds")),
        peak=words.bytes_text(run.get("peak_bytes")),
        predicted=words.bytes_text(run.get("predicted_peak_bytes")),
        request=json.dumps(request, indent=2, default=str, ensure_ascii=False),
        versions=run.get("versions") or {"orimap": results.attrs.get("orimap_version", "–")},
        machine=tables.machine_rows(run.get("machine") or {}),
    )


def repairs(
    facts: Mapping[str, Any],
    mask: np.ndarray | None,
    analysed: np.ndarray | None,
    remarks: Sequence[str] = (),
) -> list[str]:
    """List what was masked, clipped or repaired, as sentences; empty if nothing was.

    Parameters
    ----------
    facts : mapping
        Attributes of /acquisition; its ``notes`` say what was found in it.
    mask, analysed : (dy, dx) arrays of int or None
        Pixels left out of the patterns as acquired, and as analysed.
    remarks : sequence of str
        Remarks of the run itself.
    """
    notes = decoded(facts.get("notes"))
    if isinstance(notes, str):
        notes = [notes]
    found = [*(notes if notes is not None else [])]
    given = 0 if mask is None else int(np.count_nonzero(mask.astype(np.int64) & 4))
    if given:
        found.append(f"{count_text(given, 'pixel')} left out by the given mask")
    found += remarks
    masked = 0 if analysed is None else np.count_nonzero(analysed) / analysed.size
    if masked:
        found.append(f"In all {percent_text(masked)} of the detector's pixels are not analysed")
    return [sentence(str(note)) for note in found]
