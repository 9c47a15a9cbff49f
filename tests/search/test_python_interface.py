"""What `from toprung.search import run` takes; whole searches from Python are in `end_to_end`."""

from __future__ import annotations

from typing import Any

import pytest

from toprung.search import run
from toprung.spaces.errors import InputError


@pytest.mark.parametrize("given", [3, None, ["a.yaml"], b"a.yaml"])
def test_what_is_no_job_is_refused_as_any_wrong_input(given: Any) -> None:
    with pytest.raises(InputError, match="must be a Job, the path of a job file, or a dict"):
        run(given)
