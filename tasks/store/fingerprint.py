"""Fingerprints: short digests that say which inputs and options something was made from.

Tested in tests/tasks/store/test_groups.py.
"""

import hashlib
import json

SCHEMA_VERSION = 1


def fingerprint(**facts: object) -> str:
    """Return a short digest of the inputs and options that a group depends on."""
    text = json.dumps({"schema": SCHEMA_VERSION, **facts}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
