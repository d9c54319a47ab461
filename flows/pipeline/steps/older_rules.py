"""What the older strategies look at beyond the scores of every fit; made only when asked for."""

from typing import Any

import numpy as np

from orimap.flows.pipeline.runtime.run import Fitted, Prepared, Run
from orimap.tasks.factorise import stored_fits
from orimap.tasks.store import variables
from orimap.tasks.store.fingerprint import fingerprint
from orimap.tasks.stream.blocks import Progress, submit


def fit_as_published(run: Run, progress: Progress, prepared: Prepared) -> None:
    """Fit as the paper does, all patterns in memory; write /published."""
    from orimap.tasks.decide.evidence.published import published_fits

    mark = published_fingerprint(run, prepared)
    if run.can_reuse("published", "published", mark):
        return
    mask = variables.detector_mask.read(run.folder.read("analysed")).values
    ds = published_fits(
        run.client, prepared.patterns, mask == 0, seed=run.request.seed, progress=progress
    )
    run.folder.write("published", ds, mark)


def published_fingerprint(run: Run, prepared: Prepared) -> str:
    """Return the fingerprint of the paper's fits."""
    return fingerprint(filter=prepared.fingerprint, seed=run.request.seed, kind="published")


def older_evidence(run: Run, fitted: Fitted) -> dict[str, Any]:
    """Return what the strategy that was asked for needs beyond the evidence of every run."""
    if run.request.strategy == "silhouette":
        return {"silhouette": _silhouettes(run, fitted)}
    if run.request.strategy == "published":
        from orimap.tasks.decide.evidence.published import read_published

        return {"published": read_published(run.folder.read("published"))}
    return {}


def _silhouettes(run: Run, fitted: Fitted) -> np.ndarray:
    """Return the silhouette of every k, one task each."""
    from orimap.tasks.maps.silhouette import fit_silhouette

    futures = [
        submit(
            run.client,
            "silhouette",
            fit_silhouette,
            run.folder.analysis,
            stored_fits.fit_group(k),
            run.request.seed,
        )
        for k in fitted.ks
    ]
    return np.array([future.result() for future in futures])
