#!/bin/bash
# Prints roost.js as nodes serve it: without comments and with short names, made by terser (Debian package terser). The
# first line has the SHA-256 of the source, by which a test finds a served file that is older than its source.
set -euo pipefail
cd "$(dirname "$0")/../.."

source=Sources/Server/Pages/roost.js
# Debian keeps the modules of its JavaScript programs where only Debian's own node looks.
export NODE_PATH=/usr/share/nodejs${NODE_PATH:+:$NODE_PATH}
echo "// Roost, Apache License 2.0, made of roost.js by make client: sha256 $(sha256sum "$source" | cut -d' ' -f1)"
terser --module --compress passes=3 --ecma 2022 --mangle -- "$source"
