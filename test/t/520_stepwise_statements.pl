# Every kind of statement that cannot run in a transaction block runs, and
# tapmig.statements shows beforehand which steps they make.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main', init => [ allows_streaming => 'logical' ], conf => "allow_in_place_tablespaces = on\n");
my $n    = 100;

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (a int PRIMARY KEY, b int);
INSERT INTO t SELECT g, g FROM generate_series(1, 100) g;
CREATE INDEX t_b ON t (b);
CREATE MATERIALIZED VIEW mv AS SELECT * FROM t;
CREATE UNIQUE INDEX mv_a ON mv (a);
CREATE TABLE p (a int) PARTITION BY RANGE (a);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (30);
CREATE INDEX p_a ON p (a);
CREATE SCHEMA s;
CREATE TABLE s.t (a int PRIMARY KEY);
CLUSTER t USING t_b;
CREATE TYPE mood AS ENUM ('sad');
CREATE TABLE agents (id int, last_seen timestamptz);
CREATE PUBLICATION pub FOR TABLE t;
CREATE TABLE log (what text);
CREATE PROCEDURE committing(what text) LANGUAGE plpgsql AS $$
BEGIN INSERT INTO log VALUES (what || ' 1'); COMMIT; INSERT INTO log VALUES (what || ' 2'); END $$;
SQL
$node->safe_psql('postgres', 'CREATE DATABASE publisher');
$node->safe_psql('publisher', 'CREATE TABLE t (a int PRIMARY KEY, b int); CREATE TABLE t2 (a int PRIMARY KEY); CREATE PUBLICATION pub FOR TABLE t; CREATE PUBLICATION pub2 FOR TABLE t2');
$node->safe_psql('postgres', 'CREATE TABLE t2 (a int PRIMARY KEY)');

