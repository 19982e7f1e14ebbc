# Run `make deps` once, then `make test`. Everything works without a terminal and as root.
#
#   make run         a node on http://127.0.0.1:8080, without Redis
#   make test        lint, build, all Swift tests, then two Chromium pages on two nodes
#   make test-swift  the Swift tests alone; FILTER=ServerTests for some of them
#   make test-browser
#   make lint
#   make release     the optimised program, .build/release/roost

.PHONY: run test test-swift test-browser lint build release check deps

FILTER ?= .
SWIFT_FILES = Package.swift Sources Tests

# What the build and the tests need of Debian, and a program or header of each, by which to tell that it is there.
PACKAGES = libhiredis-dev:/usr/include/hiredis/hiredis.h libssl-dev:/usr/include/openssl/ssl.h \
  zlib1g-dev:/usr/include/zlib.h libcurl4-openssl-dev:curl/curl.h pkg-config:pkg-config redis-server:redis-server \
  nginx:nginx chromium:chromium python3:python3 python3-venv:ensurepip procps:ps

run:
	swift run roost serve

test: check lint
	@bash Tests/run.sh

test-swift: check
	swift test --filter '$(FILTER)'

test-browser: check build
	@bash Tests/browser/run.sh

lint:
	swift format lint --strict -r $(SWIFT_FILES)

build:
	swift build --build-tests

release:
	swift build -c release --product roost

check:
	@bash Tests/packages.sh check $(PACKAGES)

deps:
	@bash Tests/packages.sh install $(PACKAGES)
