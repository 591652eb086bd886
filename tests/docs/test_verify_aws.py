"""The page on `make verify-aws`, and the one that the emulator has made, against the code."""

from __future__ import annotations

import ast
import re
from typing import Final

import boto3
from botocore import xform_name

from tests.docs import guards
from tests.docs.markdown import codes, headings_of, table, without_fences
from tests.docs.pages import PROJECT, guide
from verify_aws.cost import dollars
from verify_aws.findings import Findings
from verify_aws.measures import figures
from verify_aws.observer import Watched
from verify_aws.options import _parser, read_options
from verify_aws.page import page

PAGE: Final = guide("verify-aws")
SAMPLE: Final = (PROJECT / "docs/verified/emulator.md").read_text()
SOURCES: Final = [
    path.read_text()
    for path in sorted((PROJECT / "verify_aws").glob("*.py"))
    if path.name != "mortal.py"
]
PREFIXES: Final = {
    "cloudformation": "cloudformation",
    "lambda": "lambda",
    "ecs": "ecs",
    "application-autoscaling": "application-autoscaling",
    "elbv2": "elasticloadbalancing",
    "logs": "logs",
    "ec2": "ec2",
}
DEFAULT: Final = [
    *("--vpc", "vpc-0a", "--subnets", "subnet-0a,subnet-0b"),
    *("--client-cidr", "203.0.113.7/32"),
]


def words_of(source: str) -> set[str]:
    """Return the names of methods that a module calls, and of operations that it pages through."""
    calls = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.Call)]
    methods = {each.func.attr for each in calls if isinstance(each.func, ast.Attribute)}
    texts = {one.value for each in calls for one in each.args if isinstance(one, ast.Constant)}
    return methods | {each for each in texts if isinstance(each, str)}


def called(words: set[str]) -> set[str]:
    """Return the rights of the operations among some names."""
    session, found = boto3.Session(region_name="us-east-1"), set()
    for service, prefix in PREFIXES.items():
        operations = session.client(service).meta.service_model.operation_names  # type: ignore[call-overload]
        found |= {f"{prefix}:{each}" for each in operations if xform_name(each) in words}
    return {"lambda:InvokeFunction" if each == "lambda:Invoke" else each for each in found}


def test_the_rights_are_those_of_the_calls() -> None:
    said = {right for row in table(PAGE, "Right") for right in codes(row["Right"])}
    actual = called({word for source in SOURCES for word in words_of(source)})
    assert guards.different(said, actual, of="right") == []


def test_a_call_is_found_in_every_form() -> None:
    source = "a.ecs.stop_task()\nb.get_paginator('filter_log_events')\nc.invoke(x)"
    rights = {"ecs:StopTask", "logs:FilterLogEvents", "lambda:InvokeFunction"}
    assert called(words_of(source)) == rights


def test_the_options_are_those_of_the_command_line() -> None:
    said = {option for row in table(PAGE, "Option") for option in codes(row["Option"])}
    actual = {each.option_strings[-1] for each in _parser()._actions} - {"--help"}
    assert guards.different(said, actual, of="option") == []


def test_the_price_is_what_is_calculated() -> None:
    (said,) = re.findall(r"About USD ([\d.]+) with a load balancer", PAGE)
    assert float(said) == round(dollars(read_options(DEFAULT)), 1)


def test_the_page_of_the_emulator_has_todays_form_and_says_whose_it_is() -> None:
    findings = Findings(
        began_at=0, region="r", ahead_seconds=0, facts={}, left=[], watched={"plain": Watched()}
    )
    made = page(findings, str)

    def form(text: str) -> list[str]:
        headings = [each[0] for each in headings_of(without_fences(text))]
        heads = re.findall(r"^(.+)\n\| ---", text, re.MULTILINE)
        # How many outcomes requests had, and dates, are no matter of form.
        return [re.sub(r"\d.*", "", each) for each in [*headings, *heads] if "Client" not in each]

    assert form(SAMPLE) == form(made)
    assert SAMPLE.splitlines()[2].startswith("> This page was made by the emulator")
    said = {row["From, to"] for row in table(SAMPLE, "Service") if "From, to" in row}
    assert {each.name for each in figures(Watched(), 0, [])} <= said
