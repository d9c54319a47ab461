"""Write what a person changes about the clusters of finished results, as a revision beside them.

The automatic result is never touched. A revision holds the edits themselves: another one that
starts from it makes them again, on the fit as it is stored, and then its own.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr
import zarr

from orimap.cluster.environment import one_thread_for_blas
from orimap.flows.pipeline.redecide import HERE, stored_patterns
from orimap.flows.pipeline.results import root_of
from orimap.flows.pipeline.runtime.helpers import Here, open_workers_and_helpers
from orimap.flows.pipeline.runtime.measure import versions
from orimap.flows.pipeline.runtime.run import Decided, Fitted, Prepared, Run
from orimap.flows.pipeline.runtime.runner import StepRunner
from orimap.flows.pipeline.runtime.workers import are_threads
from orimap.flows.pipeline.steps import conclude
from orimap.flows.pipeline.steps.orientations import index_revision, link_orientations
from orimap.flows.request.names import with_new_names
from orimap.flows.request.request import Request
from orimap.tasks.errors import InputError, shown
from orimap.tasks.maps.by_hand.edits import Edits
from orimap.tasks.report.figures.palette import COLOURS, cluster_colours
from orimap.tasks.store import variables
from orimap.tasks.store.fingerprint import fingerprint
from orimap.tasks.store.groups import (
    complete_mark,
    link_group,
    mark_complete,
    open_group,
    write_group,
)
from orimap.tasks.store.open_results import (
    NAME,
    REVISIONS,
    delete_page,
    find_revision,
    revision_names,
    revision_store,
    title_as_given,
)
from orimap.tasks.store.run_folder import RunFolder, only_writer
from orimap.tasks.store.whole.results import complete_groups, require_whole_results
from orimap.tasks.store.whole.seal import seal
from orimap.tasks.stream.blocks import Progress
from orimap.tasks.stream.in_threads import Threads

if TYPE_CHECKING:
    from orimap.tasks.maps.by_hand.revise import Grouping
    from orimap.tasks.maps.parts import Parts

# What is to be replaced, for the moment that this takes.
FORMER = ".former"
# Patterns of up to this size are read twice by threads of this process in less time than worker
# processes take to start.
THREADS_BYTES = 2**30


@dataclass(frozen=True)
class Revised:
    """A revision that was written.

    Parameters
    ----------
    name : str
    store : Path
    names, colours : lists of str
        One a cluster, empty where it has none of its own.
    sizes : list of int
        Positions of each cluster.
    said : list of str
        What the edits came to, where that does not go without saying.
    """

    name: str
    store: Path
    names: list[str]
    colours: list[str]
    sizes: list[int]
    said: list[str]


class _Finished(RunFolder):
    """The folder of complete results, which are read where they are."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.analysis = self.published_analysis


def revise(
    directory: Path,
    edits: Edits | Sequence[Edits],
    runner: StepRunner,
    *,
    revision: str | None = None,
    title: str | None = None,
    source: str | None = None,
    overwrite: bool = False,
) -> Revised:
    """Write a revision of finished results.

    Parameters
    ----------
    directory : Path
    edits : Edits, or sequence of Edits
        Several are made one after the other: numbers are those after the one before.
    runner : StepRunner
    revision : str, optional
        Its name; by default edit-1, or the next that is free.
    title : str, optional
        What people call it (`title_as_given`); by default its name.
    source : str, optional
        Another revision that it starts from; by default the automatic result.
    overwrite : bool
        Put it in the place of one of that name, once it is whole.

    Raises
    ------
    InputError
        If there are no results, a cluster is not there or cannot be split, the name is taken, or
        ``source`` is outdated. Nothing has changed then.
    """
    root_of(RunFolder(directory))
    with only_writer(directory):
        folder = _Finished(directory)
        folder.recover()
        require_whole_results(directory, sums=True)
        root = root_of(folder)
        _put_back(directory)
        name = _free_name(directory, revision, overwrite=overwrite)
        called = name if title is None else title_as_given(title)
        steps = all_steps(directory, edits, source)
        require_first(folder.analysis, steps)
        request = Request.read(**with_new_names({**root["request"], **HERE, "output": directory}))
        prepared = stored_patterns(folder, request)
        raw = zarr.open_array(prepared.store, path="raw/pattern_intensity", mode="r")
        with _workers(request, raw.nbytes, runner) as (client, helpers):
            run = Run(request, folder, runner, client, helpers)
            write = partial(_write, run, prepared, int(root["fitted_k"]), steps=steps)
            facts = {"revision": name, "title": called, "from_revision": source}
            return runner.step("revision", partial(write, facts=facts))


@contextmanager
def _workers(
    request: Request, scan_bytes: int, runner: StepRunner
) -> Iterator[tuple[Any, Executor]]:
    """Give what reads the patterns: threads of this process, or workers for a large scan."""
    if scan_bytes > THREADS_BYTES:
        threads = are_threads(request, scan_bytes)
        with open_workers_and_helpers(request, runner.note, threads=threads) as opened:
            yield opened
    else:
        with one_thread_for_blas(), Threads() as threads_here:
            yield threads_here, Here()


