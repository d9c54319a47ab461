import pytest
from pydantic import ValidationError

from orimap.flows.jobs.job import Job, Standing
from orimap.flows.request.request import Request


def _job(**asked):
    fields = {"file": "/data/a.npy", "output": "/results/a.npy", "k": "1:4", **asked}
    return Job(acquisition="0123456789ab", request=Request.read(**fields))


def test_the_key_is_that_of_journals_and_servers_of_the_first_version():
    assert _job().key == "orimap-0123456789ab-406602e7"


def test_the_key_says_what_is_computed_and_not_where():
    key = _job().key
    elsewhere = {"output": "/elsewhere", "workers": 3, "cluster": "slurm", "orchestrate": "never"}
    assert _job(**elsewhere).key == key
    others = [_job(bin=2), _job(file="/data/b.npy"), _job(restart=True), _job(seed=1)]
    others += [_job(gain=9), _job(keep_rows=3), _job(scan_step="2nm")]
    assert len({key, *(each.key for each in others)}) == 8
    # Of no consequence without crystals.
    assert _job(precession=0.7, detector_flip=True).key == key
    crystals = [_job(crystals=["/a.cif"]), _job(crystals=["/a.cif"], precession=0.7)]
    assert len({key, *(each.key for each in crystals)}) == 3


def test_a_job_travels_as_text_and_knows_no_other_fields():
    job = _job(bin=2, scan_shape="4x5")
    assert Job.model_validate_json(job.model_dump_json()) == job
    assert str(job.output) == "/results/a.npy"
    with pytest.raises(ValidationError, match="extra"):
        Job(acquisition="x", request=job.request, priority=1)


def test_a_standing_needs_no_reason():
    assert Standing("waiting") == Standing("waiting", "")
