"""What is read from /proc is of the right process."""

import os
import subprocess
import sys

import pytest
from bench import processes


def test_a_command_costs_cpu_time() -> None:
    cost = processes.run([sys.executable, "-c", "sum(range(3_000_000)); print('done')"], timeout=60)
    assert cost.output == "done\n"
    assert cost.cpu > 0.01


def test_a_failing_command_says_what_it_printed() -> None:
    with pytest.raises(processes.CommandFailed, match="no such luck"):
        processes.run([sys.executable, "-c", "import sys; sys.exit('no such luck')"], timeout=60)


def test_a_command_that_takes_too_long_is_ended() -> None:
    with pytest.raises(processes.CommandFailed, match="more than"):
        processes.run(["sleep", "60"], timeout=0.1)


def test_memory_and_time_of_a_live_process() -> None:
    held = processes.memory(os.getpid())
    assert held.rss >= held.pss > 1 << 20
    before = processes.cpu_seconds(os.getpid())
    sum(range(3_000_000))
    assert processes.cpu_seconds(os.getpid()) >= before > 0


def test_what_a_child_holds_and_uses_is_counted() -> None:
    before = processes.memory(os.getpid()).rss
    program = "held = bytes(range(256)) * (1 << 18); sum(range(3_000_000)); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
        assert processes.memory(os.getpid()).rss - before > 1 << 26
        child.stdin.write(b"\n")


def test_a_child_that_ended_and_was_not_waited_for_holds_nothing() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert processes.memory(os.getpid()).rss > 1 << 20


def test_processes_are_found_by_an_argument_and_ended() -> None:
    # /proc has no arguments for a moment while a process becomes another program: what it prints says that it did.
    program = "import time; print(flush=True); time.sleep(60)"
    argv = [sys.executable, "-c", program, "a-mark-of-its-own"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = processes.processes_with("a-mark-of-its-own")
        processes.end(process)
    assert process.pid in found
