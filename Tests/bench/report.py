"""Writes what was measured: a table for the terminal, docs/benchmarks.md, and docs/bench.svg drawn by hand."""
from xml.sax.saxutils import escape

ORDER = ["roost", "send loop", "nchan", "node ws"]
COLOURS = {"roost": "#b8482a", "send loop": "#9aa0a6", "nchan": "#3f6e8c", "node ws": "#6f8f4e"}
UNITS = {"rate": "deliveries/s", "latency": "p50 / p99 ms", "cpu": "handshakes a CPU-second", "memory": "bytes"}
# Rows whose bars stand in the picture; rates only, so that longer is better throughout.
DRAWN = ["fan1", "fan16", "rooms", "x-fan16", "x-rooms", "x-rooms1000"]


def short(value):
    """Three significant digits with a unit that readers of rates know."""
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            scaled = value / size
            return f"{scaled:.2f}{suffix}" if scaled < 10 else f"{scaled:.0f}{suffix}"
    return f"{value:.0f}"


def cell(row, sums):
    """One peer's figure with its ratio to roost."""
    if sums is None:
        return "–"
    if row["kind"] == "latency":
        text = f"{sums['p50'] / 1000:.2f} / {sums['p99'] / 1000:.2f}"
    elif row["kind"] == "memory":
        text = f"{sums['value']:,.0f}"
    else:
        text = short(sums["value"])
    own = row["peers"].get("roost")
    if own and sums is not own and own["value"] and sums["value"]:
        text += f" ({sums['value'] / own['value']:.2f})"
    faults = sums["lost"] + sums["duplicates"] + sums["reordered"]
    return text + ("†" if sums["limited"] else "") + (f" **{faults} faults**" if faults else "")


def cpu_cell(row, sums):
    """Deliveries a CPU-second of one peer, with the ratio to roost."""
    if sums is None or not sums.get("perCPUSecond"):
        return "–"
    own = row["peers"].get("roost", {}).get("perCPUSecond")
    text = short(sums["perCPUSecond"])
    return text if not own or sums is row["peers"].get("roost") else f"{text} ({sums['perCPUSecond'] / own:.2f})"


def redis_cell(row, cost):
    """What a message costs Redis, with the ratio to the plain script of the same rounds."""
    if cost is None:
        return "–"
    plain = row["plainScript"]
    return f"{cost:.2f}" + (f" ({cost / plain:.2f})" if plain and cost != plain else "")


def used(table):
    return [name for name in ORDER if any(name in row["peers"] for row in table)]


def figure_rows(table):
    """What was measured, as rows of text below their headline."""
    names = used(table)
    return [["", *names]] + [
        [f"{row['title']}, {UNITS[row['kind']]}", *(cell(row, row["peers"].get(name)) for name in names)] for row in table]


def cpu_rows(table):
    """Deliveries a CPU-second, as rows of text below their headline."""
    names = used(table)
    return [["", *names]] + [[row["title"], *(cpu_cell(row, row["peers"].get(name)) for name in names)]
                             for row in table if row["kind"] == "rate"]


def redis_rows(table):
    """Redis' processor time for each message, as rows of text below their headline."""
    across = [row for row in table if row["across"]
              and any("redisMicroseconds" in sums for sums in row["peers"].values())]
    names = used(across)
    return [["", *names, "plain script"]] + [
        [row["title"], *(redis_cell(row, row["peers"].get(name, {}).get("redisMicroseconds")) for name in names),
         redis_cell(row, row["plainScript"])] for row in across]


def aligned(rows):
    """Rows for a terminal."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows)


def marked(rows):
    """Rows as a table of Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "| --- |" + " --- |" * (len(rows[0]) - 1), *lines[1:]])


def write(table, machine, folder):
    with open(f"{folder}/bench.svg", "w", encoding="utf-8") as target:
        target.write(drawing(table, machine))
    path = f"{folder}/benchmarks.md"
    with open(path, encoding="utf-8") as source:
        old = source.read()
    with open(path, "w", encoding="utf-8") as target:
        target.write(with_section_of(old, document(table, machine)))


def with_section_of(old, page):
    """A new page with the section by transport of the old one: transports.py measures it."""
    start = old.find("## By transport")
    return page if start < 0 else page.replace(
        "## How it was measured", old[start:old.index("\n## ", start) + 1] + "## How it was measured", 1)


