"""A sweep's answers. The engine that sweeps is yet to come: here they are as they are agreed on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.client.cloud import HttpAnswer

if TYPE_CHECKING:
    from tests.client.conftest import Person

pytestmark = pytest.mark.local_socket


def test_a_sweep_that_is_taken_says_its_id_and_how_many_services(person: Person) -> None:
    body = {"status": "sweeping", "sweep": "s-1", "services": 12}
    document = {"statusCode": 202, "body": json.dumps(body)}
    person.cloud.answers = [HttpAnswer(status=200, body=json.dumps(document).encode())]

    printed = person.types("sweep --cluster demo --services all")

    assert printed.code == 0
    assert printed.output == "sweep: sweeping.\n  sweep: s-1\n  services: 12\n"
    sent = person.cloud.invocations[0].event
    assert sent == {"cluster_name": "demo", "services": "all"}


def test_a_function_that_refuses_a_sweep_is_a_failure(person: Person) -> None:
    printed = person.types("stop --sweep s-1")

    assert printed.code == 1
    assert printed.output.startswith("sweep s-1: failed (SettingsError).\n")
