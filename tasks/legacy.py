"""Older ways to choose the number of components, for comparison: knee and published rule."""

from collections import Counter

import numpy as np

from orimap.tasks.decision import Criterion, Decision, knee_sentence, level_one_and_two
from orimap.tasks.evidence import METRICS, Evidence

# The paper's own rule looks at one fit of this many components.
PUBLISHED_COMPONENTS = 12


class ByKnee:
    """The knee of the K-component loss, for comparison."""

    name = "knee"

    def decide(self, evidence: Evidence) -> Decision:
        """Take the knee; the largest k where the loss has none."""
        interest = evidence.interest
        fitted = interest.knee or int(evidence.ks[-1])
        return Decision(
            self.name,
            fitted,
            "low",
            None,
            [
                knee_sentence(interest.knee)
                + ("" if interest.knee else " The largest number that was fitted is taken."),
                "The knee depends on the range of k and is a matter of taste: it is kept for "
                "comparison.",
            ],
            level_one_and_two(evidence, used=True),
        )


class AsPublished:
    """The rule of the paper's own scripts, faults included, for comparison.

    One fit of 12 components; the mean of each column of the pairwise matrices, diagonal included;
    the position of the smallest (SSIM) or the largest (GMSD, MDSI, PSNR) is read as k. It is the
    number of one component inside one fit, no model selection.
    """

    name = "published"

    def decide(self, evidence: Evidence) -> Decision:
        """Count the votes of the metrics; ties go to the first, SSIM."""
        ks = list(evidence.ks)
        size = min(max(PUBLISHED_COMPONENTS, ks[0]), ks[-1])
        matrices = evidence.components[ks.index(size)].metrics
        votes = {}
        for name in METRICS:
            column = matrices[name].mean(axis=0)
            if np.isnan(column).any():  # SSIM of patterns below its window
                continue
            place = int(column.argmin() if name == "ssim" else column.argmax())
            votes[name] = min(max(place + 1, ks[0]), ks[-1])
        tally = Counter(votes.values())
        most = max(tally.values())
        fitted = next(vote for vote in votes.values() if tally[vote] == most)
        reasons = [
            f"The published rule on one fit of {size} components: "
            + ", ".join(f"{name.upper()} votes for {vote}" for name, vote in votes.items())
            + ".",
            "It names the most dissimilar component of one fit rather than a number of patterns; "
            "it is kept for comparison with the paper.",
        ]
        criteria = [
            Criterion(name.upper(), vote, None, True, "column mean with diagonal")
            for name, vote in votes.items()
        ]
        return Decision(self.name, int(fitted), "low", None, reasons, criteria)
