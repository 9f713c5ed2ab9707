# A runbook's own table: what its view lets the runbook's statements do, for
# whom, and that it is all or nothing.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node  = tapmig_node('main');
my $table = read_file(fixture('ledgers/runbook.sql'));
my $query = 'SELECT version, applied_at, source FROM schema_migrations ORDER BY version DESC LIMIT 5';
my $dir   = migrations_dir({
		'001_hosts.sql'   => 'SELECT 1 / 0', '002_agents.sql' => 'SELECT 1 / 0', '003_index.sql' => 'SELECT 1 / 0',
		'004_reports.sql' => 'CREATE TABLE reports (i int)' });
my ($exit, $out, $err);

$node->safe_psql('postgres', 'CREATE ROLE migrator LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE recorder LOGIN; CREATE ROLE stranger LOGIN; CREATE ROLE superuser LOGIN SUPERUSER');

sub runbook
{
	my ($database) = @_;

	tapmig_database($node, $database);
	$node->safe_psql($database, <<"SQL");
$table
ALTER TABLE schema_migrations OWNER TO migrator;
ALTER TABLE schema_migrations ALTER COLUMN source SET DEFAULT 'runbook';
GRANT SELECT ON schema_migrations TO reader;
GRANT SELECT, INSERT (version, source) ON schema_migrations TO recorder WITH GRANT OPTION;
CREATE VIEW latest AS SELECT max(version) AS version FROM schema_migrations;
SQL
	return $database;
}

my $database = runbook('one');
my $before = sql_try($node, $query, dbname => $database)->{rows};
($exit, $out, $err) = run_tapmig($node, [ 'adopt', '--dir', $dir ], dbname => $database);
is($exit, 0, 'shown') or diag $err;
like($out, qr/\Apublic\.schema_migrations is the ledger of: runbook\n/, 'found by its columns');
like($out, qr/^register +002_agents +2023-02-0\S+ \S+ +by hand, ticket 17 +\S+\/002_agents\.sql$/m, 'with time, source and file');
like($out, qr/^pending +004_reports +\S+\/004_reports\.sql$/m, 'a file that is new');
like($out, qr/^nothing is recorded yet: tapmig adopt --yes records 3\nand puts a view/m, 'what --yes does');
is(sql_value($node, "SELECT relkind FROM pg_class WHERE relname = 'schema_migrations' AND relnamespace = 'public'::regnamespace", dbname => $database), 'r', 'nothing is changed');

($exit, $out, $err) = run_tapmig($node, [ 'adopt', '--yes', '--dir', $dir ], dbname => $database);
is($exit, 0, 'adopted') or diag $err;
is($out, "registered 001_hosts\nregistered 002_agents\nregistered 003_index\npublic.schema_migrations is a view of the ledger now; the table is kept as public.schema_migrations_before_tapmig\n",
	'what is said');
like($err, qr/WARNING:  these refer to public\.schema_migrations_before_tapmig, the old table, and not to the view: public\.latest\n/, 'what refers to the old table');
my $after = sql_try($node, $query, dbname => $database)->{rows};
$before->[0][2] = 'manual';    # its source was null
is_deeply($after, $before, "the runbook's SELECT gives the same rows");
is(sql_value($node, 'SELECT count(*) FROM schema_migrations_before_tapmig', dbname => $database), 3, 'the old table is kept');
is(sql_value($node, "SELECT count(*) FROM tapmig.history WHERE event = 'registered' AND source IS NOT DISTINCT FROM 'by hand, ticket 17'", dbname => $database), 1, 'the history has it');

# The runbook's INSERT, by whom the old table's grants let
my $insert = "INSERT INTO schema_migrations (version, source) VALUES ('%s', 'out of band') RETURNING version, applied_at > now() - interval '1 minute', source";
for my $who ([ migrator => '010' ], [ superuser => '012' ])
{
	my $r = sql_try($node, sprintf($insert, $who->[1]), dbname => $database, user => $who->[0]);
	is(join('|', @{ $r->{rows}[0] || [ $r->{message} ] }), "$who->[1]|t|out of band", "$who->[0] may record a version");
}
my $r = sql_try($node, "INSERT INTO schema_migrations (version, source) VALUES ('011', 'x')", dbname => $database, user => 'recorder');
ok($r->{ok}, 'a grant of columns is kept') or diag $r->{message};
is_error(sql_try($node, "INSERT INTO schema_migrations (version, applied_at) VALUES ('013', now())", dbname => $database, user => 'recorder'),
	'42501', qr/permission denied/, 'and is one of columns');
