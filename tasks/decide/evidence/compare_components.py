"""How the components of one stored fit compare with each other, worked out where the fit is."""

from pathlib import Path

import numpy as np

from orimap.tasks.decide.components.merge import merge_components
from orimap.tasks.decide.components.metrics import pair_metrics
from orimap.tasks.decide.components.redundancy import redundant_pairs
from orimap.tasks.decide.components.reflections import USUAL_RADIUS_PX
from orimap.tasks.decide.evidence.evidence import Components
from orimap.tasks.store import variables
from orimap.tasks.store.groups import open_group


def compare_components(
    store: Path,
    group: str,
    left_out: np.ndarray,
    *,
    radius_px: float = USUAL_RADIUS_PX,
    split_bent: bool = False,
) -> Components:
    """Compare the components of one stored fit with each other, on a worker.

    Parameters
    ----------
    store : Path
        ``analysis.zarr``.
    group : str
        Of the fit.
    left_out : (detector_y, detector_x) array of bool
        Direct beam and masked pixels: at unit maximum the beam would hide everything else.
    radius_px, split_bent : float, bool
        See ``merge.merge_components``.
    """
    fit = open_group(store, group)
    patterns = variables.component_pattern.read(fit).values.astype(float)
    weights = variables.scan_weight.read(fit).values
    metrics = pair_metrics(patterns, mask=left_out)
    merged = merge_components(
        patterns, weights, left_out, radius_px=radius_px, split_bent=split_bent
    )
    return Components(metrics, merged, redundant_pairs(merged.cosine, metrics, weights).count)
