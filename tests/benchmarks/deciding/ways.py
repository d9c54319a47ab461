"""The ways of deciding that are compared, and who answers for them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Way:
    """One way of deciding how many patterns a scan holds.

    Parameters
    ----------
    name : str
        On the command line and in the rows.
    title : str
        In tables and figures.
    strategy : str, optional
        Of orimap, for its own ways.
    peer : str, optional
        The module in ``peers`` that answers, for the others.
    """

    name: str
    title: str
    strategy: str | None = None
    peer: str | None = None


WAYS = (
    Way("orimap", "orimap", strategy="evidence"),
    Way("orimap-knee", "orimap, knee of the loss", strategy="knee"),
    Way("orimap-elbow", "orimap, elbow of the loss", strategy="elbow"),
    Way("orimap-silhouette", "orimap, silhouette of the map", strategy="silhouette"),
    Way("orimap-published", "orimap, the paper's rule", strategy="published"),
    Way("nmf-knee", "scikit-learn NMF, knee, argmax", peer="nmf_knee"),
    Way("hyperspy-elbow", "HyperSpy, elbow of the scree plot", peer="hyperspy_ways"),
    Way("hyperspy-clusters-gap", "HyperSpy, clusters by gap", peer="hyperspy_ways"),
    Way("hyperspy-clusters-silhouette", "HyperSpy, clusters by silhouette", peer="hyperspy_ways"),
    Way("hyperspy-clusters-elbow", "HyperSpy, clusters by elbow", peer="hyperspy_ways"),
    Way("nmfk-silhouette", "NMFk, largest stable k", peer="nmfk"),
    Way("nmfk-significance", "NMFk, last significant k", peer="nmfk"),
)
BY_NAME = {way.name: way for way in WAYS}
# The paper's own fits take ten minutes and more for a scan: only where they are asked for.
DEFAULT = [way.name for way in WAYS if way.strategy != "published"]
