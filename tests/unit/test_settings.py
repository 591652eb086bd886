"""Whatever the event and input.json hold: a value, or one error that names every problem."""

from __future__ import annotations

import json
import zoneinfo
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ecs_task_recycle.errors import SettingsError
from ecs_task_recycle.record.item import PARAMETERS_LIMIT
from ecs_task_recycle.settings.event import Settings, settings_from_event
from ecs_task_recycle.settings.input_json import (
    AwsCredentials,
    Configuration,
    Mail,
    configuration_from,
    read_configuration,
)
from ecs_task_recycle.settings.parameters import PARAMETERS, REQUIRED, Action, ProtectedTasks
from ecs_task_recycle.settings.values import HoursTag, NamedTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hypothesis.strategies import SearchStrategy

CLUSTER_ARN: Final = "arn:aws:ecs:eu-west-1:123456789012:cluster/shop"
SERVICE_ARN: Final = "arn:aws:ecs:eu-west-1:123456789012:service/shop/web"
OLD_SERVICE_ARN: Final = "arn:aws:ecs:eu-west-1:123456789012:service/web"
NAMED: Final = {"cluster_name": "shop", "service_name": "web"}
MAILING: Final[Mapping[str, dict[str, object]]] = {
    "smtpCredentials": {"host": "smtp.example.com", "from_email": "noreply@example.com"},
    "emailNotification": {"to": ["admin@example.com"]},
}
SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "awsCredentials": (
        "region_name",
        "profile_name",
        "role_arn",
        "access_key",
        "secret_key",
        "session_token",
    ),
    "smtpCredentials": ("host", "port", "username", "password", "secret_id", "from_email"),
    "emailNotification": ("email_subject", "subject_prefix", "to", "timezone"),
}
# More digits than Python writes out, which JSON does not mind.
HUGE: Final = 10**6000
ARABIC_ONE: Final = "\N{ARABIC-INDIC DIGIT ONE}"


def endless_number() -> int:
    # A function, because Hypothesis cannot show the number either.
    return HUGE


def json_values() -> SearchStrategy[Any]:
    """Return anything that JSON can hold, lone surrogates and endless numbers included."""
    texts = st.text(st.characters(exclude_categories=()))
    leaves = (
        st.none() | st.booleans() | st.integers() | st.floats() | texts | st.builds(endless_number)
    )
    return st.recursive(
        leaves, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=8
    )


def near_misses() -> SearchStrategy[Any]:
    """Return values that one parameter or another accepts, or nearly."""
    arns = st.from_regex(r"arn:aws:ecs:[a-z1-]+:\d{12}:(cluster|service)/[a-z/]+", fullmatch=True)
    instants = st.datetimes().map(str) | st.datetimes(timezones=st.just(UTC)).map(str)
    edges = [
        "30",
        "false",
        "",
        "0001-01-01T00:00:00+23:00",
        "9999-12-31T23:59:59-23:59",
        -1,
        ARABIC_ONE,
    ]
    return json_values() | arns | instants | st.sampled_from(edges)


def events() -> SearchStrategy[Any]:
    names = st.sampled_from([each.name for each in PARAMETERS]) | st.text()
    parameters = st.dictionaries(names, near_misses())
    return json_values() | parameters | st.fixed_dictionaries({"detail": parameters})


def documents() -> SearchStrategy[Any]:
    sections = {
        name: json_values() | st.fixed_dictionaries({}, optional=dict.fromkeys(keys, near_misses()))
        for name, keys in SECTIONS.items()
    }
    return json_values() | st.fixed_dictionaries({}, optional=sections)


def problems_of_event(event: object) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        settings_from_event(event)
    return listed(caught.value)


def problems_of_document(document: object) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        configuration_from(document)
    return listed(caught.value)


def read_or_refused[Value](read: Callable[[], Value]) -> Value | SettingsError:
    try:
        return read()
    except SettingsError as error:
        return error


def listed(error: SettingsError) -> list[str]:
    problems = error.facts["problems"]
    assert isinstance(problems, list)
    return problems


