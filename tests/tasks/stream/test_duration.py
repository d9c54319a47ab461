import pytest

from orimap.tasks.stream.duration import START_SECONDS, STEPS, predict_step_seconds


def _whole(scan, detector, **how):
    return START_SECONDS + sum(predict_step_seconds(scan, detector, **how).values())


@pytest.mark.parametrize(
    ("scan", "detector", "filled", "measured"),
    [
        ((14, 20), (48, 64), 0.1, 9.3),
        ((64, 64), (128, 128), 0.15, 28),
        ((128, 128), (256, 256), 0.07, 73),
        ((48, 64), (128, 128), 1.0, 35),
    ],
)
def test_within_a_factor_of_two_of_what_was_measured_on_two_cores(scan, detector, filled, measured):
    assert measured / 2 < _whole(scan, detector, workers=2, filled=filled) < 2 * measured


def test_a_large_scan_of_few_electrons_is_decided_as_fast_as_was_measured():
    # 100,000 patterns of 512 × 512, 2 % of the pixels filled: 3.5 minutes on two cores.
    steps = predict_step_seconds((250, 400), (512, 512), workers=2, filled=0.02)
    decided = sum(steps[name] for name in ("centre", "sketch", "fit", "score", "decide"))
    assert 210 / 2 < decided < 2 * 210


def test_steps_come_in_the_order_in_which_they_run():
    plain = predict_step_seconds((64, 64), (128, 128), workers=2)
    assert list(plain) == list(STEPS)
    asked = predict_step_seconds(
        (64, 64), (128, 128), workers=2, filtered="epattern", published=True
    )
    names = list(asked)
    assert names[names.index("score") + 1] == "published"
    assert names[names.index("clusters") + 1] == "reflections"
    indexed = predict_step_seconds((64, 64), (128, 128), workers=2, crystals=2)
    assert list(indexed)[-2:] == ["index", "report"]


def test_more_workers_take_less_time_but_never_less_than_starting():
    seconds = [_whole((256, 256), (256, 256), workers=n) for n in (1, 2, 1000)]
    assert seconds[0] > seconds[1] > seconds[2] > 10


def test_fewer_numbers_of_components_take_less_time():
    few, many = (
        predict_step_seconds((64, 64), (128, 128), workers=2, ks=range(1, last + 1))
        for last in (5, 20)
    )
    assert few["fit"] == pytest.approx(many["fit"] * 15 / 210)
    assert few["decide"] < many["decide"]
    assert few["score"] == many["score"]


def test_registering_reflections_takes_its_time():
    plain, registered = (
        predict_step_seconds((256, 256), (256, 256), workers=2, filtered=name)["filter"]
        for name in ("raw", "epattern")
    )
    # 65,536 patterns, three times, at 3 ms each on two cores.
    assert registered - plain == pytest.approx(65536 * 3 * 0.003 / 2, rel=0.1)


def test_the_fits_of_the_paper_take_their_time():
    steps = predict_step_seconds((32, 32), (96, 96), workers=2, published=True)
    # 18 fits of 20 s on average, on two cores.
    assert steps["published"] == pytest.approx(18 * 20 / 2, rel=0.1)
