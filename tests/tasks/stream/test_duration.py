import pytest

from orimap.tasks.stream.duration import predict_seconds


@pytest.mark.parametrize(
    ("scan", "detector", "measured"),
    [((32, 32), (96, 96), 50), ((64, 64), (128, 128), 69), ((128, 128), (128, 128), 130)],
)
def test_within_a_factor_of_three_of_what_was_measured_on_two_cores(scan, detector, measured):
    assert measured / 3 < predict_seconds(scan, detector, workers=2) < 3 * measured


def test_more_workers_take_less_time_but_never_less_than_starting():
    seconds = [predict_seconds((256, 256), (256, 256), workers=n) for n in (1, 2, 1000)]
    assert seconds[0] > seconds[1] > seconds[2] > 30


def test_registering_reflections_takes_its_time():
    plain, registered = (
        predict_seconds((256, 256), (256, 256), workers=2, registered=on) for on in (False, True)
    )
    # 65,536 patterns, three times, at 3 ms each on two cores.
    assert registered - plain == pytest.approx(65536 * 3 * 0.003 / 2, rel=0.1)


def test_the_fits_of_the_paper_take_their_time():
    plain, published = (
        predict_seconds((32, 32), (96, 96), workers=2, published=on) for on in (False, True)
    )
    # 18 fits of 20 s on average, on two cores.
    assert published - plain == pytest.approx(18 * 20 / 2, rel=0.1)
