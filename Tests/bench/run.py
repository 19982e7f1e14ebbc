#!/usr/bin/env python3
"""Measures Roost beside its peers and writes docs/benchmarks.md and docs/bench.svg.

Servers, Redis and second nodes are pinned to core 0, the load generator to core 1. Peers take turns within every round,
so that a neighbour's load meets all of them alike; the table shows medians of the rounds, and ratios before rates.
Peers whose programs are missing are left out and named. Needs only python3; see --help.
"""
import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
import peers  # noqa: E402
import redismeter  # noqa: E402
import report  # noqa: E402

LOAD_CORE = "1"

# Every row: key, what it is, scenario with its options, which figure counts, and which peers can do it.
ROWS = [
    ("fan1", "Fan-out to 1,000, 1 in flight", ["fanout", "--connections", "1000", "--window", "1"], "rate", "one"),
    ("fan16", "Fan-out to 1,000, 16 in flight", ["fanout", "--connections", "1000", "--window", "16"], "rate", "one"),
    ("fan64", "Fan-out to 1,000, 64 in flight", ["fanout", "--connections", "1000", "--window", "64"], "rate", "one"),
    ("rooms", "1,000 rooms of 5, 20 in flight",
     ["rooms", "--rooms", "1000", "--members", "5", "--window", "20"], "rate", "rooms"),
    ("rooms1000", "1,000 rooms of 5, 1,000 in flight",
     ["rooms", "--rooms", "1000", "--members", "5", "--window", "1000"], "rate", "rooms"),
    ("paced", "50,000 deliveries a second to 1,000",
     ["fanout", "--connections", "1000", "--rate", "50"], "latency", "one"),
    ("shake", "Handshakes a CPU-second of the server", ["connect", "--connections", "32"], "cpu", "one"),
    ("idle", "Resident bytes an idle connection", ["idle", "--connections", "10000", "--seconds", "1"], "memory", "one"),
    ("x-fan1", "Across nodes: fan-out to 1,000, 1 in flight",
     ["fanout", "--connections", "1000", "--window", "1"], "rate", "two"),
    ("x-fan16", "Across nodes: fan-out to 1,000, 16 in flight",
     ["fanout", "--connections", "1000", "--window", "16"], "rate", "two"),
    ("x-rooms", "Across nodes: 1,000 rooms of 5, 20 in flight",
     ["rooms", "--rooms", "1000", "--members", "5", "--window", "20"], "rate", "two"),
    ("x-rooms1000", "Across nodes: 1,000 rooms of 5, 1,000 in flight",
     ["rooms", "--rooms", "1000", "--members", "5", "--window", "1000"], "rate", "two"),
    ("x-one", "Across nodes: one to one, publish to delivery",
     ["rooms", "--rooms", "1", "--members", "1", "--window", "1"], "latency", "two"),
]


def softirq_threads():
    """The kernel's thread that takes over a core's packets under load: its time is the server's doing."""
    names = {f"ksoftirqd/{core}" for core in peers.SERVER_CORE.split(",")}
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                with open(f"{entry.path}/comm", encoding="utf-8") as comm:
                    if comm.read().strip() in names:
                        found.append(int(entry.name))
            except OSError:
                pass
    return found


def measure(roost, row, peer, seconds, timeout=120):
    """Runs the generator once against a peer that was started; returns its JSON, or None with the reason printed."""
    _, _, scenario, _, _ = row
    command = ["taskset", "-c", LOAD_CORE, roost, "bench", *scenario, "--json", "--dialect", peer.dialect]
    counted = peer.pids() + (softirq_threads() if row[3] != "memory" else [])
    command += ["--urls", f"{peer.publish_url},{peer.member_url}", "--pid", ",".join(map(str, counted))]
    if "--seconds" not in scenario:
        command += ["--seconds", str(seconds)]
    meter = redismeter.Meter(peer.redis_port) if peer.redis_port else None
    try:
        with meter or contextlib.nullcontext():
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        print(f"  {peer.name}: no end within {timeout} s", flush=True)
        return None
    if done.returncode not in (0, 1):
        print(f"  {peer.name}: {done.stderr.strip()}", flush=True)
        return None
    result = json.loads(done.stdout)
    if meter and (cost := meter.microseconds()) is not None:
        result["redisMicroseconds"] = cost
    return result


def figure(result, kind):
    """The one number of a run that its row compares."""
    if kind == "cpu":
        return per_cpu_second(result)
    return result[{"rate": "operationsPerSecond", "latency": "p50", "memory": "bytesPerConnection"}[kind]]


