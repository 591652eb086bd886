"""Turn section ``awsCredentials`` of input.json into a boto3 session."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import (
    ConfigParseError,
    InvalidRegionError,
    ProfileNotFound,
)
from botocore.utils import validate_region_name

from ecs_task_recycle.errors import SettingsError
from ecs_task_recycle.settings.input_json import AwsCredentials

if TYPE_CHECKING:
    from botocore.credentials import Credentials


ROLE_SESSION_NAME: Final = "ecs-task-recycle"
DEFAULT_CHAIN: Final = AwsCredentials()
# A role's name may have a path in front; the ARN has no region.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
_ROLE_ARN: Final = re.compile(r"arn:[a-z-]+:iam::[0-9]{12}:role/[\w+=,.@/-]+", re.ASCII)


def get_aws_session(credentials: AwsCredentials = DEFAULT_CHAIN) -> boto3.Session:
    """Return a session that signs with the keys, else the profile, else the default chain.

    With ``role_arn``, the first call assumes that role, in the session's own region. Later calls
    assume it again once 15 minutes or less of its credentials remain, so a run may outlast them.
    Keys hide the profile and its region. Without ``region_name``, the region comes from the profile
    or the environment, as boto3 finds it.

    This function calls nothing. It raises SettingsError for half a pair of keys, an unknown
    profile, AWS configuration files that cannot be read, a missing or invalid region, and an
    invalid ``role_arn``. The first call raises botocore's NoCredentialsError if there are no
    credentials, and a ClientError of operation AssumeRole if the role may not be assumed.

    https://docs.aws.amazon.com/boto3/latest/guide/credentials.html
    https://docs.aws.amazon.com/sdkref/latest/guide/feature-sts-regionalized-endpoints.html
    """
    _refuse_half_a_pair(credentials)
    try:
        base = _base_session(credentials)
        region = _checked_region(base.region_name)
    except (ProfileNotFound, ConfigParseError) as problem:
        raise SettingsError(
            str(problem),
            remedy="Correct awsCredentials.profile_name, or AWS_PROFILE, or leave it empty.",
        ) from None
    if credentials.role_arn is None:
        return base
    return _session_with_role(base, region, _checked_role_arn(credentials.role_arn))


def _refuse_half_a_pair(credentials: AwsCredentials) -> None:
    if (credentials.access_key is None) != (credentials.secret_key is None):
        raise SettingsError(
            "awsCredentials has one of access_key and secret_key without the other.",
            remedy="Give both, or neither.",
        )


def _base_session(credentials: AwsCredentials) -> boto3.Session:
    core = botocore.session.get_session()
    # Instance variables win over the environment: an older SDK, or a setting there, might still
    # send AssumeRole to the one global endpoint.
    core.set_config_variable("sts_regional_endpoints", "regional")
    has_keys = credentials.access_key is not None
    return boto3.Session(
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.session_token if has_keys else None,
        profile_name=None if has_keys else credentials.profile_name,
        region_name=credentials.region_name,
        botocore_session=core,
    )


def _checked_region(region: str | None) -> str:
    if not region:
        raise SettingsError(
            "No AWS region is configured.",
            remedy="Set awsCredentials.region_name in input.json, or AWS_DEFAULT_REGION.",
        )
    try:
        validate_region_name(region)
    except InvalidRegionError:
        raise SettingsError(
            f"{region!r} is not the name of an AWS region.",
            remedy='Name one such as "us-east-1" in awsCredentials.region_name.',
            region_name=region,
        ) from None
    return region


class _RoleProvider(CredentialProvider):
    """Credentials of one role, assumed with those of another session."""

    METHOD = "ecs-task-recycle-assume-role"

    def __init__(self, base: boto3.Session, role_arn: str) -> None:
        super().__init__()
        self._base = base
        self._role_arn = role_arn

    def load(self) -> Credentials | None:
        """Return credentials that assume the role when they are first used, and refresh it."""
        source = self._base.get_credentials()
        if source is None:
            return None
        fetcher = AssumeRoleCredentialFetcher(
            client_creator=functools.partial(self._base.client, config=_sts_config()),
            source_credentials=source,
            role_arn=self._role_arn,
            extra_args={"RoleSessionName": ROLE_SESSION_NAME},
        )
        return DeferredRefreshableCredentials(fetcher.fetch_credentials, self.METHOD)


def _sts_config() -> Config:
    return Config(
        connect_timeout=5, read_timeout=15, retries={"mode": "standard", "total_max_attempts": 8}
    )


def _checked_role_arn(role_arn: str) -> str:
    if not _ROLE_ARN.fullmatch(role_arn):
        raise SettingsError(
            f"awsCredentials.role_arn is {role_arn!r}, which is not the ARN of a role.",
            remedy="It looks like arn:aws:iam::123456789012:role/NAME.",
            role_arn=role_arn,
        )
    return role_arn


def _session_with_role(base: boto3.Session, region: str, role_arn: str) -> boto3.Session:
    core = botocore.session.get_session()
    resolver = CredentialResolver([_RoleProvider(base, role_arn)])
    core.register_component("credential_provider", resolver)
    return boto3.Session(botocore_session=core, region_name=region)
