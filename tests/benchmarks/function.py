"""The function itself on this machine: import, cold start, memory, size of the zip."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from demo.lambda_runtime import LambdaRuntime
from demo.process import processes_of_session
from demo.stage import CLUSTER, add_service, build_zip, emulated_ecs
from ecs_emulator.wire.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

REPEATS: Final = 7
MEMORY_MB: Final = 256
SHARE: Final = MEMORY_MB / 1769
"""What a function of this memory gets of one processor.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""

IMPORTS: Final = """
import json, time
began = time.process_time()
import boto3, botocore.session
with_boto3 = time.process_time()
import lambda_function
print(json.dumps([with_boto3 - began, time.process_time() - with_boto3]))
"""
TICKS: Final = os.sysconf("SC_CLK_TCK")
"""Of /proc/<pid>/stat: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html"""


SECTION: Final = """\
## The function

Measured on the machine that made this page, in Lambda's runtime interface emulator; for the two
answers, the function's processes were held at {share:.2f} of a processor. Lambda gives a function
more while it starts.

| What | Figure |
|---|---|
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionFigures:
    """What was measured: seconds of processor time, seconds, megabytes, bytes."""

    import_boto3_seconds: float
    import_handler_seconds: float
    cold_start_seconds: float
    warm_seconds: float
    memory_mb: float
    zip_bytes: int

    def section(self) -> str:
        """Return the page's last section."""
        rows = {
            "Import of boto3 and botocore, processor time": f"{self.import_boto3_seconds:.2f} s",
            "Import of the handler on top of that": f"{self.import_handler_seconds:.3f} s",
            f"First answer (`status`) at {MEMORY_MB} MB's share of a processor, new runtime": (
                f"{self.cold_start_seconds:.1f} s"
            ),
            "Second answer, same runtime": f"{self.warm_seconds:.2f} s",
            "Memory at its highest, after a run": f"{self.memory_mb:.0f} MB",
            "The zip, with the SDK": f"{self.zip_bytes / 1024:,.0f} KB",
        }
        lines = [f"| {name} | {value} |" for name, value in rows.items()]
        return SECTION.format(share=SHARE) + "\n".join(lines) + "\n"


def measure(folder: Path) -> FunctionFigures:
    """Build the zip into a folder, and measure it."""
    zip_file = build_zip(folder, {})
    boto3_seconds, handler_seconds = import_seconds(zip_file)
    cold, warm, memory = _answers(zip_file)
    return FunctionFigures(
        import_boto3_seconds=boto3_seconds,
        import_handler_seconds=handler_seconds,
        cold_start_seconds=cold,
        warm_seconds=warm,
        memory_mb=memory,
        zip_bytes=zip_file.stat().st_size,
    )


def import_seconds(zip_file: Path) -> tuple[float, float]:
    """Return the least processor time of importing boto3, and the handler on top, from the zip."""
    unzipped = zip_file.with_suffix("")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", zip_file, unzipped], check=True)
    taken = []
    for _ in range(REPEATS):
        # Lambda's folder of the function cannot be written: what is not compiled stays so.
        environment = {**os.environ, "PYTHONPATH": str(unzipped), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", IMPORTS],
            env=environment,
            cwd=unzipped,
            capture_output=True,
            text=True,
            check=True,
        )
        taken.append(json.loads(done.stdout))
    return min(each[0] for each in taken), min(each[1] for each in taken)


def _answers(zip_file: Path) -> tuple[float, float, float]:
    """Return the seconds of a first and a second answer, and the megabytes after a whole run."""
    named = {"cluster_name": CLUSTER, "service_name": "web"}
    world = emulated_ecs()
    add_service(world, "web", 1)
    with (
        serve(world) as url,
        LambdaRuntime(zip_file, environment={"AWS_ENDPOINT_URL": url}) as runtime,
    ):
        root = runtime.process.pid
        with _throttled(root):
            cold = _timed(runtime, {**named, "action": "status"})
            warm = _timed(runtime, {**named, "action": "status"})
        answer = runtime.invoke({**named, "wait_time": 0})
        assert answer["body"]["status"] == "completed", answer
        return cold, warm, _highest_memory_mb(root)


def _timed(runtime: LambdaRuntime, event: object) -> float:
    """Return what the runtime reports of an invocation, its start included."""
    answer = runtime.invoke(event)
    assert answer.get("statusCode") == 200, answer
    report = [line for line in runtime.lines if line.startswith("REPORT RequestId")][-1]
    parts = re.findall(r"(?:Init |\t)Duration: ([\d.]+) ms", report)
    return sum(map(float, parts)) / 1000


@contextmanager
def _throttled(root: int) -> Iterator[None]:
    """Hold the processes of a session at a share of a processor, by stopping them when above it."""
    ended = threading.Event()

    def hold() -> None:
        began, used_before = time.monotonic(), _used_seconds(root)
        while not ended.wait(0.002):
            allowed = (time.monotonic() - began) * SHARE
            is_above = _used_seconds(root) - used_before > allowed
            _signal_all(root, signal.SIGSTOP if is_above else signal.SIGCONT)

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    try:
        yield
    finally:
        ended.set()
        holder.join()
        _signal_all(root, signal.SIGCONT)


def _runtimes(root: int) -> list[int]:
    """Return the processes of a session that are the function's runtime, not its emulator."""
    return [each for each in processes_of_session(root) if each != root]


def _signal_all(root: int, number: signal.Signals) -> None:
    for process_id in _runtimes(root):
        with suppress(ProcessLookupError):
            os.kill(process_id, number)


def _used_seconds(root: int) -> float:
    used = 0.0
    for process_id in _runtimes(root):
        with suppress(OSError):
            fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
            used += (int(fields[11]) + int(fields[12])) / TICKS
    return used


def _highest_memory_mb(root: int) -> float:
    highest = []
    for process_id in _runtimes(root):
        with suppress(OSError):
            status = Path(f"/proc/{process_id}/status").read_text()
            highest += [int(found) for found in re.findall(r"VmHWM:\s+(\d+) kB", status)]
    return max(highest) / 1024
