"""Every stored variable, declared once in the group that holds it.

A declaration is a name, the axes, the kinds of number allowed and the unit, and below them what
the variable means.
"""

from dataclasses import dataclass, field

import numpy as np
import xarray as xr

OVERLAP_RATIO = 0.5  # the second share is at least half of the first: plain to the eye in a map

SCAN = ("scan_y", "scan_x")
DETECTOR = ("detector_y", "detector_x")
AXIS = ("axis",)
COMPONENT = ("component",)
CLUSTER = ("cluster",)
DIRECTION = ("direction",)
K = ("k",)
POINT = ("point",)
PLACE = ("place",)
REFLECTION = ("reflection",)
CRYSTAL = ("crystal",)
QUATERNION = ("quaternion",)
INDEX = ("index",)
PREDICTED = ("predicted",)
BOUNDARY = ("boundary",)
PAIR = ("k", "component", "component_other")

# The image-quality metrics of pair_ssim, k_ssim, cluster_ssim and so on, in their fixed order.
METRICS = ("ssim", "gmsd", "mdsi", "psnr")


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
            If the array is missing.
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


@dataclass(frozen=True)
class Group:
    """One group of a store.

    Parameters
    ----------
    store, path : str
        Name of the store and path of the group in it; kNN stands for every k, as in k07.
    variables : dict of name to Variable
        What is declared for it, in the order of the declarations.
    """

    store: str
    path: str
    variables: dict[str, Variable] = field(default_factory=dict)

    def add(
        self, name: str, dims: tuple[str, ...], kinds: str, units: str, long_name: str
    ) -> Variable:
        """Declare a variable of this group."""
        self.variables[name] = Variable(name, dims, kinds, units, long_name)
        return self.variables[name]


def dataset(arrays: dict[Variable, np.ndarray], **attrs: object) -> xr.Dataset:
    """Return a data set of declared variables, each with its unit and meaning attached."""
    return xr.Dataset({v.name: v.array(values) for v, values in arrays.items()}, attrs=attrs)


# One layout for all, which the formatter would break up: the array above, its meaning below.
# fmt: off

# Each filter has a group of its own, such as /raw.
group = PATTERNS = Group("patterns.zarr", "")
pattern_intensity = group.add("pattern_intensity", SCAN + DETECTOR, "iuf", "electron",
    "intensity per detector pixel")

group = SPARSE = Group("patterns.zarr", "sparse")
scan_entries = group.add("scan_entries", SCAN, "u", "1",
    "pixels that are not zero")
entry_pixel = group.add("entry_pixel", ("block", "entry"), "u", "1",
    "running number of a pixel that is not zero; pattern after pattern of a block")
entry_value = group.add("entry_value", ("block", "entry"), "iu", "electron",
    "intensity of that pixel")

# Values of single pixels that X-rays or cosmic rays hit: /raw has them, the analysis does not.
group = SPIKES = Group("patterns.zarr", "spikes")
spike_place = group.add("spike_place", ("spike", "spike_axis"), "iu", "1",
    "row and column of the scan, row and column of the detector")
spike_value = group.add("spike_value", ("spike",), "iuf", "electron",
    "as acquired")
spike_instead = group.add("spike_instead", ("spike",), "iuf", "electron",
    "median of the neighbours on the detector, taken in its place")
dazzled_position = group.add("dazzled_position", ("dazzled", "scan_axis"), "iu", "1",
    "row and column of positions that are left out: far brighter than all others")

group = REFLECTIONS = Group("patterns.zarr", "reflections")
reflection_offset = group.add("reflection_offset", ("pattern_edge",), "i", "1",
    "position i, row by row, has the entries offset[i] to offset[i + 1]")
reflection_y = group.add("reflection_y", REFLECTION, "f", "pixel",
    "row on the detector as acquired")
reflection_x = group.add("reflection_x", REFLECTION, "f", "pixel",
    "column on the detector as acquired")
reflection_intensity = group.add("reflection_intensity", REFLECTION, "f", "electron",
    "height of its disc, per pixel")
reflection_prominence = group.add("reflection_prominence", REFLECTION, "f", "electron",
    "peak less the lowest around it")
scan_direct_reflection = group.add("scan_direct_reflection", SCAN, "i", "1",
    "which entry is the direct beam, -1 none")
scan_noise = group.add("scan_noise", SCAN, "f", "electron",
    "standard deviation outside the inscribed circle")
scan_prominence_threshold = group.add("scan_prominence_threshold", SCAN, "f", "electron",
    "prominence that a maximum needed")

