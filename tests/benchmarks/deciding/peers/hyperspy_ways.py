"""HyperSpy's two ways: the elbow of the scree plot, and clusters of the decomposition's scores.

Both start from the same SVD of all patterns after Keenan and Kotula's scaling for Poisson noise, as
HyperSpy's user guide recommends for counts.
"""

from functools import partial

import numpy as np
from answers import MOST_K, Answer, from_weights


def prepare(patterns: np.ndarray):
    """Return the signal of (scan_y, scan_x, detector_y, detector_x) counts, decomposed."""
    import hyperspy.api as hs

    hs.preferences.General.show_progressbar = False
    np.random.seed(0)  # HyperSpy leaves the starts of k-means to NumPy's global state
    signal = hs.signals.Signal2D(patterns.astype(np.float32))
    _decompose(signal, "SVD", output_dimension=10 * MOST_K)
    return signal


def cluster(signal, metric: str) -> Answer:
    """K-means of the significant components' scores, as many clusters as the metric says."""
    asked = {"cluster_source": "decomposition", "preprocessing": "norm"}
    best = signal.estimate_number_of_clusters(max_clusters=MOST_K, metric=metric, **asked)
    if metric == "silhouette":  # it returns every local maximum: take the highest
        score = signal.learning_results.cluster_metric_data
        best = max(best, key=lambda k: score[k - 2]) if best else 1
    label = np.zeros(signal.axes_manager.navigation_shape[::-1], int)
    if best > 1:
        signal.cluster_analysis(n_clusters=int(best), n_init=10, **asked)
        label = np.argmax(signal.get_cluster_labels().data, axis=0)
    return Answer(int(best), label)


def elbow(signal) -> Answer:
    """Components before the elbow of the explained variance, and HyperSpy's NMF of as many."""
    k = int(signal.estimate_elbow_position(max_points=MOST_K)) + 1
    _decompose(signal, "NMF", output_dimension=k)
    signal.normalize_decomposition_components(target="factors", function=np.sum)
    weights = signal.get_decomposition_loadings().data
    return from_weights(np.moveaxis(weights, 0, -1))


def _decompose(signal, algorithm: str, output_dimension: int) -> None:
    signal.decomposition(
        normalize_poissonian_noise=True,
        algorithm=algorithm,
        output_dimension=output_dimension,
        print_info=False,
    )


# The gap statistic is HyperSpy's default. The elbow comes last: its NMF replaces the SVD.
WAYS = {
    "hyperspy-clusters-gap": partial(cluster, metric="gap"),
    "hyperspy-clusters-silhouette": partial(cluster, metric="silhouette"),
    "hyperspy-clusters-elbow": partial(cluster, metric="elbow"),
    "hyperspy-elbow": elbow,
}
