"""The page on `make verify-aws`, and the one that the emulator has made, against the code."""

from __future__ import annotations

import re
from typing import Final

import boto3
from botocore import xform_name

from tests.docs import guards
from tests.docs.markdown import codes, headings_of, table
from tests.docs.pages import PROJECT, guide
from verify_aws.account import CLIENTS
from verify_aws.options import parser
from verify_aws.page import Findings, page
from verify_aws.watching import Watched, figures

PAGE: Final = guide("verify-aws")
SAMPLE: Final = (PROJECT / "docs/verified/emulator.md").read_text()
SOURCES: Final = "".join(path.read_text() for path in (PROJECT / "verify_aws").glob("*.py"))
PREFIXES: Final = {"elbv2": "elasticloadbalancing"}
OTHERS: Final = (
    *("lambda:GetFunction", "lambda:InvokeFunction", "s3:PutObject", "s3:GetObject"),
    *("s3:ListBucket", "s3:DeleteObject"),
    "application-autoscaling:RegisterScalableTarget",
    "application-autoscaling:DescribeScalableTargets",
)
"""By a waiter, the client, S3's own helpers, and the product's gateway."""


def test_the_rights_are_those_of_the_calls() -> None:
    said = {right for row in table(PAGE, "Right") for right in codes(row["Right"])}
    words, actual = {*re.findall(r"\w+", SOURCES)}, {*OTHERS}
    for service in (*CLIENTS, "application-autoscaling"):
        model = boto3.client(service).meta.service_model
        found = {each for each in model.operation_names if xform_name(each) in words}
        actual |= {f"{PREFIXES.get(service, service)}:{each}" for each in found}
    assert guards.different(said, actual - {"lambda:Invoke"}, of="right") == []


def test_the_options_are_those_of_the_command_line() -> None:
    said = {option for row in table(PAGE, "Option") for option in codes(row["Option"])}
    actual = {each.option_strings[-1] for each in parser()._actions} - {"--help"}
    assert guards.different(said, actual, of="option") == []


def test_the_page_of_the_emulator_has_todays_form_and_says_whose_it_is() -> None:
    made = page(Findings(began_at=0, region=""))

    def form(text: str) -> list[str]:
        heads = re.findall(r"^(.+)\n\| ---", text, re.MULTILINE)
        return [*(each[0] for each in headings_of(text)[1:]), *heads]

    assert form(SAMPLE) == form(made)
    assert SAMPLE.splitlines()[2].startswith("> This page was made by the emulator")
    said = {row["From, to"] for row in table(SAMPLE, "Service") if "From, to" in row}
    assert {each.name for each in figures(Watched())} <= said
