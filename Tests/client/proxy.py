"""A TCP proxy between clients and nodes that does what networks do: cuts, blocks upgrades, buffers streams."""

import contextlib
import socket
import threading


class Proxy:
    """Relays 127.0.0.1:`port` to whichever of `servers`, (host, port) pairs, takes the connection.

    `blocks_upgrades`: a request for a WebSocket gets no answer. `buffers_streams`: the answer to `GET /sse` is kept. `cut`
    resets every connection; while `is_cut`, new ones too.
    """

    def __init__(self, servers):
        self.servers = list(servers)
        self.blocks_upgrades = self.buffers_streams = self.is_cut = False
        self.counts = {}  # connections by the first path that was asked for
        self._lock = threading.Lock()
        self._sockets = set()
        self._turn = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        with self._lock:
            for end in self._sockets:
                # Linger 0 makes the close a reset: no closing handshake, as when a cable is pulled.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                with contextlib.suppress(OSError):  # its other end may have gone by itself
                    end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._listener.close()
        self.cut()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _connect(self):
        """A connection to the next server that takes one, or None."""
        self._turn += 1
        for n in range(len(self.servers)):
            with contextlib.suppress(OSError):
                return socket.create_connection(self.servers[(self._turn + n) % len(self.servers)], 2)
        return None

    def _relay(self, client):
        with client:
            if self.is_cut or not (server := self._connect()):
                return
            with server:
                server.settimeout(None)
                with self._lock:
                    self._sockets |= {client, server}
                state = {"buffers": False}
                back = threading.Thread(target=self._answers, args=(server, client, state), daemon=True)
                back.start()
                self._requests(client, server, state)
                back.join()
                with self._lock:
                    self._sockets -= {client, server}

    def _requests(self, client, server, state):
        first = True
        try:
            while data := client.recv(65536):
                path = data[:60].split(b"?")[0].split(b" ")[1].decode() if data[:4] in (b"GET ", b"POST") else None
                if first or path in ("/ws", "/sse"):
                    self.counts[path] = self.counts.get(path, 0) + 1
                first = False
                if path == "/ws" and self.blocks_upgrades:
                    continue
                state["buffers"] = path == "/sse" and self.buffers_streams
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # cut, or the other end is gone

    @staticmethod
    def _answers(server, client, state):
        try:
            while data := server.recv(65536):
                if not state["buffers"]:
                    client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass
