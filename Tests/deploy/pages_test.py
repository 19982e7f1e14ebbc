"""What holds on every page of the documentation: links, the index, tables of settings, limits, metrics and commands.

    python3 pages_test.py

ROOST_BINARY names the program (default .build/debug/roost). Ends with 'N passed, N failed'.
"""

import json
import re
import subprocess
import sys
import tempfile
import urllib.request

from docs_test import PAGES, blocks
from files_test import settings
from processes import ROOST, ROOT, Processes, free_port, http_status, until
from runner import run

DOCS = ROOT / "docs"
PLAIN_DEFAULT = re.compile(r"\d+(ms|s|m|h|k)?|on|off|none|all|info|auto|roost|random|\d+\.\d+\.\d+\.\d+")
# Words that the pages do not use: each has a plainer one.
BANNED = [r"\bwhoever\b", r"\b(is|are|was|were|be) told\b", r"\bunasked\b", r"\bcomings\b", r"what does not hold",
          r"what holds when"]


def prose(page):
    """The text of a page without its fenced examples."""
    return re.sub(r"^ *```\w*\n.*?^ *```$", "", page.read_text(), flags=re.M | re.S)


def anchors(page):
    """The names of a page's headings, as links write them; a repeated heading gets a number."""
    seen, names = {}, set()
    for heading in re.findall(r"^#+ +(.*?) *$", prose(page), re.M):
        name = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        seen[name] = seen.get(name, -1) + 1
        names.add(f"{name}-{seen[name]}" if seen[name] else name)
    return names


def tables(page, *headline):
    """The rows of the tables of a page that begin with these columns, as lists of cells."""
    rows, inside = [], False
    for line in prose(page).splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] if line.startswith("|") else []
        if cells[:len(headline)] == list(headline):
            inside = True
        elif not cells:
            inside = False
        elif inside and not re.fullmatch(r"[\s|:-]+", line):
            rows.append(cells)
    return rows


def documented_settings():
    """The settings that the tables of docs/operations.md name, with the text of their defaults."""
    found = {}
    page = DOCS / "operations.md"
    for cells in tables(page, "setting", "default") + tables(page, "limit", "default"):
        for name in re.findall(r"`([a-z0-9-]+)`", cells[0]):
            assert name not in found or name == "auth-timeout", f"{name} has two rows"
            found[name] = cells[1]
    return found


class Suite:
    def every_link_leads_to_a_file_or_heading(self):
        checked = 0
        for page in PAGES:
            for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
                if re.match(r"[a-z]+:", target):
                    continue
                name, _, heading = target.partition("#")
                path = (page.parent / name).resolve() if name else page
                assert path.exists(), (page.name, target)
                assert not heading or heading in anchors(path), (page.name, target, sorted(anchors(path)))
                checked += 1
        assert checked > 80, checked

    def the_index_and_the_readme_lead_to_every_page(self):
        index = set(re.findall(r"\]\(([^)#\s]+)", (DOCS / "README.md").read_text()))
        missing = {page.name for page in DOCS.glob("*.md")} - index - {"README.md"}
        assert not missing, missing
        front = (ROOT / "README.md").read_text()
        for page in [*ROOT.glob("*.md"), DOCS / "README.md"]:
            if page.name != "README.md" or page.parent == DOCS:
                assert f"]({page.relative_to(ROOT)})" in front, page.name

    def every_page_has_one_title_and_names_its_reader(self):
        for page in DOCS.glob("*.md"):
            text = prose(page)
            assert text.startswith("# ") and len(re.findall("^# ", text, re.M)) == 1, page.name
            if page.name not in ("README.md", "glossary.md"):
                assert "This page is for " in text.split("\n## ")[0], page.name

    def the_pages_avoid_the_words_that_have_plainer_ones(self):
        for page in PAGES:
            text = re.sub(r"^\| `P:.*$", "", prose(page), flags=re.M)  # the table of keys has a language of its own
            text = re.sub("“.*?”", "", text, flags=re.S)  # the names of tests are quoted as they are
            for pattern in BANNED:
                hit = re.search(pattern, text, re.I)
                assert not hit, (page.name, hit)

    def the_tables_of_settings_name_every_option(self):
        documented = documented_settings()
        assert set(documented) == set(settings()), set(documented) ^ set(settings())

    def the_tables_of_settings_have_the_defaults_of_the_program(self):
        documented, compared = documented_settings(), 0
        for name, default in settings().items():
            text = documented[name].strip("`")
            if default is None:
                continue
            public = re.fullmatch(r"(\w+) from public addresses", default)
            if public:
                assert text.startswith(f"{public[1]}, public"), (name, text, default)
            elif PLAIN_DEFAULT.fullmatch(default):
                assert re.match(rf"{re.escape(default)}(,|$)", text), (name, text, default)
            else:
                continue
            compared += 1
        assert compared > 35, compared

    def the_table_of_room_rules_has_every_key(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write('{"rooms":[{"match":"a","unknown":1}]}')
            file.flush()
            outcome = subprocess.run([ROOST, "serve", "--config", file.name, "--port", "0"], capture_output=True, text=True)
        assert outcome.returncode == 64, outcome
        known = set(outcome.stderr.strip().split("expected ")[1].split(", "))
        documented = {cells[0].strip("`") for cells in tables(DOCS / "rooms.md", "key", "default", "effect")}
        assert documented == known and "match" in known, documented ^ known

    def every_setting_that_a_page_names_by_its_variable_exists(self):
        known = {"ROOST_" + name.upper().replace("-", "_") for name in settings()}
        elsewhere = {"ROOST_URL", "ROOST_TOKEN", "ROOST_IMAGE", "ROOST_FILES", "ROOST_BINARY", "ROOST_"}
        for page in PAGES:
            for name in re.findall(r"\bROOST_[A-Z_]*\b", page.read_text()):
                assert name in known | elsewhere, (page.name, name)

    def the_table_of_metrics_is_that_of_a_node(self):
        processes = Processes()
        try:
            port = free_port()
            processes.start("node", [ROOST, "serve", "--port", str(port), "--host", "127.0.0.1"])
            until("the node is ready", lambda: http_status(port) == 200)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                served = set(re.findall(r"^# TYPE (\w+)", answer.read().decode(), re.M))
        finally:
            processes.end()
        documented = {name for cells in tables(DOCS / "operations.md", "metric", "meaning")
                      for name in re.findall(r"`(\w+)", cells[0])}
        assert len(served) > 20 and documented == served, documented ^ served

    def the_table_of_commands_is_that_of_the_program(self):
        text = subprocess.run([ROOST, "help"], capture_output=True, text=True, check=True).stdout
        known = set(re.findall(r"^  ([a-z]+)\b", text, re.M))
        documented = {re.match(r"`roost ([a-z]+)", cells[0])[1]
                      for cells in tables(DOCS / "commands.md", "command", "what it does")}
        assert documented == known and "serve" in known, documented ^ known

    def the_table_of_close_codes_says_when_roost_js_reconnects(self):
        [client] = ROOT.glob("Sources/**/roost.js")
        known = set(map(int, re.search(r"RECONNECT_CODES = new Set\(\[(.*?)\]", client.read_text())[1].split(",")))
        documented = {int(code) for cells in tables(DOCS / "protocol.md", "code", "meaning", "reconnect?")
                      for code in cells[0].split(",") if not cells[2].startswith("no")}
        assert documented == known - {1006}, documented ^ known  # 1006 is no code that is sent; the text has it

    def the_table_of_errors_has_every_code(self):
        [source] = ROOT.glob("Sources/**/ErrorCode.swift")
        cases = re.findall(r"^  case (.*)$", source.read_text(), re.M)
        known = {re.search(r'"(\w+)"', each)[1] if '"' in each else each for line in cases for each in line.split(", ")}
        documented = {name for cells in tables(DOCS / "protocol.md", "code", "meaning") if "`" in cells[0]
                      for name in re.findall(r"`(\w+)`", cells[0])}
        assert documented == known, documented ^ known

    def the_comparison_has_a_source_beside_its_claims(self):
        text = (DOCS / "comparison.md").read_text()
        sources = dict(re.findall(r"^\| (\d+) \| <(\S+?)>", text, re.M))
        listed = {number: re.findall(r"<(\S+?)>", line) for number in sources
                  for line in [re.search(rf"^\| {number} \| .*$", text, re.M)[0]]}
        used = re.findall(r"\[(\d+)\]\((\S+?)\)", text)
        assert {number for number, _ in used} == set(sources), set(sources) ^ {number for number, _ in used}
        for number, address in used:
            assert address in listed[number], (number, address)

    def every_command_and_option_of_an_example_exists(self):
        for page in PAGES:
            for _, text in blocks(page):
                for command, rest in re.findall(r"^(?:\$ )?roost ([a-z]+)((?: .*)?)$", text, re.M):
                    outcome = subprocess.run([ROOST, command, "--help"], capture_output=True, text=True)
                    assert outcome.returncode == 0, (page.name, command, outcome)
                    for option in re.findall(r" (--[a-z-]+)", rest.split("$(")[0]):
                        if command != "bench":
                            assert option in outcome.stdout, (page.name, command, option)

    def every_target_of_make_in_an_example_exists(self):
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
        for page in PAGES:
            for line in re.findall(r"^make ([a-z -]+)", "\n".join(blocks(page, "sh")), re.M):
                assert set(line.split()) <= targets, (page.name, line)

    def every_shell_example_parses(self):
        for page in PAGES:
            for text in blocks(page, "sh"):
                outcome = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
                assert outcome.returncode == 0, (page.name, text, outcome.stderr)

    def every_json_example_parses(self):
        for page in PAGES:
            for text in blocks(page, "json"):
                json.loads(text.replace("…", ""))


if __name__ == "__main__":
    sys.exit(run(Suite))
