"""What a Node.js server's code did, done by a backend: who may connect, join and say what; answers to requests; publishing.

    python3 backend_test.py

Starts and ends its own node and backend. ROOST_BINARY names the program (default .build/debug/roost), TEST_PORTS the range
of ports. Ends with 'N passed, N failed'.
"""

import http.server
import json
import sys
import threading

import aiohttp

from nodes import TOKEN, Nodes, asynchronous
from people import SocketIOClient
from processes import free_port
from runner import run
from wire import Wire, packet, received, until, until_packet


class Backend:
    """Answers questions and requests."""

    def __init__(self):
        self.questions = []
        self.port = free_port()
        backend = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                backend.questions.append(question)
                text = json.dumps(backend.answer(question)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, question):
        event = question["event"]
        if event == "ask_connect":
            if question.get("user") == "banned":
                return {"ok": False, "reason": "not here"}
            cookie = question.get("headers", {}).get("cookie", "")
            return {"ok": True, "user": cookie.split("=")[1]} if cookie.startswith("name=") else {"ok": True}
        if event == "ask_join":
            return {"ok": not question["room"].endswith("staff"), "reason": "for staff only"}
        if event == "ask_message":
            message = question["message"]
            if message.get("args") == ["bad word"]:
                return {"ok": False, "reason": "mind your words"}
            if message.get("event") == "shout":
                return {"ok": True, "data": {"event": "shout", "args": [message["args"][0].upper()]}}
            return {"ok": True}
        if event == "request":
            return {"ok": True, "payload": sum(question["payload"])}
        return {}

    def asked(self, event):
        return [question for question in self.questions if question["event"] == event]


class Suite:
    def __init__(self):
        self.nodes = Nodes()
        self.backend = Backend()
        try:
            self.base = self.nodes.start(
                "node", "--webhook-url", f"http://127.0.0.1:{self.backend.port}/", "--webhook-secret", "a-secret-of-the-tests-0123456789",
                "--webhook-ask", "connect,join,message", "--webhook-headers", "Cookie", "--webhook-events", "request")
        except BaseException:
            self.end()
            raise

    def end(self):
        self.backend.server.shutdown()
        self.nodes.end()

    async def the_backend_decides_who_connects_and_names_them(self):
        async with Wire(self.base) as wire:
            socket = await wire.socket()
            await received(socket)
            await socket.send(packet("40", None, {"user": "banned"}))
            refused = json.loads((await until_packet(socket, "44"))[2:])
            assert refused["message"] == "not here" and refused["data"]["code"], refused
            named = await wire.socket(additional_headers={"Cookie": "name=zoe"})
            await received(named)
            await named.send("40")
            await until_packet(named, "40")
            await named.send('420["request",{"action":"whoami"}]')
            assert '"user":"zoe"' in await until_packet(named, "430")
        assert {question["transport"] for question in self.backend.asked("ask_connect")} == {"socketio"}

    async def the_backend_decides_who_joins(self):
        async with SocketIOClient(self.base, "ann", namespaces=("/", "/shop")) as ann:
            assert (await ann.call("join", "guests"))["room"] == "guests"
            for namespace, room in (("/", "staff"), ("/shop", "/shop#staff")):
                refused = await ann.call("join", "staff", namespace=namespace)
                assert refused["code"] == "forbidden" and "for staff only" in refused["message"], refused
                assert any(question["room"] == room for question in self.backend.asked("ask_join"))

    async def the_backend_refuses_and_replaces_messages(self):
        async with SocketIOClient(self.base, "ann") as ann, SocketIOClient(self.base, "bob", "polling") as bob:
            refused = await ann.call("say", "bad word")
            assert refused["ok"] is False and refused["code"] == "forbidden", refused
            for n in range(5):
                assert (await ann.call("shout", f"hello {n}"))["ok"] is True
            for each in (ann, bob):
                await each.has("shout", "HELLO 4")
                assert [arguments[0] for arguments in each.of("shout")] == [f"HELLO {n}" for n in range(5)]
                assert each.of("say") == []

    async def the_backend_answers_requests(self):
        async with SocketIOClient(self.base, "ann") as ann:
            answer = await ann.call("request", {"action": "sum", "payload": [1, 2, 39]})
            assert answer["ok"] is True and answer["payload"] == 42, answer
            [question] = self.backend.asked("request")
            assert question["user"] == "ann" and question["action"] == "sum", question

    async def the_backend_publishes_moves_and_looks(self):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with SocketIOClient(self.base, "ann") as ann, aiohttp.ClientSession(f"http://{self.base}", headers=headers) as admin:
            async def post(path, **body):
                async with admin.post(f"/admin/{path}", json=body) as answer:
                    assert answer.status == 200, (path, body, await answer.text())
                    return await answer.json()
            await post("publish", room="socketio", data={"event": "news", "args": [1, {"$binary": "AQI="}]})
            await ann.has("news", 1, b"\x01\x02")
            await post("direct", to="ann", data={"text": "for you"})
            await ann.has_object("direct", text="for you", user=None)
            await post("subscribe", user="ann", room="vip")
            await until("ann is in the room", lambda: any(
                a and a[0].get("room") == "vip" for _, name, a in ann.events if name == "joined"))
            await post("publish", room="vip", data={"event": "offer", "args": ["half"]})
            await ann.has("offer", "half")
            async with admin.get("/admin/presence/vip") as answer:
                [member] = (await answer.json())["members"]
            assert member["user"] == "ann" and member["connections"][0]["transport"] == "socketio", member

    async def a_user_is_meant_in_every_namespace_and_a_connection_in_one(self):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        both = ("/", "/shop")
        async with SocketIOClient(self.base, "zoe", namespaces=both) as zoe, \
                aiohttp.ClientSession(f"http://{self.base}", headers=headers) as admin:
            async def post(path, **body):
                async with admin.post(f"/admin/{path}", json=body) as answer:
                    assert answer.status == 200, (path, body, await answer.text())
                    return await answer.json()
            assert (await post("direct", to="zoe", data={"text": "for you"}))["delivered"] == 2
            await post("broadcast", data={"text": "for all"})
            assert (await post("subscribe", user="zoe", room="moved"))["connections"] == 2
            assert (await post("subscribe", connection=zoe.sio.get_sid("/shop"), room="one"))["connections"] == 1
            for namespace in both:
                await zoe.has_object("direct", namespace, text="for you")
                await zoe.has_object("broadcast", namespace, text="for all")
                await zoe.has_object("joined", namespace, room="moved")
            await zoe.has_object("joined", "/shop", room="one")
            assert not any(a[0]["room"] == "one" for a in zoe.of("joined")), zoe.events


if __name__ == "__main__":
    sys.exit(run(lambda: asynchronous(Suite)()))