# Also holds scan_beam_shift of /acquisition.
group = BEAM = Group("patterns.zarr", "beam")
scan_beam_drift = group.add("scan_beam_drift", SCAN + AXIS, "f", "pixel",
    "smooth part of scan_beam_shift (descan)")
scan_pixel_shift = group.add("scan_pixel_shift", SCAN + AXIS, "i", "pixel",
    "how far a pattern is moved to be centred")

# /analysed holds detector_mean and detector_mask of the patterns after centring.
group = ACQUISITION = Group("analysis.zarr", "acquisition")
scan_beam_shift = group.add("scan_beam_shift", SCAN + AXIS, "f", "pixel",
    "measured place (y, x) of the direct beam, from its reference; NaN where there is none")
scan_virtual_bright_field = group.add("scan_virtual_bright_field", SCAN, "f", "electron",
    "intensity in the direct beam's disc")
scan_total_intensity = group.add("scan_total_intensity", SCAN, "f", "electron",
    "sum of the valid pixels of each pattern")
scan_measured = group.add("scan_measured", SCAN, "u", "1",
    "0 where a position holds no number at all, or is left out for being far brighter than others")
detector_mean = group.add("detector_mean", DETECTOR, "f", "electron",
    "mean pattern")
detector_maximum = group.add("detector_maximum", DETECTOR, "f", "electron",
    "largest value seen")
detector_fano = group.add("detector_fano", DETECTOR, "f", "1",
    "variance of neighbouring positions over their mean")
detector_mask = group.add("detector_mask", DETECTOR, "u", "1",
    "0 used; bits: 1 hot, 2 dead, 4 given mask, 8 not finite, 16 outside some centred pattern, "
    "32 flagged by the file or its values")
detector_negative = group.add("detector_negative", DETECTOR, "iu", "1",
    "count of negative values")
detector_not_finite = group.add("detector_not_finite", DETECTOR, "iu", "1",
    "count of values that are NaN or infinite")
detector_saturated = group.add("detector_saturated", DETECTOR, "iu", "1",
    "count of saturated values")
brightness_mean = group.add("brightness_mean", ("brightness",), "f", "electron",
    "photon transfer: mean intensity of a group of pixels of like brightness, as acquired")
brightness_variance = group.add("brightness_variance", ("brightness",), "f", "1",
    "variance of their noise, in squares of that unit")
brightness_variance_error = group.add("brightness_variance_error", ("brightness",), "f", "1",
    "standard error of that variance")
brightness_whole_variance = group.add("brightness_whole_variance", ("brightness",), "f", "1",
    "variance together with the covariance of the pixels within 2 pixels")
brightness_whole_variance_error = group.add("brightness_whole_variance_error", ("brightness",),
    "f", "1", "standard error of that sum")

# The sketch of the training half, /sketch_training, holds the same.
group = SKETCH = Group("analysis.zarr", "sketch")
basis_pattern = group.add("basis_pattern", DIRECTION + DETECTOR, "f", "1",
    "right singular vectors, weighted data")
basis_left_out = group.add("basis_left_out", DIRECTION + DETECTOR, "f", "1",
    "left singular vectors times patterns, where a pixel is not fitted")
scan_basis = group.add("scan_basis", SCAN + DIRECTION, "f", "1",
    "left singular vectors times singular values")
singular_value = group.add("singular_value", DIRECTION, "f", "1",
    "of the weighted patterns")
detector_weight = group.add("detector_weight", DETECTOR, "f", "1",
    "patterns are multiplied by this, 0 where left out")
detector_fitted = group.add("detector_fitted", DETECTOR, "b", "1",
    "pixels that the fit sees")
detector_valid = group.add("detector_valid", DETECTOR, "b", "1",
    "pixels that are analysed")
scan_row_weight = group.add("scan_row_weight", SCAN, "f", "1",
    "patterns are multiplied by this, 0 where empty")

group = BASIS_FITS = Group("analysis.zarr", "basis_fits/kNN")
component_image = group.add("component_image", COMPONENT + DETECTOR, "f", "1",
    "components of the sketch, any scale")
component_training_image = group.add("component_training_image", COMPONENT + DETECTOR, "f", "1",
    "components of the sketch of the training half, any scale")

group = FITS = Group("analysis.zarr", "fits/kNN")
component_pattern = group.add("component_pattern", COMPONENT + DETECTOR, "f", "1",
    "component patterns, unit sum")
scan_weight = group.add("scan_weight", SCAN + COMPONENT, "f", "electron",
    "intensity of each component")
scan_held_out_deviance = group.add("scan_held_out_deviance", SCAN, "f", "1",
    "half the Poisson deviance of the held-out half")

