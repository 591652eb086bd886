"""Which key signs a request, for each way of giving credentials: seen on the wire."""

from __future__ import annotations

import io
import logging
import os
import re
import traceback
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.httpsession import URLLib3Session

from AWSSession import get_aws_session
from ecs_task_recycle.aws.errors import translated
from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.clock import SystemClock, as_utc
from ecs_task_recycle.errors import AwsCallError, SettingsError
from ecs_task_recycle.log import configure_logging
from ecs_task_recycle.settings.input_json import AwsCredentials

if TYPE_CHECKING:
    from pathlib import Path

    import boto3

ROLE_ARN: Final = "arn:aws:iam::123456789012:role/recycler"
AN_HOUR_SECONDS: Final = 3600
ENVIRONMENT_KEYS: Final = {
    "AWS_ACCESS_KEY_ID": "AKIDENVIRONMENT",
    "AWS_SECRET_ACCESS_KEY": "environment-secret",
    "AWS_SESSION_TOKEN": "environment-token",
}
PROFILES: Final = """
[profile operations]
aws_access_key_id = AKIDPROFILE
aws_secret_access_key = profile-secret
region = eu-central-1

[profile elsewhere]
aws_access_key_id = AKIDELSEWHERE
aws_secret_access_key = elsewhere-secret
"""
KEYS: Final = AwsCredentials(
    region_name="eu-west-1", access_key="AKIDGIVEN", secret_key="given-secret"
)
ASSUMED: Final = """<AssumeRoleResponse><AssumeRoleResult>
<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/recycler/s</Arn>
<AssumedRoleId>AROA:s</AssumedRoleId></AssumedRoleUser>
<Credentials><AccessKeyId>AKIDROLE{count}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>
<SessionToken>role-token-{count}</SessionToken><Expiration>{expiration}</Expiration></Credentials>
</AssumeRoleResult></AssumeRoleResponse>"""
DENIED: Final = """<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>
<Message>User is not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>"""

WRONGLY_SIGNED: Final = """<ErrorResponse><Error><Type>Sender</Type>
<Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match.

The Canonical String for this request should have been
'POST
/

content-type:application/x-www-form-urlencoded; charset=utf-8
host:sts.eu-west-1.amazonaws.com
x-amz-date:20260105T090000Z
x-amz-security-token:planted-session-token==

content-type;host;x-amz-date;x-amz-security-token
e3b0c442'

The String-to-Sign should have been
'AWS4-HMAC-SHA256'
</Message></Error></ErrorResponse>"""


@dataclass(frozen=True, kw_only=True)
class Request:
    host: str
    region: str
    access_key: str
    token: str | None
    body: str


@dataclass(kw_only=True)
class Wire:
    """What AWS would have seen, and how long the credentials live that its STS hands out."""

    expires_in_seconds: float = AN_HOUR_SECONDS
    denial: str | None = None
    requests: list[Request] = field(default_factory=list)

    def answer(self, request: AWSPreparedRequest) -> AWSResponse:
        seen = _request_of(request)
        self.requests.append(seen)
        if not seen.host.startswith("sts."):
            return _response(request, 200, '{"clusters": []}')
        if self.denial is not None:
            return _response(request, 403, self.denial)
        expiration = as_utc(SystemClock().now() + self.expires_in_seconds).isoformat()
        text = ASSUMED.format(count=len(self.of("sts")), expiration=expiration)
        return _response(request, 200, text)

    def of(self, service: str) -> list[Request]:
        return [each for each in self.requests if each.host.startswith(f"{service}.")]


def _request_of(request: AWSPreparedRequest) -> Request:
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    signed = re.search(r"Credential=([^/]+)/\d+/([^/]+)/", headers["authorization"])
    assert signed
    return Request(
        host=request.url.split("/")[2],
        access_key=signed[1],
        region=signed[2],
        token=headers.get("x-amz-security-token"),
        body=_text(request.body or b""),
    )


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


class _Body:
    def __init__(self, text: str) -> None:
        self._text = text.encode()

    def stream(self) -> list[bytes]:
        return [self._text]


