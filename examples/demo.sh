#!/bin/bash
# demo.sh: what "make demo" does: a tour of tapmig on a throw-away server, which
# is gone at the end. Fails when something does not go as it says.

set -uo pipefail

# shellcheck source-path=SCRIPTDIR source=../test/lib/house.sh
. "$(dirname "${BASH_SOURCE[0]}")/../test/lib/house.sh"

if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi

title() { printf '\n%s== %s%s\n\n' "$bold" "$1" "$plain"; }
text() { printf '%s\n' "$@"; }

# expect EXIT COMMAND...: shows the command, runs it, holds it to its exit code.
expect() {
  local wanted=$1 got=0 word shown=''
  shift

  for word; do
    case $word in
      *[!A-Za-z0-9_./=:@,-]* | '') shown+=" \"$word\"" ;;
      *) shown+=" $word" ;;
    esac
  done
  printf '%s$%s%s\n' "$bold" "$shown" "$plain"
  house_run "$@" 2>&1 || got=$?
  if [ "$got" != 0 ]; then
    echo "(exit code $got)"
  fi
  if [ "$got" != "$wanted" ]; then
    house_die "The demo expected exit code $wanted here."
  fi
  # psql ends a table with an empty line by itself
  [[ $1 = psql && $2 = -c ]] || echo
}

started=$SECONDS
house_begin demo
text "Building the extension, and a private copy of PostgreSQL in $RUN ..."
house_build || exit 1
house_install || exit 1
house_server
revision=$(git -C "$TOP" rev-parse --short HEAD 2>/dev/null) && export TAPMIG_REVISION=$revision
export PGDATABASE=fleet PSQLRC=/dev/null PAGER=cat
cd "$RUN/work" || exit 1
cp -R "$RUN/tree/examples/migrations" migrations
house_own migrations

title "1. A database, and tapmig in it"
PGDATABASE=postgres expect 0 psql -q -c 'CREATE DATABASE fleet'
expect 0 psql -q -c 'CREATE EXTENSION tapmig'

title "2. A directory of migrations goes in"
text "examples/migrations: the fleet of a company's agents. 001 is pg_dump's output of" \
  "the database as it was; 010 compensates 009." ""
expect 0 ls migrations
expect 6 tapmig status
expect 0 tapmig up
text "The same again has nothing to do, and prints nothing:" ""
expect 0 tapmig up
expect 0 tapmig status

title "3. What was done stands in the database"
expect 0 psql -c 'SELECT version, name, statements, elapsed, source FROM tapmig.schema_migrations ORDER BY version'
expect 0 psql -c "SELECT hostname, region, release FROM silent_agents ORDER BY hostname LIMIT 4"

title "4. A migration that fails leaves nothing"
cat >migrations/011_agent_limits.sql <<'SQL'
-- Why: the support contract limits what an agent may report.

CREATE TABLE public.agent_limits (
    agent_id bigint PRIMARY KEY REFERENCES public.agents,
    per_hour integer NOT NULL
);
INSERT INTO public.agent_limits SELECT agent_id, 60 FROM public.agents;

ALTER TABLE public.agents
    ADD CONSTRAINT agents_memory_enough CHECK (memory_mb >= 4096);
SQL
expect 0 cat migrations/011_agent_limits.sql
expect 1 tapmig up
text "Neither its table nor a row in the ledger is there:" ""
expect 0 psql -c "SELECT to_regclass('public.agent_limits') AS agent_limits, tapmig.is_applied('011') AS recorded"
text "Three machines have less memory. With that line changed it goes in:" ""
sed -i 's/>= 4096/>= 2048/' migrations/011_agent_limits.sql
expect 0 tapmig up

title "5. A file that was changed after it was applied"
text "Somebody edits 002, where it is applied already: load becomes numeric." ""
cp migrations/002_heartbeats.sql "$RUN/002"
sed -i 's/load       real/load       numeric/' migrations/002_heartbeats.sql
expect 4 tapmig up
cp "$RUN/002" migrations/002_heartbeats.sql

title "6. No runner is needed: a migration is one SQL call"
expect 0 psql -c "SELECT tapmig.apply('012_tags', 'CREATE TABLE tags (tag text PRIMARY KEY)')"
expect 0 psql -c "SELECT tapmig.apply('012_tags', 'CREATE TABLE tags (tag text PRIMARY KEY)')"
text "And nobody has edited the ledger (no row: all is well):" ""
expect 0 psql -c 'SELECT * FROM tapmig.verify()'

title "Where to go next"
text "  README.md             installing into your own server; use from Python, Node, Java" \
  "  make psql             psql in a throw-away server with tapmig" \
  "  make test             all tests" \
  "  tapmig --help         the runner's commands (bin/tapmig)" \
  "  \\dx+ tapmig           in psql: everything the extension brings" \
  "" "The server of this demo is gone again. It took $((SECONDS - started)) seconds."