def _free_name(directory: Path, asked: str | None, *, overwrite: bool) -> str:
    """Return the name of a new revision."""
    there = revision_names(directory)
    if asked is None:
        number = 1
        while f"edit-{number}" in there:
            number += 1
        return f"edit-{number}"
    if not NAME.fullmatch(asked):
        raise InputError(
            "a name of at most 64 letters, digits, dots and dashes for the revision",
            f"--revision {shown(asked)}",
            "give for instance --revision checked",
        )
    if asked in there and not overwrite:
        raise InputError(
            "a name that no revision has yet",
            f"--revision {asked}, which is there",
            f"choose another name, or remove it first: orimap edit {directory} --delete {asked}",
        )
    return asked


def all_steps(directory: Path, edits: Edits | Sequence[Edits], source: str | None) -> list[Edits]:
    """Return the edits of the revision that another one starts from, and its own.

    Raises
    ------
    InputError
        If there is no such revision, or it is outdated.
    """
    own = [edits] if isinstance(edits, Edits) else list(edits)
    if source is None:
        return own
    found = find_revision(directory, source)
    if found.outdated:
        raise InputError(
            "a revision of the results as they are now, to start from",
            f"--from {source}, which was made from an earlier decision",
            "start from the automatic result, without --from",
        )
    return [*(Edits.of(step) for step in found.steps), *own]


def require_first(analysis: Path, steps: Sequence[Edits]) -> None:
    """Check the clusters that are known before any work: those of the automatic result.

    Raises
    ------
    InputError
        If the first edit, or one before any that regroups, names another.
    """
    count = open_group(analysis, "clusters").sizes["cluster"]
    for step in steps:
        step.require(count)
        if step.regroup:
            break


def _write(
    run: Run,
    prepared: Prepared,
    fitted_k: int,
    progress: Progress,
    *,
    steps: list[Edits],
    facts: Mapping[str, Any],
) -> Revised:
    """Make all edits on the decided grouping, and write what follows; the whole or nothing.

    ``facts`` are the name of the revision, its title and where it starts from.
    """
    analysis, name = run.folder.analysis, str(facts["revision"])
    of = str(complete_mark(analysis, "clusters"))
    partial_store = run.folder.root / REVISIONS / f".{name}.partial"
    shutil.rmtree(partial_store, ignore_errors=True)
    partial_store.parent.mkdir(exist_ok=True)
    mark = fingerprint(of=of, steps=[step.stored() for step in steps])
    try:
        if any(step.regroup for step in steps):
            grouping = _grouping(run, prepared, fitted_k, steps)
            clusters = _write_groups(run, prepared, grouping, partial_store, mark, progress)
            said = grouping.in_words
            said = [*said, *index_revision(analysis, prepared.store, partial_store)]
        else:
            clusters, said = _write_names(analysis, steps, partial_store, mark), []
            link_orientations(analysis, partial_store, mark)
        more: Mapping[str, Any] = {
            **facts,
            "edits": [*(words for step in steps for words in step.in_words()), *said],
            "steps": [step.stored() for step in steps],
            "made": datetime.now().astimezone().isoformat(timespec="milliseconds"),
            "of": of,
            "decided_k": int(clusters.sizes["cluster"]),
            "edited_with": versions()["orimap"],
        }
        zarr.open_group(partial_store, mode="r+").attrs.update(more)
        seal(partial_store, "", groups=complete_groups(partial_store))
        _put_in_place(run.folder.root, name, partial_store)
    except BaseException:
        shutil.rmtree(partial_store, ignore_errors=True)
        with suppress(OSError):
            partial_store.parent.rmdir()
        raise
    return Revised(
        name,
        revision_store(run.folder.root, name),
        list(clusters.attrs["cluster_names"]),
        list(clusters.attrs["cluster_colours"]),
        [int(n) for n in clusters[variables.cluster_size.name].values],
        said,
    )


def _put_in_place(root: Path, name: str, made: Path) -> None:
    """Give a store that is whole its name; what had that name goes, with its page."""
    store = revision_store(root, name)
    if store.exists():
        former = store.with_name(f".{name}{FORMER}")
        shutil.rmtree(former, ignore_errors=True)
        store.rename(former)
        made.rename(store)
        shutil.rmtree(former, ignore_errors=True)
        delete_page(root, name)
    else:
        made.rename(store)


def _put_back(root: Path) -> None:
    """Give back the name of a revision in whose place another one was not put after all."""
    for former in (root / REVISIONS).glob(f".*{FORMER}"):
        store = revision_store(root, former.name[1:].removesuffix(FORMER))
        if store.exists():
            shutil.rmtree(former, ignore_errors=True)
        else:
            former.rename(store)