@pytest.mark.parametrize("nested", [lambda huge: huge, lambda huge: [{"a": huge}]])
@pytest.mark.parametrize("name", ["wait_time", "cluster_name", "dry_run"])
def test_a_problem_names_its_parameter_even_where_the_value_cannot_be_shown(
    name: str, nested: Callable[[object], object]
) -> None:
    [problem] = problems_of_event(NAMED | {name: nested(HUGE)})
    assert problem.startswith(f"{name} is ")


@given(events())
@example(NAMED | {"wait_time": HUGE})
def test_any_event_gives_settings_or_an_error_that_names_each_problem(event: object) -> None:
    outcome = read_or_refused(lambda: settings_from_event(event))
    if isinstance(outcome, SettingsError):
        assert listed(outcome)
        assert all(problem in str(outcome) for problem in listed(outcome))


@given(st.dictionaries(st.sampled_from([each.name for each in PARAMETERS]), json_values()))
def test_every_wrong_or_missing_parameter_is_named_in_one_error(event: dict[str, object]) -> None:
    refused = [each.name for each in PARAMETERS if refuses(event, each.name)]
    if not refused:
        settings_from_event(event)
        return
    problems = problems_of_event(event)
    assert [problem.split(" ")[0] for problem in problems] == refused


def refuses(event: Mapping[str, object], name: str) -> bool:
    """Tell whether one parameter of an event is wrong, with all others as they should be."""
    alone: dict[str, object] = {key: value for key, value in NAMED.items() if key != name}
    if name in event:
        alone[name] = event[name]
    try:
        settings_from_event(alone)
    except SettingsError:
        return True
    return False


@given(documents())
@example({"smtpCredentials": {"port": HUGE}})
def test_any_document_gives_a_configuration_or_an_error_that_names_each_problem(
    document: object,
) -> None:
    outcome = read_or_refused(lambda: configuration_from(document))
    assert isinstance(outcome, Configuration) or listed(outcome)


@given(st.binary() | st.text(alphabet='{}[]",:0123 \n').map(str.encode))
@example(b"[" * 200_000)
@example(b'{"a": ' + b"9" * 5000 + b"}")
@example(b"\xff")
@example(b"")
def test_any_file_gives_a_configuration_or_a_settings_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any-input.json"
    path.write_bytes(content)
    outcome = read_or_refused(lambda: read_configuration(path))
    assert isinstance(outcome, Configuration) or listed(outcome)


def test_no_error_ever_shows_a_value_of_input_json() -> None:
    secret = "hunter2-correct-horse"
    wrong: list[object] = [secret, [secret, 1], {"a": secret}, {secret: 1}]
    for name, keys in SECTIONS.items():
        for key in keys:
            for value in wrong:
                document = {**MAILING, name: {**MAILING.get(name, {}), key: value}}
                outcome = read_or_refused(partial(configuration_from, document))
                if isinstance(outcome, SettingsError):
                    assert secret not in f"{outcome} {outcome!r} {outcome.facts}"


def test_a_broken_file_is_named_by_line_without_its_content(tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_text('{"smtpCredentials": {\n "password": "hunter2" "x"}}', encoding="utf-8")
    with pytest.raises(SettingsError, match="not JSON, see line 2") as caught:
        read_configuration(path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda _: None, "the file is missing"),
        (lambda path: path.mkdir(), "it cannot be read: "),
        (lambda path: path.write_bytes(b'"\xff"'), "it is not UTF-8 text"),
        (lambda path: path.write_bytes(b"[" * 200_000), "it is not JSON that can be read"),
        (lambda path: path.write_bytes(b"9" * 5000), "it is not JSON that can be read"),
        (lambda path: path.write_bytes(b"[]"), "it is not an object of sections"),
    ],
)
def test_a_file_that_is_no_configuration_is_a_sentence(
    tmp_path: Path, make: Callable[[Path], object], sentence: str
) -> None:
    path = tmp_path / "input.json"
    make(path)
    with pytest.raises(SettingsError, match=sentence):
        read_configuration(path)


