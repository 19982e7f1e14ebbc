# Everything works without a terminal and as root. `make run` and `make test` install what is missing (apt).
#
#   make             this list
#   make run         Redis, three nodes and nginx: open http://localhost:8080 (one node alone where there is no Redis);
#                    PORT=9000 for other ports; prints the addresses of the chat page and of the dashboard, with its token
#   make test        lint, build, all Swift tests, then Chromium on real nodes, then the files of deploy with real balancers
#   make test-swift  the Swift tests alone; FILTER=ServerTests for some of them
#   make test-browser the pages and the browser client in Chromium
#   make test-client the client library: types, npm package, resumes in Node and Chromium while nodes die
#   make client      makes the served roost.min.js of roost.js, and checks its size
#   make errors      writes the tables of docs/errors.md, which are made of those of the code
#   make npm         the npm package of the client, in dist/npm
#   make test-deploy all nodes restarted in turn behind nginx and HAProxy; compose, Kubernetes, systemd and docs checked
#   make test-socketio Socket.IO: the protocols' exchanges, python-socketio, the official client in Chromium
#   make lint        the format of the sources
#   make bench       beside nchan, node ws and a plain send loop; rewrites docs/benchmarks.md (25 minutes, two idle cores)
#   make fuzz        libFuzzer over everything that reads bytes from outside; FUZZ_SECONDS=60 in all
#   make faults      real clusters, sentinels, clocks under seeded faults; FAULT_SECONDS=1800 in all, SEED=7 to repeat
#   make presence    300 real clients on three nodes: whatever breaks, each knows who is there; CLIENTS=300 (two minutes)
#   make bridges     100,000 messages each way between rooms, Kafka and RabbitMQ, while nodes and servers are killed (some minutes)
#   make sanitize    the Swift tests but for the clusters' under AddressSanitizer, then under ThreadSanitizer
#   make conformance the Autobahn test suite, 517 cases in 10 minutes; CASES=fast for half a minute (needs Python 2.7)
#   make dependency  a package that depends on this one, by path and by a tag, built and run (some minutes)
#   make flat        counts instructions: a cost that grows with members, rooms or connections fails (needs valgrind)
#   make release     the optimised program, .build/release/roost
#   make deb         a Debian package of it in .build/package, with unit, settings, manual, completion; needs no Swift to run
#   make tarball     the same as an archive for other distributions
#   make test-package builds both, installs them into folders without Swift and starts them there (needs root; with debootstrap
#                    also in a Debian system of its own)

.PHONY: bridges help run test test-swift test-browser test-client client errors npm test-deploy test-socketio lint build fuzz faults presence sanitize conformance dependency flat release static deb tarball test-package bench check deps

FILTER ?= .
FAULT_SECONDS ?= 1800
CLIENTS ?= 300
SWIFT_FILES = Package.swift Sources Tests

# What the build and the tests need of Debian, and a program or header of each, by which to tell that it is there.
PACKAGES = libhiredis-dev:/usr/include/hiredis/hiredis.h libssl-dev:/usr/include/openssl/ssl.h \
  zlib1g-dev:/usr/include/zlib.h libcurl4-openssl-dev:curl/curl.h pkg-config:pkg-config openssl:openssl \
  redis-server:redis-server php-cli:php prometheus:promtool golang-go:go \
  nginx:nginx haproxy:haproxy chromium:chromium node-typescript:tsc terser:terser node-ws:/usr/share/nodejs/ws/package.json \
  librdkafka-dev:/usr/include/librdkafka/rdkafka.h librabbitmq-dev:/usr/include/amqp.h rabbitmq-server:rabbitmq-server \
  nodejs:node npm:npm python3:python3 python3-venv:ensurepip procps:ps

help:
	@sed -n 's/^#   //p' Makefile

run: deps release
	@deploy/run.sh

test: deps lint
	@bash Tests/run.sh

test-swift: check
	swift test --filter '$(FILTER)'

test-browser: check build
	@bash Tests/browser/run.sh

test-client: check build
	@bash Tests/client/run.sh

client: check
	bash deploy/npm/minify.sh > .build/roost.min.js && mv .build/roost.min.js Sources/Server/Pages/roost.min.js
	python3 Tests/client/package_test.py

errors: check
	WRITE_ERRORS=1 swift test --filter ErrorPageTests

npm:
	@bash deploy/npm/make.sh

test-deploy: check build
	@bash Tests/deploy/run.sh

test-socketio: check build
	@bash Tests/socketio/run.sh

lint:
	swift format lint --strict -r $(SWIFT_FILES)

build:
	swift build --build-tests

fuzz: check
	@bash Tests/Fuzz/run.sh

faults: check
	FAULT_SECONDS=$(FAULT_SECONDS) $(if $(SEED),SEED=$(SEED)) swift test --filter FaultTests

presence: check
	PRESENCE_CLIENTS=$(CLIENTS) swift test --filter PresenceLawTests

bridges: check
	BRIDGE_MESSAGES=100000 swift test --filter BridgesTests

sanitize: check
	@bash Tests/sanitize.sh

conformance: release
	@ROOST_BINARY=.build/release/roost bash Tests/conformance/run.sh

dependency: check
	@bash Tests/dependency/run.sh

flat: check
	@bash Tests/flat/run.sh

release:
	swift build -c release --product roost

static: check
	swift build -c release --static-swift-stdlib --product roost

deb: static
	@deploy/package/build.sh deb .build/release/roost .build/package

tarball: static
	@deploy/package/build.sh tarball .build/release/roost .build/package

test-package: static
	@python=$$(bash Tests/venv.sh) && "$$python" Tests/deploy/package_test.py \
	  "$$(deploy/package/build.sh deb .build/release/roost .build/package)" \
	  "$$(deploy/package/build.sh tarball .build/release/roost .build/package)"

bench: check release
	python3 Tests/bench/run.py
	python3 Tests/bench/transports.py --docs docs

check:
	@bash Tests/packages.sh check $(PACKAGES)

deps:
	@bash Tests/packages.sh install $(PACKAGES)
