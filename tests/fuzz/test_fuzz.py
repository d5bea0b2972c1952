"""A sample of `make fuzz`, and that its watch over the inputs sees what it should."""

import os
import signal
import time
from functools import partial

from tests.fuzz.inputs import make_input
from tests.fuzz.invariants import look_at
from tests.fuzz.run import BATCH, Run

SAMPLE = 3_000


def hostile(number: int) -> None:
    """Some numbers end the process, hang, or fail."""
    match number:
        case 13:
            os.kill(os.getpid(), signal.SIGSEGV)
        case 15:
            raise ValueError("fifteen")
        case 7:
            while True:
                pass
        case 11:
            until_s = time.process_time() + 1.2
            while time.process_time() < until_s:
                pass
        case 507:
            os._exit(3)


def test_sample_of_hostile_inputs_is_answered() -> None:
    """`make fuzz` looks at a million; `python -m tests.fuzz --seed 0 --only NUMBER` shows one that failed here."""
    outcome = Run(partial(look_at, 0), 0, SAMPLE).go()
    assert outcome.failures == []
    assert outcome.inputs == SAMPLE


def test_input_of_a_number_is_the_same_whatever_was_made_before() -> None:
    one = [make_input(4, number) for number in range(40)]
    assert one[::-1] == [make_input(4, number) for number in reversed(range(40))]
    assert one != [make_input(5, number) for number in range(40)]


def test_input_that_crashes_or_fails_is_named_and_the_rest_is_looked_at() -> None:
    outcome = Run(hostile, 8, BATCH + 28, workers=2).go()
    named = {failure.number: failure.what for failure in outcome.failures}
    assert named.keys() == {13, 15, 507}
    assert "exit code -11" in named[13]
    assert "ValueError: fifteen" in named[15]
    assert "exit code 3" in named[507]
    assert outcome.slow == [11]
    assert str(outcome) == "520 inputs, 3 failures, 1 slow (over 1 s)"


def test_input_that_does_not_come_back_is_named_and_the_rest_is_looked_at() -> None:
    outcome = Run(hostile, 5, 9, limit_s=1).go()
    assert [(failure.number, failure.what) for failure in outcome.failures] == [(7, "it was not done after 1 s")]
    assert outcome.inputs == 4
