"""Every stored variable, declared once: its axes, kind of number, unit and meaning."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

OVERLAP_RATIO = 0.5  # the second share is at least half of the first: plain to the eye in a map

SCAN = ("scan_y", "scan_x")
DETECTOR = ("detector_y", "detector_x")
PAIR = ("k", "component", "component_other")


@dataclass(frozen=True)
class Variable:
    """One stored array.

    Parameters
    ----------
    name : str
        Begins with what the array is indexed by (``scan_``, ``component_``, ``k_`` ...).
    dims : tuple of str
    kinds : str
        NumPy kind letters allowed, for instance ``"iu"`` for integers.
    units : str
    long_name : str
    """

    name: str
    dims: tuple[str, ...]
    kinds: str
    units: str
    long_name: str

    def read(self, ds: xr.Dataset) -> xr.DataArray:
        """Return the array after checking its axes and kind of number.

        Raises
        ------
        KeyError
            If the array is not there.
        ValueError
            If its axes or its kind of number are not those declared here.
        """
        if self.name not in ds:
            raise KeyError(
                f"{self.name} ({self.long_name}) is needed; found {sorted(map(str, ds))}"
            )
        array = ds[self.name]
        if array.dims != self.dims:
            raise ValueError(f"{self.name} must have axes {self.dims}; it has {array.dims}")
        if array.dtype.kind not in self.kinds:
            raise ValueError(f"{self.name} must be of kind {self.kinds!r}; it is {array.dtype}")
        return array

    def array(self, values: np.ndarray, units: str | None = None) -> xr.DataArray:
        """Return ``values`` as a labelled array with its unit and meaning attached."""
        attrs = self.attrs | ({"units": units} if units else {})
        return xr.DataArray(values, dims=self.dims, attrs=attrs, name=self.name)

    @property
    def attrs(self) -> dict[str, str]:
        """The unit and the meaning, as they are stored."""
        return {"units": self.units, "long_name": self.long_name}


def dataset(arrays: dict[Variable, np.ndarray], **attrs: object) -> xr.Dataset:
    """Return a data set of declared variables, each with its unit and meaning attached."""
    return xr.Dataset({v.name: v.array(values) for v, values in arrays.items()}, attrs=attrs)


# patterns.zarr -----------------------------------------------------------------------------
pattern_intensity = Variable(
    "pattern_intensity", SCAN + DETECTOR, "iuf", "electron", "intensity per detector pixel"
)

# patterns.zarr /sparse ---------------------------------------------------------------------
scan_entries = Variable("scan_entries", SCAN, "u", "1", "pixels that are not zero")
entry_pixel = Variable(
    "entry_pixel", ("block", "entry"), "u", "1",
    "running number of a pixel that is not zero; pattern after pattern of a block",
)  # fmt: skip
entry_value = Variable(
    "entry_value", ("block", "entry"), "iu", "electron", "intensity of that pixel"
)

# patterns.zarr /reflections ----------------------------------------------------------------
reflection_offset = Variable(
    "reflection_offset", ("pattern_edge",), "i", "1",
    "position i, row by row, has the entries offset[i] to offset[i + 1]",
)  # fmt: skip
reflection_y = Variable(
    "reflection_y", ("reflection",), "f", "pixel", "row on the detector as acquired"
)
reflection_x = Variable(
    "reflection_x", ("reflection",), "f", "pixel", "column on the detector as acquired"
)
reflection_intensity = Variable(
    "reflection_intensity", ("reflection",), "f", "electron", "height of its disc, per pixel"
)
reflection_prominence = Variable(
    "reflection_prominence", ("reflection",), "f", "electron", "peak less the lowest around it"
)
scan_direct_reflection = Variable(
    "scan_direct_reflection", SCAN, "i", "1", "which entry is the direct beam, -1 none"
)
scan_noise = Variable(
    "scan_noise", SCAN, "f", "electron", "standard deviation outside the inscribed circle"
)
scan_prominence_threshold = Variable(
    "scan_prominence_threshold", SCAN, "f", "electron", "prominence that a maximum needed"
)

# patterns.zarr /beam -----------------------------------------------------------------------
scan_beam_drift = Variable(
    "scan_beam_drift", (*SCAN, "axis"), "f", "pixel", "smooth part of scan_beam_shift (descan)"
)
scan_pixel_shift = Variable(
    "scan_pixel_shift", (*SCAN, "axis"), "i", "pixel", "how far a pattern is moved to be centred"
)

# analysis.zarr /acquisition ----------------------------------------------------------------
scan_beam_shift = Variable(
    "scan_beam_shift", (*SCAN, "axis"), "f", "pixel",
    "measured place (y, x) of the direct beam, from its reference; NaN where there is none",
)  # fmt: skip
scan_virtual_bright_field = Variable(
    "scan_virtual_bright_field", SCAN, "f", "electron", "intensity in the direct beam's disc"
)
scan_total_intensity = Variable(
    "scan_total_intensity", SCAN, "f", "electron", "sum of the valid pixels of each pattern"
)
detector_mean = Variable("detector_mean", DETECTOR, "f", "electron", "mean pattern")
detector_maximum = Variable("detector_maximum", DETECTOR, "f", "electron", "largest value seen")
detector_fano = Variable(
    "detector_fano", DETECTOR, "f", "1", "variance of neighbouring positions over their mean"
)
detector_mask = Variable(
    "detector_mask",
    DETECTOR,
    "u",
    "1",
    "0 used; bits: 1 hot, 2 dead, 4 given mask, 8 not finite, 16 outside some centred pattern",
)
detector_negative = Variable("detector_negative", DETECTOR, "iu", "1", "count of negative values")
detector_not_finite = Variable(
    "detector_not_finite", DETECTOR, "iu", "1", "count of values that are NaN or infinite"
)
detector_saturated = Variable(
    "detector_saturated", DETECTOR, "iu", "1", "count of saturated values"
)

# analysis.zarr /sketch ---------------------------------------------------------------------
basis_pattern = Variable(
    "basis_pattern", ("direction", *DETECTOR), "f", "1", "right singular vectors, weighted data"
)
basis_left_out = Variable(
    "basis_left_out",
    ("direction", *DETECTOR),
    "f",
    "1",
    "left singular vectors times patterns, where a pixel is not fitted",
)
scan_basis = Variable(
    "scan_basis", (*SCAN, "direction"), "f", "1", "left singular vectors times singular values"
)
singular_value = Variable("singular_value", ("direction",), "f", "1", "of the weighted patterns")
detector_weight = Variable(
    "detector_weight", DETECTOR, "f", "1", "patterns are multiplied by this, 0 where left out"
)
detector_fitted = Variable("detector_fitted", DETECTOR, "b", "1", "pixels that the fit sees")
detector_valid = Variable("detector_valid", DETECTOR, "b", "1", "pixels that are analysed")
scan_row_weight = Variable(
    "scan_row_weight", SCAN, "f", "1", "patterns are multiplied by this, 0 where empty"
)

# analysis.zarr /basis_fits/kNN ---------------------------------------------------------------
component_image = Variable(
    "component_image", ("component", *DETECTOR), "f", "1", "components of the sketch, any scale"
)
component_training_image = Variable(
    "component_training_image",
    ("component", *DETECTOR),
    "f",
    "1",
    "components of the sketch of the training half, any scale",
)

# analysis.zarr /fits/kNN -------------------------------------------------------------------
component_pattern = Variable(
    "component_pattern", ("component", *DETECTOR), "f", "1", "component patterns, unit sum"
)
scan_weight = Variable(
    "scan_weight", (*SCAN, "component"), "f", "electron", "intensity of each component"
)

scan_held_out_deviance = Variable(
    "scan_held_out_deviance", SCAN, "f", "1", "half the Poisson deviance of the held-out half"
)

# analysis.zarr /decision -------------------------------------------------------------------
k_component_loss = Variable(
    "k_component_loss", ("k",), "f", "electron", "mean absolute error over all entries"
)
k_component_loss_error = Variable(
    "k_component_loss_error", ("k",), "f", "electron", "standard error of the loss, 0 = exact"
)
k_relative_loss = Variable("k_relative_loss", ("k",), "f", "1", "loss divided by mean intensity")
k_relative_error = Variable(
    "k_relative_error", ("k",), "f", "1", "norm of the weighted residual over that of the patterns"
)
k_held_out_deviance = Variable(
    "k_held_out_deviance", ("k",), "f", "1", "Poisson deviance of the held-out half, per pattern"
)
k_held_out_drop = Variable(
    "k_held_out_drop", ("k",), "f", "1", "best held-out deviance below k, less that of k"
)
k_held_out_drop_error = Variable(
    "k_held_out_drop_error", ("k",), "f", "1", "standard error of the drop, paired by position"
)
k_in_range = Variable("k_in_range", ("k",), "b", "1", "lies in the range of interest")
k_distinct = Variable("k_distinct", ("k",), "i", "1", "distinct patterns after merging")
k_background = Variable("k_background", ("k",), "i", "1", "components that are background")
k_ssim = Variable("k_ssim", ("k",), "f", "1", "mean SSIM between different components")
k_gmsd = Variable("k_gmsd", ("k",), "f", "1", "mean GMSD between different components")
k_mdsi = Variable("k_mdsi", ("k",), "f", "1", "mean MDSI between different components")
k_psnr = Variable("k_psnr", ("k",), "f", "dB", "mean PSNR between different components")
pair_ssim = Variable("pair_ssim", PAIR, "f", "1", "SSIM, 1 = identical")
pair_gmsd = Variable("pair_gmsd", PAIR, "f", "1", "GMSD, 0 = identical")
pair_mdsi = Variable("pair_mdsi", PAIR, "f", "1", "MDSI, 0 = identical")
pair_psnr = Variable("pair_psnr", PAIR, "f", "dB", "PSNR, at most 80")
pair_cosine = Variable("pair_cosine", PAIR, "f", "1", "cosine of the reflections, 1 = identical")

# analysis.zarr /clusters -------------------------------------------------------------------
cluster_label = Variable("cluster_label", SCAN, "i", "1", "cluster of each position, -1 none")
component_cluster = Variable(
    "component_cluster", ("component",), "i", "1", "cluster of each component, -1 background"
)
cluster_share = Variable(
    "cluster_share", (*SCAN, "cluster"), "f", "1", "1 = position filled by this cluster alone"
)
cluster_share_error = Variable(
    "cluster_share_error", (*SCAN, "cluster"), "f", "1",
    "standard error of cluster_share from counting noise, NaN where the noise is not known",
)  # fmt: skip
cluster_parent = Variable(
    "cluster_parent", ("cluster",), "i", "1",
    "the cluster whose components this one has: itself, but for further pieces of a split one",
)  # fmt: skip
cluster_size = Variable("cluster_size", ("cluster",), "i", "1", "positions of each cluster")
cluster_mean_pattern = Variable(
    "cluster_mean_pattern", ("cluster", *DETECTOR), "f", "electron", "mean raw pattern"
)
cluster_representative = Variable(
    "cluster_representative",
    ("cluster", *DETECTOR),
    "f",
    "electron",
    "pattern of the factorisation",
)
cluster_ssim = Variable("cluster_ssim", ("cluster",), "f", "1", "mean raw against representative")
cluster_gmsd = Variable("cluster_gmsd", ("cluster",), "f", "1", "mean raw against representative")
cluster_mdsi = Variable("cluster_mdsi", ("cluster",), "f", "1", "mean raw against representative")
cluster_psnr = Variable("cluster_psnr", ("cluster",), "f", "dB", "mean raw against representative")

cluster_nsd_whole = Variable(
    "cluster_nsd_whole", ("cluster",), "f", "electron", "mean standard deviation of a pattern"
)
cluster_nsd_corner = Variable(
    "cluster_nsd_corner", ("cluster",), "f", "electron", "the same outside the inscribed circle"
)
cluster_nsd_robust = Variable(
    "cluster_nsd_robust", ("cluster",), "f", "electron", "noise of a pattern's finest details"
)

# analysis.zarr /overlap --------------------------------------------------------------------
overlap_ratio = Variable("overlap_ratio", SCAN, "f", "1", "second share over first share")
overlap_ratio_error = Variable(
    "overlap_ratio_error", SCAN, "f", "1",
    "standard error of second share over first from counting noise, also where overlap_ratio is 0 "
    "because the second share is within its error",
)  # fmt: skip
second_label = Variable("second_label", SCAN, "i", "1", "cluster of the second share, -1 none")
overlap_level = Variable(
    "overlap_level", SCAN, "i", "percent", "highest of 75, 80, 85, 90, 95 reached, 0 none"
)

# analysis.zarr /decomposition, and what decompose gives ------------------------------------
decomposed_pattern = Variable(
    "decomposed_pattern", DETECTOR, "f", "electron",
    "the pattern of one position as it was analysed, 0 where masked",
)  # fmt: skip
decomposed_contribution = Variable(
    "decomposed_contribution", ("cluster", *DETECTOR), "f", "electron",
    "what each cluster contributes to it",
)  # fmt: skip
decomposed_background = Variable(
    "decomposed_background", DETECTOR, "f", "electron",
    "what components that belong to no cluster contribute",
)  # fmt: skip
decomposed_residual = Variable(
    "decomposed_residual", DETECTOR, "f", "electron", "the pattern less all contributions"
)
decomposed_share = Variable(
    "decomposed_share", ("cluster",), "f", "1", "1 = position filled by this cluster alone"
)
decomposed_share_error = Variable(
    "decomposed_share_error", ("cluster",), "f", "1", "standard error from counting noise"
)
decomposed_intensity = Variable(
    "decomposed_intensity", ("cluster",), "f", "electron", "sum of each contribution"
)

# analysis.zarr /line, and what along_line gives --------------------------------------------
line_position = Variable(
    "line_position", ("point", "axis"), "i", "1", "row and column in the scan, the nearest ones"
)
line_distance = Variable(
    "line_distance", ("point",), "f", "position", "from the first point of the line"
)
line_pattern = Variable(
    "line_pattern", ("point", *DETECTOR), "f", "electron", "patterns as they were analysed"
)
line_share = Variable(
    "line_share", ("point", "cluster"), "f", "1", "1 = position filled by this cluster alone"
)
line_share_error = Variable(
    "line_share_error", ("point", "cluster"), "f", "1", "standard error from counting noise"
)

# analysis.zarr /baseline -------------------------------------------------------------------
kmeans_label = Variable("kmeans_label", SCAN, "i", "1", "k-means cluster on the sketch")
scree_value = Variable("scree_value", ("direction",), "f", "1", "singular values by tsqr")

# analysis.zarr /reflection_maps ------------------------------------------------------------
# (and scan_noise, scan_prominence_threshold of /reflections)
scan_direct_intensity = Variable(
    "scan_direct_intensity", SCAN, "f", "electron",
    "registered intensity of the direct beam (virtual bright field), 0 where none was found",
)  # fmt: skip
scan_intensity_sum = Variable(
    "scan_intensity_sum", SCAN, "f", "electron",
    "sum of the intensities of all reflections, the direct beam included",
)  # fmt: skip
scan_reflection_count = Variable(
    "scan_reflection_count", SCAN, "i", "1", "registered reflections, the direct beam included"
)
scan_prominence_sum = Variable(
    "scan_prominence_sum", SCAN, "f", "electron",
    "sum of the prominences of all reflections, the direct beam included",
)  # fmt: skip
scan_virtual_dark_field = Variable(
    "scan_virtual_dark_field", SCAN, "f", "electron",
    "sum of the intensities of the reflections in dark_field_region, without the direct beam",
)  # fmt: skip
cluster_dark_field = Variable(
    "cluster_dark_field", (*SCAN, "cluster"), "f", "electron",
    "sum of the intensities at the places that are the cluster's own (place_own)",
)  # fmt: skip
place_cluster = Variable(
    "place_cluster", ("place",), "i", "1", "cluster whose patterns have a reflection in this place"
)
place_y = Variable("place_y", ("place",), "f", "pixel", "row on the detector, after centring")
place_x = Variable("place_x", ("place",), "f", "pixel", "column on the detector, after centring")
place_share = Variable(
    "place_share", ("place",), "f", "1", "share of the cluster's patterns with a reflection there"
)
place_others = Variable(
    "place_others", ("place",), "i", "1", "how many other clusters have a reflection there, too"
)
place_own = Variable(
    "place_own", ("place",), "b", "1", "counted in cluster_dark_field: few others have it"
)
