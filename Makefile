# The verbs people type. Meson and Ninja do the work; `make` alone builds build/pharos.
NINJA := ninja
JOBS  := $(shell nproc)

all: build/build.ninja
	@$(NINJA) -C build

build/build.ninja:
	@scripts/setup.sh --check || scripts/setup.sh
	@meson setup build --buildtype=debugoptimized -Db_lto=false >/dev/null

build-san/build.ninja:
	@scripts/setup.sh --check || scripts/setup.sh
	@CC=clang-19 CXX=clang++-19 CC_LD=lld CXX_LD=lld meson setup build-san --buildtype=debug -Doptimization=1 \
	    -Db_sanitize=address,undefined -Db_lundef=false -Dtests=true -Dwerror=true >/dev/null

build-tsan/build.ninja:
	@CC=clang-19 CXX=clang++-19 CC_LD=lld CXX_LD=lld meson setup build-tsan --buildtype=debug -Doptimization=1 \
	    -Db_sanitize=thread -Db_lundef=false -Dtests=true >/dev/null

build-fuzz/build.ninja:
	@CC=clang-19 CXX=clang++-19 CC_LD=lld CXX_LD=lld meson setup build-fuzz --buildtype=debug -Doptimization=1 \
	    -Db_sanitize=address,undefined -Db_lundef=false -Dfuzz=true >/dev/null

run: all ## start everything on this machine and open http://127.0.0.1:9090
	@scripts/run.sh

test: all build-san/build.ninja ## unit, conformance, crash (short forms); ends with "N passed, N failed"
	@scripts/run_tests.sh

tsan: build-tsan/build.ninja ## unit tests, and the server with everything at once, under ThreadSanitizer
	@BUILD=build-tsan scripts/run_tests.sh --unit-only && tests/e2e/sanitized.py --binary build-tsan/pharos --seconds 60

fuzz: build-fuzz/build.ninja ## every target for SECONDS_EACH seconds (default 60); FUZZ=name for one
	@scripts/fuzz.sh

bench: all ## benchmarks, beside the peers where they are unpacked
	@scripts/bench.sh

check: build-san/build.ninja ## format, tidy, layer order, banned calls
	@scripts/check.sh

reach: ## the goals of all issues so far and what was measured
	@scripts/reach.py

package: all ## dist/: a Debian package, a tarball, their SBOM
	@packaging/package.sh

clean:
	@rm -rf build build-san build-tsan build-fuzz dist

help:
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*##/\t/'

.PHONY: all run test tsan fuzz bench check reach package clean help