# What is decided of the grains, /grains, holds component_pattern and scan_weight as fits do; the
# last component is the background.
group = DARK_FIELDS = Group("analysis.zarr", "dark_fields")
place_position = group.add("place_position", PLACE + AXIS, "i", "pixel",
    "row and column of each place where some pattern has a reflection")
basis_dark_field = group.add("basis_dark_field", DIRECTION + PLACE, "f", "1",
    "times the coordinates of a pattern: intensity of the disc at each place, without background")
basis_disc = group.add("basis_disc", DIRECTION + PLACE, "f", "1",
    "the same with the background")
basis_background = group.add("basis_background", DIRECTION, "f", "1",
    "the same of the smooth background of the whole pattern")

group = GRAINS = Group("analysis.zarr", "grains")
component_reflection = group.add("component_reflection", COMPONENT + PLACE, "f", "1",
    "share of each place in the reflections of a component")

group = DECISION = Group("analysis.zarr", "decision")
k_component_loss = group.add("k_component_loss", K, "f", "electron",
    "mean absolute error over all entries")
k_component_loss_error = group.add("k_component_loss_error", K, "f", "electron",
    "standard error of the loss, 0 = exact")
k_relative_loss = group.add("k_relative_loss", K, "f", "1",
    "loss divided by mean intensity")
k_relative_error = group.add("k_relative_error", K, "f", "1",
    "norm of the weighted residual over that of the patterns")
k_held_out_deviance = group.add("k_held_out_deviance", K, "f", "1",
    "Poisson deviance of the held-out half, per pattern")
k_held_out_drop = group.add("k_held_out_drop", K, "f", "1",
    "best held-out deviance below k, less that of k")
k_held_out_drop_error = group.add("k_held_out_drop_error", K, "f", "1",
    "standard error of the drop, paired by position")
k_in_range = group.add("k_in_range", K, "b", "1",
    "lies in the range of interest")
k_distinct = group.add("k_distinct", K, "i", "1",
    "distinct patterns after merging")
k_background = group.add("k_background", K, "i", "1",
    "components without reflections")
k_ssim = group.add("k_ssim", K, "f", "1",
    "mean SSIM between different components")
k_gmsd = group.add("k_gmsd", K, "f", "1",
    "mean GMSD between different components")
k_mdsi = group.add("k_mdsi", K, "f", "1",
    "mean MDSI between different components")
k_psnr = group.add("k_psnr", K, "f", "dB",
    "mean PSNR between different components")
pair_ssim = group.add("pair_ssim", PAIR, "f", "1",
    "SSIM, 1 = identical")
pair_gmsd = group.add("pair_gmsd", PAIR, "f", "1",
    "GMSD, 0 = identical")
pair_mdsi = group.add("pair_mdsi", PAIR, "f", "1",
    "MDSI, 0 = identical")
pair_psnr = group.add("pair_psnr", PAIR, "f", "dB",
    "PSNR, at most 80")
pair_cosine = group.add("pair_cosine", PAIR, "f", "1",
    "cosine of the reflections, 1 = identical")

group = CLUSTERS = Group("analysis.zarr", "clusters")
cluster_label = group.add("cluster_label", SCAN, "i", "1",
    "cluster of each position, -1 none")
component_cluster = group.add("component_cluster", COMPONENT, "i", "1",
    "cluster of each component of /grains, -1 background and left over")
cluster_share = group.add("cluster_share", SCAN + CLUSTER, "f", "1",
    "1 = position filled by this cluster alone")
cluster_share_error = group.add("cluster_share_error", SCAN + CLUSTER, "f", "1",
    "standard error of cluster_share from counting noise, NaN where the noise is not known")
cluster_parent = group.add("cluster_parent", CLUSTER, "i", "1",
    "the cluster whose components this one has: itself, but for further pieces of a split one")
cluster_size = group.add("cluster_size", CLUSTER, "i", "1",
    "positions of each cluster")
cluster_mean_pattern = group.add("cluster_mean_pattern", CLUSTER + DETECTOR, "f", "electron",
    "mean raw pattern")
cluster_representative = group.add("cluster_representative", CLUSTER + DETECTOR, "f", "electron",
    "pattern of the factorisation")
cluster_ssim = group.add("cluster_ssim", CLUSTER, "f", "1",
    "mean raw against representative")
cluster_gmsd = group.add("cluster_gmsd", CLUSTER, "f", "1",
    "mean raw against representative")
cluster_mdsi = group.add("cluster_mdsi", CLUSTER, "f", "1",
    "mean raw against representative")