@pytest.mark.parametrize(
    "text, names",
    [
        ('{"awsCredentials": {}, "awsCredentials": {}}', ["awsCredentials"]),
        ('{"awsCredentials": {"role_arn": "a", "role_arn": "b"}}', ["role_arn"]),
        (
            '{"smtpCredentials": {"host": "a", "host": "", "port": 1, "port": 2, "port": 3}}',
            ["host", "port"],
        ),
    ],
)
def test_a_key_that_stands_there_twice_is_named(
    tmp_path: Path, text: str, names: list[str]
) -> None:
    path = tmp_path / "input.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(SettingsError) as refused:
        read_configuration(path)

    problems = [f"{name!r} is given more than once" for name in names]
    assert refused.value.facts["problems"] == problems


def test_restoring_takes_the_role_of_a_file_that_names_a_key_twice(tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    role = "arn:aws:iam::123456789012:role/recycler"
    sections = f'"awsCredentials": {{"role_arn": "{role}"}}, "smtpCredentials": {{}}'
    path.write_text(f'{{{sections}, "smtpCredentials": {{}}}}', encoding="utf-8")

    assert read_configuration(path, is_lenient=True).aws.role_arn == role


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(dict(MAILING)).encode())
    assert read_configuration(path).mail is not None


def test_the_shipped_input_json_is_valid_holds_no_secret_and_mails_nobody() -> None:
    configuration = read_configuration(Path(__file__).parents[2] / "input.json")
    assert configuration == Configuration(aws=AwsCredentials(), mail=None)


def test_the_shipped_input_json_shows_every_key() -> None:
    document = json.loads((Path(__file__).parents[2] / "input.json").read_text())
    assert {section: (*keys,) for section, keys in document.items()} == SECTIONS


def test_the_readmes_two_names_are_enough_and_the_rest_has_its_defaults() -> None:
    assert settings_from_event(NAMED) == Settings(
        cluster_name="shop",
        service_name="web",
        maintain_service_state=True,
        wait_time_seconds=30,
        protected_tasks=ProtectedTasks.WAIT,
        started_before=None,
        stabilize_timeout_seconds=600,
        dry_run=False,
        action=Action.RECYCLE,
        region=None,
    )


def test_the_settings_keep_what_the_event_asked_for_and_no_defaults() -> None:
    asked = {"wait_time": "5", "maintain_service_state": "true", "protected_tasks": "skip"}
    event = {**NAMED, **asked, "tasks": ["0" * 32], "alarms": ["web-5xx"], "dry_run": True}
    settings = settings_from_event(event)
    assert settings.parameters == {
        "wait_time": 5,
        "protected_tasks": "skip",
        "alarms": ["web-5xx"],
        "dry_run": True,
    }
    tasks = [each.id for each in settings.tasks]
    assert settings_from_event({**NAMED, **settings.parameters, "tasks": tasks}) == settings


def test_parameters_under_detail_of_an_eventbridge_event_count() -> None:
    event = {"version": "0", "detail-type": "Recycle", "detail": {**NAMED, "wait_time": "5"}}
    assert settings_from_event(event).wait_time_seconds == 5


@pytest.mark.parametrize(
    "service, region", [("web", "eu-west-1"), (SERVICE_ARN, "eu-west-1"), (OLD_SERVICE_ARN, None)]
)
def test_arns_give_their_name_and_region(service: str, region: str | None) -> None:
    settings = settings_from_event({"cluster_name": CLUSTER_ARN, "service_name": service})
    assert (settings.cluster_name, settings.service_name) == ("shop", "web")
    assert settings.region == (region or "eu-west-1")


@pytest.mark.parametrize(
    "text, value",
    [("true", True), ("false", False), (True, True), (False, False)],
)
def test_booleans_may_come_as_eventbridge_text(text: object, value: bool) -> None:  # noqa: FBT001
    settings = settings_from_event(NAMED | {"dry_run": text})
    assert settings.dry_run is value


@pytest.mark.parametrize("value", ["yes", "True", 1, 0, None, [], {}, "1", ""])
def test_nothing_vaguer_than_true_or_false_is_a_boolean(value: object) -> None:
    assert problems_of_event(NAMED | {"dry_run": value}) == [
        f"dry_run is {value!r}, expected true or false"
    ]


