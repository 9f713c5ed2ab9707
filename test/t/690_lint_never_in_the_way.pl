# lint waits for nobody, keeps no lock, changes nothing, needs no rights that the
# script would not need, and can be cancelled.

use strict;
use warnings;

use TapmigTest;
use Test::More;

# What lint finds, and what it leaves locked, is nobody's doing but its own.
my $node = tapmig_node('main', conf => "autovacuum = off\n");
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE parent (id bigint, at date) PARTITION BY RANGE (at);
CREATE TABLE part PARTITION OF parent FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE rest PARTITION OF parent DEFAULT;
CREATE TABLE loose (id bigint, at date);
CREATE TABLE big (id bigint, name varchar(20), CHECK (name <> 'x'));
INSERT INTO parent SELECT i, '2025-02-02' FROM generate_series(1, 20000) i;
INSERT INTO loose SELECT i, '2026-02-02' FROM generate_series(1, 20000) i;
INSERT INTO big SELECT i, i FROM generate_series(1, 20000) i;
CREATE INDEX big_lower ON big (lower(name));
CREATE DOMAIN dom AS int;
CREATE SCHEMA closed;
CREATE TABLE closed.t (i int);
INSERT INTO closed.t VALUES (1);
CREATE ROLE nobody_special;
GRANT USAGE ON SCHEMA tapmig TO nobody_special;
GRANT EXECUTE ON FUNCTION tapmig.lint(text) TO nobody_special;
SQL

# Everything that opens relations, analyzes expressions, or proves.
my $script = <<'SQL';
ALTER TABLE big ADD COLUMN a uuid DEFAULT gen_random_uuid(), ALTER COLUMN name TYPE text, ADD CHECK (id > 0);
ALTER TABLE big ALTER COLUMN id SET NOT NULL;
CREATE INDEX ON big (id);
ALTER TABLE parent ATTACH PARTITION loose FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE part3 PARTITION OF parent FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
ALTER TABLE parent ADD COLUMN b int;
ALTER TABLE big RENAME COLUMN id TO number;
UPDATE loose SET id = 1;
SET search_path = nowhere;
SET lock_timeout = '7s';
SQL
my $count = 'SELECT count(*) FROM tapmig.lint($1)';

my $free = sql_value($node, $count, bind => [$script]);
cmp_ok($free, '>=', 8, 'findings while nobody is there');

