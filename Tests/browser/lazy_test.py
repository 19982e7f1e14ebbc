"""roost.js: it connects when it is first used, leaves nothing behind, and names what a runtime lacks.

    python lazy_test.py

Needs no server, but node for the runtimes without a page. CHROMIUM names another browser than /usr/bin/chromium. The last
line is 'N passed, N failed'; the exit status is 1 after a failure.
"""

import shutil
import subprocess
import sys

from runner import run
from scripted import PAGES, tests_of

COUNTING = """
  window.live = { listeners: new Set(), timers: new Set() };
  const { addEventListener: add, removeEventListener: remove } = window;
  window.addEventListener = (...a) => {
    if (new Error().stack.includes('/roost.js')) live.listeners.add(a[0]); // others are the test driver's
    return add.apply(window, a);
  };
  window.removeEventListener = (...a) => { live.listeners.delete(a[0]); return remove.apply(window, a); };
  const { setTimeout: set, clearTimeout: clear } = window;
  window.setTimeout = (call, wait) => {
    const timer = set(() => { live.timers.delete(timer); call(); }, wait);
    live.timers.add(timer);
    return timer;
  };
  window.clearTimeout = (timer) => { live.timers.delete(timer); clear(timer); };
"""
FIRST_CALLS = {
    "join": "roost.join('r')",
    "send": "roost.join('r'); roost.send('r', {})",
    "direct": "roost.direct('u', {})",
    "broadcast": "roost.broadcast({})",
    "presence": "roost.presence('r')",
    "history": "roost.history('r')",
    "request": "roost.request('time')",
    "authenticate": "roost.authenticate('t')",
    "on": "roost.on('broadcast', () => {})",
}


def empty(node):
    """An empty page with the class, and nothing made of it."""
    node.empty()
    node.run("import('/roost.js').then((m) => { window.Roost = m.Roost; })")
    return node


def left(node):
    """How many listeners and timers the page has."""
    return node.run("[live.listeners.size, live.timers.size]")


def connects_with_the_first_call_whichever_it_is(new):
    for name, call in FIRST_CALLS.items():
        node = new()
        node.run(f"window.roost = new Roost('/ws', {{ user: 'ada' }}); {call}; 0")
        node.until("roost.state.name === 'open'")
        assert len(node.connections) == 1, (name, node.connections)


def makes_no_connection_before_and_none_for_close(new):
    node = new()
    node.run("window.roost = new Roost(); 0")
    node.page.wait_for_timeout(50)
    assert node.connections == [] and node.run("roost.state.name") == "closed"
    node.run("roost.close(); roost.join('r').catch((e) => { window.code = e.code; }); 0")
    node.until("window.code === 'closed'")
    node.run("const other = new Roost(); other.join('r').catch((e) => { window.code = 'other ' + e.code; }); other.close(); 0")
    node.until("window.code === 'other closed'")
    assert node.connections == []


def a_call_connects_again_only_after_connect(new):
    node = new()
    node.run("window.roost = new Roost(); window.entered = roost.join('r'); 0")
    node.until("roost.state.name === 'open'")
    node.run("roost.close()")
    assert node.run("roost.presence('r').catch((e) => e.code)") == "closed"
    node.run("roost.connect() && undefined")
    node.until("roost.state.name === 'open'")
    assert len(node.connections) == 2


def connect_and_a_call_make_one_connection(new):
    node = new()
    node.run("window.roost = new Roost(); roost.on('message', () => {}); roost.connect(); roost.connect(); roost.join('r')")
    assert len(node.connections) == 1 and len(node.frames("join")) == 1


def what_the_caller_registers_first_gets_every_state(new):
    node = new()
    node.run("""window.states = []; window.roost = new Roost(); roost.join('r');
        roost.on('state', (s) => states.push(s.name)); 0""")
    node.until("states.length === 2")
    assert node.run("states") == ["connecting", "open"]