def run_row(roost, row, makers, rounds, seconds):
    """Runs one row for all peers, interleaved; returns name -> list of results, and what a plain script cost Redis."""
    results, plain = {}, []
    for number in range(rounds):
        for make in makers:
            with make(roost) as peer:
                if row[3] == "memory" and number > 0:
                    continue
                result = measure(roost, row, peer, seconds)
            if result is None:
                continue
            results.setdefault(peer.name, []).append(result)
            faults = result.get("lost", 0) + result.get("duplicates", 0) + result.get("reordered", 0)
            note = f", {result['lost']} lost, {faults - result['lost']} repeated or reordered" if faults else ""
            note += ", the generator was the limit" if result.get("generatorWasLimit") else ""
            if "redisMicroseconds" in result:
                note = f", Redis {result['redisMicroseconds']:.2f} us a message" + note
            if "p99" in result:
                note = f", p50 {result['p50'] / 1000:.2f} ms, p99 {result['p99'] / 1000:.2f} ms" + note
            main = "as paced" if row[3] == "latency" else f"{figure(result, row[3]):,.0f}"
            print(f"  {peer.name}: {main}{note}", flush=True)
        if row[4] == "two" and redismeter.PlainScript.is_installed():
            with redismeter.PlainScript(roost) as script:
                plain.append(script.run(LOAD_CORE))
            print(f"  {script.name}: Redis {plain[-1]:.2f} us a message", flush=True)
    return results, plain


def per_cpu_second(result):
    """Operations for each second of processor time that all the server's processes used together."""
    return result["operations"] / result["serverSeconds"] if result.get("serverSeconds") else 0


def medians(runs, kind):
    """The medians of one peer's runs."""
    summary = {"value": statistics.median(figure(run, kind) for run in runs), "runs": len(runs)}
    if kind == "rate":
        summary["perCPUSecond"] = statistics.median(per_cpu_second(run) for run in runs)
    for key in ("p50", "p99", "redisMicroseconds"):
        if values := [run[key] for run in runs if key in run]:
            summary[key] = statistics.median(values)
    for key in ("lost", "duplicates", "reordered"):
        summary[key] = sum(run.get(key, 0) for run in runs)
    # Who spends little of its own is judged by that, however busy the generator was.
    summary["limited"] = kind in ("rate", "latency") and any(run.get("generatorWasLimit") for run in runs)
    return summary


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--roost", default=".build/release/roost", help="release binary (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every row (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=4, help="seconds of every run (default %(default)s)")
    parser.add_argument("--rows", default="", help="comma-separated keys: " + ", ".join(row[0] for row in ROWS))
    parser.add_argument("--peers", default="", help="comma-separated names; default all")
    parser.add_argument("--docs", default="docs", help="folder to write to; '-' for none (default %(default)s)")
    options = parser.parse_args()
    if not os.access(options.roost, os.X_OK):
        sys.exit(f"{options.roost} is missing: swift build -c release")
    if os.cpu_count() < 2:
        sys.exit("two cores are needed: one for the servers, one for the load")
    wanted = set(filter(None, options.rows.split(",")))
    names = set(filter(None, options.peers.split(",")))
    table = []
    for row in ROWS:
        if wanted and row[0] not in wanted:
            continue
        makers = [m for m in (peers.PAIRS if row[4] == "two" else peers.SINGLES)
                  if m.is_installed() and (not names or m.name in names)]
        print(f"{row[1]}", flush=True)
        results, plain = run_row(options.roost, row, makers, options.rounds, options.seconds)
        table.append({"key": row[0], "title": row[1], "kind": row[3], "across": row[4] == "two",
                      "plainScript": statistics.median(plain) if plain else None,
                      "peers": {name: medians(runs, row[3]) for name, runs in results.items()}})
    machine = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "cpu": cpu_name(), "cores": os.cpu_count(),
               "kernel": platform.release(), "rounds": options.rounds, "seconds": options.seconds,
               "versions": peers.versions(options.roost)}
    print("\n" + report.aligned(report.figure_rows(table)))
    if any(row["across"] for row in table):
        print("\nRedis' processor time a message, us\n" + report.aligned(report.redis_rows(table)))
    if options.docs != "-" and not wanted and not names:
        report.write(table, machine, options.docs)
        print(f"wrote {options.docs}/benchmarks.md and {options.docs}/bench.svg")
    faulty = [(row["title"], name) for row in table for name, sums in row["peers"].items()
              if name.startswith("roost") and sums["lost"] + sums["duplicates"] + sums["reordered"]]
    for title, name in faulty:
        print(f"FAULT: {name} lost, repeated or reordered messages in: {title}")
    sys.exit(1 if faulty else 0)


def cpu_name():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