# name, script, shape, steps beforehand (one number a statement), a check: SQL
# that gives t, or undef
sub works
{
	my ($name, $script, $shapes, $steps, $check) = @_;
	my $version = $n++;
	my $r = sql_try($node, 'SELECT shape, step FROM tapmig.statements($1) ORDER BY statement', bind => [$script]);

	is(join(' ', map { substr($_->[0], 0, 1) . ($_->[1] // '-') } @{ $r->{rows} }), $shapes, "$name: its steps are shown beforehand");
	$r = run($node, $version, $script);
	is($r->{value}, 'applied', "$name: is applied") or diag explain $r;
	is(sql_value($node, "SELECT steps FROM tapmig.attempts WHERE version = '$version'"), $steps, "$name: in $steps steps") if defined $steps;
	ok(!defined $steps && sql_value($node, "SELECT count(*) FROM tapmig.attempts WHERE version = '$version'") == 0, "$name: in one transaction") if !defined $steps;
	is(sql_value($node, $check), 't', "$name: has its effect") if defined $check;
	is(run($node, $version, $script)->{value}, 'skipped', "$name: and is skipped the next time");
	return $r;
}

works('CREATE INDEX CONCURRENTLY', 'CREATE INDEX CONCURRENTLY i1 ON t (b, a)', 's1', 1, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'i1'::regclass");
works('CREATE UNIQUE INDEX CONCURRENTLY', 'CREATE UNIQUE INDEX CONCURRENTLY ON t ((a + b)) WHERE b > 5', 's1', 1, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_expr_idx'::regclass");
works('REINDEX INDEX CONCURRENTLY', 'REINDEX INDEX CONCURRENTLY i1', 's1', 1, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'i1'::regclass");
works('REINDEX TABLE CONCURRENTLY', 'REINDEX (VERBOSE) TABLE CONCURRENTLY t', 's1', 1);
works('REINDEX (CONCURRENTLY)', 'REINDEX (CONCURRENTLY, VERBOSE) TABLE t', 's1', 1);
works('DROP INDEX CONCURRENTLY', 'DROP INDEX CONCURRENTLY i1', 's1', 1, "SELECT to_regclass('i1') IS NULL");
works('DROP INDEX CONCURRENTLY IF EXISTS', 'DROP INDEX CONCURRENTLY IF EXISTS i1', 's1', 1);
works('REINDEX INDEX', 'REINDEX INDEX t_b', 't1', undef);
works('REINDEX TABLE partitioned', 'REINDEX TABLE p', 's1', 1);
works('REINDEX INDEX partitioned', 'REINDEX INDEX p_a', 's1', 1);
works('REINDEX TABLE CONCURRENTLY partitioned', 'REINDEX TABLE CONCURRENTLY p', 's1', 1);
works('REINDEX SCHEMA', 'REINDEX SCHEMA s', 's1', 1);
works('REINDEX SCHEMA CONCURRENTLY', 'REINDEX SCHEMA CONCURRENTLY s', 's1', 1);
works('REINDEX DATABASE', 'REINDEX DATABASE postgres', 's1', 1);
works('REINDEX SYSTEM', 'REINDEX SYSTEM postgres', 's1', 1);
works('VACUUM', 'VACUUM', 's1', 1);
works('VACUUM t, s.t', 'VACUUM (FREEZE, ANALYZE, PARALLEL 2, VERBOSE) t, s.t', 's1', 1);
works('VACUUM FULL', 'VACUUM FULL t', 's1', 1);
works('VACUUM ANALYZE (columns)', 'VACUUM ANALYZE t (a)', 's1', 1);
works('VACUUM partitioned', 'VACUUM ANALYZE p', 's1', 1);
works('ANALYZE', 'ANALYZE', 't1', undef);
works('CLUSTER', 'CLUSTER', 's1', 1);
works('CLUSTER VERBOSE', 'CLUSTER VERBOSE', 's1', 1);
works('CLUSTER t', 'CLUSTER t', 't1', undef);
works('CLUSTER partitioned', 'CLUSTER p USING p_a', 's1', 1);
works('DETACH PARTITION CONCURRENTLY', 'ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY', 's1', 1, "SELECT NOT relispartition FROM pg_class WHERE relname = 'p1'");
works('ALTER SYSTEM', "ALTER SYSTEM SET work_mem = '5MB';\nSELECT pg_reload_conf();", 's1 t2', 2, "SELECT setting = '5MB' FROM pg_file_settings WHERE name = 'work_mem'");
works('ALTER SYSTEM RESET', 'ALTER SYSTEM RESET work_mem', 's1', 1, "SELECT count(*) = 0 FROM pg_file_settings WHERE name = 'work_mem'");
works('CREATE DATABASE', "CREATE DATABASE d1;\nCOMMENT ON DATABASE d1 IS 'one';", 's1 t2', 2, "SELECT count(*) = 1 FROM pg_database WHERE datname = 'd1'");
works('CREATE DATABASE FILE_COPY', "CREATE DATABASE d2 TEMPLATE template0 STRATEGY file_copy;", 's1', 1);
works('CREATE TABLESPACE', "SET allow_in_place_tablespaces = on;\nCREATE TABLESPACE ts LOCATION '';", 't1 s2', 2, "SELECT count(*) = 1 FROM pg_tablespace WHERE spcname = 'ts'");
works('ALTER DATABASE SET TABLESPACE', 'ALTER DATABASE d1 SET TABLESPACE ts', 's1', 1, "SELECT spcname = 'ts' FROM pg_database d JOIN pg_tablespace s ON s.oid = dattablespace WHERE datname = 'd1'");
works('ALTER DATABASE d1 RENAME', 'ALTER DATABASE d1 RENAME TO d1b', 't1', undef);
works('DROP DATABASE', 'DROP DATABASE d1b', 's1', 1, "SELECT count(*) = 0 FROM pg_database WHERE datname = 'd1b'");
works('DROP DATABASE FORCE', 'DROP DATABASE IF EXISTS d2 WITH (FORCE)', 's1', 1);
works('DROP TABLESPACE', 'DROP TABLESPACE ts', 's1', 1, "SELECT count(*) = 0 FROM pg_tablespace WHERE spcname = 'ts'");

# A subscription to the same server can't create its slot there itself: that
# waits for its own transaction.
my $conn = $node->connstr('publisher');
$node->safe_psql('publisher', "SELECT pg_create_logical_replication_slot('sub', 'pgoutput')");
works('CREATE SUBSCRIPTION, no slot made', "CREATE SUBSCRIPTION sub CONNECTION " . quoted($conn) . " PUBLICATION pub WITH (create_slot = false, enabled = false)",
	't1', undef, 'SELECT count(*) = 1 FROM pg_subscription');
works('ALTER SUBSCRIPTION REFRESH', "ALTER SUBSCRIPTION sub ENABLE;\nALTER SUBSCRIPTION sub REFRESH PUBLICATION;", 't1 s2', 2);
works('ALTER SUBSCRIPTION ADD PUBLICATION', 'ALTER SUBSCRIPTION sub ADD PUBLICATION pub2', 's1', 1, "SELECT count(*) = 2 FROM pg_subscription_rel");

# A slot that is just being made for a first copy would wait for the DROP, and that for it.
my $copied = 'SELECT bool_and(srsubstate = $$r$$) FROM pg_subscription_rel';
ok(wait_until($node, $copied), 'the first copies are made');
works('DROP SUBSCRIPTION with its slot', 'DROP SUBSCRIPTION sub', 'd1', 1, "SELECT count(*) = 0 FROM pg_replication_slots");

# Another server's slot
my $other = tapmig_node('other', init => [ allows_streaming => 'logical' ], extension => 0);
$other->safe_psql('postgres', 'CREATE TABLE t (a int PRIMARY KEY, b int); CREATE PUBLICATION pub FOR TABLE t');
works('CREATE SUBSCRIPTION with its slot', 'CREATE SUBSCRIPTION sub3 CONNECTION ' . quoted($other->connstr('postgres')) . ' PUBLICATION pub', 's1', 1,
	"SELECT count(*) = 1 FROM pg_subscription WHERE subname = 'sub3' AND subslotname = 'sub3'");
ok(wait_until($node, $copied), 'its first copy is made');
is(sql_value($other, 'SELECT slot_name FROM pg_replication_slots'), 'sub3', 'the slot is there');
works('ALTER SUBSCRIPTION DISABLE', 'ALTER SUBSCRIPTION sub3 DISABLE', 't1', undef);
works('DROP SUBSCRIPTION of another server', 'DROP SUBSCRIPTION sub3', 'd1', 1, "SELECT count(*) = 0 FROM pg_subscription WHERE subname = 'sub3'");
is(sql_value($other, 'SELECT count(*) FROM pg_replication_slots'), 0, 'the slot is gone');
$other->stop;

works('CREATE SUBSCRIPTION, connect = false', "CREATE SUBSCRIPTION sub2 CONNECTION " . quoted($conn) . " PUBLICATION pub WITH (connect = false, slot_name = NONE)", 't1', undef);
works('DROP SUBSCRIPTION without a slot', 'DROP SUBSCRIPTION sub2', 'd1', undef, 'SELECT count(*) = 0 FROM pg_subscription');

works('CALL that commits', "CALL committing('call')", 'd1', 1, "SELECT count(*) = 2 FROM log WHERE what LIKE 'call%'");
works('CALL in the middle', "INSERT INTO log VALUES ('before');\nCALL committing('middle');\nINSERT INTO log VALUES ('after');", 't1 d1 t1', 3,
	"SELECT string_agg(what, ',' ORDER BY ctid) = 'before,middle 1,middle 2,after' FROM log WHERE what !~ 'call'");
works('DO that commits', "DO \$\$BEGIN FOR i IN 1..3 LOOP INSERT INTO log VALUES ('do ' || i); COMMIT; END LOOP; END\$\$", 'd1', 1, "SELECT count(*) = 3 FROM log WHERE what LIKE 'do %'");
works('DO that does not', "DO \$\$BEGIN INSERT INTO log VALUES ('plain'); END\$\$", 'd1', undef);
works('two that commit', "CALL committing('a');\nCALL committing('b');", 'd1 d1', 2, "SELECT count(*) = 4 FROM log WHERE what ~ '^[ab] '");
works('ADD VALUE and its use', "ALTER TYPE mood ADD VALUE 'ok';\nCREATE TABLE moods (m mood DEFAULT 'ok');\nINSERT INTO moods VALUES ('ok');", 't1 t1 t1', 2, "SELECT m = 'ok' FROM moods");
works('ADD VALUE twice', "ALTER TYPE mood ADD VALUE 'x';\nINSERT INTO moods VALUES ('x');\nALTER TYPE mood ADD VALUE 'y';\nINSERT INTO moods VALUES ('y');", 't1 t1 t1 t1', 3, 'SELECT count(*) = 3 FROM moods');
works('COMMIT; BEGIN; in the middle', "BEGIN;\nINSERT INTO log VALUES ('c1');\nCOMMIT;\nBEGIN;\nINSERT INTO log VALUES ('c2');\nCOMMIT;", 's1 t1 s1 s2 t2 s2', 2, "SELECT count(*) = 2 FROM log WHERE what IN ('c1', 'c2')");
works('COMMIT AND CHAIN', "BEGIN;\nINSERT INTO log VALUES ('h1');\nCOMMIT AND CHAIN;\nINSERT INTO log VALUES ('h2');\nCOMMIT;", 's1 t1 s1 t2 s2', 2, "SELECT count(*) = 2 FROM log WHERE what IN ('h1', 'h2')");
works('before BEGIN and after COMMIT', "INSERT INTO log VALUES ('o1');\nBEGIN;\nINSERT INTO log VALUES ('o2');\nCOMMIT;\nINSERT INTO log VALUES ('o3');", 't1 s2 t2 s2 t3', 3, "SELECT count(*) = 3 FROM log WHERE what ~ '^o[123]'");

$node->safe_psql('postgres', "BEGIN; INSERT INTO log VALUES ('prepared'); PREPARE TRANSACTION 'px'");
works('COMMIT PREPARED', "COMMIT PREPARED 'px'", 's1', 1, "SELECT count(*) = 1 FROM log WHERE what = 'prepared'");
$node->safe_psql('postgres', "BEGIN; INSERT INTO log VALUES ('rolled back'); PREPARE TRANSACTION 'py'");
works('ROLLBACK PREPARED', "ROLLBACK PREPARED 'py'", 's1', 1, "SELECT count(*) = 0 FROM pg_prepared_xacts");
works('DISCARD ALL', "SET TimeZone = 'Asia/Tokyo';\nDISCARD ALL;\nINSERT INTO log VALUES ('zone ' || current_setting('TimeZone'));", 't1 s2 t3', 3, "SELECT count(*) = 1 FROM log WHERE what = 'zone ' || current_setting('TimeZone')");

# An error in the last part leaves what the script committed before it.
my $r = run($node, 90, "BEGIN;\nINSERT INTO log VALUES ('kept');\nCOMMIT;\nBEGIN;\nINSERT INTO log VALUES ('lost');\nSELECT 1/0;\nCOMMIT;");
is_error($r, '22012', undef, 'an error behind a COMMIT');
like($r->{context}, qr/migration 90, statement 6 of 7, line 6: SELECT 1\/0/, 'names its place');
is(rows_of($node, "SELECT what FROM log WHERE what IN ('kept', 'lost')"), 'kept', 'what was committed stays, the rest does not');
is(sql_value($node, "SELECT outcome || ' ' || steps_done FROM tapmig.attempts WHERE version = '90'"), 'failed 1', 'and the attempt says so');

# Mixed: everything in its place
works('all together', <<'SQL', 't1 t1 s2 t3 s4 t5 t5', 5, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'mixed_b'::regclass");
CREATE TABLE mixed (a int, b int);
INSERT INTO mixed SELECT g, g FROM generate_series(1, 10) g;
CREATE INDEX CONCURRENTLY mixed_b ON mixed (b);
ALTER TABLE mixed ADD c int;
VACUUM ANALYZE mixed;
ALTER TABLE mixed ADD d int;
COMMENT ON TABLE mixed IS 'done';
SQL

# The migration of the runbook, with its wrapper as it stands
my $runbook = <<'SQL';
-- deploy/migrations/036_agents_last_seen_index.sql
-- Why: /api/agents list spent 300ms on a full-table scan of
-- agents.last_seen; add a btree index so it drops to <10ms.
BEGIN;
CREATE INDEX CONCURRENTLY IF NOT EXISTS agents_last_seen_idx ON agents (last_seen);
COMMIT;
SQL
$n = '036';
$r = works('the runbook', $runbook, 't1 s1 t1', 1, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'agents_last_seen_idx'::regclass");
is(rows_of($node, "SELECT version, source FROM tapmig.schema_migrations WHERE tapmig.version_key(version) = tapmig.version_key('36')"), '036|manual', 'the runbook: its row');
like(sql_value($node, "SELECT why FROM tapmig.schema_migrations WHERE version = '036'"), qr/300ms on a full-table scan of\s+agents.last_seen/, 'the runbook: its reason');

is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');
done_testing();
