"""What the benchmarks say can be read by a program, whatever they measured."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.children import PROJECT, children
from benchmarks.machine import machine
from benchmarks.report import Report, bench, meets, percentile, ratio, summary

SCRIPTS = sorted(
    path.stem for path in (PROJECT / "benchmarks").glob("*.py") if "__main__" in path.read_text()
)


def test_the_last_line_is_one_json_object_of_the_agreed_shape(capsys: pytest.CaptureFixture[str]) -> None:
    """The README's table and the next session's comparison are made from this line."""

    def measure(options, report: Report) -> None:
        report.measured["took_ms"] = summary([1.0, 2.0, 3.0])
        report.peers["stock"] = {"took_ms": 30.0}
        report.bar("took_p50", 2.0, "<= 3", "ms")
        report.bar("speed", 5.0, ">= 6", "runs/s")
        report.bar("on_mariadb", None, "<= 3", "ms")
        assert options.quick
        assert options.databases == ("mariadb",)

    bench(
        "example",
        "An example.",
        measure,
        databases=("sqlite",),
        arguments=["--quick", "--database", "mariadb"],
    )
    said = capsys.readouterr()

    found = json.loads(said.out.splitlines()[-1])
    assert set(found) == {"name", "quick", "machine", "measured", "peers", "bars"}
    assert found["bars"] == {
        "took_p50": {"value": 2.0, "unit": "ms", "bar": "<= 3", "holds": True},
        "speed": {"value": 5.0, "unit": "runs/s", "bar": ">= 6", "holds": False},
        "on_mariadb": {"value": None, "unit": "ms", "bar": "<= 3", "holds": None},
    }
    assert "MISSED" in said.err


def test_the_machine_is_described_and_not_named() -> None:
    """Numbers without their machine mean nothing; a host's name is nobody's business."""
    about = machine()

    assert {"cpu", "cores", "memory_gb", "os", "python", "load_1m_before"} <= set(about)
    assert os.uname().nodename not in about.values()


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, 10.0), (0.5, 25.0), (0.95, 38.5), (1.0, 40.0)],
)
def test_percentiles_lie_between_their_neighbours(share: float, expected: float) -> None:
    assert percentile([40.0, 10.0, 30.0, 20.0], share) == pytest.approx(expected)


def test_a_summary_of_one_value_is_that_value() -> None:
    assert summary([7.0]) == {"n": 1, "p50": 7.0, "p95": 7.0, "min": 7.0, "max": 7.0}


def test_a_bar_is_met_at_its_edge() -> None:
    assert meets(150, "<= 150")
    assert meets(6, ">= 6")
    assert not meets(5.99, ">= 6")


def test_a_ratio_with_nothing_to_compare_is_none() -> None:
    assert ratio(10.0, 2.0) == 5.0
    assert ratio(None, 2.0) is None
    assert ratio(10.0, 0.0) is None


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_script_says_what_it_measures_and_can_be_imported_without_doing_it(name: str) -> None:
    """`make bench` runs every script with `--quick`; `--help` shows its docstring."""
    script = importlib.import_module(f"benchmarks.{name}")

    assert callable(script.measure)
    assert f"benchmarks.{name}" in script.__doc__


def test_the_issue_s_four_benchmarks_are_there() -> None:
    assert {"start_latency", "throughput", "call_overhead", "prefect_sqlite"} <= set(SCRIPTS)


def test_processes_and_folder_are_gone_afterwards() -> None:
    """A worker starts processes of its own: those must not outlive the benchmark either."""
    with children() as kept:
        inner = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
        process = psutil.Process(kept.start("family", "python", "-c", inner).pid)
        family = _family(process)
        folder = kept.folder
        assert folder.is_dir()

    psutil.wait_procs(family, timeout=240)
    assert not [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    assert not folder.exists()


def test_a_benchmark_that_is_ended_cleans_up_and_prints_no_result(tmp_path: Path) -> None:
    """SIGTERM ends it as Ctrl-C does; half a result would be taken for a whole one."""
    script = f"""
from benchmarks.children import children
from benchmarks.report import bench
import time
def measure(options, report):
    with children() as kept:
        process = kept.start("child", "sleep", "60")
        open({str(tmp_path / "told")!r}, "w").write(f"{{process.pid}} {{kept.folder}}\\n")
        time.sleep(60)
bench("endless", "Never ends.", measure, arguments=[])
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    told = tmp_path / "told"
    deadline = time.monotonic() + 240
    while not (told.exists() and told.read_text().endswith("\n")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, _err = process.communicate(timeout=240)
    pid, folder = told.read_text().split()

    assert process.returncode == 130
    assert out == b""
    assert not psutil.pid_exists(int(pid))
    assert not Path(folder).exists()


def _family(process: psutil.Process) -> list[psutil.Process]:
    """Return a process with its child, once it has one."""
    deadline = time.monotonic() + 240
    while not process.children() and time.monotonic() < deadline:
        time.sleep(0.02)
    return [process, *process.children()]
