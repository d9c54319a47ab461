"""What every step of a run asks of a cluster, from a scan's sizes and what was measured.

How the scan is cut in blocks and groups is planned by orimap itself; what a task costs is measured
on the detector nearest in size, and grows with what the code loops over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from math import log
from typing import Any

import numpy as np
from cluster_step import Step
from scan import AS_IT_IS, Scan, Way

from orimap.tasks.acquire.ingest.blocks.ingest_block import blocks_a_task
from orimap.tasks.factorise import sketch
from orimap.tasks.factorise.exact_pass import LOSS_ENTRIES
from orimap.tasks.stream.blocks import Block, in_groups
from orimap.tasks.stream.sizes import sketch_rank, stack_columns

NS = 1e-9
SINGLE, DOUBLE = 4, 8
DETECTORS = (128, 256, 512)
# What fits of more components than were measured take is what these take on average.
LARGEST_MEASURED = range(16, 21)


class Steps:
    """The steps of one scan.

    Parameters
    ----------
    scan : Scan
    costs : dict
        What ``measure.py`` wrote.
    way : Way
    """

    def __init__(self, scan: Scan, costs: Mapping[str, Any], way: Way = AS_IT_IS) -> None:
        self.scan, self.costs, self.way = scan, costs, way
        nearest = min(DETECTORS, key=lambda side: abs(log(side / scan.side)))
        self.of = costs[f"detector-{nearest}"]
        self.nearest_pixels = nearest**2
        self.entries = scan.entries or self.of["entries_a_pattern"]
        self.load = scan.load(self.entries)
        self.source = scan.source
        self.rank = sketch_rank(scan.k_max, scan.positions, scan.pixels)
        self.ks = range(1, scan.k_max + 1)
        self.components = sum(self.ks)
        self.columns = stack_columns(self.ks)
        self.blocks = self.source.blocks()

    def of_run(self) -> dict[str, list[Step]]:
        """Return what each step of a run consists of, by its name; to be done one by one."""
        halves = (False, True) if self.scan.held_out else (False,)
        scored = {"exact pass": [self.exact(last=not self.scan.held_out)]}
        if self.scan.held_out:
            scored["held-out"] = [self.held_out()]
        return {
            "ingest": [self.ingest()],
            "sketch": [
                step
                for half in halves
                for step in (self.gram(half, first=True), self.gram(half), self.project(half))
            ],
            "fits": [self.fits()],
            **scored,
        }

    def ingest(self) -> Step:
        """Every chunk from the file to the store, verified; what is told of it goes back."""
        of, scan, size = self.of, self.scan, blocks_a_task(len(self.blocks))
        parts = in_groups(self.blocks, size)
        patterns = self.source.positions / len(parts)
        a_pattern = of["ingest_seconds_a_pattern"] * scan.pixels / self.nearest_pixels
        stored = self.entries / of["entries_a_pattern"]
        stored *= of["stored_bytes_a_pattern"] + of["sparse_bytes_a_pattern"]
        merging = (size - 1) * of["record_ns_a_pixel"] * NS * scan.pixels
        return Step(
            [a_pattern * _positions(part) + merging for part in parts],
            ahead=2,
            message_bytes=self.message("ingest_blocks", size),
            result_bytes=of["record_bytes_a_pixel"] * scan.pixels
            + of["record_bytes_a_pattern"] * patterns,
            # What is written is read back.
            read_bytes=patterns * (self.load.pattern_bytes + stored),
            write_bytes=patterns * stored,
            result_seconds=of["record_ns_a_pixel"] * NS * scan.pixels,
        )

    @property
    def basis_seconds(self) -> float:
        """What it takes one worker to make the sum of a pass orthonormal."""
        return self.scan.pixels * self.rank**2 * self.costs["command"]["basis_ns"] * NS

    def gram(self, half: bool, *, first: bool = False) -> Step:
        """One of the first passes of the sketch: a sum as large as the basis."""
        numbers = self.scan.pixels * self.rank
        groups = min(sketch.sums(self.scan.positions, self.way.most_sums), len(self.blocks))
        cuts = np.linspace(0, len(self.blocks), groups + 1).astype(int)
        parts = [self.blocks[a:b] for a, b in pairwise(cuts)]
        an_entry = self.rank * self.of["gram_ns_an_entry_direction"] * NS
        fixed = numbers * self.of["gram_task_ns_a_number"] * NS
        return Step(
            [self.pass_seconds(part, half, an_entry) + fixed for part in parts],
            ahead=2,
            message_bytes=self.message("_gram", len(self.blocks) / groups),
            result_bytes=DOUBLE * numbers,
            read_bytes=self.stored_bytes / groups,
            summed=True,
            add_seconds=numbers * self.of["add_ns_a_number"] * NS,
            shared_bytes=SINGLE * numbers,
            shared_seconds=0.0 if first else self.basis_seconds,  # to draw them is nothing beside
        )

    def project(self, half: bool) -> Step:
        """The last pass of the sketch: coordinates, their decomposition, and the group of it."""
        parts, command, rank = self.groups, self.costs["command"], self.rank
        numbers, size = self.scan.pixels * rank, self.scan.positions / len(parts)
        an_entry = rank * self.of["project_ns_an_entry_direction"] * NS
        fixed = numbers * self.of["project_task_ns_a_number"] * NS
        written = DOUBLE * rank * (self.scan.positions + self.scan.pixels)
        decomposed = self.scan.positions * rank**2 * command["svd_ns"] * NS
        fetched = DOUBLE * numbers / self.costs["scheduler"]["process_bytes_a_second"]
        step = Step(
            [self.pass_seconds(part, half, an_entry) + fixed for part in parts],
            message_bytes=self.message("_project", len(self.blocks) / len(parts)),
            result_bytes=DOUBLE * (rank + 2) * size,
            read_bytes=self.stored_bytes / len(parts),
            shared_bytes=SINGLE * numbers,
            shared_seconds=self.basis_seconds,
            command_seconds=fetched + decomposed + written * command["write_ns_a_byte"] * NS,
            command_write_bytes=written * command["stored_share"],
        )
        return step if self.way.gathered else _spread(step, DOUBLE * rank**2)

    def fits(self) -> Step:
        """One task for each k, the largest first, on a sketch that one worker has read."""
        halves = 1 + self.scan.held_out
        sizes = (self.way.fitted_positions or self.scan.positions) + self.scan.pixels
        iteration = self.of["iteration_ns"] * NS * sizes * self.rank
        shared = DOUBLE * self.rank * sizes * halves
        return Step(
            [iteration * k * self.iterations(k) for k in reversed(self.ks)],
            ahead=len(self.ks),
            message_bytes=self.message("_project", 0),
            write_bytes=SINGLE * halves * self.scan.pixels * self.components / len(self.ks),
            shared_bytes=shared,
            shared_seconds=shared * self.costs["command"]["read_ns_a_byte"] * NS,
            shared_read_bytes=shared,
        )

    def iterations(self, k: int) -> float:
        """Return how many iterations the fits of one k take, both halves together."""
        measured = self.costs["fits"]["iterations"]
        many = [sum(measured[str(one)][: 1 + self.scan.held_out]) for one in LARGEST_MEASURED]
        found = measured.get(str(k))
        return sum(found[: 1 + self.scan.held_out]) if found else sum(many) / len(many)

    def exact(self, *, last: bool) -> Step:
        """Weights, residual and loss of every fit; ``last`` where no half is held out."""
        share = min(1.0, LOSS_ENTRIES / (self.entries * self.scan.positions))
        loss = share * self.columns * self.of["loss_ns_an_entry_column"] * NS
        return self._scored("_solve_and_score", False, loss, self.components, 2, last)

    def held_out(self) -> Step:
        """Weights of the training half, held against the other."""
        deviance = self.columns * self.of["held_out_ns_an_entry_column"] * NS
        return self._scored("_hold_out", True, deviance, 0, 1, True)

    def _scored(
        self, name: str, half: bool, an_entry: float, singles: int, doubles: int, last: bool
    ) -> Step:
        """One pass with the components of every fit, which returns some numbers of each."""
        parts, command, fits = self.groups, self.costs["command"], len(self.ks)
        positions, table = self.scan.positions, self.scan.pixels * self.columns
        an_entry += self.columns * self.of["solve_ns_an_entry_column"] * NS
        # Sweeps over k components cost k² each.
        solved = sum(k**2 for k in self.ks) / sum(k**2 for k in range(1, 21))
        solved *= self.costs["fits"]["solve_seconds_a_position"]
        written = positions * (SINGLE * self.components + DOUBLE * fits) if last else 0
        returned = DOUBLE + SINGLE * singles + DOUBLE * doubles * fits
        making = self.of["prepare_ns_a_number"] + SINGLE * command["read_ns_a_byte"]
        step = Step(
            [self.pass_seconds(p, half, an_entry) + solved * _positions(p) for p in parts],
            message_bytes=self.message(name, len(self.blocks) / len(parts)),
            result_bytes=returned * positions / len(parts),
            read_bytes=self.stored_bytes / len(parts),
            shared_bytes=SINGLE * table,
            shared_seconds=making * NS * table,
            shared_read_bytes=SINGLE * table,
            command_seconds=written * command["write_ns_a_byte"] * NS,
            command_write_bytes=written * command["stored_share"],
        )
        return step if self.way.gathered else _spread(step, DOUBLE * fits)

    @cached_property
    def groups(self) -> list[list[Block]]:
        """The blocks of every task of a pass."""
        return self.source.groups(self.way.most_groups)

    @property
    def stored_bytes(self) -> float:
        """What a pass reads: the sparse form."""
        share = self.entries / self.of["entries_a_pattern"]
        return self.scan.positions * self.of["sparse_bytes_a_pattern"] * share

    def pass_seconds(self, blocks: Sequence[Block], half: bool, seconds_an_entry: float) -> float:
        """Return the time of a task that reads some blocks and does something at every entry."""
        reading = self.of["read_ns_an_entry"] + half * self.of["halves_ns_an_entry"]
        return _positions(blocks) * self.entries * (reading * NS + seconds_an_entry)

    def message(self, function: str, blocks: float) -> float:
        """Return the bytes of a task as it is submitted, with so many blocks."""
        measured = self.costs["fits"]
        least = measured["tasks"][function]["message_bytes"]
        return least + blocks * measured["message_bytes_a_block"]


def _spread(step: Step, result_bytes: float) -> Step:
    """Have workers do what the command does after the last result, and return sums only."""
    share = 1 / len(step.seconds)
    return replace(
        step,
        seconds=[seconds + share * step.command_seconds for seconds in step.seconds],
        result_bytes=result_bytes,
        write_bytes=share * step.command_write_bytes,
        command_seconds=0.0,
        command_write_bytes=0.0,
    )


def _positions(blocks: Sequence[Block]) -> int:
    return sum(block.positions for block in blocks)
