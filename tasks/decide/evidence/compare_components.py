"""How the components of one stored fit compare with each other, worked out where the fit is."""

from pathlib import Path

import numpy as np

from orimap.tasks.decide.components.likeness import reflection_cosines, reflection_images
from orimap.tasks.decide.components.merge import Merged, merge_by_look
from orimap.tasks.decide.components.metrics import pair_metrics
from orimap.tasks.decide.components.redundancy import redundant_pairs
from orimap.tasks.decide.evidence.evidence import Components
from orimap.tasks.decide.grains.stored import find_grains, read_dark_fields
from orimap.tasks.store import variables
from orimap.tasks.store.groups import open_group


def compare_components(
    store: Path, group: str, left_out: np.ndarray, *, split_bent: bool = False
) -> tuple[Components, Merged]:
    """Compare the components of one stored fit with each other, on a worker.

    Parameters
    ----------
    store : Path
        ``analysis.zarr``, with dark fields.
    group : str
        Of the fit.
    left_out : (detector_y, detector_x) array of bool
        Direct beam and masked pixels: at unit maximum the beam would hide everything else.
    split_bent : bool
        See ``grains.group.group_grains``.

    Returns
    -------
    Components
        With the grains of as many components of the dark fields.
    Merged
        The components of the fit by their look: for scans without reflections.
    """
    fit = open_group(store, group)
    patterns = variables.component_pattern.read(fit).values.astype(float)
    weights = variables.scan_weight.read(fit).values
    metrics = pair_metrics(patterns, mask=left_out)
    cosine = reflection_cosines(reflection_images(patterns, left_out))
    _, grains = find_grains(read_dark_fields(store), len(patterns), split_bent=split_bent)
    not_redundant = redundant_pairs(cosine, metrics, weights).count
    by_look = merge_by_look(patterns, weights, left_out)
    return Components(metrics, grains, cosine, not_redundant), by_look
