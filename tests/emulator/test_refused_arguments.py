"""Calls that ECS refuses, word for word: what a permission check can build on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.emulator.conftest import Bench


def test_a_negative_desired_count_is_refused_in_ecss_words(bench: Bench) -> None:
    with pytest.raises(bench.ecs.exceptions.InvalidParameterException) as refused:
        bench.ecs.update_service(cluster="demo", service="web", desiredCount=-1)
    assert refused.value.response["Error"]["Message"] == "Task count can not be lesser than 0"


def test_the_right_to_update_is_judged_before_the_desired_count(bench: Bench) -> None:
    bench.world.faults.deny("ecs:UpdateService")
    with pytest.raises(bench.ecs.exceptions.AccessDeniedException):
        bench.ecs.update_service(cluster="demo", service="web", desiredCount=-1)


def test_stopping_an_absent_task_is_refused_in_ecss_words(bench: Bench) -> None:
    with pytest.raises(bench.ecs.exceptions.InvalidParameterException) as refused:
        bench.stop("0" * 32)
    assert refused.value.response["Error"]["Message"] == "The referenced task was not found."
    bench.world.faults.deny("ecs:StopTask")
    with pytest.raises(bench.ecs.exceptions.AccessDeniedException):
        bench.stop("0" * 32)
