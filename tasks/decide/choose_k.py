"""Decide how many components to use: named strategies over the same evidence.

A strategy looks at the evidence of every k and names the fit to use. How many distinct patterns
that fit holds follows from merging (``merge.py``), whatever the strategy.
"""

from dataclasses import replace

from orimap.tasks.decide.decision import Decision, Strategy, with_guesses
from orimap.tasks.decide.evidence.evidence import Evidence
from orimap.tasks.decide.older_rules import AsPublished, ByElbow, ByKnee, BySilhouette
from orimap.tasks.decide.reasons import FIT_USED, merging_sentence
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
            f"--components {forced}",
            f"choose one of these, or widen --k to hold {forced}",
        )
    note = f"{forced} components were asked for; the evidence speaks for {decision.fitted_k}."
    return Decision(
        "forced",
        forced,
        decision.confidence if forced == decision.fitted_k else "low",
        int(evidence.distinct[list(evidence.ks).index(decision.fitted_k)]),
        [note, *_of_fit(decision, merging_sentence(evidence, list(evidence.ks).index(forced)))],
        decision.criteria,
        decision.drop_threshold,
    )


def with_distinct(
    decision: Decision,
    evidence: Evidence,
    number: int,
    *,
    fitted_k: int,
    by_itself: bool,
    how: str,
) -> Decision:
    """Return a decision for a number of distinct patterns that somebody asked for.

    Parameters
    ----------
    decision : Decision
        What the evidence says.
    evidence : Evidence
    number : int
    fitted_k : int
        The fit that has it, ``by_itself`` or after a change.
    how : str
        In words.
    """
    own = int(evidence.distinct[list(evidence.ks).index(decision.fitted_k)])
    agrees = number == own and by_itself and fitted_k == decision.fitted_k
    said = (
        "the evidence speaks for that number, too."
        if number == own
        else (f"the evidence speaks for {own}.")
    )
    held = merging_sentence(evidence, list(evidence.ks).index(fitted_k)) if by_itself else ""
    plural = "" if number == 1 else "s"
    were = "was" if number == 1 else "were"
    note = f"{number} distinct pattern{plural} {were} asked for; {said}"
    return Decision(
        "forced",
        fitted_k,
        decision.confidence if agrees else "low",
        decision.runner_up if number == own else own,
        [note, how, *_of_fit(decision, held)],
        decision.criteria,
        decision.drop_threshold,
    )


def not_merged(decision: Decision, kept: int, merged: int) -> Decision:
    """Return a decision whose fit keeps each of its components as a pattern, as was asked for."""
    note = (
        f"Nothing was merged, as asked for (--no-merge): each of the {kept} components of the fit "
        f"counts as a pattern; as usual there would be {merged}."
    )
    return replace(
        decision,
        strategy="forced",
        confidence="low",
        runner_up=merged,
        reasons=[note, *_of_fit(decision, "")],
    )


def _of_fit(decision: Decision, merging: str) -> list[str]:
    """Return the reasons of a decision, with what became of the components of another fit."""
    said = [merging if r.startswith(FIT_USED) else r for r in decision.reasons]
    return [reason for reason in said if reason]


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
