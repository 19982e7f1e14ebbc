"""TLS of a real node, by Python's ssl module: versions, ALPN, resumption, reload, redirection, and hostile endings.

Starts and ends its own server. ROOST_BINARY names the program (default .build/debug/roost). Ends with 'N passed, N failed'.
"""

import http.client
import signal
import ssl
import subprocess
import sys
import tempfile

from node import BINARY, Checks, connect, context, eventually, free_port, is_listening, make_certificate, open_websocket, \
    read_until

check = Checks()


def common_name(port):
    with connect(port, context()) as s:
        pem = ssl.DER_cert_to_PEM_cert(s.getpeercert(binary_form=True))
    text = subprocess.run(["openssl", "x509", "-noout", "-subject"], input=pem, text=True, capture_output=True).stdout
    return text.strip().split("=")[-1].strip()


def frame(opcode, payload):
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + b"\0\0\0\0" + payload


def run(folder, port, redirect, server):
    for name, version in (("1.2", ssl.TLSVersion.TLSv1_2), ("1.3", ssl.TLSVersion.TLSv1_3)):
        with connect(port, context(version)) as s:
            check(f"agrees on TLS {name} with ALPN http/1.1", s.selected_alpn_protocol() == "http/1.1", s.version())
    try:
        connect(port, context(alpn=("h2",))).close()
        check("refuses a client that offers only h2 (RFC 7301 section 3.2)", False)
    except ssl.SSLError:
        check("refuses a client that offers only h2 (RFC 7301 section 3.2)", True)

    c = context(ssl.TLSVersion.TLSv1_2)
    with connect(port, c) as s:
        session = s.session
    with connect(port, c, session) as s:
        check("resumes a session (RFC 5077)", s.session_reused)

    https = http.client.HTTPSConnection("127.0.0.1", port, context=context(), timeout=10)
    https.request("GET", "/healthz")
    answer = https.getresponse()
    check("answers with HSTS (RFC 6797 section 7.1)",
          answer.status == 200 and answer.getheader("Strict-Transport-Security", "").startswith("max-age="))
    for where in (redirect, port):
        plain = http.client.HTTPConnection("127.0.0.1", where, timeout=10)
        plain.request("GET", "/a?b=c")
        answer = plain.getresponse()
        check("redirects plain HTTP to the same place under TLS",
              answer.status == 301 and answer.getheader("Location") == f"https://127.0.0.1:{port}/a?b=c",
              answer.getheader("Location"))

    ann, bob = open_websocket(port, "ann")[0], open_websocket(port, "bob")[0]
    for s in (ann, bob):
        s.sendall(frame(1, b'{"type":"join","room":"r"}'))
        read_until(s, b'"joined"')
    # A message to oneself, the goodbye and the end of the connection in one record: nothing may be delivered to what
    # is gone.
    for i in range(20):
        s, _ = open_websocket(port, "hasty")
        s.sendall(frame(1, b'{"type":"join","room":"r","id":"j"}'))
        read_until(s, b'"joined"')
        s.sendall(frame(1, b'{"type":"message","room":"r","echo":true,"n":1}') + frame(8, b"\x03\xe8"))
        try:
            s.unwrap()
        except (ssl.SSLError, OSError):
            pass
        s.close()
    check("survives a goodbye in the same breath as a message", server.poll() is None)

    make_certificate(folder, "second")
    before = common_name(port)
    server.send_signal(signal.SIGHUP)
    check("serves a new certificate after SIGHUP", before == "first" and eventually(lambda: common_name(port) == "second"))
    ann.sendall(frame(1, b'{"type":"message","room":"r","id":"x","text":"still here"}'))
    check("keeps open connections through a reload", b"still here" in read_until(bob, b"still here"))
    with open(f"{folder}/cert.pem", "w") as f:
        f.write("nonsense")
    server.send_signal(signal.SIGHUP)
    check("keeps the certificate it has when the new one is broken", common_name(port) == "second")


def main():
    with tempfile.TemporaryDirectory() as folder:
        make_certificate(folder, "first")
        port, redirect = free_port(), free_port()
        server = subprocess.Popen(
            [BINARY, "serve", "--host", "127.0.0.1", "--port", str(port), "--redirect-port", str(redirect), "--drain", "0s",
             "--tls-cert", f"{folder}/cert.pem", "--tls-key", f"{folder}/key.pem", "--log-level", "error"])
        try:
            if not eventually(lambda: is_listening(port)):
                sys.exit("the server did not start")
            run(folder, port, redirect, server)
        finally:
            server.terminate()
            check("ends with 0", server.wait(20) == 0)
    sys.exit(check.end())


main()