def leaves_no_listener_and_no_timer_after_close(new):
    node = new()
    node.run(COUNTING)
    for _ in range(3):
        node.run("window.roost = new Roost(); roost.join('r')")
        assert node.run("live.listeners.size") == 4
        node.run("roost.close()")
        assert left(node) == [0, 0], left(node)
    # While it waits to reconnect, while it drains, and while a refused join waits to be tried again.
    node.run("window.roost = new Roost(); roost.join('r')")
    node.socket.close(code=1013)
    node.until("roost.state.name === 'waiting'")
    node.run("roost.close()")
    assert left(node) == [0, 0], left(node)
    node.run("window.roost = new Roost(); roost.join('r')")
    node.push(type="reconnect", after=5_000)
    node.answer = lambda frame: node.push(type="error", id=frame["id"], code="unavailable", message="later")
    node.run("roost.join('s'); 0")
    node.eventually(lambda: len(node.frames("join")) == 2)
    node.eventually(lambda: node.run("live.timers.size") == 3)
    node.run("roost.close()")
    assert left(node) == [0, 0], left(node)
    count = len(node.connections)
    node.page.clock.run_for(60_000)
    assert len(node.connections) == count


def leaves_nothing_when_the_server_ends_it_for_good(new):
    node = new()
    node.run(COUNTING)
    node.run("window.roost = new Roost(); roost.join('r')")
    node.socket.close(code=4409)
    node.until("roost.state.name === 'closed'")
    assert left(node) == [0, 0], left(node)


def an_address_that_cannot_be_used_is_refused_with_the_reason(new):
    node = new()
    for url, part in (("ftp://h/ws", "must begin with ws"), ("http://[", "whole address")):
        assert part in node.run(f"(() => {{ try {{ new Roost('{url}'); }} catch (e) {{ return e.message; }} }})()"), url
    # WebSocket itself refuses, and there is no other transport: the call fails, and does not wait.
    node.run("window.WebSocket = class { constructor() { throw new DOMException('insecure', 'SecurityError'); } }; 0")
    outcome = node.run("new Roost('ws://h/ws', { transports: ['websocket'] }).join('r').catch((e) => [e.code, e.message])")
    assert outcome == ["closed", "insecure"], outcome


def a_user_that_cannot_be_is_refused_at_once(new):
    node = new()
    made = "(() => {{ try {{ new Roost('/ws', {}).connect(); return ''; }} catch (e) {{ return e.message; }} }})()"
    for user, part in (("''", "has 0"), ("'é'.repeat(101)", "has 202"), ("'a\\u0085'", "without control characters")):
        assert part in node.run(made.format(f"{{ user: {user} }}")), user
    assert node.connections == []
    # A token names the user by itself.
    for identity in ("{ user: 'é'.repeat(100) }", "{ user: null }", "{ token: 't', user: '' }"):
        assert node.run(made.format(identity)) == "", identity
    node.eventually(lambda: len(node.connections) == 3)


