"""HyperSpy's NMF, one decomposition for every k, of the rows as a signal of spectra.

In memory it is scikit-learn's NMF with HyperSpy's defaults, which are scikit-learn's. Lazily it is
scikit-learn's MiniBatchNMF: one update for every chunk, once over the scan, then one pass for
the weights. There are no iterations to count and nothing to converge.
"""

import hyperspy.api as hs
import numpy as np
from threadpoolctl import threadpool_info

# One update of the lazy NMF: 16 MB of the small scan. Larger chunks would mean fewer updates.
POSITIONS_A_CHUNK = 256

hs.preferences.General.show_progressbar = False


def in_memory(rows: np.ndarray) -> hs.signals.Signal1D:
    """Return the rows as a signal, without a copy."""
    return hs.signals.Signal1D(rows)


def lazy(rows: np.ndarray) -> hs.signals.Signal1D:
    """Return the rows as a lazy signal in chunks."""
    import dask.array as da

    chunks = (min(POSITIONS_A_CHUNK, len(rows)), rows.shape[1])
    return hs.signals.Signal1D(da.from_array(rows, chunks=chunks)).as_lazy()


def fit(signal: object, k: int, iterations: int | None) -> tuple[np.ndarray, np.ndarray, int]:
    """Return weights (position, k), patterns (k, pixel) and the number of iterations."""
    limit = {} if iterations is None else {"tol": 0.0, "max_iter": iterations}
    model = _decompose(signal, k, **limit)
    return *_factors(signal), model.n_iter_


def fit_lazily(
    signal: object, k: int, _iterations: int | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return weights, patterns, and 1: the scan is gone over once, whatever is asked for."""
    _decompose(signal, k)
    return *_factors(signal), 1


def _decompose(signal: object, k: int, **options: object) -> object:
    """Decompose; return scikit-learn's estimator."""
    return signal.decomposition(
        algorithm="NMF",
        output_dimension=k,
        print_info=False,
        return_info=True,
        random_state=0,
        **options,
    )


def _factors(signal: object) -> tuple[np.ndarray, np.ndarray]:
    found = signal.learning_results
    return np.asarray(found.loadings), np.asarray(found.factors).T


def threads() -> list[dict]:
    """Return the libraries that run threads, and how many each."""
    return threadpool_info()


WAYS = {"hyperspy": (in_memory, fit), "hyperspy-lazy": (lazy, fit_lazily)}
