"""Temporary names of the job's methods."""

from __future__ import annotations

from toprung.search.jobs.schema import JobSpec

load_job = JobSpec.from_file
parse_job = JobSpec.from_dict
override_job = JobSpec.overridden
dump_job = JobSpec.to_yaml
