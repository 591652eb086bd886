"""A long recycle costs next to nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ecs_emulator import Knobs

if TYPE_CHECKING:
    from tests.emulator.conftest import Bench


def test_twenty_tasks_forty_minutes_and_540_calls_take_less_than_three_seconds(
    bench: Bench,
) -> None:
    service = bench.furnish(Knobs(), desired_count=20, target_group=True)
    originals = [task.arn for task in service.tasks]
    group = service.target_groups[0].arn
    began = time.process_time()
    for arn in originals:
        bench.stop(arn)
        for _ in range(13):
            bench.sleep(8)
            bench.ecs.describe_tasks(cluster="demo", tasks=bench.listed())
        bench.target_states(group)
    took = time.process_time() - began
    assert len(bench.world.calls) == 20 * (1 + 26 + 1)
    assert bench.world.elapsed > 2000
    assert service.in_service_count == 20
    # The largest part is what botocore takes to parse the answers.
    assert took < 3