cluster_psnr = group.add("cluster_psnr", CLUSTER, "f", "dB",
    "mean raw against representative")
cluster_nsd_whole = group.add("cluster_nsd_whole", CLUSTER, "f", "electron",
    "mean standard deviation of a pattern")
cluster_nsd_corner = group.add("cluster_nsd_corner", CLUSTER, "f", "electron",
    "the same outside the inscribed circle")
cluster_nsd_robust = group.add("cluster_nsd_robust", CLUSTER, "f", "electron",
    "noise of a pattern's finest details")

group = OVERLAP = Group("analysis.zarr", "overlap")
overlap_ratio = group.add("overlap_ratio", SCAN, "f", "1",
    "second share over first share")
overlap_ratio_error = group.add("overlap_ratio_error", SCAN, "f", "1",
    "standard error of second share over first from counting noise, also where overlap_ratio "
    "is 0 because the second share is within its error")
second_label = group.add("second_label", SCAN, "i", "1",
    "cluster of the second share, -1 none")
overlap_level = group.add("overlap_level", SCAN, "i", "percent",
    "highest of 75, 80, 85, 90, 95 reached, 0 none")

# ``decompose`` returns the same.
group = DECOMPOSITION = Group("analysis.zarr", "decomposition")
decomposed_pattern = group.add("decomposed_pattern", DETECTOR, "f", "electron",
    "the pattern of one position as it was analysed, 0 where masked")
decomposed_contribution = group.add("decomposed_contribution", CLUSTER + DETECTOR, "f", "electron",
    "what each cluster contributes to it")
decomposed_background = group.add("decomposed_background", DETECTOR, "f", "electron",
    "what components that belong to no cluster contribute")
decomposed_residual = group.add("decomposed_residual", DETECTOR, "f", "electron",
    "the pattern less all contributions")
decomposed_share = group.add("decomposed_share", CLUSTER, "f", "1",
    "1 = position filled by this cluster alone")
decomposed_share_error = group.add("decomposed_share_error", CLUSTER, "f", "1",
    "standard error from counting noise")
decomposed_intensity = group.add("decomposed_intensity", CLUSTER, "f", "electron",
    "sum of each contribution")

# ``along_line`` returns the same.
group = LINE = Group("analysis.zarr", "line")
line_position = group.add("line_position", POINT + AXIS, "i", "1",
    "row and column in the scan, the nearest ones")
line_distance = group.add("line_distance", POINT, "f", "position",
    "from the first point of the line")
line_pattern = group.add("line_pattern", POINT + DETECTOR, "f", "electron",
    "patterns as they were analysed")
line_share = group.add("line_share", POINT + CLUSTER, "f", "1",
    "1 = position filled by this cluster alone")
line_share_error = group.add("line_share_error", POINT + CLUSTER, "f", "1",
    "standard error from counting noise")

group = BASELINE = Group("analysis.zarr", "baseline")
kmeans_label = group.add("kmeans_label", SCAN, "i", "1",
    "k-means cluster on the sketch")
scree_value = group.add("scree_value", DIRECTION, "f", "1",
    "singular values by tsqr")

# Also holds scan_noise and scan_prominence_threshold of /reflections.
group = REFLECTION_MAPS = Group("analysis.zarr", "reflection_maps")
scan_direct_intensity = group.add("scan_direct_intensity", SCAN, "f", "electron",
    "registered intensity of the direct beam (virtual bright field), 0 where none was found")
scan_intensity_sum = group.add("scan_intensity_sum", SCAN, "f", "electron",
    "sum of the intensities of all reflections, the direct beam included")
scan_reflection_count = group.add("scan_reflection_count", SCAN, "i", "1",
    "registered reflections, the direct beam included")
scan_prominence_sum = group.add("scan_prominence_sum", SCAN, "f", "electron",
    "sum of the prominences of all reflections, the direct beam included")
scan_virtual_dark_field = group.add("scan_virtual_dark_field", SCAN, "f", "electron",
    "sum of the intensities of the reflections in dark_field_region, without the direct beam")
cluster_dark_field = group.add("cluster_dark_field", SCAN + CLUSTER, "f", "electron",
    "sum of the intensities at the places that are the cluster's own (place_own)")
place_cluster = group.add("place_cluster", PLACE, "i", "1",
    "cluster whose patterns have a reflection in this place")
place_y = group.add("place_y", PLACE, "f", "pixel",
    "row on the detector, after centring")
place_x = group.add("place_x", PLACE, "f", "pixel",
    "column on the detector, after centring")
