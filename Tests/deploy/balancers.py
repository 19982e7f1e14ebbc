"""The balancers, with the configuration that is shipped: only addresses and ports are replaced."""

import re

from processes import DEPLOY, free_port, http_status, until


def shipped(name):
    return (DEPLOY / name).read_text()


def replaced(text, pattern, by):
    """Replaces what a shipped file must hold exactly once."""
    text, count = re.subn(pattern, lambda _: by, text, flags=re.M)
    assert count == 1, f"{count} times {pattern}"
    return text


def listed_upstream(servers):
    """The list of fixed addresses that the comment of upstream.conf shows."""
    lines = [line.removeprefix("#").removeprefix(" ") for line in shipped("upstream.conf").splitlines()
             if line.startswith("#")]
    start = next(i for i, line in enumerate(lines) if line.strip() == "upstream roost {")
    end = next(i for i in range(start, len(lines)) if lines[i].strip() == "}")
    return _with_servers(lines[start:end + 1], servers)


def docker_upstream(servers):
    """The upstream of docker-compose.yml as an nginx resolves it: a server for each address of `node`."""
    lines = [line for line in shipped("upstream.conf").splitlines() if not line.startswith(("#", "resolver"))]
    return _with_servers(lines, servers)


def _with_servers(lines, servers):
    made = []
    pattern = re.compile(r"^(\s*server) (\S+?:8080)(?: resolve)?(.*)$")
    model = next(match for line in lines if (match := pattern.match(line)))
    for line in lines:
        if not pattern.match(line):
            made.append(line)
        elif line == model[0]:
            made += [f"{model[1]} {server}{model[3]}" for server in servers]
    return "\n".join(made) + "\n"


def start_nginx(processes, name, upstream):
    port = free_port()
    folder = processes.folder / name
    folder.mkdir()
    (folder / "nginx.conf").write_text(shipped("nginx.conf"))
    (folder / "listen.conf").write_text(replaced(shipped("listen.conf"), r"^listen 8080;", f"listen {port};"))
    (folder / "upstream.conf").write_text(upstream)
    processes.start(name, ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf"),
                           "-g", "daemon off;"])
    until(f"{name} answers", lambda: http_status(port) == 200)
    return port


def listed_haproxy(text, servers):
    """The list of fixed addresses that the comment of haproxy.cfg shows, as it says: in place of Docker's lines."""
    text = replaced(text, r"^resolvers docker\n(?:  .*\n)+", "")
    model = re.search(r"^  # server a 10\.0\.0\.11:8080(.*)$", text, flags=re.M)
    lines = [f"  server node{n} {server}{model[1]}" for n, server in enumerate(servers)]
    return replaced(text, r"^  server-template .*$", "\n".join(lines))


def docker_haproxy(text, port, name_server):
    text = replaced(text, r"nameserver docker 127\.0\.0\.11:53$", f"nameserver docker 127.0.0.1:{name_server.port}")
    return replaced(text, r" node:8080 ", f" node:{port} ")


def start_haproxy(processes, name, text):
    port = free_port()
    path = processes.folder / f"{name}.cfg"
    path.write_text(replaced(text, r"^  bind :8080$", f"  bind 127.0.0.1:{port}"))
    processes.start(name, ["haproxy", "-f", str(path), "-db"])
    until(f"{name} answers", lambda: http_status(port) == 200)
    return port