def _grouping(run: Run, prepared: Prepared, fitted_k: int, steps: list[Edits]) -> "Grouping":
    """Return the decided grouping after all edits."""
    analysis = run.folder.analysis
    require_groups(analysis)
    chosen, reflections = stored_grouping(analysis)
    fitted = Fitted(prepared, (fitted_k,), fitted_k, "", run.request.l1)
    decided = Decided(fitted, fitted_k, reflections, True, True, None, "", component_cluster=chosen)
    parts = conclude.decided_parts(run, decided)
    return apply_all(drawn_grouping(analysis, parts), steps, run.request.regularity)


def stored_grouping(analysis: Path) -> tuple[tuple[int, ...], bool]:
    """Return the cluster of each component, and whether these were told by their reflections."""
    stored = variables.component_cluster.read(open_group(analysis, "clusters")).values
    reflections = variables.component_reflection.name in open_group(analysis, "grains")
    # Of grains the last one is the background, which is no component of theirs.
    return tuple((stored[:-1] if reflections else stored).tolist()), reflections


def drawn_grouping(analysis: Path, parts: "Parts") -> "Grouping":
    """Return the grouping of the map as it is stored."""
    from orimap.tasks.maps.by_hand.revise import grouping_of

    drawn = open_group(analysis, "clusters")
    return grouping_of(
        parts,
        variables.cluster_label.read(drawn).values,
        variables.cluster_share.read(drawn).values,
        variables.cluster_parent.read(drawn).values,
        cluster_colours(drawn.sizes["cluster"]),
    )


def apply_all(grouping: "Grouping", steps: Sequence[Edits], regularity: float) -> "Grouping":
    """Return a grouping after all edits, with what all of them came to."""
    from orimap.tasks.maps.by_hand.revise import apply

    said, moved = grouping.said, grouping.moved
    for step in steps:
        grouping = apply(grouping, step, regularity=regularity, palette=COLOURS)
        said, moved = said + grouping.said, moved + grouping.moved
    return replace(grouping, said=said, moved=moved)


def own_colours(grouping: "Grouping") -> list[str]:
    """Return the colours of clusters, empty where it is the usual one of their number."""
    usual = cluster_colours(len(grouping.colours))
    return ["" if one == other else one for one, other in zip(grouping.colours, usual, strict=True)]


def require_groups(analysis: Path) -> None:
    """Check that all is there that the map was drawn of; earlier versions did not store it.

    Raises
    ------
    InputError
        If something is not.
    """
    for group in ("grains", "sketch", "dark_fields"):
        if complete_mark(analysis, group) is None:
            raise InputError(
                f"results with all that their map was drawn of ({analysis})",
                f"no /{group}",
                f"decide again with this version first: orimap decide {analysis.parent}",
            )


def _write_groups(
    run: Run,
    prepared: Prepared,
    grouping: "Grouping",
    store: Path,
    mark: str,
    progress: Progress,
) -> xr.Dataset:
    """Write all groups that follow from a grouping; return /clusters."""
    from orimap.tasks.maps import clusters
    from orimap.tasks.maps.baseline import compared_anew
    from orimap.tasks.maps.by_hand.revise import draw

    analysis = run.folder.analysis
    maps = draw(grouping, regularity=run.request.regularity)
    ds = conclude.described(run, prepared, grouping.parts.stored, maps, progress)
    ds.attrs["cluster_names"] = list(grouping.names)
    ds.attrs["cluster_colours"] = own_colours(grouping)
    zarr.open_group(store, mode="w")
    write_group(store, "grains", grouping.parts.stored, mark)
    write_group(store, "clusters", ds, mark)
    write_group(store, "overlap", clusters.overlap_dataset(maps), mark)
    apart = conclude.taken_apart(analysis, prepared.patterns, maps, store)
    for group, made in zip(("decomposition", "line"), apart, strict=True):
        write_group(store, group, made, mark)
    if run.request.filter == "epattern":
        reflections = conclude.reflection_dataset(run, prepared, maps.label)
        write_group(store, "reflection_maps", reflections, mark)
    stored = open_group(analysis, "acquisition").get(variables.scan_measured.name)
    measured = None if stored is None else stored.values > 0
    if complete_mark(analysis, "baseline") is not None:
        anew = compared_anew(open_group(analysis, "baseline"), maps.label, measured)
        write_group(store, "baseline", anew, mark)
    return ds


def _write_names(analysis: Path, steps: list[Edits], store: Path, mark: str) -> xr.Dataset:
    """Write clusters as they are, with names and colours; return them."""
    zarr.open_group(store, mode="w")
    link_group(analysis, store, "clusters")
    clusters = open_group(store, "clusters")
    names, colours = ([""] * clusters.sizes["cluster"] for _ in range(2))
    for step in steps:
        for kept, given in ((names, step.names), (colours, step.colours)):
            for number, look in given.items():
                kept[number - 1] = look
    # Linked files are never changed: the attributes are written anew.
    described = store / "clusters" / "zarr.json"
    text = described.read_bytes()
    described.unlink()
    described.write_bytes(text)
    zarr.open_group(store, path="clusters", mode="r+").attrs.update(
        cluster_names=names, cluster_colours=colours
    )
    mark_complete(store, "clusters", mark)
    # In a moment the store has another name.
    return open_group(store, "clusters").load()