def document(table, machine):
    versions = "; ".join(f"{name} {text}" for name, text in machine["versions"].items())
    return f"""# Benchmarks

This page is for readers who compare servers: what was measured, with which peers, and how.

![Rates of roost and its peers](bench.svg)

Measured on {machine['date']}: {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, loopback only. {versions}.
`make bench` repeats all measurements and rewrites this page.

{marked(figure_rows(table))}

In parentheses: the ratio to roost. †: the generator used over 90 % of its core, so the server could have done more.
Every row is the median of {machine['rounds']} runs of {machine['seconds']} s; peers take turns within each round, so that other load on the
machine affects all alike. Rates vary with the machine, ratios hardly.

Deliveries for each second of processor time of all the server's processes, second node and Redis included, and of the
kernel's thread that handles the core's packets under load (ksoftirqd):

{marked(cpu_rows(table))}

Redis' processor time for each message, in µs: of its whole process, from reading the command to sending to both nodes. In
parentheses: the ratio to a plain script (INCR, XADD MAXLEN ~ 100, PUBLISH; 16 calls at a time, nobody subscribed) in the
same rounds, because this too varies with the machine. One to one, Redis wakes up for every single message, and that is most of
the time. The node program keeps no history and only publishes.

{marked(redis_rows(table))}

## How it was measured

- All servers, Redis and second nodes are pinned to core 0, the load generator to core 1. `Across nodes` means: publishers
  on one node, members on another, both with one Redis on the same core. Roost keeps history there, nchan keeps its
  messages in Redis, the node program only relays.
- The messages published have 128 bytes. Roost adds user, offset and time, so its deliveries are some 60 bytes longer.
- An idle connection of roost has a user of its own and is a member of two rooms with ten members each, on the embedded
  broker. An idle connection of the peers is in one room and has no user, because they have none.
- A handshake is connect, upgrade, the server's first message if it sends one, the closing handshake, and the end.
- A message is in flight until the *slowest* member of its room has it; the next one waits for that. At a fixed rate
  latency counts from when a message was due, not from when it could be sent.
- Every delivery is checked: each member must receive every number of its room once, in order. A run with a loss, a
  duplicate or a wrong order is marked, and a fault of roost fails `make bench`.
- The generator receives and sends through io_uring where the kernel allows it, for all servers alike, so that it costs
  less than the servers. A delivery's time ends with the system call that received it.
- `send loop` is the limit: a server that writes each message to all connections of a room in one loop of `send` and does nothing
  else (`roost bench raw`). It has one room, no slow readers and no limits.
- `nchan` is nginx's module with its documented settings (deploy/bench/nchan.conf); `node ws` is Debian's node-ws with a
  few lines of rooms and Redis Pub/Sub (deploy/bench/plain-ws.js), without history, presence or acknowledgements.

## Measuring your own server

```
roost bench fanout --url ws://127.0.0.1:8080/ws --connections 1000 --window 16
roost bench rooms --urls ws://10.0.0.1:8080/ws,ws://10.0.0.2:8080/ws --rooms 1000 --members 5 --rate 5000
roost bench idle --url ws://127.0.0.1:8080/ws --connections 10000 --pid "$(pgrep -n roost)"
roost bench idle --deflate --url ws://127.0.0.1:8080/ws --connections 10000 --pid "$(pgrep -n roost)"
roost bench connect --url ws://127.0.0.1:8080/ws --connections 64
roost bench echo --url ws://127.0.0.1:8080/echo --connections 100 --size 64
```

`--json` prints one object for programs. The status is 1 when messages were lost, repeated or out of order. If the
generator used over 90 % of its core, it reports that: then give it a faster core, or conclude only that the server is faster.

Three more scripts measure what the tables do not: `Tests/bench/crowd.py` holds 50,000 idle connections over
several workers, `slow.py` stops 50 of 1,000 readers under every policy, `storm.py` connects 100,000 times a minute.
"""


def drawing(table, machine):
    """Bars in groups, each group scaled to its longest bar, with the figures written out."""
    rows = [row for key in DRAWN for row in table if row["key"] == key and row["peers"]]
    parts, y = [], 64
    for row in rows:
        parts.append(f'<text x="24" y="{y}" class="title">{escape(row["title"])}</text>')
        longest = max(sums["value"] for sums in row["peers"].values()) or 1
        y += 10
        for name in [name for name in ORDER if name in row["peers"]]:
            sums = row["peers"][name]
            width = max(1, round(480 * sums["value"] / longest))
            parts.append(f'<text x="104" y="{y + 12}" class="name">{escape(name)}</text>')
            parts.append(f'<rect x="112" y="{y + 1}" width="{width}" height="14" fill="{COLOURS[name]}"/>')
            parts.append(f'<text x="{120 + width}" y="{y + 12}" class="value">{short(sums["value"])}'
                         f'{"†" if sums["limited"] else ""}</text>')
            y += 19
        y += 22
    note = f"{machine['date']}, {machine['cpu']}, servers on one core, 128-byte messages. † the generator was the limit."
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 680 {y + 20}" width="680" height="{y + 20}" role="img"
  aria-label="Deliveries a second of roost and its peers">
<style>
  text {{ font-family: system-ui, sans-serif; font-size: 12px; fill: #333 }}
  .head {{ font-size: 15px; font-weight: 600 }}
  .title {{ font-weight: 600 }}
  .name {{ text-anchor: end }}
  .note {{ font-size: 11px; fill: #666 }}
</style>
<rect width="100%" height="100%" fill="#fff"/>
<text x="24" y="30" class="head">Deliveries a second (longer is better)</text>
{chr(10).join(parts)}
<text x="24" y="{y}" class="note">{escape(note)}</text>
</svg>
"""
