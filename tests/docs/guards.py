"""What a page says, held against what is: each returns its complaints, none where all is true."""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Any, Final

from ecs_task_recycle.errors import SettingsError
from ecs_task_recycle.settings.event import settings_from_event
from ecs_task_recycle.settings.input_json import configuration_from
from ecs_task_recycle.settings.sweep import sweep_from
from tests.docs.markdown import anchors, codes, fences, links, table, without_fences

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def different(said: Iterable[str], actual: Iterable[str], *, of: str) -> list[str]:
    """Compare both ways what a page names with what there is."""
    said, actual = set(said), set(actual)
    return [
        *(f"{of} {each} is not documented" for each in sorted(actual - said)),
        *(f"{of} {each} is documented, but there is none" for each in sorted(said - actual)),
    ]


# ---- Tables ----


def policy_actions(text: str) -> set[str]:
    """Return the actions of the policies on the page that say for which resource."""
    actions: set[str] = set()
    for document in _documents(text):
        for statement in document.get("Statement", ()):
            given = statement["Action"] if "Resource" in statement else ()
            actions.update([given] if isinstance(given, str) else given)
    return actions


def _documents(text: str) -> list[dict[str, Any]]:
    found = [json.loads(each.body) for each in fences(text, "json")]
    return [each for each in found if isinstance(each, dict)]


def documented_statuses(text: str) -> dict[str, str]:
    """Return the status codes by status."""
    rows = table(text, "statusCode")
    return {codes(row["`status` in the body"])[0]: row["statusCode"] for row in rows}


def documented_fields(text: str) -> set[str]:
    rows = table(text, "Field of the body")
    return {name for row in rows for name in codes(row["Field of the body"])}


# ---- Figures ----


FIGURE_COLUMNS: Final = (
    "AWS calls per task",
    "AWS calls per second",
    "Seconds to replace a task",
    "Tasks in the first invocation",
)
LATE: Final = r"notices within ([\d.]+) seconds that a replacement is in service"
FIT: Final = r"that was about (\d+) seconds, and (\d+) tasks fit"
ABOUT: Final = 1.05

type Figures = Mapping[tuple[str, str], tuple[float, ...]]
"""What was measured, by (when the replacement starts, number of tasks): see FIGURE_COLUMNS."""


def wrong_figures(text: str, measured: Figures, *, seconds_late: float) -> list[str]:
    """Compare what a page says of a run's calls, pace and delay with what was measured."""
    words = " ".join(text.split())
    rows = table(text, "The replacement starts")
    limit = float(re.findall(LATE, words)[0])
    wrong = [f"at most {limit:g} s late, measured {seconds_late:.2f}"]
    found = [wrong_row(row, measured) for row in rows]
    told = [" ".join(each) for each in re.findall(FIT, words)]
    large = [
        f"{row['Seconds to replace a task']} {row['Tasks in the first invocation']}"
        for row in rows
        if row["Tasks"] == "20"
    ]
    return [
        *(wrong if seconds_late > limit else ()),
        *(each for row in found for each in row),
        *different(told, large, of="pair of seconds and tasks"),
    ]


def wrong_row(row: Mapping[str, str], measured: Figures) -> list[str]:
    """Compare one row: calls and seconds at most, tasks at least."""
    key = (row["The replacement starts"], row["Tasks"])
    wrong = []
    for name, value in zip(FIGURE_COLUMNS, measured[key], strict=True):
        said = float(row[name])
        is_wrong = value < said if name == FIGURE_COLUMNS[-1] else value > said * ABOUT
        if is_wrong:
            wrong.append(f"{' '.join(key)}: {name}: {said:g}, measured {value:.2f}")
    return wrong


# ---- Log lines ----


def wrong_log_lines(text: str, spoken: Iterable[str]) -> list[str]:
    """Compare both ways the log lines of a page with those that runs have spoken."""
    spoken = set(spoken)
    said = [codes(row["Log line"])[0] for row in table(text, "Log line")]
    patterns = {line: line_pattern(line) for line in said}
    return [
        *(
            f"no run says: {line}"
            for line, pattern in patterns.items()
            if not any(pattern.fullmatch(each) for each in spoken)
        ),
        *(
            f"not documented: {each}"
            for each in sorted(spoken)
            if not any(pattern.fullmatch(each) for pattern in patterns.values())
        ),
    ]


def line_pattern(line: str) -> re.Pattern[str]:
    """Return what a line stands for: {words} for any text, a lone X, Y, N or M for a number."""
    parts = re.split(r"(\{[^{}]+\}|\b[XYNM](?=s?\b))", line)
    kinds = [re.escape(each) for each in parts]
    kinds[1::2] = [".+" if each.startswith("{") else r"[\d.]+" for each in parts[1::2]]
    return re.compile("".join(kinds), re.DOTALL)


# ---- Sentences ----


GOOD_OUTCOMES: Final = {"PLANNED", "RESTORED"}


_GAP: Final = re.compile(r"\{[^{}]*\}")
"""What stands for a value."""


def messages_of(source: str) -> set[str]:
    """Return the texts of a module, `{}` for every value in them; docstrings are none."""
    return set(_texts(ast.parse(source)))


def given_to(source: str, classes: set[str]) -> set[str]:
    """Return the texts that a module gives to the constructors of these classes.

    Also where such a text has a name first.
    """
    functions = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.FunctionDef)]
    return {
        text
        for function in functions
        for given in _given(function, classes)
        for text in _texts(given)
    }


