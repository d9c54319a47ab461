"""The step that decides, over the scores of every fit, and what follows from it for the range."""

from collections.abc import Iterable
from dataclasses import asdict

from orimap.flows.pipeline.extent import largest_k, reduced_shapes
from orimap.flows.pipeline.runtime.run import Run
from orimap.flows.pipeline.steps.gather_evidence import gather_evidence
from orimap.tasks.decide.candidates import PLATEAU
from orimap.tasks.decide.choose_k import Decision, choose_k
from orimap.tasks.factorise import stored_fits
from orimap.tasks.store.groups import fingerprint
from orimap.tasks.stream.blocks import Progress

# How far k is widened when the best one touches an edge of the range.
WIDEN_BY = 10


def decide(run: Run, progress: Progress) -> Decision:
    """Compare the components of every k and decide; write /decision."""
    evidence = gather_evidence(run, progress)
    decision = choose_k(evidence, run.request.strategy, run.request.decided_k)
    run.marks["decision"] = fingerprint(
        scores=[run.marks[f"score{k}"] for k in run.ks],
        strategy=run.request.strategy,
        forced=run.request.decided_k,
        split_bent=run.request.split_bent,
    )
    ds = evidence.dataset()
    interest = evidence.interest
    slow = [k for k in run.ks if not run.folder.read(stored_fits.fit_group(k)).attrs["converged"]]
    if slow:
        run.note(f"Stopped at the largest number of iterations, not converged: k = {slow}.")
    ds.attrs.update(
        strategy=decision.strategy,
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
    run.folder.write("decision", ds, run.marks["decision"])
    return decision


def widened(run: Run, decision: Decision) -> list[int] | None:
    """Return the k to look at next when the best one touches an edge; None when it does not."""
    first, last = run.ks[0], run.ks[-1]
    most = min(run.most_k, largest_k(*reduced_shapes(run.request, run.acquisition)))
    if first == last or run.request.decided_k is not None:
        return None
    if run.request.strategy != "evidence":
        return None
    # A number that has not been seen to stay may still grow.
    if decision.settled_k > last + 1 - PLATEAU and last < most:
        return list(range(first, min(most, last + WIDEN_BY) + 1))
    if decision.settled_k == first and first > 1:
        return list(range(max(1, first - WIDEN_BY), last + 1))
    return None


def fitted_k(run: Run) -> int:
    """Return the number of components of the fit that is used."""
    return int(run.folder.read("decision").attrs["fitted_k"])


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
