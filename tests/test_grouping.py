import os

import pytest


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="tests run in one process")
def test_a_file_is_kept_together_where_tests_are_spread(request):
    """Else servers and runs that tests share are made once for every process."""
    assert request.node.nodeid.endswith("/test_grouping.py")
