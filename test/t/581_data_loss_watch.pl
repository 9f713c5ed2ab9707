# Loss of data where a script is not one transaction, is tried again, or is run by
# somebody who may not read the table; and the watch's own ends.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node  = tapmig_node('main');
my $error = '-c tapmig.data_loss=error';

sub warnings_of { my ($r) = @_; return grep { /^WARNING/ } @{ $r->{notices} }; }

sub table
{
	my ($name) = @_;
	$node->safe_psql('postgres', "CREATE TABLE $name (id int PRIMARY KEY, note text); INSERT INTO $name VALUES (1, 'a'), (2, NULL)");
	return;
}

# ---------------------------------------------------------------- stepwise

table('steps');
my $script = "VACUUM steps;\nCREATE TABLE made AS SELECT 1 AS a;\nVACUUM made;\nDROP TABLE made;\nVACUUM steps;\nALTER TABLE steps DROP note;\n";
my $r = run($node, '001', $script, options => $error);
is_error($r, 'TM008', qr/^the script would lose data without approval: steps\.note$/, 'a step of a stepwise script');
like($r->{detail}, qr/^Column steps\.note is dropped with 1 value\.$/, 'with its detail');
like($r->{context}, qr/migration 001, statement 6 of 6, line 6/, 'and its place');
like($r->{hint}, qr/^\\copy \(SELECT id, note FROM steps\) TO 'steps_note\.csv' CSV HEADER$/m, 'and the export line');
is(attempts($node, '001'), 'failed', 'it is a failed attempt');
is(sql_value($node, 'SELECT count(note) FROM steps'), 1, 'and nothing is lost');
is(sql_value($node, "SELECT to_regclass('made') IS NULL"), 't', 'what an earlier step made was no loss');

# The steps that are done keep their text; what follows may be listed now.
$r = run($node, '001', "-- tapmig: loses=steps.note, nothing, approved-by=me\n$script", options => $error);
is($r->{value}, 'applied', 'listed, it goes on where it was') or diag explain $r;
is_deeply([ warnings_of($r) ], [], 'without a WARNING of what an earlier attempt may have lost');

table('steps2');
$r = run($node, '002', "VACUUM steps2;\nALTER TABLE steps2 DROP note;\nVACUUM steps2;\nALTER TABLE steps2 ADD note int");
is($r->{value}, 'applied', 'warn is the default');
is(scalar(warnings_of($r)), 1, 'one WARNING');
like((warnings_of($r))[0], qr/the script loses data: steps2\.note/, 'that names it');
table('steps3');
$r = run($node, '003', "-- tapmig: loses=steps3, elsewhere, approved-by=me\nVACUUM steps3;\nTRUNCATE steps3;\nVACUUM steps3;\nDROP TABLE steps3;");
is($r->{value}, 'applied', 'listed in a stepwise script');
my @listed = warnings_of($r);
is(scalar @listed, 1, 'one WARNING') or diag explain \@listed;
like($listed[0], qr/lists elsewhere as lost, and it is not/, 'of what was not lost');

# At top level: a block that commits, before its COMMIT.
table('block');
$r = run($node, '004', 'DO $$ BEGIN COMMIT; DROP TABLE block; COMMIT; END $$', options => $error);
is_error($r, 'TM008', qr/block/, 'a block that commits');
is(sql_value($node, 'SELECT count(*) FROM block'), 2, 'nothing is lost');
$r = run($node, '005', "-- tapmig: loses=block, approved-by=me\nDO \$\$ BEGIN COMMIT; DROP TABLE block; COMMIT; END \$\$", options => $error);
is($r->{value}, 'applied', 'listed, a block that commits');
is_deeply([ warnings_of($r) ], [], 'without a WARNING');

# ---------------------------------------------------------------- tried again