@pytest.mark.parametrize(
    "name, lowest, highest", [("wait_time", 0, 86_400), ("stabilize_timeout", 15, 840)]
)
def test_seconds_have_their_limits(name: str, lowest: int, highest: int) -> None:
    for value in (lowest, highest, str(lowest), str(highest)):
        settings_from_event(NAMED | {name: value})
    for wrong in (
        lowest - 1,
        highest + 1,
        str(highest + 1),
        30.0,
        True,
        "30.0",
        " 30",
        ARABIC_ONE,
        None,
    ):
        [problem] = problems_of_event(NAMED | {name: wrong})
        assert problem.startswith(f"{name} is {wrong!r}, expected whole seconds from {lowest}")


def test_an_instant_needs_a_zone_and_becomes_utc() -> None:
    event = NAMED | {"started_before": "2026-01-31T02:00:00+01:00"}
    assert settings_from_event(event).started_before == datetime(2026, 1, 31, 1, tzinfo=UTC)
    assert problems_of_event(NAMED | {"started_before": "2026-01-31T02:00:00"})


@pytest.mark.parametrize("event", [None, [], "recycle", 3, True])
def test_an_event_that_is_no_object_is_said_so(event: object) -> None:
    [problem] = problems_of_event(event)
    assert "expected an object of parameters" in problem


def test_the_consoles_test_event_names_the_strangers_and_what_is_missing() -> None:
    problems = problems_of_event({"key1": "value1", "key2": "value2"})
    assert problems[:2] == ["'key1' is not a parameter", "'key2' is not a parameter"]
    assert [problem.split(" is ")[0] for problem in problems[2:]] == [*NAMED]


def test_a_scheduled_event_without_parameters_names_what_is_missing() -> None:
    problems = problems_of_event({"version": "0", "detail-type": "Scheduled Event", "detail": {}})
    assert [problem.split(" ")[0] for problem in problems] == ["cluster_name", "service_name"]


def test_of_many_unknown_names_the_first_are_told_and_the_rest_counted() -> None:
    problems = problems_of_event(NAMED | {f"name-{number}": 1 for number in range(20_000)})
    assert len(problems) == 21
    assert problems[-1] == "19980 more names are not a parameter"


def deeply_nested() -> object:
    nested: object = []
    for _ in range(50_000):
        nested = [nested]
    return nested


@pytest.mark.parametrize("name", [each.name for each in PARAMETERS])
def test_a_deeply_nested_value_is_refused_in_a_short_sentence(name: str) -> None:
    [problem] = problems_of_event(NAMED | {name: deeply_nested()})
    assert problem.startswith(f"{name} ")
    assert len(problem) < 500


def test_a_misspelt_parameter_is_told_its_nearest() -> None:
    [problem] = problems_of_event(NAMED | {"waittime": 3})
    assert problem == "'waittime' is not a parameter; the nearest is wait_time"


def test_arns_that_disagree_are_refused() -> None:
    other = "arn:aws:ecs:us-east-1:210987654321:service/store/web"
    problems = problems_of_event({"cluster_name": CLUSTER_ARN, "service_name": other})
    assert problems == [
        "service_name is in cluster store, expected shop",
        "service_name is in region us-east-1, expected eu-west-1",
        "service_name is in account 210987654321, expected 123456789012",
    ]


@pytest.mark.parametrize(
    "name",
    ["", "a b", "a/b", "x" * 256, "web\n", SERVICE_ARN.replace("123456789012", ARABIC_ONE * 12)],
)
def test_what_is_neither_name_nor_arn_is_refused(name: str) -> None:
    [problem] = problems_of_event({"cluster_name": "shop", "service_name": name})
    assert problem.startswith("service_name is ")


def test_a_wrong_arn_is_shown_whole() -> None:
    wrong = SERVICE_ARN.replace(":ecs:", ":eks:")
    [problem] = problems_of_event({"cluster_name": "shop", "service_name": wrong})
    assert wrong in problem


def test_every_parameter_says_what_it_means_and_only_the_names_are_required() -> None:
    assert all(each.expected for each in PARAMETERS)
    required = [each.name for each in PARAMETERS if each.default is REQUIRED]
    assert required == ["cluster_name", "service_name"]


def test_a_whole_configuration_is_read() -> None:
    document = {
        "awsCredentials": {"region_name": " us-east-1 ", "access_key": "A", "secret_key": "s"},
        "smtpCredentials": {
            "host": "smtp.example.com",
            "port": "465",
            "username": "user",
            "password": "p",
            "from_email": "noreply@example.com",
        },
        "emailNotification": {"email_subject": "Done", "subject_prefix": "AWS", "to": ["a@b.c"]},
    }
    assert configuration_from(document) == Configuration(
        aws=AwsCredentials(region_name="us-east-1", access_key="A", secret_key="s"),
        mail=Mail(
            host="smtp.example.com",
            port=465,
            from_email="noreply@example.com",
            to=("a@b.c",),
            username="user",
            password="p",
            email_subject="Done",
            subject_prefix="AWS",
        ),
    )


@pytest.mark.parametrize("document", [{}, dict.fromkeys(SECTIONS), {key: {} for key in SECTIONS}])
def test_empty_or_missing_sections_mean_the_default_chain_and_no_mail(document: object) -> None:
    assert configuration_from(document) == Configuration(aws=AwsCredentials(), mail=None)


@pytest.mark.parametrize("port", [None, ""])
def test_the_port_is_587_where_none_is_given(port: object) -> None:
    document = {**MAILING, "smtpCredentials": {**MAILING["smtpCredentials"], "port": port}}
    mail = configuration_from(document).mail
    assert mail
    assert mail.port == 587


@pytest.mark.parametrize("port", [0, 65536, "x", True, 587.0, "99999", []])
def test_a_port_outside_of_1_to_65535_is_refused(port: object) -> None:
    assert problems_of_document({"smtpCredentials": {"port": port}}) == [
        "smtpCredentials.port is not a whole number from 1 to 65535"
    ]


def test_every_problem_of_input_json_is_named_at_once() -> None:
    problems = problems_of_document(
        {
            "awsCredential": {},
            "awsCredentials": {"acces_key": "A", "secret_key": "s", "region_name": 3},
            "smtpCredentials": {"username": "u"},
            "emailNotification": {"to": "a@b.c", "subject_prefix": []},
        }
    )
    assert problems == [
        "'awsCredential' is not a section; the nearest is awsCredentials",
        "awsCredentials: 'acces_key' is not a key; the nearest is access_key",
        "awsCredentials.region_name is int, expected text",
        "awsCredentials.access_key is missing: the two keys belong together",
        "emailNotification.subject_prefix is list, expected text",
        "smtpCredentials.host is missing: emailNotification.to asks for mail",
        "smtpCredentials.from_email is missing: emailNotification.to asks for mail",
        "smtpCredentials.password is missing: username and password belong together",
    ]


def document_with(timezone: object) -> dict[str, object]:
    return {**MAILING, "emailNotification": {**MAILING["emailNotification"], "timezone": timezone}}


@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC", "Etc/GMT+3", " Asia/Kolkata "])
def test_a_time_zone_is_named_as_iana_names_it(name: str) -> None:
    mail = configuration_from(document_with(name)).mail
    assert mail
    assert mail.timezone == name.strip()


@pytest.mark.parametrize(
    "name, nearest",
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("america/new york", "America/New_York"),
        ("Europe", "Europe/Berlin"),
        ("../../etc/passwd", "Europe/Berlin"),
        ("/etc/localtime", "Europe/Berlin"),
        ("hunter2", "Europe/Berlin"),
    ],
)
def test_another_time_zone_is_refused_without_being_shown(name: str, nearest: str) -> None:
    assert problems_of_document(document_with(name)) == [
        f"emailNotification.timezone is not the IANA name of a time zone, such as {nearest}"
    ]


@pytest.fixture
def without_zones() -> Iterator[None]:
    """A machine without the data of time zones."""
    zoneinfo.reset_tzpath(to=[])
    zoneinfo.ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath()
    zoneinfo.ZoneInfo.clear_cache()


@pytest.mark.usefixtures("without_zones")
def test_where_no_time_zone_is_known_none_is_refused() -> None:
    mail = configuration_from(document_with("Europe/Berlin")).mail
    assert mail
    assert mail.timezone == "Europe/Berlin"


