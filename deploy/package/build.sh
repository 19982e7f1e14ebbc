#!/usr/bin/env bash
# Packs a built program that needs no Swift: a Debian package, or an archive.
#
#   build.sh deb|tarball PROGRAM FOLDER
#
# PROGRAM was built with --static-swift-stdlib. Prints the path of what it has made in FOLDER.
set -euo pipefail

[ $# = 3 ] || { echo "build.sh: expected deb|tarball PROGRAM FOLDER" >&2; exit 64; }
kind=$1
program=$(realpath "$2")
mkdir -p "$3"
folder=$(realpath "$3")
cd "$(dirname "$0")/../.."

if ldd "$program" | grep -q libswift; then
  echo "build.sh: $program needs Swift's libraries: build it with --static-swift-stdlib (make deb, make tarball)" >&2
  exit 65
fi
version=$("$program" --version | cut -d' ' -f2)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"

# What both have: the program, its manual, completion, the documentation.
put() { install -D -m "$1" "$2" "$3"; }
common() { # ROOT BIN SHARE
  mkdir -p "$1/$2"
  strip -o "$1/$2/roost" "$program" && chmod 755 "$1/$2/roost"
  mkdir -p "$1/$3/man/man1" "$1/$3/bash-completion/completions" "$1/$3/zsh/vendor-completions" \
    "$1/$3/fish/vendor_completions.d" "$1/$3/doc/roost"
  "$program" man | gzip -9n >"$1/$3/man/man1/roost.1.gz"
  "$program" completion bash >"$1/$3/bash-completion/completions/roost"
  "$program" completion zsh >"$1/$3/zsh/vendor-completions/_roost"
  "$program" completion fish >"$1/$3/fish/vendor_completions.d/roost.fish"
  put 644 LICENSE "$1/$3/doc/roost/copyright"
  gzip -9nc CHANGELOG.md >"$1/$3/doc/roost/changelog.gz"
  cp -r docs "$1/$3/doc/roost/docs"
  mkdir "$1/$3/doc/roost/examples"
  cp -r deploy/{nginx.conf,listen.conf,upstream.conf,haproxy.cfg,rolling-restart.sh,prometheus,grafana} "$1/$3/doc/roost/examples/"
  chmod -R u=rwX,go=rX "$1"
}

case $kind in
  tarball)
    name=roost-$version-linux-$(uname -m)
    common "$tree/$name" bin share
    put 644 deploy/roost.service "$tree/$name/lib/systemd/system/roost.service"
    put 644 README.md "$tree/$name/README.md"
    # The same input gives the same bytes.
    tar -C "$tree" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@${SOURCE_DATE_EPOCH:-0}" -cf - "$name" |
      gzip -9n >"$folder/$name.tar.gz"
    echo "$folder/$name.tar.gz"
    ;;
  deb)
    architecture=$(dpkg --print-architecture)
    common "$tree" usr/bin usr/share
    mkdir -p "$tree/lib/systemd/system" "$tree/DEBIAN"
    sed -e 's|^ExecStart=/usr/local/bin/roost|ExecStart=/usr/bin/roost|' \
      -e '/^EnvironmentFile=/i Environment=ROOST_CONFIG=/etc/roost/roost.json' deploy/roost.service \
      >"$tree/lib/systemd/system/roost.service"
    chmod 644 "$tree/lib/systemd/system/roost.service"
    put 644 deploy/package/roost.json "$tree/etc/roost/roost.json"
    for script in postinst prerm postrm; do put 755 "deploy/package/$script" "$tree/DEBIAN/$script"; done
    echo /etc/roost/roost.json >"$tree/DEBIAN/conffiles"
    cat >"$tree/DEBIAN/control" <<CONTROL
Package: roost
Version: $version
Architecture: $architecture
Maintainer: The Roost developers <roost@localhost>
Section: net
Priority: optional
Installed-Size: $(du -ks --exclude=DEBIAN "$tree" | cut -f1)
Depends: libc6 (>= 2.36), libstdc++6, libgcc-s1, libhiredis0.14, libssl3, zlib1g, libcurl4
Suggests: redis-server, nginx
Description: pub/sub server for WebSockets, event streams and polls
 Rooms with order, history and presence for browsers and other clients, on one
 node or on a cluster over Redis.
CONTROL
    dpkg-deb --root-owner-group --build "$tree" "$folder/roost_${version}_$architecture.deb" >/dev/null
    echo "$folder/roost_${version}_$architecture.deb"
    ;;
  *) echo "build.sh: expected deb or tarball, not $kind" >&2; exit 64 ;;
esac
