"""The Debian package and the archive, installed into folders of their own without Swift, and started there. Needs root.

    python3 package_test.py PACKAGE.deb ARCHIVE.tar.gz

Where debootstrap is installed, also into a Debian system of its own, which it fetches from DEBIAN_MIRROR
(http://deb.debian.org/debian). `make test-package` builds both and runs it. Ends with 'N passed, N failed'.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from processes import Processes, free_port, http_status, until
from runner import run

PACKAGE, ARCHIVE = (Path(each).resolve() for each in (sys.argv[1:] + ["", ""])[:2])
MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
CHROOT = shutil.which("chroot") or "/usr/sbin/chroot"
# What the package's scripts and dpkg need of a Debian system.
PROGRAMS = ["/bin/sh", "/usr/bin/od", "/usr/bin/tr", "/usr/bin/rm"]


def libraries(program):
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(0x", said)


def copy(path, root):
    """Copies a file and the libraries that it needs into a root at the place that its name has there."""
    for each in [path, *libraries(path)]:
        place = root / each.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            shutil.copy(os.path.realpath(each), place)


class Suite:
    def __init__(self):
        self.processes = Processes()
        self.root = self.processes.folder / "root"
        self.plain = self.processes.folder / "plain"

    def end(self):
        self.processes.end()

    @staticmethod
    def _prepare(root, programs):
        for each in ("dev", "tmp", "etc", "proc"):
            (root / each).mkdir(parents=True)
        os.mknod(root / "dev/null", 0o666 | 0o020000, os.makedev(1, 3))
        os.mknod(root / "dev/urandom", 0o444 | 0o020000, os.makedev(1, 9))
        for program in programs:
            copy(program, root)
        for each in ("passwd", "nsswitch.conf"):
            if Path("/etc", each).exists():
                shutil.copy(f"/etc/{each}", root / "etc")

    def _started(self, root, program, environment=None):
        port = free_port()
        # In a mount namespace, which ends with the node: Swift reads a program's arguments from /proc.
        mounted = 'mount -t proc proc "$0/proc" && exec "$1" "$0" "$2" serve --port "$3"'
        self.processes.start(f"{root.name}-{port}", [
            "unshare", "--mount", "sh", "-c", mounted, str(root), CHROOT, program, str(port)],
            env={"PATH": "/usr/sbin:/usr/bin:/bin", **(environment or {})})
        until("the node is ready", lambda: http_status(port) == 200)
        return port

    @staticmethod
    def _dependencies():
        """The names of the packages that the package needs."""
        fields = subprocess.run(["dpkg-deb", "--field", str(PACKAGE), "Depends"], capture_output=True, text=True).stdout
        return set(re.findall(r"(?:^|, )([a-z0-9.+-]+)", fields))

    def dpkg_installs_the_package(self):
        self._prepare(self.root, PROGRAMS)
        state = self.root / "var/lib/dpkg"
        for each in ("info", "updates"):
            (state / each).mkdir(parents=True)
        (state / "status").touch()
        # The libraries are copied below, not installed: so dependencies cannot be checked here.
        said = subprocess.run(["dpkg", f"--root={self.root}", "--force-depends", "--install", str(PACKAGE)],
                              capture_output=True, text=True)
        assert said.returncode == 0, said
        token = (self.root / "etc/roost/roost.env").read_text()
        assert re.fullmatch(r"ROOST_ADMIN_TOKEN=[0-9a-f]{64}\n", token), "no token"
        assert (self.root / "etc/roost/roost.env").stat().st_mode & 0o777 == 0o600

    def its_files_are_where_debian_has_them(self):
        listed = subprocess.run(["dpkg-deb", "--contents", str(PACKAGE)], capture_output=True, text=True).stdout
        for path in ("usr/bin/roost", "lib/systemd/system/roost.service", "etc/roost/roost.json",
                     "usr/share/man/man1/roost.1.gz", "usr/share/bash-completion/completions/roost",
                     "usr/share/doc/roost/copyright"):
            assert re.search(rf"root/root .* \./{re.escape(path)}$", listed, re.M), (path, listed)
        json.loads((self.root / "etc/roost/roost.json").read_text())
        unit = (self.root / "lib/systemd/system/roost.service").read_text()
        for line in ("ExecStart=/usr/bin/roost serve", "Environment=ROOST_CONFIG=/etc/roost/roost.json",
                     "LimitNOFILE=1048576", "DynamicUser=yes", "ProtectSystem=strict"):
            assert f"\n{line}\n" in unit, line

    def its_dependencies_are_all_that_the_program_needs(self):
        depends = self._dependencies()
        needed = subprocess.run(["objdump", "-p", str(self.root / "usr/bin/roost")], capture_output=True, text=True).stdout
        for name in re.findall(r"NEEDED +(\S+)", needed):
            if name.startswith("ld-linux"):  # of libc6, which is among them
                continue
            path = next(each for each in libraries(str(self.root / "usr/bin/roost")) if each.endswith("/" + name))
            owner = None
            for each in (path, os.path.realpath(path), path.removeprefix("/usr"), "/usr" + path):
                said = subprocess.run(["dpkg-query", "--search", each], capture_output=True, text=True)
                owner = owner or (said.stdout.split(":")[0] or None)
            assert owner in depends, (name, path, owner, depends)

    def the_installed_program_starts_with_its_settings_file(self):
        assert not list(self.root.rglob("*libswift*"))
        program = str(self.root / "usr/bin/roost")
        for each in libraries(program):
            copy(each, self.root)
        self._started(self.root, "/usr/bin/roost", environment={"ROOST_CONFIG": "/etc/roost/roost.json"})

    def dpkg_removes_it_and_keeps_its_settings_until_purged(self):
        for action, kept in (("--remove", True), ("--purge", False)):
            said = subprocess.run(["dpkg", f"--root={self.root}", action, "roost"], capture_output=True, text=True)
            assert said.returncode == 0, said
            assert not (self.root / "usr/bin/roost").exists()
            for name in ("roost.json", "roost.env"):
                assert (self.root / "etc/roost" / name).exists() == kept, (action, name)

    def in_a_debian_system_its_dependencies_are_enough(self):
        if not shutil.which("debootstrap"):
            return print("        no debootstrap here: only the root made by hand")
        root = self.processes.folder / "debian"
        release = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.M)[1]
        made = subprocess.run(["debootstrap", "--variant=minbase", f"--include={','.join(sorted(self._dependencies()))}",
                               release, str(root), MIRROR], capture_output=True, text=True)
        assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
        said = subprocess.run(["dpkg", f"--root={root}", "--install", str(PACKAGE)], capture_output=True, text=True)
        assert said.returncode == 0, said
        assert not list(root.rglob("*libswift*"))
        self._started(root, "/usr/bin/roost", environment={"ROOST_CONFIG": "/etc/roost/roost.json"})

    def the_archive_starts_without_swift(self):
        self._prepare(self.plain, [])
        subprocess.run(["tar", "-xzf", str(ARCHIVE), "-C", str(self.plain), "--strip-components=1"], check=True)
        for each in libraries(str(self.plain / "bin/roost")):
            copy(each, self.plain)
        assert not list(self.plain.rglob("*libswift*"))
        self._started(self.plain, "/bin/roost")
        for path in ("share/man/man1/roost.1.gz", "lib/systemd/system/roost.service", "README.md",
                     "share/doc/roost/examples/rolling-restart.sh"):
            assert (self.plain / path).exists(), path


if __name__ == "__main__":
    if not PACKAGE.is_file() or not ARCHIVE.is_file():
        sys.exit("expected the paths of a .deb and of a .tar.gz; make test-package builds both")
    sys.exit(run(Suite))
