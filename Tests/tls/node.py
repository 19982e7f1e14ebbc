"""What the TLS tests share: a certificate, connections by Python's ssl module, and the counting of checks."""

import base64
import os
import socket
import ssl
import subprocess
import time

BINARY = os.environ.get("ROOST_BINARY", ".build/debug/roost")


class Checks:
    """Called with each claim and whether it holds; `end` prints the sum and returns the exit status."""

    def __init__(self):
        self.passed = self.failed = 0

    def __call__(self, name, condition, detail=""):
        self.passed, self.failed = self.passed + bool(condition), self.failed + (not condition)
        print("ok     " if condition else "FAILED ", name, "" if condition else detail, flush=True)

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return self.failed > 0 or not self.passed


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_certificate(folder, name):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{folder}/key.pem", "-out",
         f"{folder}/cert.pem", "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True)


def context(version=None, alpn=("http/1.1",)):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    if version:
        c.minimum_version = c.maximum_version = version
    if alpn:
        c.set_alpn_protocols(list(alpn))
    return c


def connect(port, c, session=None):
    raw = socket.create_connection(("127.0.0.1", port), timeout=10)
    return c.wrap_socket(raw, server_hostname="localhost", session=session)


def open_websocket(port, user, version=None):
    """Returns the connection and what has come behind the answer, of which `welcome` is the first."""
    s = connect(port, context(version))
    key = base64.b64encode(os.urandom(16)).decode()
    s.sendall(
        f"GET /ws?user={user} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
    return s, read_until(s, b'"welcome"').split(b"\r\n\r\n", 1)[1]


def read_until(s, wanted):
    seen = b""
    while wanted not in seen:
        more = s.recv(65536)
        if not more:
            raise EOFError(seen)
        seen += more
    return seen


def eventually(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def is_listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False
