"""Many users of a node without a browser: Chromium opens 255 WebSockets to a host at most."""

import json
import socket
from urllib.parse import urlsplit


class Crowd:
    """Users in a room, each with a socket that says no more than that."""

    def __init__(self, base, room, users):
        self.address = urlsplit(base).hostname, urlsplit(base).port
        self.sockets = {user: self._join(room, user) for user in users}

    def _join(self, room, user):
        connection = socket.create_connection(self.address, 10)
        connection.sendall(f"GET /ws?user={user} HTTP/1.1\r\nHost: node\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode())
        while b"\r\n\r\n" not in connection.recv(4096, socket.MSG_PEEK):
            pass
        self.send(connection, type="join", room=room)
        return connection

    @staticmethod
    def send(connection, **operation):
        data = json.dumps(operation).encode()
        assert len(data) < 126
        connection.sendall(bytes([0x81, 0x80 | len(data)]) + bytes(4) + data)

    def close(self):
        for connection in self.sockets.values():
            connection.close()