place_share = group.add("place_share", PLACE, "f", "1",
    "share of the cluster's patterns with a reflection there")
place_others = group.add("place_others", PLACE, "i", "1",
    "how many other clusters have a reflection there, too")
place_own = group.add("place_own", PLACE, "b", "1",
    "counted in cluster_dark_field: few others have it")

# What ``orimap index`` finds. Orientations take the crystal's Cartesian frame (x along a, z along
# c*) into the sample's: x along the columns of the scan, y along its rows, electrons against z.
group = ORIENTATIONS = Group("analysis.zarr", "orientations")
cluster_quaternion = group.add("cluster_quaternion", CLUSTER + QUATERNION, "f", "1",
    "orientation, crystal to sample frame: unit quaternion, scalar first; NaN where not indexed")
cluster_phase = group.add("cluster_phase", CLUSTER, "i", "1",
    "number of the crystal, -1 where none explains the pattern")
cluster_zone_axis = group.add("cluster_zone_axis", CLUSTER + INDEX, "f", "1",
    "direction against the electrons in direct-lattice indices, the largest 1; NaN where not "
    "indexed")
cluster_score = group.add("cluster_score", CLUSTER, "f", "1",
    "cosine of measured and predicted amplitudes of the best candidate")
cluster_reliability = group.add("cluster_reliability", CLUSTER, "f", "1",
    "(best - best different orientation) / best, by what is explained")
cluster_phase_margin = group.add("cluster_phase_margin", CLUSTER, "f", "1",
    "the same against the best of all other crystals, 1 where there is one crystal")
cluster_indexed = group.add("cluster_indexed", CLUSTER, "b", "1",
    "there is a crystal and its orientation is reliable")
cluster_ambiguous = group.add("cluster_ambiguous", CLUSTER, "b", "1",
    "turned by 180 degrees about the beam it explains nearly as much")
cluster_candidate_quaternion = group.add("cluster_candidate_quaternion",
    (*CLUSTER, "candidate", *QUATERNION), "f", "1",
    "the best orientation and the best different one, whether reliable or not")
cluster_candidate_phase = group.add("cluster_candidate_phase", (*CLUSTER, "candidate"), "i", "1",
    "number of their crystal, -1 where there is none")
cluster_candidate_score = group.add("cluster_candidate_score", (*CLUSTER, "candidate"), "f", "1",
    "cosine of measured and predicted amplitudes of both")
crystal_edge = group.add("crystal_edge", CRYSTAL + INDEX, "f", "Å",
    "edges a, b, c of the cell")
crystal_angle = group.add("crystal_angle", CRYSTAL + INDEX, "f", "degree",
    "angles alpha, beta, gamma of the cell")
crystal_axes = group.add("crystal_axes", (*CRYSTAL, "cartesian", *INDEX), "f", "Å",
    "columns are a, b, c in the crystal's Cartesian frame")
crystal_turn = group.add("crystal_turn", (*CRYSTAL, "turn", "cartesian", "cartesian_from"), "f",
    "1", "proper rotations of its Laue class in that frame, NaN beyond the last")
predicted_cluster = group.add("predicted_cluster", PREDICTED, "i", "1",
    "cluster of a simulated reflection of the best candidate")
predicted_indices = group.add("predicted_indices", PREDICTED + INDEX, "i", "1",
    "its indices h, k, l")
predicted_position = group.add("predicted_position", PREDICTED + AXIS, "f", "pixel",
    "row and column on the detector, after centring")
predicted_amplitude = group.add("predicted_amplitude", PREDICTED, "f", "1",
    "root of its intensity over that of the brightest of its cluster")
boundary_cluster = group.add("boundary_cluster", (*BOUNDARY, "side"), "i", "1",
    "two clusters that touch in the scan")
boundary_length = group.add("boundary_length", BOUNDARY, "i", "1",
    "pairs of neighbouring positions across it")
boundary_angle = group.add("boundary_angle", BOUNDARY, "f", "degree",
    "smallest misorientation; NaN unless both are indexed and of one crystal")
boundary_axis = group.add("boundary_axis", BOUNDARY + INDEX, "f", "1",
    "axis of that turn in direct-lattice indices, the largest 1")
boundary_from_sigma3 = group.add("boundary_from_sigma3", BOUNDARY, "f", "degree",
    "how far from Sigma 3, a turn of 60 degrees about 111; NaN where not cubic")
component_turn = group.add("component_turn", (*COMPONENT, "cartesian"), "f", "degree",
    "rotation vector in the sample's frame from the orientation of a cluster to that of one of its "
    "components; NaN where it has no other")
