# pg_dump and pg_restore carry the ledger: in every format, with rows out of
# order, into another encoding, and the numbering goes on.

use strict;
use warnings;
use TapmigTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = tapmig_node('main');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $host = $node->host;
my $port = $node->port;

sub verify
{
	my ($db) = @_;
	return sql_value($node,
		"SELECT coalesce(string_agg(concat_ws(' ', track, seq, version, problem), '; '), 'clean') FROM tapmig.verify()",
		dbname => $db);
}

sub command
{
	my @command = @_;
	local $ENV{PGHOST} = $host;
	local $ENV{PGPORT} = $port;
	my ($out, $err) = run_command(\@command);
	is($err, '', "$command[0]: no error");
}

# A ledger with every kind of row: directives, non-ASCII text, two tracks, a
# correction of each kind, a row by hand, a failed try, no row without a checksum.
tapmig_database($node, 'source');
apply($node, '001_first', "-- Why: \x{fc}ber \x{df}\n-- tapmig: allow=x, lock_timeout=2s\nCREATE TABLE a (t text DEFAULT '\x{e9}')", dbname => 'source');
apply($node, "00$_", "CREATE TABLE t$_ ()", dbname => 'source') for 2 .. 9;
apply($node, '001', 'CREATE TABLE other ()', dbname => 'source', track => 'other');
apply($node, '002', "CREATE   TABLE t2 ()", dbname => 'source');
sql_value($node, "SELECT tapmig.register('020', applied_at => 'infinity')", dbname => 'source');
sql_value($node, "SELECT tapmig.register('021', 'SELECT 21')", dbname => 'source');
sql_value($node, "SELECT tapmig.withdraw('020', 'no')", dbname => 'source');
sql_value($node, "SELECT tapmig.accept('021', 'SELECT 22', 'yes')", dbname => 'source');
sql_try($node, "INSERT INTO tapmig.schema_migrations (version) VALUES ('022_by_hand')", dbname => 'source');
run($node, '030', 'SELECT 1/0', dbname => 'source');

# The heap in another order than that of seq: rows come back as they lie there.
sql_try($node, $_, dbname => 'source')
  for 'ALTER TABLE tapmig.history DISABLE TRIGGER ALL',
  'CREATE TABLE reversed AS SELECT * FROM tapmig.history ORDER BY seq DESC',
  'DELETE FROM tapmig.history',
  'INSERT INTO tapmig.history SELECT * FROM reversed',
  'DROP TABLE reversed',
  map("ALTER TABLE tapmig.history ENABLE ALWAYS TRIGGER $_", qw(insert_row refuse_row refuse_statement));
is(verify('source'), 'clean', 'the source is clean');
is(sql_value($node, 'SELECT seq FROM tapmig.history LIMIT 1', dbname => 'source'),
	16, 'its newest event comes first');
is(sql_value($node, 'SELECT count(*) FROM tapmig.attempts', dbname => 'source'), 1, 'it has a failed try');

my $rows = q{SELECT md5(string_agg(r, E'\n' ORDER BY r)) FROM (
	SELECT m::text AS r FROM tapmig.schema_migrations m UNION ALL SELECT h::text FROM tapmig.history h
	UNION ALL SELECT s::text FROM tapmig.scripts s UNION ALL SELECT a::text FROM tapmig.attempts a) x};
my $source_rows = sql_value($node, $rows, dbname => 'source');

for my $format ('plain', 'custom', 'directory')
{
	my $db = "restored_$format";
	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE template0");
	command('pg_dump', '--format', $format, '--file', "$dir/$format", 'source');
	if ($format eq 'plain')
	{
		command('psql', '-X', '-q', '-o', "$dir/log", '-v', 'ON_ERROR_STOP=1', '-d', $db, '-f', "$dir/$format");
	}
	else
	{
		command('pg_restore', '--exit-on-error', ($format eq 'directory' ? '--jobs=2' : ()), '-d', $db, "$dir/$format");
	}
	is(sql_value($node, $rows, dbname => $db), $source_rows, "$format: the same rows");
	is(verify($db), 'clean', "$format: verify() is clean");
	is(apply($node, '003', 'CREATE TABLE t3 ()', dbname => $db)->{value}, 'skipped', "$format: what was applied is skipped");
	is(apply($node, '040', 'CREATE TABLE t40 ()', dbname => $db)->{value}, 'applied', "$format: a new version is applied");
	is(sql_value($node, "SELECT seq > 16 FROM tapmig.history WHERE version = '040'", dbname => $db), 't', "$format: the numbering goes on");
	run($node, '041', 'SELECT 1/0', dbname => $db);
	is(sql_value($node, 'SELECT count(*) FROM tapmig.attempts', dbname => $db), 2, "$format: that of attempts too");
	is(verify($db), 'clean', "$format: verify() is clean after it");
}

# Data only, as pg_dump writes it, leaves the triggers weaker than they were.
command('pg_dump', '--data-only', '--disable-triggers', '--table', 'tapmig.*', '--file', "$dir/data", 'source');
tapmig_database($node, 'data_only');
command('psql', '-X', '-q', '-o', "$dir/log", '-v', 'ON_ERROR_STOP=1', '-d', 'data_only', '-f', "$dir/data");
is(sql_value($node, $rows, dbname => 'data_only'), $source_rows, 'data only: the same rows');
is(sql_value($node, q{SELECT concat_ws(' ', count(*), count(*) FILTER (WHERE problem ~ '^trigger \w+ of tapmig\.\w+ does not fire under session_replication_role = replica: ALTER TABLE'))
	FROM tapmig.verify()}, dbname => 'data_only'), '12 12', 'data only: verify() says what became of the triggers');
$node->safe_psql('data_only', $_)
	for map { $_->[0] } @{ sql_try($node, q{SELECT split_part(problem, ': ', 2) FROM tapmig.verify()}, dbname => 'data_only')->{rows} };
is(verify('data_only'), 'clean', 'data only: and is clean when they were run');

# Into LATIN1: the digests are of UTF-8.
$node->safe_psql('postgres', "CREATE DATABASE latin1 TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
command('pg_restore', '--exit-on-error', '-d', 'latin1', "$dir/custom");
is(sql_value($node, "SELECT encode(convert_to(why, 'LATIN1'), 'hex') FROM tapmig.schema_migrations WHERE why IS NOT NULL", dbname => 'latin1'),
	'fc62657220df', 'the text is in LATIN1');
is(verify('latin1'), 'clean', 'LATIN1: verify() is clean');

done_testing();
