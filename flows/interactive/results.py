"""The results of a run, at home in a notebook: numbers, maps and patterns as labelled arrays.

What is stored numbers clusters from 0, and has -1 where there is none. Here they count from 1 as
on the page, and 0 is none: ``results.cluster(1)`` is the first, and its positions are
``results.labels == 1``.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from orimap.flows.interactive.words import speaking_python

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    import numpy as np
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = ["Results"]

SCAN, DETECTOR = ("scan_y", "scan_x"), ("detector_y", "detector_x")


class Results:
    """What a run has found, read lazily from its folder; `orimap.open` makes it.

    Parameters
    ----------
    folder : path
        That the run has filled.
    revision : str, optional
        A correction by hand, made with ``orimap edit``, in place of the automatic result.

    Raises
    ------
    InputError
        If the folder holds no complete results, or no such revision.
    """

    # Where people find it.
    __module__ = "orimap"

    def __init__(self, folder: str | os.PathLike[str], revision: str | None = None) -> None:
        from pathlib import Path

        from orimap.tasks.errors import InputError

        try:
            self.folder: Path = Path(folder)
        except TypeError as error:
            raise InputError(
                "the folder that a run has filled",
                f"{type(folder).__name__}, which is no path",
                "give its path, as orimap.open('results')",
            ) from error
        self.revision = revision
        # Opened at once, to say so at once where there are no results.
        self.tree: xr.DataTree = self._open()

    def _open(self) -> xr.DataTree:
        from orimap.tasks.store.open_results import open_results

        # Before what it belongs to: what is replaced meanwhile is noticed. Where there is no such
        # folder, opening it says so.
        with suppress(OSError):
            self._mark = self._marks()
        return open_results(self.folder, self.revision)

    def _marks(self) -> tuple[str | None, str | None]:
        """Return what tells these clusters from those of another decision or edit."""
        from orimap.tasks.store.groups import complete_mark, group_attributes
        from orimap.tasks.store.open_results import revision_store

        automatic = complete_mark(self.folder / "analysis.zarr", "clusters")
        if self.revision is None:
            return automatic, None
        try:
            facts = group_attributes(revision_store(self.folder, self.revision), "")
        except FileNotFoundError:
            return automatic, None
        return automatic, str(facts.get("made"))

    def _require_same(self) -> None:
        """Check that what was opened is still there: it is read again whenever it is asked for."""
        from orimap.tasks.errors import InputError

        if self._marks() == self._mark:
            return
        again = repr(str(self.folder)) + (f", {self.revision!r}" if self.revision else "")
        raise InputError(
            f"the results in {self.folder} as they were when they were opened",
            "they have been replaced, or removed, since then",
            f"open them again with orimap.open({again})",
        )

    # What was decided.

    @property
    def number(self) -> int:
        """The number of distinct patterns; 1 also where no crystal was found."""
        clusters = self.tree["clusters"]
        # Pieces of a pattern that were split are one pattern.
        if "cluster_parent" in clusters:
            return len(set(self._of("clusters", "cluster_parent").values.tolist()))
        return int(self.tree.attrs["decided_k"])

    @property
    def confidence(self) -> str:
        """How sure the number is: ``high``, ``moderate`` or ``low``; of a revision ``by hand``."""
        from orimap.tasks.report.words import BY_HAND

        if self.revision:
            return BY_HAND
        return str(self.tree["decision"].attrs["confidence"])

    @property
    def reasons(self) -> list[str]:
        """What speaks for the number, what is doubtful, and what would settle it.

        Of a revision: what was changed, and what the automatic result was.
        """
        from orimap.tasks.report.words import edited_reasons

        if self.revision:
            return edited_reasons(self.tree.attrs["edits"], Results(self.folder).headline)
        return list(map(str, self.tree["decision"].attrs["reasons"]))

    @property
    def headline(self) -> str:
        """The answer in one sentence, as on the page."""
        from orimap.tasks.report.words import edited_headline, headline

        attrs = self.tree.attrs
        if self.revision:
            title = str(attrs.get("title") or self.revision)
            return edited_headline(self.tree["clusters"].sizes["cluster"], title)
        return headline(
            self.number,
            self.confidence,
            int(self.tree["clusters"].sizes["cluster"]),
            # Earlier versions did not ask.
            crystal=bool(attrs.get("crystal_found", True)),
            countable=bool(attrs.get("countable", True)),
        )

    @property
    def report(self) -> Path:
        """The page with all figures, ``report.html``."""
        return self.folder / "report.html"

    # Maps: scan_y, scan_x.

    @property
    def labels(self) -> xr.DataArray:
        """The cluster at every position, (scan_y, scan_x) int16: from 1 on; 0 is none."""
        return self._counted(self._of("clusters", "cluster_label"))

    @property
    def shares(self) -> xr.DataArray:
        """How much of each position each cluster fills, (scan_y, scan_x, cluster); 1 = alone."""
        return self._numbered(self._of("clusters", "cluster_share"))

    @property
    def overlap(self) -> xr.Dataset:
        """Where patterns overlap: a data set of maps (scan_y, scan_x).

        ``overlap_ratio`` is the second share over the first, 0 where one pattern is alone, with
        ``overlap_ratio_error``; ``second_label`` the second cluster from 1 on, 0 where there is
        none; ``overlap_level`` the highest of 75, 80, 85, 90, 95 % that is reached.
        """
        self._require_same()
        found = self.tree["overlap"].to_dataset().drop_vars(DETECTOR, errors="ignore")
        return found.assign(second_label=self._counted(found["second_label"]))

    # Patterns: detector_y, detector_x.

    @property
    def mean_patterns(self) -> xr.DataArray:
        """The mean raw pattern of each cluster, (cluster, detector_y, detector_x)."""
        return self._numbered(self._intensity(self._of("clusters", "cluster_mean_pattern")))

    @property
    def representatives(self) -> xr.DataArray:
        """The pattern of each cluster by the factorisation, (cluster, detector_y, detector_x)."""
        return self._numbered(self._intensity(self._of("clusters", "cluster_representative")))

    @property
    @speaking_python
    def orientations(self) -> xr.Dataset:
        """Crystal and orientation of each cluster, once a run or `orimap.index` looked for them.

        ``cluster_quaternion`` (unit, scalar first, crystal to sample frame; NaN where the pattern
        does not decide), ``cluster_phase`` (which of the attribute ``crystals``, from 0; -1 none),
        ``cluster_zone_axis``, ``cluster_reliability``, ``cluster_candidate_quaternion`` with the
        best two, ``boundary_angle`` between the clusters ``boundary_cluster`` (from 1 on).

        Raises
        ------
        InputError
            If nothing was indexed, or not these clusters.
        """
        from orimap.tasks.errors import InputError

        self._require_same()
        found = self.tree["orientations"].to_dataset() if "orientations" in self.tree else None
        if found is None or found.attrs.get("of") != self.tree["clusters"].attrs.get("complete"):
            raise InputError(
                "results whose clusters were indexed",
                f"orientations of none of the clusters in {self.folder}"
                if found is None
                else f"orientations of the automatic result, not of revision {self.revision!r}",
                "index them with orimap.index(folder, crystals=[...])"
                if found is None
                else "open the results without a revision",
            )
        found = found.drop_vars([*SCAN, *DETECTOR], errors="ignore")
        counted = {
            name: (found[name] + 1).assign_attrs(found[name].attrs)
            for name in ("boundary_cluster", "predicted_cluster")
        }
        return self._numbered(found.assign(counted))

    @property
    @speaking_python
    def patterns(self) -> xr.DataArray:
        """All patterns as they were ingested, (scan_y, scan_x, detector_y, detector_x), with Dask.

        Binned and cropped as was asked for; not centred, not filtered.

        Raises
        ------
        InputError
            If ``patterns.zarr`` is not there any more.
        """
        import xarray as xr

        from orimap.tasks.errors import InputError

        store = self.folder / "patterns.zarr"
        try:
            raw = xr.open_zarr(store, group="raw", consolidated=False)
        except FileNotFoundError as error:
            raise InputError(
                f"the patterns of the scan ({store})",
                "they are not there",
                "run the analysis again with the acquisition: what still holds is used again",
            ) from error
        return raw["pattern_intensity"]

    @speaking_python
    def cluster(self, number: int) -> xr.DataArray:
        """Return all raw patterns of one cluster, lazily.

        Parameters
        ----------
        number : int
            From 1 on, as on the map and in `labels`.

        Returns
        -------
        (position, detector_y, detector_x) DataArray, with Dask
            Row by row through the scan; ``scan_y`` and ``scan_x`` say where each was taken,
            ``row`` and ``column`` count positions from 0. Nothing is read before it is computed:
            ``results.cluster(1).mean("position").compute()``.

        Raises
        ------
        InputError
            If there is no cluster of this number, or ``patterns.zarr`` is not there any more.
        """
        import numpy as np
        import xarray as xr

        number = self._require_cluster(number)
        row, column = np.nonzero(self.labels.values == number)
        patterns = self.patterns
        taken = xr.DataArray(
            patterns.data.vindex[row, column],
            dims=("position", *DETECTOR),
            coords={name: patterns.coords[name] for name in DETECTOR},
            attrs=patterns.attrs,
            name=f"cluster_{number}",
        )
        places: dict[str, Any] = {"row": ("position", row), "column": ("position", column)}
        for name, index in zip(SCAN, (row, column), strict=True):
            along = patterns[name]
            places[name] = ("position", along.values[index], along.attrs)
        return taken.assign_coords(places)

    @speaking_python
    def decompose(self, y: int, x: int) -> xr.Dataset:
        """Take the pattern at one position apart into the clusters that overlap in it.

        Parameters
        ----------
        y, x : int
            Row and column of the scan, counted from 0.

        Returns
        -------
        Dataset
            ``decomposed_pattern`` = the sum of ``decomposed_contribution`` (cluster, detector_y,
            detector_x) + ``decomposed_background`` + ``decomposed_residual``; per cluster
            ``decomposed_share`` with its standard error, and ``decomposed_intensity``. Attributes:
            label and second_label (from 1 on, 0 none), overlap_ratio and its standard error.

        Raises
        ------
        InputError
            If the position is not in the scan, or the patterns are not there any more.
        """
        from orimap.tasks.maps.decomposition import decompose

        self._require_same()
        found = decompose(self.folder, (y, x), self.revision)
        for name in ("label", "second_label"):
            found.attrs[name] += 1
        return self._labelled(found)

    @speaking_python
    def along_line(
        self, start: tuple[float, float], end: tuple[float, float], count: int | None = None
    ) -> xr.Dataset:
        """Return the patterns and shares at positions along a line through the scan.

        Parameters
        ----------
        start, end : (float, float)
            Row and column, counted from 0.
        count : int, optional
            Number of points; by default one for each row or column that the line crosses.

        Returns
        -------
        Dataset
            Along ``point``: ``line_position`` (row and column), ``line_distance`` from the start
            in positions, ``line_pattern``, ``line_share`` (point, cluster) and its standard error.

        Raises
        ------
        InputError
            If the line leaves the scan, or the patterns are not there any more.
        """
        from orimap.tasks.maps.decomposition import along_line

        self._require_same()
        return self._labelled(along_line(self.folder, start, end, count, self.revision))

    # Looking at it.

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the map of clusters with a legend.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            To draw into; by default those of a new figure.

        Returns
        -------
        Axes
            ``results.plot().figure.savefig("map.png")`` saves it.
        """
        from orimap.flows.interactive.pictures import draw_map

        if ax is None:
            from matplotlib import pyplot

            _, ax = pyplot.subplots(layout="constrained")
        draw_map(ax, self.labels, self._measured, self.headline, self._names, chosen=self._colours)
        return ax

    def __repr__(self) -> str:
        from orimap.tasks.errors import InputError

        scan = " × ".join(str(self.tree.sizes[name]) for name in SCAN)
        revised = f", revision {self.revision!r}" if self.revision else ""
        try:
            said = f"{self.headline}; {scan} positions"
        except InputError as error:
            said = f"{error.found}; {error.remedy}"
        return f"<orimap.Results {str(self.folder)!r}{revised}: {said}>"

    def _repr_html_(self) -> str:
        from orimap.flows.interactive.pictures import in_short

        if self._marks() != self._mark:
            from html import escape

            return escape(repr(self))
        return in_short(
            self.labels,
            self._measured,
            self._names,
            self.headline,
            self.reasons,
            str(self.folder),
            self._colours,
        )

    # The tree of all that is stored, as it is: clusters from 0.

    @property
    def attrs(self) -> dict[str, Any]:
        """The attributes of the stored results: request, versions, status."""
        return {str(name): value for name, value in self.tree.attrs.items()}

    def __getitem__(self, name: str) -> Any:
        """Return a group or an array of `tree` as it is stored, with clusters from 0."""
        return self.tree[name]

    def __contains__(self, name: object) -> bool:
        return name in self.tree

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tree)

    def __fspath__(self) -> str:
        """Return the folder: results can be given where a path is expected."""
        return str(self.folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return Results, (self.folder, self.revision)

    # How stored arrays become those above.

    @property
    def _measured(self) -> np.ndarray | None:
        """Where there is a pattern; None where there is one everywhere, or nobody has asked."""
        found = self.tree["acquisition"].to_dataset().get("scan_measured")
        return None if found is None or bool((found > 0).all()) else found.values > 0

    @property
    def _names(self) -> dict[int, str]:
        """What clusters were called in a revision, by their numbers."""
        given = self.tree["clusters"].attrs.get("cluster_names", ())
        return {n: f"{n} {text}" for n, text in enumerate(map(str, given), start=1) if text}

    @property
    def _colours(self) -> list[str]:
        """The colours that clusters were given in a revision, empty where they were not."""
        return list(self.tree["clusters"].attrs.get("cluster_colours", ()))

    def _of(self, group: str, name: str) -> xr.DataArray:
        self._require_same()
        return self.tree[group].to_dataset()[name]

    @cached_property
    def _numbers(self) -> xr.DataArray:
        """The clusters from 1 on."""
        import numpy as np
        import xarray as xr

        count = self.tree["clusters"].sizes["cluster"]
        attrs = {"long_name": "cluster, counted from 1"}
        return xr.DataArray(np.arange(1, count + 1), dims="cluster", attrs=attrs)

    def _numbered(self, array: Any) -> Any:
        """Return an array or a data set with the numbers of its clusters, and their names."""
        if "cluster" not in array.dims:
            return array
        array = array.assign_coords(cluster=self._numbers)
        if not self._names:
            return array
        given = list(map(str, self.tree["clusters"].attrs["cluster_names"]))
        return array.assign_coords(cluster_name=("cluster", given))

    def _counted(self, labels: xr.DataArray) -> xr.DataArray:
        """Return labels that count from 1."""
        counted = (labels + 1).astype("int16")
        return counted.assign_attrs(labels.attrs, long_name="cluster, counted from 1; 0 none")

    def _intensity(self, array: xr.DataArray) -> xr.DataArray:
        """Return an array with the unit that its intensities really have."""
        facts = self.tree["acquisition"].attrs
        return array.assign_attrs(units=facts.get("intensity_units", array.attrs.get("units", "")))

    def _labelled(self, found: xr.Dataset) -> xr.Dataset:
        """Return a data set with the places of pixels and the numbers of clusters."""
        there = {n: self.tree.coords[n] for n in DETECTOR if n in self.tree.coords}
        found = self._numbered(found.assign_coords(there))
        return found.assign(
            {
                name: self._intensity(array)
                for name, array in found.data_vars.items()
                if array.attrs.get("units") == "electron"
            }
        )

    def _require_cluster(self, number: int) -> int:
        """Check that there is a cluster of this number, and return it."""
        from orimap.tasks.errors import InputError, as_whole

        count = self.tree["clusters"].sizes["cluster"]
        whole = as_whole(number)
        if whole is None or not 1 <= whole <= count:
            raise InputError(
                f"a cluster from 1 to {count}" if count else "results with clusters",
                f"cluster {number!r}",
                "clusters count from 1, as on the map; results.plot() shows it",
            )
        return whole
