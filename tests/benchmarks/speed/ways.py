"""The contestants: names, who runs them, and which form of the same matrix they take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Way:
    """One contestant.

    Parameters
    ----------
    name : str
    title : str
        For tables.
    peer : str, optional
        Its module in ``peers``; None for orimap.
    rows : str
        What of the prepared matrix it loads: "dense", "sparse" (CSR), or "training" (dense rows
        of the training half of the counts).
    """

    name: str
    title: str
    peer: str | None = None
    rows: str = "dense"

    @property
    def cost_grows_with(self) -> str:
        """What its time is proportional to at a given k: all entries, or those that are not 0."""
        return "entries not 0" if self.rows == "sparse" else "entries"


# What all others are divided by.
REFERENCE = "orimap"
WAYS = (
    Way("orimap", "orimap: sketch, fits, exact pass"),
    Way("orimap-held-out", "orimap, the training half of the counts as well"),
    Way("orimap-run", "orimap, the steps of `orimap run`: both halves, all stored"),
    Way("scikit-learn", "scikit-learn NMF", "scikit_learn"),
    Way("scikit-learn-sparse", "scikit-learn NMF, CSR rows", "scikit_learn", "sparse"),
    Way("hyperspy", "HyperSpy NMF", "hyperspy_nmf"),
    Way("hyperspy-lazy", "HyperSpy lazy NMF (mini-batches, one pass)", "hyperspy_nmf"),
    Way("torchnmf-kl", "torchnmf, Kullback-Leibler (the paper's)", "torch_nmf"),
    Way("torchnmf-frobenius", "torchnmf, Frobenius", "torch_nmf"),
)
# Only for the comparison of held-out counts.
HELD_OUT = Way(
    "scikit-learn-training", "scikit-learn NMF, training half", "scikit_learn", "training"
)
BY_NAME = {way.name: way for way in (*WAYS, HELD_OUT)}
