"""A TCP relay that a test can cut, so that a browser loses its connection the way a network loses it."""

import contextlib
import socket
import threading


class Relay:
    """Relays 127.0.0.1:`port` to a server; `cut` resets every connection and refuses new ones until `mend`."""

    def __init__(self, host, port):
        self.target = (host, port)
        self.lock = threading.Lock()
        self.sockets = set()
        self.whole = True
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        with self.lock:
            self.whole = False
            for end in self.sockets:
                # Linger 0 makes the close a reset: no closing handshake, as when a cable is pulled.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                with contextlib.suppress(OSError):  # its other end may have gone by itself
                    end.shutdown(socket.SHUT_RDWR)

    def mend(self):
        with self.lock:
            self.whole = True

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            with self.lock:
                if not self.whole:
                    client.close()
                    continue
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client):
        with client, socket.create_connection(self.target) as server:
            with self.lock:
                self.sockets |= {client, server}
            back = threading.Thread(target=self._copy, args=(server, client), daemon=True)
            back.start()
            self._copy(client, server)
            back.join()
            with self.lock:
                self.sockets -= {client, server}

    @staticmethod
    def _copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # cut, or the other end is gone