@pytest.mark.parametrize("to", [{}, 3, ["a@b.c", 3]])
def test_recipients_are_a_list_of_addresses(to: object) -> None:
    assert problems_of_document({"emailNotification": {"to": to}}) == [
        "emailNotification.to is not a list of addresses"
    ]


def test_a_secret_stands_for_username_and_password() -> None:
    smtp = {**MAILING["smtpCredentials"], "secret_id": " mail/login "}
    mail = configuration_from({**MAILING, "smtpCredentials": smtp}).mail
    assert mail
    assert (mail.secret_id, mail.username, mail.password) == ("mail/login", None, None)


@pytest.mark.parametrize("key", ["username", "password"])
def test_a_secret_and_what_it_stands_for_are_refused_together(key: str) -> None:
    smtp = {**MAILING["smtpCredentials"], "secret_id": "mail/login", key: "x"}
    assert problems_of_document({**MAILING, "smtpCredentials": smtp}) == [
        "smtpCredentials must give secret_id or username and password, not both"
    ]


def test_a_session_token_without_keys_is_refused() -> None:
    assert problems_of_document({"awsCredentials": {"session_token": "t"}}) == [
        "awsCredentials.session_token is given without access_key and secret_key"
    ]


@pytest.mark.parametrize("key", ["access_key", "secret_key", "session_token"])
def test_a_credential_that_was_copied_with_a_line_break_is_refused_without_being_shown(
    key: str,
) -> None:
    keys = {"access_key": "A", "secret_key": "s", "session_token": "t", key: "first\nsecond"}
    assert problems_of_document({"awsCredentials": keys}) == [
        f"awsCredentials.{key} has a space, a line break or another character that no such key has"
    ]


def test_no_repr_shows_a_secret() -> None:
    aws = AwsCredentials(access_key="AKIDSECRET", secret_key="hunter2", session_token="token3")
    mail = Mail(host="h", port=25, from_email="f", to=("t",), username="user1", password="hunter2")
    shown = repr(Configuration(aws=aws, mail=mail))
    assert not any(secret in shown for secret in ("AKIDSECRET", "hunter2", "token3", "user1"))


def test_the_largest_event_fits_into_the_input_of_an_execution() -> None:
    # https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
    cluster = "c" * 255
    head = f"arn:aws-us-gov:ecs:us-gov-east-1:123456789012:task/{cluster}"
    event = {
        "cluster_name": cluster,
        "service_name": "s" * 255,
        "tasks": [f"{head}/{number:032x}" for number in range(1000)],
        # Each character takes six bytes in JSON.
        "alarms": [chr(0x3041 + number % 80) * 254 + str(number % 10) for number in range(100)],
    }
    settings = settings_from_event(event)

    kept = settings.event

    assert settings_from_event(kept).tasks == tuple(
        NamedTask(id=each.id) for each in settings.tasks
    )
    assert len(json.dumps(kept)) < PARAMETERS_LIMIT


TASK_ID: Final = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    "name, value, read",
    [
        ("older_than_hours", 168, 168.0),
        ("older_than_hours", "0.5", 0.5),
        ("older_than_hours", 87_600, 87_600.0),
        ("older_than_hours", {"tag": "max age"}, HoursTag(tag="max age")),
        ("tasks", [TASK_ID, TASK_ID], (NamedTask(id=TASK_ID),)),
        (
            "tasks",
            [f"arn:aws:ecs:eu-west-1:123456789012:task/shop/{TASK_ID}"],
            (
                NamedTask(
                    id=TASK_ID,
                    partition="aws",
                    region="eu-west-1",
                    account="123456789012",
                    cluster="shop",
                ),
            ),
        ),
        ("tasks", [TASK_ID] * 1000, (NamedTask(id=TASK_ID),)),
        ("alarms", ["web 5xx", "a" * 255], ("web 5xx", "a" * 255)),
    ],
)  # fmt: skip
def test_tasks_are_chosen_and_alarms_named(name: str, value: object, read: object) -> None:
    assert getattr(settings_from_event({**NAMED, name: value}), name) == read