def _given(function: ast.FunctionDef, classes: set[str]) -> list[ast.expr]:
    inside = list(ast.walk(function))
    # Remedies are keywords: they are for reading, not for searching.
    given = [
        argument
        for each in inside
        if isinstance(each, ast.Call) and _last_name(each.func) in classes
        if not {_last_name(one) for one in each.args} & GOOD_OUTCOMES
        for argument in each.args
    ]
    names = {one.id for each in given for one in ast.walk(each) if isinstance(one, ast.Name)}
    assigned = [
        each.value
        for each in inside
        if isinstance(each, ast.Assign) and {_last_name(one) for one in each.targets} & names
    ]
    return [*given, *assigned]


def _last_name(node: ast.expr) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))


def _texts(node: ast.AST) -> list[str]:
    if isinstance(node, ast.JoinedStr):
        return [_with_single_gaps("".join(_piece(each) for each in node.values))]
    if isinstance(node, ast.Constant):
        return [_GAP.sub("{}", node.value)] if isinstance(node.value, str) else []
    children = ast.iter_child_nodes(node)
    return [text for child in children if not _is_docstring(child) for text in _texts(child)]


def _piece(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else "{}"


def _with_single_gaps(text: str) -> str:
    """Take cluster/service for one value: the code may have it in one or in two."""
    return re.sub(r"\{\}(/\{\})+", "{}", text)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def sentences(text: str) -> list[str]:
    """Return the quoted messages of a page, `{}` for every value: code of two words and more."""
    quoted = (each for each in codes(text) if " " in each and not each.startswith(('{"', '"')))
    gaps = (_GAP.sub("{}", each).rstrip(".") for each in quoted)
    return [_with_single_gaps(each) for each in gaps]


def broken_quotes(text: str) -> list[str]:
    """Return the quotes that a line break goes through: nobody finds them by searching."""
    spans = re.findall(r"`([^`]+)`", without_fences(text))
    return [" ".join(each.split()) for each in spans if "\n" in each]


def unknown_sentences(text: str, messages: Iterable[str]) -> list[str]:
    messages = list(messages)
    return [each for each in sentences(text) if not any(each in one for one in messages)]


def unexplained(text: str, reasons: Iterable[str]) -> list[str]:
    """Return the reasons of which a page quotes nothing; what has no two words is no sentence."""
    quotes = [quote_pattern(each) for each in sentences(text)]
    told = [each for each in reasons if re.search(r"[a-z]+ [a-z]+", each)]
    return [each for each in told if not any(quote.search(each) for quote in quotes)]


def quote_pattern(quote: str) -> re.Pattern[str]:
    """Return what a quote stands for: `{}` is any text."""
    return re.compile(".+".join(map(re.escape, quote.split("{}"))), re.DOTALL)


# ---- Blocks, commands, links ----


def wrong_json(text: str) -> list[str]:
    """Try every JSON block: it parses, and what looks like an event or input.json is one."""
    return [problem for each in fences(text, "json") for problem in _wrong_block(each.body)]


def _wrong_block(body: str) -> list[str]:
    try:
        _use(json.loads(body))
    except (ValueError, SettingsError) as problem:
        return [f"{body[:60]!r}: {problem}"]
    return []


def _use(document: Any) -> None:  # noqa: ANN401 - any JSON
    """Read a document as what it looks like: targets of a rule, a pattern, an event, input.json."""
    if isinstance(document, list):
        for target in document:
            settings_from_event(json.loads(input_of(target)))
    elif sweep_from(document, {}) is not None:
        return
    elif "cluster_name" in document:
        settings_from_event(document)
    elif not {"Statement", "detail-type", "DetailType", "metadata"} & document.keys():
        configuration_from(document)


def input_of(target: Mapping[str, Any], *, event_time: str = "2026-01-31T02:00:00Z") -> str:
    """Return what a rule's target hands to the function for an event of that time."""
    if "InputTransformer" not in target:
        return str(target["Input"])
    transformer = target["InputTransformer"]
    text = str(transformer["InputTemplate"])
    for name, path in transformer["InputPathsMap"].items():
        if path != "$.time":
            raise ValueError(f"what is at {path} is not known")
        text = text.replace(f"<{name}>", json.dumps(event_time))
    return text


def wrong_make_targets(text: str, makefile: str) -> list[str]:
    places = [*codes(text), *(each.body for each in fences(text))]
    pattern = re.compile(r"^make ([\w-]+)", re.MULTILINE)
    named = {name for place in places for name in pattern.findall(place)}
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    return [f"make {name} is no target" for name in sorted(named - targets)]


def broken_links(pages: Mapping[Path, str]) -> list[str]:
    """Follow the relative links of pages, also to the headings of each other."""
    return [
        f"{page.name}: {link}"
        for page, text in pages.items()
        for link in links(text)
        if "://" not in link and not _leads_somewhere(page, link, pages)
    ]


def _leads_somewhere(page: Path, link: str, pages: Mapping[Path, str]) -> bool:
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if not anchor:
        return target.exists()
    return target in pages and anchor in anchors(pages[target])


def missing_files(text: str, known: set[str]) -> list[str]:
    """Return the modules and scripts that a page names and that are not among the known names."""
    return sorted(set(re.findall(r"\w+\.(?:py|sh)\b", text)) - known)