table('again');
table('busy');
my $blocker = session($node);
$blocker->try('BEGIN');
$blocker->try('SELECT * FROM busy');
for my $call ([ 'run', "CALL tapmig.run('010', %s)" ], [ 'apply', "SELECT tapmig.apply('011', %s)" ])
{
	my $session = session($node, options => '-c tapmig.lock_timeout=200ms');
	$session->start(sprintf($call->[1], quoted("ALTER TABLE again DROP note;\nALTER TABLE busy ADD x_$call->[0] int")));
	ok(wait_until($node, "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'tapmig %waits to try again'"), "$call->[0]: a lock cannot be had");
	$blocker->try('ROLLBACK');
	$r = $session->finish;
	is($r->{value}, 'applied', "$call->[0]: applied in another try") or diag explain $r;
	is(scalar(warnings_of($r)), 1, "$call->[0]: and one WARNING") or diag explain $r->{notices};
	$session->close;
	$node->safe_psql('postgres', "ALTER TABLE again ADD note text; UPDATE again SET note = 'x'");
	$blocker->try('BEGIN');
	$blocker->try('SELECT * FROM busy');
}
$blocker->close;

# ---------------------------------------------------------------- rights

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE deployer LOGIN;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA tapmig TO deployer;
GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA tapmig TO deployer;
CREATE SCHEMA app AUTHORIZATION deployer;
SET ROLE deployer;
CREATE TABLE app.hidden (id int PRIMARY KEY, note text);
INSERT INTO app.hidden VALUES (1, 'secret');
REVOKE ALL ON app.hidden FROM deployer;
ALTER TABLE app.hidden ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SQL
my %deployer = (user => 'deployer', options => $error);
is_error(apply($node, '020', 'ALTER TABLE app.hidden DROP note', %deployer), 'TM008', qr/app\.hidden\.note/, 'without SELECT, under row security');
is_error(apply($node, '020', 'DROP TABLE app.hidden', %deployer), 'TM008', qr/app\.hidden/, 'nor may the table be dropped');
is_error(apply($node, '020', 'ALTER TABLE app.hidden ALTER note TYPE int USING 0', %deployer), 'TM008', qr/app\.hidden\.note/, 'nor its type be changed');
is_error(apply($node, '020', 'TRUNCATE app.hidden', %deployer), '42501', qr/permission denied/, 'what may not be done keeps its own error');
is_error(apply($node, '020', 'DROP TABLE busy', %deployer), '42501', qr/must be owner/, 'likewise a table of somebody else');
is_error(apply($node, '020', 'ALTER TABLE busy ALTER note TYPE int USING 0', %deployer), '42501', qr/must be owner/, 'likewise its column');

is_error(apply($node, '020', 'DELETE FROM busy', %deployer), '42501', qr/permission denied/, 'likewise its rows');
is_error(apply($node, '020', 'DELETE FROM app.hidden', %deployer), '42501', qr/permission denied/, 'or its own');

