"""scikit-learn's NMF, one fit for every k.

Start by nndsvda, then its defaults: coordinate descent, tolerance 1e-4, at most 200 iterations.
Sparse rows are taken as they are.
"""

import numpy as np
from sklearn.decomposition import NMF
from threadpoolctl import threadpool_info


def fit(rows: object, k: int, iterations: int | None) -> tuple[np.ndarray, np.ndarray, int]:
    """Return weights (position, k), patterns (k, pixel) and the number of iterations.

    With ``iterations`` the fit does so many and does not look whether it has converged.
    """
    limit = {"tol": 1e-4} if iterations is None else {"tol": 0.0, "max_iter": iterations}
    model = NMF(n_components=k, init="nndsvda", random_state=0, **limit)
    weights = model.fit_transform(rows)
    return weights, model.components_, model.n_iter_


def as_it_is(rows: object) -> object:
    """Return what was loaded."""
    return rows


def threads() -> list[dict]:
    """Return the libraries that run threads, and how many each."""
    return threadpool_info()


WAYS = dict.fromkeys(
    ("scikit-learn", "scikit-learn-sparse", "scikit-learn-training"), (as_it_is, fit)
)
