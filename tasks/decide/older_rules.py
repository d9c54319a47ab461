"""Older ways to choose the number of components, for comparison.

Knee and elbow of the loss, the silhouette of the map, and the paper's own rule. None of them is a
test of how many patterns there are; their confidence is always low.
"""

import numpy as np

from orimap.tasks.decide.decision import Criterion, Decision, knee_sentence, level_one_and_two
from orimap.tasks.decide.evidence.evidence import Evidence
from orimap.tasks.decide.evidence.published import most_votes

FOR_COMPARISON = "it is kept for comparison."
LARGEST_TAKEN = "The largest number that was fitted is taken."


class ByKnee:
    """The knee of the K-component loss, by kneedle, as the paper takes it."""

    name = "knee"

    def decide(self, evidence: Evidence) -> Decision:
        """Take the knee; the largest k where the loss has none."""
        knee = evidence.interest.knee
        return Decision(
            self.name,
            int(knee or evidence.ks[-1]),
            "low",
            None,
            [
                knee_sentence(knee) + ("" if knee else f" {LARGEST_TAKEN}"),
                f"The knee depends on the range of k and is a matter of taste: {FOR_COMPARISON}",
            ],
            level_one_and_two(evidence, used=True),
        )


class ByElbow:
    """The elbow of the K-component loss: where it lies deepest below its chord."""

    name = "elbow"

    def decide(self, evidence: Evidence) -> Decision:
        """Take the elbow; the largest k where the loss has none."""
        place, depth = elbow(evidence.ks, evidence.loss)
        found = (
            f"The K-component loss has its elbow at {place}, {depth:.2f} below its chord."
            if place
            else f"The K-component loss has no elbow. {LARGEST_TAKEN}"
        )
        return Decision(
            self.name,
            place or int(evidence.ks[-1]),
            "low",
            None,
            [
                found,
                f"The elbow depends on the range of k and is a matter of taste: {FOR_COMPARISON}",
            ],
            [
                Criterion("elbow of the loss", place, depth, True, "depth below the chord, of 1"),
                *level_one_and_two(evidence, used=False),
            ],
        )


def elbow(ks: np.ndarray, loss: np.ndarray) -> tuple[int | None, float | None]:
    """Return where a falling loss lies deepest below its chord, and how deep.

    Parameters
    ----------
    ks : (number of k,) array of int
    loss : (number of k,) array

    Returns
    -------
    k : int or None
        None where nothing lies below the chord, or fewer than three k were fitted.
    depth : float or None
        With both axes scaled to run from 0 to 1 between the ends of the chord. The largest
        vertical distance is the largest perpendicular one, too: the chord has one slope.
    """
    fall = loss[0] - loss[-1]
    if len(ks) < 3 or not fall > 0:
        return None, None
    along = (ks - ks[0]) / (ks[-1] - ks[0])
    depth = 1 - along - (loss - loss[-1]) / fall
    best = int(depth.argmax())
    # Rounding alone leaves a straight line a depth of this order.
    if depth[best] < 1e-9:
        return None, None
    return int(ks[best]), float(depth[best])


class BySilhouette:
    """The silhouette of the scan positions, sorted by their largest component."""

    name = "silhouette"

    def decide(self, evidence: Evidence) -> Decision:
        """Take the k with the largest silhouette; the first where none has any.

        Raises
        ------
        ValueError
            If the evidence was gathered without silhouettes.
        """
        if evidence.silhouette is None:
            raise ValueError("the silhouette strategy needs Evidence.silhouette; it is None")
        values = np.where(np.isfinite(evidence.silhouette), evidence.silhouette, -np.inf)
        order = np.argsort(-values, kind="stable")
        best, defined = order[0], np.count_nonzero(np.isfinite(values))
        vote = int(evidence.ks[best]) if defined else None
        margin = float(values[best] - values[order[1]]) if defined > 1 else None
        shown = ", ".join(
            f"{k}: {value:.2f}"
            for k, value in zip(evidence.ks, values, strict=True)
            if np.isfinite(value)
        )
        found = (
            f"The mean silhouette of the positions is largest at {vote} ({shown})."
            if defined
            else "No k that was fitted sorts the positions into groups that have a silhouette."
        )
        return Decision(
            self.name,
            int(evidence.ks[best]),
            "low",
            None,
            [
                found,
                "A single component has no silhouette, and overlaps and components that are "
                f"background count like any other: {FOR_COMPARISON}",
            ],
            [
                Criterion("silhouette", vote, margin, True, "largest mean over scan positions"),
                *level_one_and_two(evidence, used=False),
            ],
        )


class AsPublished:
    """The rule of the paper's own scripts, on its own fits, faults included.

    One Kullback-Leibler fit of 12 components; the mean of each column of the pairwise matrices,
    diagonal included; the position of the smallest (SSIM) or the largest (GMSD, MDSI, PSNR) is
    read as k. It is the number of one component inside one fit, no model selection.
    """

    name = "published"

    def decide(self, evidence: Evidence) -> Decision:
        """Count the votes of the metrics; ties go to the first, SSIM.

        Raises
        ------
        ValueError
            If the evidence was gathered without the paper's fits.
        """
        fits = evidence.published
        if fits is None:
            raise ValueError("the published strategy needs Evidence.published; it is None")
        votes, interest = fits.votes(), fits.interest
        named = most_votes(votes)
        fitted = int(np.clip(named, evidence.ks[0], evidence.ks[-1]))
        taken = (
            f"Maps are drawn from orimap's own fit of {fitted} components"
            + ("" if fitted == named else f", the nearest to {named} that there is")
            + ", not from a Kullback-Leibler fit."
        )
        reasons = [
            f"The published rule names {named}. On one Kullback-Leibler fit of {fits.paired_k} "
            "components: "
            + ", ".join(f"{name.upper()} votes for {vote}" for name, vote in votes.items())
            + ".",
            f"In these fits of {fits.ks[0]} to {fits.ks[-1]} components: "
            + knee_sentence(interest.knee),
            taken,
            "The rule names the most dissimilar component of one fit rather than a number of "
            f"patterns, from a random start: {FOR_COMPARISON}",
        ]
        criteria = [
            Criterion(name.upper(), vote, None, True, "column mean with diagonal")
            for name, vote in votes.items()
        ]
        criteria.append(
            Criterion(
                "knee of the Kullback-Leibler loss",
                interest.knee,
                None,
                False,
                f"range of interest {interest.low} to {interest.high}",
            )
        )
        return Decision(self.name, fitted, "low", None, reasons, criteria)