# A child of another owner: what stands after USING sees none of its rows.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE app.heir () INHERITS (app.hidden);
INSERT INTO app.heir VALUES (2, 'top secret');
CREATE FUNCTION app.tell(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'seen: %', $1; RETURN $1; END $$;
SQL
$r = apply($node, '020', 'ALTER TABLE app.hidden ALTER note TYPE text USING app.tell(note)', %deployer);
is_error($r, '42501', qr/must be owner of table heir/, 'a child of another owner');
is_deeply([ grep { /top secret/ } @{ $r->{notices} } ], [], 'nothing of it is shown');
$node->safe_psql('postgres', 'DROP TABLE app.heir');

# No lock is waited for by someone without the right.
{
	my $reader = session($node);
	$reader->try('BEGIN');
	$reader->try('SELECT * FROM busy');
	is_error(apply($node, '021', 'TRUNCATE busy', %deployer), '42501', qr/permission denied/, 'TRUNCATE without the right does not wait');
	is_error(apply($node, '021', 'ALTER TABLE busy ALTER note TYPE int USING 0', %deployer), '42501', qr/must be owner/, 'nor does ALTER TABLE');
	$reader->close;
}

# ---------------------------------------------------------------- the watch

my $session = session($node, options => $error);
table('watched');
is($session->try("SELECT tapmig.apply('030', 'TRUNCATE watched')")->{sqlstate}, 'TM008', 'a script is refused');
is($session->try('TRUNCATE watched')->{sqlstate}, '', 'the session itself is not watched after it');
is($session->try("INSERT INTO watched VALUES (1, 'x')")->{sqlstate}, '', 'a row');
is($session->try("SELECT tapmig.apply('031', 'SELECT 1')")->{value}, 'applied', 'a script');
is($session->try('DELETE FROM watched')->{sqlstate}, '', 'nor after one that succeeds');
is($session->try("DO \$\$ BEGIN PERFORM tapmig.apply('032', 'DROP TABLE again'); EXCEPTION WHEN SQLSTATE 'TM008' THEN NULL; END \$\$")->{sqlstate}, '', 'an error that the caller caught');
is($session->try('DROP TABLE again')->{sqlstate}, '', 'nor after that');

# The setting is read at entry: a script can't change it for itself.
table('own');
is_error(apply($node, '040', "SET tapmig.data_loss = allow;\nDROP TABLE own", options => $error), 'TM008', qr/own/, 'SET in the script has no effect');
is_error($session->try('SET tapmig.data_loss = perhaps'), '22023', qr/tapmig\.data_loss/, 'a wrong value');

# The runner passes a WARNING on.
table('runner');
my ($exit, undef, $err) = run_tapmig($node, [ 'up', '--dir', migrations_dir({ '200_drop.sql' => 'TRUNCATE runner;' }) ]);
is($exit, 0, 'tapmig up');
like($err, qr/WARNING:  the script loses data: runner\nDETAIL:  TRUNCATE empties table runner of 2 rows\.\n/, 'with the WARNING');

# Many rows, many tables: an estimate, and a bounded message.
$node->safe_psql('postgres', "CREATE TABLE large (id int PRIMARY KEY, note text); INSERT INTO large SELECT i, CASE WHEN i % 2 = 0 THEN 'x' END FROM generate_series(1, 100000) i; ALTER TABLE large ALTER note SET STATISTICS 1000; ANALYZE large");
$r = apply($node, '050', 'ALTER TABLE large DROP note', options => $error);
is_error($r, 'TM008', qr/large\.note/, 'a large table');
like($r->{detail}, qr/^Column large\.note is dropped with about (?:49|50)\d{3} values\.$/, 'about half of its rows');
$node->safe_psql('postgres', 'CREATE SCHEMA lot; DO $$ BEGIN FOR i IN 100 .. 129 LOOP EXECUTE format(\'CREATE TABLE lot.t%s AS SELECT 1 AS a\', i); END LOOP; END $$');
$r = apply($node, '051', 'DROP SCHEMA lot CASCADE', options => $error);
like($r->{message}, qr/: (lot\.t1\d\d, ){2}lot\.t1\d\d and 27 more$/, 'three names');
is(scalar(() = $r->{detail} =~ /with 1 row/g), 20, 'twenty lines');
like($r->{detail}, qr/^And 10 more\.$/m, 'and their number');

# A partition on another server: its rows are not looked at, the others are.
sql_value($node, $_) for 'CREATE EXTENSION postgres_fdw',
  'CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host ' . quoted($node->host) . ', port ' . quoted($node->port) . q{, dbname 'postgres')},
  'CREATE USER MAPPING FOR CURRENT_USER SERVER far', 'CREATE TABLE far_rows (a int)', 'INSERT INTO far_rows VALUES (11)',
  'CREATE TABLE parted (a int) PARTITION BY RANGE (a)',
  'CREATE TABLE parted_near PARTITION OF parted FOR VALUES FROM (0) TO (10)', 'INSERT INTO parted VALUES (1), (2)',
  q{CREATE FOREIGN TABLE parted_far PARTITION OF parted FOR VALUES FROM (10) TO (20) SERVER far OPTIONS (table_name 'far_rows')};
$r = apply($node, '060', 'DELETE FROM parted', options => $error);
is_error($r, 'TM008', qr/: parted$/, 'DELETE without WHERE of partitions here and elsewhere');
like($r->{detail}, qr/^DELETE without WHERE empties table parted of 2 rows\.$/, 'with the rows that are here');
$r = apply($node, '060', 'DELETE FROM parted WHERE a > 0', options => $error);
is($r->{value}, 'applied', 'with a condition it is not looked at') or diag explain $r;
sql_value($node, 'INSERT INTO far_rows VALUES (11)');
$r = apply($node, '061', 'CREATE TABLE joined (a int); DELETE FROM far_rows USING parted_far f WHERE f.a > 100', options => $error);
is($r->{value}, 'applied', 'nor joined with a foreign table that has one') or diag explain $r;

ok(no_worker($node), 'no worker is left');
done_testing();
