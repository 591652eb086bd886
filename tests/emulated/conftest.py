"""One session for the emulated tests of a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest

from ecs_emulator import World
from ecs_emulator.wire.in_process import attach
from tests.emulated.bench import ACCESS_KEY, Bench, OneSetOfClients

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with attach(World()) as board:
        session = boto3.Session(
            aws_access_key_id=ACCESS_KEY, aws_secret_access_key="x", region_name="us-east-1"
        )
        yield Bench(session=OneSetOfClients(session), board=board)