# Somebody has them all, and the catalogs' rows in flight.
my $holder = session($node);
$holder->try('BEGIN');
ok($holder->try("LOCK TABLE big, parent, part, rest, loose IN ACCESS EXCLUSIVE MODE")->{ok}, 'all tables are locked');
ok($holder->try('ALTER TABLE big ADD COLUMN q int')->{ok}, 'and one is being changed');
my $linter = session($node, options => '-c statement_timeout=20s');
my $r = $linter->try($count, bind => [$script]);
ok($r->{ok}, 'lint waits for none of these') or diag($r->{message});
cmp_ok($r->{value} // 0, '>=', 6, 'and judges by what the catalogs say');
$holder->try('ROLLBACK');

# No lock, no setting, no row, no transaction id is left.
my $session = session($node);
$session->try('BEGIN');
my $mine = q{SELECT string_agg(relation::regclass || ' ' || mode, ', ') FROM pg_locks
	WHERE pid = pg_backend_pid() AND locktype = 'relation' AND relation NOT IN (
		SELECT oid FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace)};
$r = $session->try($count, bind => [$script]);
is($r->{value}, $free, 'in a transaction');
is($session->try($mine)->{value}, undef, 'no lock on a table is kept');
is($session->try('SELECT pg_current_xact_id_if_assigned()')->{value}, undef, 'no transaction id was needed');
is($session->try('SHOW search_path')->{value}, '"$user", public', 'search_path is as it was');
is($session->try('SHOW lock_timeout')->{value}, '0', 'settings are as they were');
is($session->try('SHOW client_min_messages')->{value}, 'notice', 'messages too');
$session->try('COMMIT');

# A lock that the caller has already stays his.
$session->try('BEGIN');
$session->try('LOCK TABLE big IN ACCESS SHARE MODE');
$session->try($count, bind => [$script]);
is($session->try($mine)->{value}, 'big AccessShareLock', 'a lock of the caller is kept');
$session->try('ROLLBACK');

for my $mode ('READ ONLY', 'ISOLATION LEVEL REPEATABLE READ', 'ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE')
{
	$session->try("BEGIN TRANSACTION $mode");
	is($session->try($count, bind => [$script])->{value}, $free, lc "in a transaction $mode");
	$session->try('COMMIT');
}
is($session->try("DO \$\$ BEGIN PERFORM tapmig.lint('ALTER TABLE big ADD COLUMN a nothing DEFAULT f()'); EXCEPTION WHEN OTHERS THEN RAISE; END \$\$")->{ok},
	1, 'in a subtransaction, with an expression that fails');

my $before = dump_text($node, 'postgres');
$session->try($count, bind => [$script]);
is(dump_text($node, 'postgres'), $before, 'nothing is changed');

# Rights.
$session->try('SET ROLE nobody_special');
$r = $session->try($count, bind => ['ALTER TABLE closed.t ADD COLUMN b uuid DEFAULT gen_random_uuid()']);
ok($r->{ok}, 'a schema that the caller may not use is no error') or diag($r->{message});
is($r->{value}, 0, 'but unknown');
for my $statement ('REINDEX TABLE closed.t', 'REINDEX INDEX closed.i', 'CLUSTER closed.t USING i', 'VACUUM FULL closed.t', 'DROP TABLE closed.t',
	'DROP TYPE closed.t CASCADE', 'DROP FUNCTION closed.f()', 'SELECT closed.f()', 'CALL closed.f()', 'ALTER DOMAIN closed.d SET NOT NULL',
	'DROP VIEW closed.t', 'CREATE TABLE x (i closed.t)', 'LOCK TABLE closed.t', 'UPDATE closed.t SET i = 1', 'ALTER FUNCTION closed.f() SECURITY INVOKER')
{
	$r = $session->try('SELECT coalesce(string_agg(rule, $$ $$), $$$$) FROM tapmig.lint($1)', bind => [$statement]);
	is($r->{ok} ? $r->{value} : $r->{message}, '', "nor is $statement");
}
$r = $session->try('SELECT string_agg(rule, $$ $$) FROM tapmig.lint($1)', bind => ['DROP SCHEMA closed CASCADE; CREATE INDEX ON closed.t (i)']);
is($r->{value}, undef, 'nor after a statement that has met its tables');
$session->try('RESET ROLE');

# An immutable function of a user would be run by planning, as ALTER TABLE does:
# lint does without it.
$node->safe_psql('postgres', <<'SQL');
CREATE SEQUENCE noted;
CREATE FUNCTION notes(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
	'BEGIN PERFORM nextval(''noted''); RETURN $1; END';
SQL
$session->try($count, bind => ['ALTER TABLE big ADD COLUMN z int DEFAULT notes(1)']);
is($node->safe_psql('postgres', 'SELECT is_called FROM noted'), 'f', 'a function of a user is not called');

# Only a catalog that somebody has locked keeps it waiting.
$holder->try('BEGIN');
$holder->try('LOCK TABLE pg_policy IN ACCESS EXCLUSIVE MODE');
$session->start($count, bind => ['ALTER TABLE big ENABLE ROW LEVEL SECURITY']);
ok(wait_blocked($node, $session->pid), 'lint waits for a catalog');
$session->cancel;
is($session->finish->{sqlstate}, '57014', 'a cancel goes through');
is($session->try($count, bind => [$script])->{value}, $free, 'and the session goes on');

# Statements are looked at together, but what one has locked is free at the next.
$session->start($count, bind => [<<'SQL']);
ALTER TABLE parent ATTACH PARTITION loose FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
DROP POLICY nothing ON big;
SQL
ok(wait_blocked($node, $session->pid), 'lint is at the next statement');
ok(sql_try($node, 'DO $$BEGIN LOCK TABLE parent, loose, rest, big IN ACCESS EXCLUSIVE MODE NOWAIT; END$$')->{ok}, 'and has no table locked');
$holder->try('COMMIT');
ok($session->finish->{ok}, 'it goes on');

# Errors are those of reading the script.
is_error(sql_error($node, $count, bind => ['SELECT 1; CREATE TABEL x ()']), '42601', qr/syntax error/, 'what is no SQL');
is_error(sql_error($node, 'SELECT count(*) FROM tapmig.lint(NULL)'), '22004', qr/sql/, 'a null');
is(sql_value($node, $count, bind => ['']), 0, 'an empty script');

done_testing();