def an_option_that_cannot_work_is_refused_by_the_constructor(new):
    node = new()
    made = "(() => {{ try {{ new Roost({}); return ''; }} catch (e) {{ return `${{e.name}}: ${{e.message}}`; }} }})()"
    names = "websocket,sse,poll"
    for arguments, part in (
            ("'/ws', { transports: ['websockets'] }", f"unknown transport 'websockets': there are {names}"),
            ("'/ws', { transports: ['sse', 'constructor'] }", "unknown transport 'constructor'"),
            ("'/ws', { transports: [undefined] }", "unknown transport 'undefined'"),
            ("'/ws', { transports: [] }", f"a list of some of {names}"), ("'/ws', { transports: 'websocket' }", f"a list of some of {names}"),
            ("'/ws', { token: fetch('/empty.html') }", "token must be a string or a function, and is Promise"), ("'/ws', { token: 5 }", "Number"),
            ("'/ws', { webSocket: {} }", "webSocket must be a constructor"), ("'/ws', { pendingMax: 0 }", "pendingMax must be a number above 0"),
            ("'/ws', { pendingBytesMax: 'x' }", "pendingBytesMax must"), ("'/ws', 'a.b.c'", "options must be an object, and are String"),
            ("{ user: 'ada' }", "address must be a string or a URL, and is Object"), ("5", "and is Number")):
        refused = node.run(made.format(arguments))
        assert refused.startswith("TypeError: Roost: ") and part in refused, (arguments, refused)
    assert node.connections == []
    # What is undefined or null is as if it were not there.
    for arguments in ("undefined, undefined", "null, null", "'/ws', { transports: undefined }", "new URL('/ws', location), { transports: null }",
                      "location.origin, { token: null, user: null, webSocket: null, pendingMax: undefined, pendingBytesMax: null }"):
        assert node.run(f"new Roost({arguments}).join('r').then((joined) => joined.room)") == "r", arguments
    assert len(node.connections) == 5


def a_token_function_that_gives_no_string_is_asked_again(new):
    node = new()
    node.run("""
      window.states = [];
      window.given = [undefined, null, 5, ['secret'], 'a.b.c'];
      window.roost = new Roost('/ws', { token: () => given.shift() });
      roost.on('state', (state) => states.push(state));
      window.entered = roost.join('r'); 0
    """)
    node.passing(1000, lambda: node.run("roost.state.name") == "open")
    reasons = node.run("states.filter((s) => s.name === 'waiting').map((s) => s.reason)")
    assert reasons == [f"token: the function returned {kind}, no string" for kind in ("Undefined", "Null", "Number", "Array")], reasons
    assert node.run("entered.then((joined) => joined.room)") == "r" and node.addresses[-1].endswith("token=a.b.c"), node.addresses
    refused = node.run("roost.authenticate(undefined).catch((e) => [e.code, e.message])")
    assert refused == ["bad_request", "the token must be a string, and is Undefined"] and not node.frames("auth"), refused


def in_a_runtime_without_a_page_it_says_what_is_missing(new):
    new()
    if not shutil.which("node"):
        return print("        no node here: not run")
    script = """
      const { Roost } = await import(process.argv[1]);
      try { new Roost(); } catch (e) { console.log(e.message); }
      globalThis.WebSocket = undefined;
      await new Roost('http://localhost:1/ws', { transports: ['websocket'] }).join('r').catch((e) => console.log(e.code, e.message));
      let made;
      globalThis.WebSocket = class {
        constructor(url) { made = String(url); setTimeout(() => this.onmessage({ data: '{"type":"welcome","user":"u","pingInterval":25000}' }), 1); }
        send(text) { const m = JSON.parse(text); this.onmessage({ data: JSON.stringify({ type: 'joined', id: m.id, room: 'r', epoch: 'e', offset: 1 }) }); }
        close() {}
      };
      const roost = new Roost('http://localhost:1/ws', { user: 'u' });
      roost.on('joined', () => { throw new Error('of the handler'); });
      console.error = () => {};
      console.log((await roost.join('r')).epoch, made);
      roost.close(); // leaves nothing that keeps the process
    """
    with_module = subprocess.run(
        ["node", "--input-type=module", "-e", script, "--", f"data:text/javascript,{_quoted()}"],
        capture_output=True, text=True, timeout=20)
    lines = with_module.stdout.splitlines()
    assert with_module.returncode == 0 and len(lines) == 3, with_module
    assert "write http://" in lines[0] and lines[1].startswith("unsupported ") and "no WebSocket" in lines[1], lines
    assert lines[2] == "e ws://localhost:1/ws?user=u", lines


def _quoted():
    from urllib.parse import quote
    return quote((PAGES / "roost.js").read_text())


if __name__ == "__main__":
    sys.exit(run(tests_of(globals(), empty)))
