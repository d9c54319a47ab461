"""The step that decides, over the scores of every fit, and what follows from it for the range."""

from collections.abc import Iterable
from dataclasses import asdict

import xarray as xr

from orimap.flows.pipeline.plan import Plan
from orimap.flows.pipeline.runtime.run import Decided, Fitted, Run
from orimap.flows.pipeline.steps.gather_evidence import gather_evidence
from orimap.tasks.decide.candidates import PLATEAU
from orimap.tasks.decide.choose_k import choose_k
from orimap.tasks.decide.countable import shows_crystal, why_not_countable
from orimap.tasks.decide.decision import Decision
from orimap.tasks.decide.evidence.evidence import Evidence
from orimap.tasks.decide.evidence.knee import RangeOfInterest
from orimap.tasks.factorise import stored_fits
from orimap.tasks.store.fingerprint import fingerprint
from orimap.tasks.stream.blocks import Progress

# How far k is widened when the best one touches an edge of the range: by this, or where more
# directions of the patterns stand out from noise, to so many times their number and the range.
WIDEN_BY = 10
BEYOND_DIRECTIONS = 1.25
AT_MOST_TIMES = 3
# Where nearly every component of the largest fit is a pattern of its own, and there are so many
# times more directions, the range is too small, wherever the number seems to have settled.
NEARLY_ALL = 0.75
MORE_DIRECTIONS = 1.5


def decide(run: Run, progress: Progress, fitted: Fitted) -> Decided:
    """Compare the components of every k and decide; write /decision."""
    evidence = gather_evidence(run, progress, fitted)
    decision, interest, ds = run.helpers.submit(
        _weigh, evidence, run.request.strategy, run.request.decided_k
    ).result()
    mark = fingerprint(
        scores=[fitted.score_fingerprint(k) for k in fitted.ks],
        strategy=run.request.strategy,
        forced=run.request.decided_k,
        split_bent=run.request.split_bent,
    )
    slow = [
        k for k in fitted.ks if not run.folder.attributes(stored_fits.fit_group(k))["converged"]
    ]
    if slow:
        run.note(f"Stopped at the largest number of iterations, not converged: k = {slow}.")
    used = fitted.ks.index(decision.fitted_k)
    crystal = shows_crystal(evidence, used)
    countable = not why_not_countable(evidence, used)
    ds.attrs.update(
        strategy=decision.strategy,
        crystal_found=crystal,
        countable=countable,
        fitted_k=decision.fitted_k,
        knee=interest.knee,
        range_low=interest.low,
        range_high=interest.high,
        reasons=decision.reasons,
        criteria=[asdict(criterion) for criterion in decision.criteria],
        confidence=decision.confidence,
        runner_up=decision.runner_up,
        drop_threshold=decision.drop_threshold,
        settled_k=decision.settled_k,
        preference={str(number): value for number, value in decision.preference.items()},
        spectrum_rank=evidence.spectrum.rank if evidence.spectrum else None,
        stability={str(k): value for k, value in evidence.stability.items()},
        skipped=evidence.skipped,
        not_converged=slow,
    )
    run.folder.write("decision", ds, mark)
    return Decided(
        fitted,
        decision.fitted_k,
        evidence.components[used].merged.has_reflections,
        crystal,
        countable,
        decision.settled_k,
        mark,
        directions=evidence.spectrum.rank if evidence.spectrum else 0,
        most_distinct=evidence.components[-1].merged.distinct,
    )


def _weigh(
    evidence: Evidence, strategy: str, forced: int | None
) -> tuple[Decision, RangeOfInterest, xr.Dataset]:
    """Decide; return the decision, the range around the knee, and what is stored along k.

    kneed and pymcdm load matplotlib, which takes longer than all that is computed here: a helper
    has loaded it.
    """
    return choose_k(evidence, strategy, forced), evidence.interest, evidence.dataset()


def widened(plan: Plan, decided: Decided) -> list[int] | None:
    """Return the k to look at next when the best one touches an edge; None when it does not."""
    ks = decided.fitted.ks
    first, last = ks[0], ks[-1]
    most = min(decided.fitted.most_k, plan.largest_k)
    if first == last or plan.request.decided_k is not None or plan.request.strategy != "evidence":
        return None
    if decided.settled_k is None:
        return None
    # A number that appears only near the end of the range may still grow beyond it.
    crowded = (
        decided.most_distinct >= NEARLY_ALL * last and decided.directions >= MORE_DIRECTIONS * last
    )
    if (decided.settled_k > last + 1 - PLATEAU or crowded) and last < most:
        needed = min(round(BEYOND_DIRECTIONS * decided.directions), AT_MOST_TIMES * last)
        return list(range(first, min(most, max(last + WIDEN_BY, needed)) + 1))
    if decided.settled_k == first and first > 1:
        return list(range(max(1, first - WIDEN_BY), last + 1))
    return None


def decision_rows(run: Run, ks: Iterable[int]) -> list[dict]:
    """Return the table that explains the decision, one row per k."""
    ds = run.folder.read("decision")
    rows = []
    for k in ks:
        row = ds.sel(k=k)
        rows.append(
            {
                "k": int(k),
                "loss": float(row["k_component_loss"]),
                "held-out drop": float(row["k_held_out_drop"]),
                "distinct": int(row["k_distinct"]),
                "background": int(row["k_background"]),
                "in range": bool(row["k_in_range"]),
                "used": int(k) == ds.attrs["fitted_k"],
            }
        )
    return rows
