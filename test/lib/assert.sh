#!/bin/bash
# assert.sh [NAME ...]: what "make test-assert" does: "make test" on a PostgreSQL
# of its own with assertions (--enable-cassert), which fails where the
# extension breaks one of the server's rules without a visible effect.

set -uo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source-path=SCRIPTDIR source=own_server.sh
. "$TOP/test/lib/own_server.sh"

own_server assert assertions
PG_CONFIG=$OWN_PG_CONFIG exec bash "$TOP/test/lib/run.sh" "$@"
