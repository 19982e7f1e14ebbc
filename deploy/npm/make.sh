#!/bin/bash
# Makes the folder of the npm package in dist/npm (or in the folder that is given), ready for npm pack or npm publish.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=${1:-dist/npm}
version=$(sed -n 's/.*static let version = "\(.*\)"/\1/p' Sources/Server/Node/Node.swift)
rm -rf "$folder"
mkdir -p "$folder"
cp Sources/Server/Pages/roost.js Sources/Server/Pages/roost.d.ts deploy/npm/README.md LICENSE "$folder"
cat > "$folder/package.json" <<END
{
  "name": "roost-client",
  "version": "$version",
  "description": "Client of Roost: rooms, presence and messages over WebSocket, event streams or polls",
  "license": "Apache-2.0",
  "type": "module",
  "sideEffects": false,
  "main": "./roost.js",
  "types": "./roost.d.ts",
  "exports": {
    ".": {
      "types": "./roost.d.ts",
      "default": "./roost.js"
    },
    "./package.json": "./package.json"
  },
  "files": ["roost.js", "roost.d.ts", "README.md", "LICENSE"],
  "engines": {"node": ">=20"},
  "keywords": ["roost", "websocket", "server-sent-events", "polling", "pubsub", "presence", "realtime"]
}
END
echo "$folder: roost-client $version"