@pytest.mark.parametrize(
    "name, value, shown",
    [
        *(("older_than_hours", each, repr(each)) for each in (0, -1, True, "", "1e3", ARABIC_ONE)),
        *(("older_than_hours", each, str(each)) for each in (87_600.1, float("nan"), float("inf"))),
        *(("older_than_hours", each, repr(each)) for each in ({}, {"tag": ""}, {"tag": 1}, [24])),
        ("older_than_hours", {"tag": "a", "days": 1}, "days"),
        ("older_than_hours", {"tag": "a" * 129}, "aaa"),
        ("tasks", [], "[]"),
        ("tasks", TASK_ID, repr(TASK_ID)),
        ("tasks", [TASK_ID, TASK_ID[:8]], repr(TASK_ID[:8])),
        ("tasks", [TASK_ID.upper()], TASK_ID.upper()),
        ("tasks", [f"{TASK_ID}\n"], "0123456789abcdef"),
        ("tasks", [CLUSTER_ARN], CLUSTER_ARN),
        ("tasks", [TASK_ID] * 1001, "0123456789abcdef"),
        ("alarms", [], "[]"),
        ("alarms", "web", "'web'"),
        ("alarms", [""], "''"),
        ("alarms", ["a\nb"], "a\\nb"),
        ("alarms", ["a" * 256], "aaa"),
        ("alarms", ["web", 7], "7"),
        ("alarms", ["web"] * 101, "web"),
    ],
)
def test_nonsense_is_refused_in_a_sentence_with_value_and_expectation(
    name: str, value: object, shown: str
) -> None:
    (expected,) = [each.expected for each in PARAMETERS if each.name == name]
    [problem] = problems_of_event({**NAMED, name: value})
    assert problem.startswith((f"{name} is ", f"{name} holds "))
    assert problem.endswith(f", expected {expected}")
    assert shown in problem


@pytest.mark.parametrize(
    "given, named",
    [
        ({"started_before": "2026-01-01T00:00:00Z", "older_than_hours": 1},
         "started_before and older_than_hours"),
        ({"tasks": [TASK_ID], "older_than_hours": 1}, "older_than_hours and tasks"),
        ({"tasks": [TASK_ID], "started_before": "2026-01-01T00:00:00Z"},
         "started_before and tasks"),
        ({"tasks": [TASK_ID], "if_running": "queue"}, 'tasks and if_running "queue"'),
    ],
)  # fmt: skip
def test_ways_to_choose_tasks_exclude_each_other(given: dict[str, object], named: str) -> None:
    [problem] = problems_of_event(NAMED | given)
    assert problem == f"{named} cannot be combined"


def test_of_many_tasks_of_another_place_the_first_are_told_and_the_rest_counted() -> None:
    head = "arn:aws:ecs:eu-west-1:123456789012:task/other"
    tasks = [f"{head}/{number:032x}" for number in range(1000)]
    problems = problems_of_event({**NAMED, "tasks": tasks})
    assert len(problems) == 21
    assert problems[-1] == "980 more such problems of tasks"


@pytest.mark.parametrize(
    "event, problem",
    [
        (
            {**NAMED, "tasks": [f"arn:aws:ecs:eu-west-1:123456789012:task/other/{TASK_ID}"]},
            f"task {TASK_ID} is in cluster other, expected shop",
        ),
        (
            {
                "cluster_name": CLUSTER_ARN,
                "service_name": "web",
                "tasks": [f"arn:aws:ecs:us-east-1:123456789012:task/{TASK_ID}"],
            },
            f"task {TASK_ID} is in region us-east-1, expected eu-west-1",
        ),
        (
            {
                "cluster_name": "shop",
                "service_name": SERVICE_ARN,
                "tasks": [f"arn:aws:ecs:eu-west-1:210987654321:task/shop/{TASK_ID}"],
            },
            f"task {TASK_ID} is in account 210987654321, expected 123456789012",
        ),
    ],
)
def test_tasks_of_another_place_are_refused_at_once(event: dict[str, object], problem: str) -> None:
    assert problems_of_event(event) == [problem]