is_error(sql_try($node, sprintf($insert, '013'), dbname => $database, user => 'reader'), '42501', qr/permission denied/, 'reader may not insert');
ok(sql_try($node, $query, dbname => $database, user => 'reader')->{ok}, 'but read');
is_error(sql_try($node, $query, dbname => $database, user => 'stranger'), '42501', qr/permission denied/, 'nobody else may');
is(sql_value($node, "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'schema_migrations'::regclass", dbname => $database), 'migrator', 'the owner is the same');
is(sql_value($node, "SELECT applied_by || ' ' || applied_as FROM tapmig.schema_migrations WHERE version = '011'", dbname => $database), 'recorder recorder', 'the ledger says who it was');
is(sql_value($node, "INSERT INTO schema_migrations (version) VALUES ('020') RETURNING source", dbname => $database), 'runbook', "the column's default is kept");

is_error(sql_try($node, sprintf($insert, '010'), dbname => $database), '23505', qr/duplicate key/, 'a second one is an error, as it was');
is_error(sql_try($node, sprintf($insert, '10'), dbname => $database), '23505', qr/duplicate key/, 'of the same version written in another way too');
ok(sql_try($node, "INSERT INTO schema_migrations (version) VALUES ('021') ON CONFLICT DO NOTHING", dbname => $database)->{ok}, 'ON CONFLICT DO NOTHING: a new version');
is_error(sql_try($node, "INSERT INTO schema_migrations (version) VALUES ('021') ON CONFLICT DO NOTHING", dbname => $database), '23505', qr/duplicate key/,
	'and an old one: a view has no conflicts to ask for');
is_error(sql_try($node, "INSERT INTO schema_migrations (version) VALUES ('022') ON CONFLICT (version) DO NOTHING", dbname => $database), '42P10', qr/ON CONFLICT/, 'nor a column to name');
is_error(sql_try($node, 'INSERT INTO schema_migrations (version) VALUES (NULL)', dbname => $database), '23502', qr/null value/, 'no version');
is_error(sql_try($node, "INSERT INTO schema_migrations (version) VALUES ('x')", dbname => $database), '22023', qr/no version/, 'no version at all');
is_error(sql_try($node, "UPDATE schema_migrations SET source = 'x'", dbname => $database), '42501', qr/permission denied/, 'UPDATE');
is_error(sql_try($node, 'DELETE FROM schema_migrations', dbname => $database, user => 'migrator'), '42501', qr/permission denied/, 'DELETE');

ok(sql_try($node, "CREATE TABLE app_versions (version text); SELECT * FROM app_versions JOIN schema_migrations USING (version) ORDER BY version", dbname => $database)->{ok},
	'its column is compared with others as the old one');

# A way out of the view's rights: a view of one's own
is_error(sql_try($node, "CREATE TEMP VIEW mine AS SELECT 1 AS version; CREATE TRIGGER t INSTEAD OF INSERT ON mine FOR EACH ROW EXECUTE FUNCTION tapmig.trigger_view_insert('main')",
	dbname => $database, user => 'stranger'), '42501', qr/permission denied for function/, 'nobody makes such a view without a grant');

