# tapmig: see README.md
#
#   make                builds the extension for the PostgreSQL of PG_CONFIG
#   make install        installs it there (and bin/tapmig into its bin directory)
#   make demo           a tour on a throw-away server; installs what it lacks
#   make test           all tests, likewise; TESTS='name ...' for some of them
#   make test-all       the same on PostgreSQL 15, 17 and 18, as root, in roots of
#                       Debian under build/; TEST_ON='17 18' for some versions,
#                       TEST_MINUTES=45 for what can be begun in that time
#   make test-assert    the same on a PostgreSQL with assertions, built under build/
#   make test-memory    test/sql and more under valgrind, on a PostgreSQL built for it
#   make fuzz           libFuzzer on the reading of scripts; ARGS='--seconds 3600'
#   make chaos          random scripts, runners and faults; ARGS='--rounds 20 --seed 1'
#   make equality       psql against tapmig on all of PostgreSQL's own scripts (long);
#                       MODE=cut, MODE=steps: see test/README.md
#   make bench          what tapmig costs, in time and memory (long); see bench/README.md
#   make psql           psql in a throw-away server with the extension
#   make format         clang-format over src
#   make clean
#
# Variables: PG_CONFIG (of another PostgreSQL), WERROR=-Werror (a warning is an
# error; "make test" does that by itself), DESTDIR.

# These work on a machine that has only git and make yet, so that nothing may
# ask pg_config before they run.
HOUSE_TARGETS = demo test test-all test-assert test-memory fuzz chaos equality bench psql packages format help

.PHONY: all $(HOUSE_TARGETS)
.DEFAULT_GOAL = all

demo:
	@bash examples/demo.sh

test:
	@bash test/lib/run.sh $(TESTS)

chaos:
	@bash test/chaos/chaos.sh $(ARGS)

equality:
	@EQUALITY=all EQUALITY_MODE=$(MODE) PG_TEST_BOUND=7200 bash test/lib/run.sh 710_equality

test-all:
	@bash test/lib/all.sh $(TESTS)

test-assert:
	@bash test/lib/assert.sh $(TESTS)

bench:
	@bash bench/compare.sh $(ARGS)
	@bash bench/ledger_growth.sh
	@bash bench/memory.sh

test-memory:
	@bash test/lib/memory.sh $(TESTS)

fuzz:
	@bash test/fuzz/fuzz.sh $(ARGS)

psql:
	@bash test/lib/psql.sh

packages:
	@bash test/lib/packages.sh test

format:
	clang-format -i src/*.c src/*.h

help:
	@sed -n '3,/^$$/s/^#$$\|^# //p' Makefile

ifneq (,$(filter-out $(HOUSE_TARGETS),$(or $(MAKECMDGOALS),all)))

EXTENSION    = tapmig
SRCDIR      := $(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST))))
EXTVERSION  := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" $(SRCDIR)/tapmig.control)

MODULE_big   = tapmig
OBJS        := $(sort $(patsubst $(SRCDIR)/%.c,%.o,$(wildcard $(SRCDIR)/src/*.c)))
DATA        := $(patsubst $(SRCDIR)/%,%,$(wildcard $(SRCDIR)/sql/tapmig--*--*.sql))
DATA_built   = tapmig--$(EXTVERSION).sql
SCRIPTS      = bin/tapmig
EXTRA_CLEAN  = tapmig--*.sql build

# The server's own headers are not clean of unused parameters.
WERROR      ?=
PG_CPPFLAGS  = -DTAPMIG_VERSION='"$(EXTVERSION)"'
PG_CFLAGS    = -Wall -Wextra -Wno-unused-parameter $(WERROR)
SHLIB_LINK   = -Wl,--version-script=$(SRCDIR)/src/exports.map

# The same suites as "make test", without its TAP tests, on an installed server
REGRESS     := $(sort $(basename $(notdir $(wildcard $(SRCDIR)/test/sql/*.sql))))
REGRESS_OPTS = --inputdir=$(SRCDIR)/test --load-extension=tapmig
ISOLATION   := $(sort $(basename $(notdir $(wildcard $(SRCDIR)/test/specs/*.spec))))
ISOLATION_OPTS = --inputdir=$(SRCDIR)/test --outputdir=. --load-extension=tapmig

# Bitcode would ask for the very clang that PostgreSQL was built with.
override with_llvm = no

PG_CONFIG   ?= pg_config
PGXS        := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifeq (,$(wildcard $(PGXS)))
$(error PostgreSQL's build files are not there: $(PG_CONFIG) --pgxs says "$(PGXS)". On Debian: apt-get install postgresql-server-dev-15, or name another PG_CONFIG)
endif
include $(PGXS)

$(OBJS): $(wildcard $(SRCDIR)/src/*.h) $(SRCDIR)/Makefile $(SRCDIR)/tapmig.control
$(shlib): $(SRCDIR)/src/exports.map

$(DATA_built): $(SRCDIR)/sql/tapmig.sql $(SRCDIR)/tapmig.control
	cp $< $@

endif
