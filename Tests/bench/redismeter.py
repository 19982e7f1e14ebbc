"""What a message costs Redis, by Redis' own count: processor time and PUBLISH commands (INFO cpu, INFO commandstats)."""
import re
import shutil
import socket
import subprocess
import threading
import time

import peers

# What any publish with history must do: count, keep, tell. Nothing is retried, compared or reported.
PLAIN_SCRIPT = ("local n = redis.call('INCR', KEYS[1]) "
                "redis.call('XADD', KEYS[2], 'MAXLEN', '~', '100', n .. '-1', 'm', ARGV[1]) "
                "redis.call('PUBLISH', KEYS[3], n .. ' ' .. ARGV[1]) return n")
PLAIN_CALLS = 100_000
# As long as Roost's message in Redis is in these rows.
ENVELOPE_BYTES = 170


class Meter:
    """Samples a Redis in the background while its block runs."""

    PERIOD = 0.25

    def __init__(self, port):
        self.port = port
        self.samples = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def run(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            stream = connection.makefile("rb")
            is_last = False
            while not is_last:
                # What ends within a period counts too.
                is_last = self.ended.is_set()
                connection.sendall(b"INFO cpu commandstats\r\n")
                text = stream.read(int(stream.readline()[1:]) + 2).decode()
                found = re.search(r"cmdstat_publish:calls=(\d+)", text)
                used = sum(float(re.search(rf"used_cpu_{kind}:([\d.]+)", text)[1]) for kind in ("user", "sys"))
                self.samples.append((time.monotonic(), used, int(found[1]) if found else 0))
                self.ended.wait(self.PERIOD)

    def microseconds(self):
        """Processor time of the whole process for each PUBLISH while they flowed, or None when hardly any did.

        The time in which connections are opened and closed is left out: it has less than half the highest rate."""
        spans = [(b[0] - a[0], b[1] - a[1], b[2] - a[2]) for a, b in zip(self.samples, self.samples[1:])]
        highest = max((calls / seconds for seconds, _, calls in spans), default=0)
        flowing = [span for span in spans if span[2] > 0 and span[2] / span[0] >= highest / 2]
        calls = sum(span[2] for span in flowing)
        return sum(span[1] for span in flowing) / calls * 1e6 if calls >= 1000 else None


class PlainScript(peers.Peer):
    """A Redis whose publishes are PLAIN_SCRIPT, 16 at a time in one room, with nobody subscribed: what to compare with."""

    name = "plain script"

    @classmethod
    def is_installed(cls):
        return shutil.which("redis-server") is not None and shutil.which("redis-benchmark") is not None

    def start(self):
        self.redis()

    def run(self, core):
        """Publishes, and returns the microseconds of each call."""
        digest = subprocess.run(["redis-cli", "-p", str(self.redis_port), "script", "load", PLAIN_SCRIPT],
                                capture_output=True, text=True, check=True).stdout.strip()
        with Meter(self.redis_port) as meter:
            subprocess.run(["taskset", "-c", core, "redis-benchmark", "-p", str(self.redis_port), "-c", "1", "-P", "16", "-q",
                            "-n", str(PLAIN_CALLS), "evalsha", digest, "3", "n", "log", "room", "x" * ENVELOPE_BYTES],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        return meter.microseconds()