def _response(request: AWSPreparedRequest, status: int, text: str) -> AWSResponse:
    return AWSResponse(request.url, status, HTTPHeaders(), _Body(text))


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    config = tmp_path / "config"
    config.write_text(PROFILES, encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire()
    monkeypatch.setattr(URLLib3Session, "send", lambda _, request: wire.answer(request))
    return wire


@pytest.fixture
def environment_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put keys where Lambda puts those of the function's role."""
    for name, value in ENVIRONMENT_KEYS.items():
        monkeypatch.setenv(name, value)


def call(session: boto3.Session, times: int = 1) -> None:
    ecs = session.client("ecs")
    for _ in range(times):
        ecs.describe_clusters()


@pytest.mark.usefixtures("environment_keys")
def test_nothing_given_signs_with_the_default_chain(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-south-1")
    call(get_aws_session())
    [request] = wire.requests
    assert request.access_key == "AKIDENVIRONMENT"
    assert request.token == "environment-token"
    assert request.region == "ap-south-1"


@pytest.mark.usefixtures("environment_keys")
def test_a_given_region_wins_over_the_environments(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-south-1")
    call(get_aws_session(AwsCredentials(region_name="eu-west-1")))
    assert wire.requests[0].host == "ecs.eu-west-1.amazonaws.com"


@pytest.mark.usefixtures("environment_keys")
def test_given_keys_sign_without_the_environments_token(wire: Wire) -> None:
    call(get_aws_session(KEYS))
    [request] = wire.requests
    assert (request.access_key, request.token) == ("AKIDGIVEN", None)


def test_a_given_session_token_is_sent_with_the_keys(wire: Wire) -> None:
    credentials = AwsCredentials(
        region_name="eu-west-1", access_key="ASIAGIVEN", secret_key="s", session_token="given-token"
    )
    call(get_aws_session(credentials))
    [request] = wire.requests
    assert (request.access_key, request.token) == ("ASIAGIVEN", "given-token")


@pytest.mark.usefixtures("environment_keys")
def test_a_profile_signs_instead_of_the_environment_and_gives_its_region(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    call(get_aws_session(AwsCredentials(profile_name="operations")))
    [request] = wire.requests
    assert (request.access_key, request.token) == ("AKIDPROFILE", None)
    assert request.region == "eu-central-1"


@pytest.mark.parametrize("profile", ["operations", "no-such-profile"])
def test_keys_win_over_a_profile(wire: Wire, profile: str) -> None:
    credentials = AwsCredentials(
        region_name="eu-west-1", profile_name=profile, access_key="AKIDGIVEN", secret_key="s"
    )
    call(get_aws_session(credentials))
    assert wire.requests[0].access_key == "AKIDGIVEN"


@pytest.mark.usefixtures("environment_keys")
@pytest.mark.parametrize(
    "credentials, source_key",
    [
        (AwsCredentials(role_arn=ROLE_ARN, region_name="eu-west-1"), "AKIDENVIRONMENT"),
        (AwsCredentials(role_arn=ROLE_ARN, profile_name="operations"), "AKIDPROFILE"),
        (
            AwsCredentials(
                role_arn=ROLE_ARN, region_name="eu-west-1", access_key="AKIDGIVEN", secret_key="s"
            ),
            "AKIDGIVEN",
        ),
    ],
    ids=["default chain", "profile", "keys"],
)
def test_a_role_is_assumed_on_top_of_each_of_them(
    wire: Wire, credentials: AwsCredentials, source_key: str
) -> None:
    call(get_aws_session(credentials))
    assumed, described = wire.requests
    assert assumed.access_key == source_key
    assert "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Frecycler" in assumed.body
    assert "RoleSessionName=ecs-task-recycle" in assumed.body
    assert (described.access_key, described.token) == ("AKIDROLE1", "role-token-1")
    assert described.region == (credentials.region_name or "eu-central-1")


def test_the_role_is_assumed_at_the_first_call_and_not_before(wire: Wire) -> None:
    session = get_aws_session(AwsCredentials(role_arn=ROLE_ARN, profile_name="operations"))
    session.client("ecs")
    assert wire.requests == []


def test_a_role_is_assumed_once_for_many_calls_of_many_clients(wire: Wire) -> None:
    session = get_aws_session(AwsCredentials(role_arn=ROLE_ARN, profile_name="operations"))
    call(session, times=3)
    call(session, times=3)
    assert len(wire.of("sts")) == 1
    assert {each.access_key for each in wire.of("ecs")} == {"AKIDROLE1"}


def test_a_role_whose_credentials_end_soon_is_assumed_again_before_each_call(wire: Wire) -> None:
    wire.expires_in_seconds = 5 * 60
    session = get_aws_session(AwsCredentials(role_arn=ROLE_ARN, profile_name="operations"))
    call(session, times=3)
    assert [each.access_key for each in wire.of("ecs")] == ["AKIDROLE1", "AKIDROLE2", "AKIDROLE3"]


def test_sts_is_asked_in_the_region_even_where_the_machine_prefers_the_global_one(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", "legacy")
    call(
        get_aws_session(
            AwsCredentials(role_arn=ROLE_ARN, profile_name="operations", region_name="us-east-1")
        )
    )
    [assumed] = wire.of("sts")
    assert (assumed.host, assumed.region) == ("sts.us-east-1.amazonaws.com", "us-east-1")


def test_a_role_that_may_not_be_assumed_is_an_error_of_the_first_call(wire: Wire) -> None:
    wire.denial = DENIED
    session = get_aws_session(AwsCredentials(role_arn=ROLE_ARN, profile_name="operations"))
    with pytest.raises(ClientError, match="AccessDenied") as caught:
        call(session)
    assert caught.value.operation_name == "AssumeRole"


@pytest.mark.parametrize("role_arn", [None, ROLE_ARN])
def test_no_credentials_anywhere_is_botocores_own_error_at_the_first_call(
    wire: Wire, role_arn: str | None
) -> None:
    session = get_aws_session(AwsCredentials(region_name="eu-west-1", role_arn=role_arn))
    with pytest.raises(NoCredentialsError):
        call(session)
    assert wire.requests == []


@pytest.mark.parametrize(
    "credentials, sentence",
    [
        (AwsCredentials(), "No AWS region is configured"),
        (AwsCredentials(profile_name="elsewhere"), "No AWS region is configured"),
        (AwsCredentials(region_name="us east 1"), "'us east 1' is not the name of an AWS region"),
        (AwsCredentials(profile_name="nobody"), "nobody"),
        (AwsCredentials(region_name="eu-west-1", role_arn="recycler"), "not the ARN of a role"),
        (AwsCredentials(region_name="eu-west-1", access_key="A"), "without the other"),
        (AwsCredentials(region_name="eu-west-1", secret_key="A"), "without the other"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence_with_a_remedy(
    credentials: AwsCredentials, sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        get_aws_session(credentials)
    assert caught.value.remedy


def test_a_profile_that_only_the_environment_names_must_exist_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "gone")
    with pytest.raises(SettingsError, match="gone"):
        get_aws_session(AwsCredentials(region_name="eu-west-1"))


def test_a_broken_aws_config_file_is_a_settings_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("[profile operations\nnonsense", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(broken))
    with pytest.raises(SettingsError, match="broken"):
        get_aws_session(AwsCredentials(profile_name="operations"))


def test_an_answer_that_repeats_the_request_does_not_show_its_token() -> None:
    """AWS does so where the signature is wrong, because the secret key is.

    Its words: https://github.com/aws/aws-sdk-cpp/issues/17
    """
    message = (
        "The request signature we calculated does not match the signature you provided. Check your "
        "AWS Secret Access Key and signing method.\n\nThe Canonical String for this request should "
        "have been\n'POST\n/\n\nhost:ecs\nx-amz-security-token:planted-token\n\nhost'\n"
    )
    answer = {"Error": {"Code": "InvalidSignatureException", "Message": message}}

    with pytest.raises(AwsCallError) as caught, translated("ecs:DescribeServices"):
        raise ClientError(cast("Any", answer), "DescribeServices")

    assert "planted-token" not in f"{caught.value} {caught.value.facts}"
    assert str(caught.value).endswith("Check your AWS Secret Access Key and signing method.")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the function would have logged."""
    written = io.StringIO()
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler(written)])
    configure_logging(run_id="run")
    return written


def test_botocores_own_log_line_does_not_show_the_token_that_aws_repeats(
    wire: Wire, log: io.StringIO
) -> None:
    wire.denial = WRONGLY_SIGNED
    session = get_aws_session(
        replace(KEYS, session_token="planted-session-token==", role_arn=ROLE_ARN)
    )
    gateway = Gateway(session, SystemClock(), cluster_name="demo", service_name="web")

    with pytest.raises(AwsCallError, match="SignatureDoesNotMatch") as caught:
        gateway.service()
    logging.getLogger("anybody").error("It failed", exc_info=caught.value)

    shown = log.getvalue()
    assert "Refreshing temporary credentials failed" in shown
    assert "x-amz-security-token:***" in shown
    assert "planted-session-token" not in shown
    assert "planted" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "text",
    [
        "x-amz-security-token:planted/to+ken==",
        "{'X-Amz-Security-Token': b'planted/to+ken=='}",
        '{"x-amz-security-token": "planted/to+ken=="}',
        "https://sts.amazonaws.com/?X-Amz-Security-Token=planted%2Fto%2Bken%3D&X-Amz-Date=1",
    ],
)
def test_a_token_is_not_logged_in_any_form_of_a_request(log: io.StringIO, text: str) -> None:
    logging.getLogger("anybody").error("Sent: %s", text)

    assert "***" in log.getvalue()
    assert "planted" not in log.getvalue()


def test_a_token_that_no_header_can_hold_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one that the environment holds; that of input.json is refused before."""
    # Nothing is sent: the HTTP library refuses the header first, and quotes it.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    session = get_aws_session(replace(KEYS, session_token="planted\ntoken"))
    gateway = Gateway(session, SystemClock(), cluster_name="demo", service_name="web")
    monkeypatch.setattr(
        "ecs_task_recycle.aws.gateway.CONFIG", Config(retries={"total_max_attempts": 1})
    )

    with pytest.raises(AwsCallError) as caught:
        gateway.service()

    assert "planted" not in f"{caught.value} {caught.value.facts}"
    assert "the request could not be sent (ValueError)" in str(caught.value)


def test_no_refusal_shows_a_secret() -> None:
    half = AwsCredentials(region_name="eu-west-1", secret_key="wJalrXUtnFEMI")
    with pytest.raises(SettingsError) as caught:
        get_aws_session(half)
    assert "wJalrXUtnFEMI" not in f"{caught.value} {caught.value.facts} {half!r}"
