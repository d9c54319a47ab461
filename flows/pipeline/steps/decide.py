"""The step that decides, over the scores of every fit, and what follows from it for the range."""

from collections.abc import Iterable
from dataclasses import asdict
from functools import partial

import xarray as xr

from orimap.flows.pipeline.plan import Plan
from orimap.flows.pipeline.runtime.run import Decided, Fitted, Run
from orimap.flows.pipeline.steps.gather_evidence import gather_evidence
from orimap.flows.request.request import CHOICES
from orimap.tasks.decide.candidates import PLATEAU
from orimap.tasks.decide.choose_k import choose_k, not_merged, with_distinct
from orimap.tasks.decide.countable import shows_crystal, why_not_countable
from orimap.tasks.decide.decision import Decision
from orimap.tasks.decide.evidence.evidence import Evidence
from orimap.tasks.decide.evidence.knee import RangeOfInterest
from orimap.tasks.factorise import stored_fits
from orimap.tasks.store.fingerprint import fingerprint
from orimap.tasks.stream.blocks import Progress, submit

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
    request = run.request
    decision, interest, ds = run.helpers.submit(
        _weigh, evidence, request.strategy, request.components
    ).result()
    decision, groups = _as_asked(run, evidence, decision, fitted)
    # Without a choice the fingerprint is that of versions that knew none.
    choice = {name: at for name in CHOICES if (at := getattr(request, name))}
    mark = fingerprint(
        scores=[fitted.score_fingerprint(k) for k in fitted.ks],
        strategy=request.strategy,
        forced=request.components,
        split_bent=request.split_bent,
        **choice,
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
    if groups is not None:
        ds.attrs["chosen_patterns"] = max(groups, default=-1) + 1
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
        component_cluster=groups,
    )


def _as_asked(
    run: Run, evidence: Evidence, decision: Decision, fitted: Fitted
) -> tuple[Decision, tuple[int, ...] | None]:
    """Return the decision with the grouping of components that was asked for; None as usual."""
    from orimap.tasks.maps.by_hand.exactly import every_component, exactly

    request, analysis = run.request, run.folder.analysis
    if request.distinct is not None:
        wanted = partial(exactly, analysis, evidence, decision.fitted_k, request.distinct)
        found = submit(run.client, "distinct patterns", wanted).result()
        decision = with_distinct(
            decision,
            evidence,
            request.distinct,
            fitted_k=found.fitted_k,
            by_itself=found.by_itself,
            how=found.how,
        )
        return decision, tuple(found.component_cluster.tolist())
    if request.no_merge:
        merged = evidence.components[fitted.ks.index(decision.fitted_k)].merged
        whole = partial(
            every_component,
            analysis,
            decision.fitted_k,
            has_reflections=merged.has_reflections,
        )
        groups = submit(run.client, "every component", whole).result()
        return not_merged(decision, int(groups.max()) + 1, merged.distinct), tuple(groups.tolist())
    return decision, None


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
    chosen = plan.request.components is not None or plan.request.distinct is not None
    if first == last or chosen or plan.request.strategy != "evidence":
        return None
    if decided.settled_k is None:
        return None
    # A number that appears only near the end of the range may still grow beyond it.
    more = decided.directions >= MORE_DIRECTIONS * last
    crowded = more and decided.most_distinct >= NEARLY_ALL * last
    # Nor was a number seen to settle that all fits of a range have that is as short as can be.
    short = more and decided.settled_k == first == last + 1 - PLATEAU
    if (decided.settled_k > last + 1 - PLATEAU or crowded or short) and last < most:
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