($exit, $out, $err) = run_tapmig($node, [ 'adopt', '--yes', '--dir', $dir ], dbname => $database);
is("$exit|$out|$err", "0|nothing to do: what public.schema_migrations_before_tapmig (runbook) says is applied is in the ledger\n|", 'adopted again: nothing to do');
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ], dbname => $database);
is($out =~ s/ \(\d+ ms\)//r, "applied 004_reports\n", 'up runs what is new') or diag $err;
is(sql_value($node, "SELECT source FROM schema_migrations WHERE version = '004'", dbname => $database), "$dir/004_reports.sql", 'the view shows it');
is(sql_value($node, 'SELECT count(*) FROM tapmig.verify()', dbname => $database), 0, 'verify');

# A dump carries the view, and it works where it is restored
my $dump = scratch_dir() . '/dump.sql';
$node->command_ok([ 'pg_dump', '-d', $node->connstr($database), '-f', $dump ], 'dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $dump ], 'restore');
is_deeply(sql_try($node, $query, dbname => 'restored')->{rows}, sql_try($node, $query, dbname => $database)->{rows}, 'the same rows');
is(sql_try($node, "INSERT INTO schema_migrations (version, source) VALUES ('030', 'x')", dbname => 'restored', user => 'recorder')->{ok}, 1, 'INSERT works there');
is(sql_value($node, 'SELECT count(*) FROM tapmig.verify()', dbname => 'restored'), 0, 'verify there');

# ------------------------------------------------------------- all or nothing

$database = runbook('two');
my $session = session($node, dbname => $database);
$session->try('BEGIN');
$session->try('SELECT count(*) FROM schema_migrations');
my $h = start_tapmig($node, [ 'adopt', '--yes', '--dir', $dir ], dbname => $database);
ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'two' AND wait_event_type = 'Lock')", dbname => $database), 'a reader is in the way');
is($session->try("INSERT INTO schema_migrations (version) VALUES ('099')")->{ok}, 1, 'and writes another row');
$session->try('COMMIT');
($exit, $out, $err) = $h->finish(60);
is($exit, 7, 'adopt saw another ledger: exit code 7') or diag "$out$err";
like($err, qr/schema_migrations\S* changed while it was adopted.*\nDETAIL:  Nothing was recorded\.\nHINT:  Run tapmig adopt again\./, 'its message');
is(sql_value($node, "SELECT count(*) FROM tapmig.schema_migrations", dbname => $database), 0, 'nothing was recorded');
is(sql_value($node, "SELECT to_regclass('schema_migrations_before_tapmig') IS NULL", dbname => $database), 't', 'nothing was renamed');
($exit, $out, $err) = run_tapmig($node, [ 'adopt', '--yes', '--dir', $dir ], dbname => $database);
is($exit, 0, 'again') or diag $err;
is(sql_value($node, "SELECT string_agg(version, ' ' ORDER BY version) FROM schema_migrations", dbname => $database), '001 002 003 099', 'all four');

# A table that somebody else holds is not waited for without end
$database = runbook('three');
$session = session($node, dbname => $database);
$session->try('BEGIN');
$session->try('LOCK TABLE schema_migrations IN ACCESS SHARE MODE');
($exit, $out, $err) = run_tapmig($node, [ 'adopt', '--yes', '--dir', $dir ], dbname => $database);
is($exit, 7, 'a table in use: exit code 7') or diag "$out$err";
$session->try('ROLLBACK');

# The name that the table is to be kept under is taken
my $taken = runbook('taken');
$node->safe_psql($taken, 'CREATE VIEW schema_migrations_before_tapmig AS SELECT 1 AS one');
($exit, $out, $err) = run_tapmig($node, [ 'adopt', '--yes', '--dir', $dir ], dbname => $taken);
is($exit, 1, 'a relation has the name: exit code 1') or diag "$out$err";
like($err, qr/schema_migrations\S* cannot be kept as public\.schema_migrations_before_tapmig: there is a relation of that name.*\nDETAIL:  Nothing was recorded\.\nHINT:  .*Rename or drop it, then run tapmig adopt again\./, 'its message');
is(sql_value($node, 'SELECT count(*) FROM tapmig.schema_migrations', dbname => $taken), 0, 'nothing was recorded');
$node->safe_psql($taken, 'DROP VIEW schema_migrations_before_tapmig');
is((run_tapmig($node, [ 'adopt', '--yes', '--dir', $dir ], dbname => $taken))[0], 0, 'dropped: adopted');

# What doc/adopt.md says of the view
my $other = runbook('documented');
run_tapmig($node, [ 'adopt', '--yes', '--dir', $dir ], dbname => $other);
my ($documented) = read_file(top_dir() . '/doc/adopt.md') =~ /^```sql\n(SELECT version.*?)^```$/ms;
ok(sql_try($node, $documented, dbname => $other)->{ok}, "the document's statements run");
is(sql_value($node, "SELECT source FROM schema_migrations WHERE version = '036'", dbname => $other), 'by hand, ticket 4711', 'and do what it says');
ok(sql_try($node, "INSERT INTO schema_migrations (version) SELECT '036' WHERE NOT tapmig.is_applied('036')", dbname => $other)->{ok}, 'instead of ON CONFLICT');
is_error(apply($node, '040', "INSERT INTO schema_migrations (version) VALUES ('040')", dbname => $other), '55000', qr/must not write/, 'a migration that records itself');

my ($back) = read_file(top_dir() . '/doc/adopt.md') =~ /^- Back: `(.*?)`/m;
ok(sql_try($node, $back, dbname => $other)->{ok}, 'back to the table');
is(sql_value($node, 'SELECT count(*) FROM schema_migrations', dbname => $other), 3, 'which is as it was');

# A track of its own, and another name
$node->safe_psql($database, 'ALTER TABLE schema_migrations RENAME TO "Our ""migrations"""; DROP VIEW latest');
($exit, $out, $err) = run_tapmig($node, [ 'adopt', '--yes', '--dir', $dir, '--track', "it's" ], dbname => $database);
is($exit, 0, 'an odd name and track') or diag $err;
$node->safe_psql($database, q{INSERT INTO "Our ""migrations""" (version) VALUES ('050')});
is(sql_value($node, q{SELECT string_agg(version, ' ' ORDER BY version) FROM tapmig.schema_migrations WHERE track = 'it''s'}, dbname => $database), '001 002 003 050', 'all is in that track');

# ------------------------------------------------ the view without an adoption

tapmig_database($node, 'four');
$node->safe_psql('four', "SELECT tapmig.apply('001', 'SELECT 1'); CREATE SCHEMA app; SELECT tapmig.ledger_view('public')");
is(sql_value($node, $query, dbname => 'four'), '001', "one command makes the runbook's query work on a new database");
$node->safe_psql('four', "INSERT INTO schema_migrations (version, source) VALUES ('002', 'by hand')");
is(sql_value($node, "SELECT kind || ' ' || source FROM tapmig.schema_migrations WHERE version = '002'", dbname => 'four'), 'registered by hand', 'and its INSERT');

done_testing();
