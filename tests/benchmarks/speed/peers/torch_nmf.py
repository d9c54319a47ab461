"""torchnmf on the processor, one fit for every k.

From random numbers; multiplicative updates, at most 200, tolerance 1e-4, tested at every tenth. The
paper's scripts use it with the Kullback-Leibler divergence; in the Frobenius norm its errors can be
compared with those of the others.
"""

from functools import partial

import numpy as np
import torch
from threadpoolctl import threadpool_info
from torchnmf.nmf import NMF

KULLBACK_LEIBLER, FROBENIUS = 1, 2


def fit(
    rows: torch.Tensor, k: int, iterations: int | None, beta: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return weights (position, k), patterns (k, pixel) and the number of iterations."""
    torch.manual_seed(0)
    limit = {"tol": 1e-4, "max_iter": 200}
    if iterations is not None:
        limit = {"tol": float("-inf"), "max_iter": iterations}
    model = NMF(rows.shape, rank=k)
    done = model.fit(rows, beta=beta, **limit)
    return model.H.detach().numpy(), model.W.detach().numpy().T, done


def threads() -> list[dict]:
    """Return the libraries that run threads, and how many each."""
    return [*threadpool_info(), {"user_api": "torch", "num_threads": torch.get_num_threads()}]


WAYS = {
    "torchnmf-kl": (torch.from_numpy, partial(fit, beta=KULLBACK_LEIBLER)),
    "torchnmf-frobenius": (torch.from_numpy, partial(fit, beta=FROBENIUS)),
}
