"""Decide how many components to use: named strategies over the same evidence.

A strategy looks at the evidence of every k and names the fit to use. How many distinct patterns
that fit holds follows from merging (``merge.py``), whatever the strategy.
"""

from orimap.tasks.decide.decision import Decision, Strategy, with_guesses
from orimap.tasks.decide.evidence.evidence import Evidence
from orimap.tasks.decide.older_rules import AsPublished, ByElbow, ByKnee, BySilhouette
from orimap.tasks.decide.weigh_evidence import ByEvidence
from orimap.tasks.errors import InputError

STRATEGIES: dict[str, Strategy] = {
    s.name: s for s in (ByEvidence(), ByKnee(), ByElbow(), BySilhouette(), AsPublished())
}


def choose_k(evidence: Evidence, strategy: str, forced: int | None = None) -> Decision:
    """Decide by a named strategy, or take the number that was asked for.

    Raises
    ------
    InputError
        If there is no such strategy, or the forced number was not fitted.
    """
    decision = with_guesses(find_strategy(strategy).decide(evidence), evidence.limits.guesses)
    if forced is None:
        return decision
    if forced not in evidence.ks:
        raise InputError(
            f"a number of components that was fitted ({evidence.ks[0]} to {evidence.ks[-1]})",
            f"--decided-k {forced}",
            f"choose one of these, or widen --k to hold {forced}",
        )
    note = f"{forced} components were asked for; the evidence speaks for {decision.fitted_k}."
    return Decision(
        "forced",
        forced,
        decision.confidence if forced == decision.fitted_k else "low",
        int(evidence.distinct[list(evidence.ks).index(decision.fitted_k)]),
        [note, *decision.reasons],
        decision.criteria,
        decision.drop_threshold,
    )


def find_strategy(name: str) -> Strategy:
    """Return a strategy by its name.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name not in STRATEGIES:
        raise InputError(
            f"a strategy: {', '.join(STRATEGIES)}", f"--strategy {name}", "choose one of these"
        )
    return STRATEGIES[name]
