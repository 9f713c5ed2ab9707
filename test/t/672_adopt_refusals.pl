# What adopt does not guess: which ledger, what an unknown one means, what
# belongs to no version; and who may adopt.

use strict;
use warnings;

use IPC::Run ();
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $dir  = migrations_dir({ '001_a.sql' => 'CREATE TABLE a (i int)', '002_b.sql' => 'CREATE TABLE b (i int)' });
my ($exit, $out, $err);

sub database_of
{
	my ($database, @sql) = @_;

	tapmig_database($node, $database);
	$node->safe_psql($database, $_) for @sql;
	return $database;
}

sub adopt
{
	my ($database, @arguments) = @_;
	my %opt = @arguments && ref $arguments[-1] ? %{ pop @arguments } : ();

	return run_tapmig($node, [ 'adopt', '--dir', $dir, @arguments ], dbname => $database, %opt);
}

sub recorded { return sql_value($node, "SELECT coalesce(string_agg(version, ' ' ORDER BY version), '') FROM tapmig.schema_migrations", dbname => $_[0]); }

# --------------------------------------------- several projects in one ledger

# The plan in the directory says which is meant; each goes into a track of its own.
my $sqitch = database_of('sqitch_projects', read_file(fixture('ledgers/sqitch.sql')), <<'SQL');
INSERT INTO sqitch.projects VALUES ('flip r', NULL, '2019-01-01 00:00:00+00', 'Ann', 'ann@example.com');
INSERT INTO sqitch.changes VALUES ('b1', 'i1', 'bills', 'flip r', '', '2019-03-01 10:00:00+00', 'Ann', 'ann@example.com', '2019-03-01 10:00:00+00', 'Ann', 'ann@example.com');
SQL
for my $case ([ 'flipr', "\n", '20190101100000 20190102100000 20190102100000.2 20190104100000' ], [ 'flip r', "\r\n", '20190301100000' ])
{
	my ($project, $ending, $versions) = @$case;
	my $plan = migrations_dir({ 'sqitch.plan' => "%syntax-version=1.0.0$ending%project=$project$ending$ending" });
	my @where = ('--dir', $plan, '--track', $project);

	($exit, $out, $err) = run_tapmig($node, [ 'adopt', @where ], dbname => $sqitch);
	is(join(' ', $out =~ /^register +(\d[\d.]*)_/mg), $versions, "the project $project: shown") or diag $err;
	($exit, $out, $err) = run_tapmig($node, [ 'adopt', '--yes', @where ], dbname => $sqitch);
	is($exit, 0, "the project $project: adopted") or diag $err;
	is(sql_value($node, "SELECT string_agg(version, ' ' ORDER BY version) FROM tapmig.schema_migrations WHERE track = '$project'", dbname => $sqitch),
		$versions, 'its changes and no others');
	like((run_tapmig($node, [ 'adopt', '--yes', @where ], dbname => $sqitch))[1], qr/\Anothing to do/, 'again: nothing to do');
}

# ------------------------------------------------------------- which ledger?

my $database = database_of('none');
($exit, $out, $err) = adopt($database);
is("$exit|$out", '2|', 'no ledger: exit code 2');
like($err, qr/\Atapmig: no ledger of another tool is in this database\nHINT:  .*tapmig baseline VERSION.*tapmig up\.\n\z/, 'its message');
($exit, $out, $err) = adopt($database, '--from', 'nowhere');
is($exit, 2, 'no such table: exit code 2');
like($err, qr/\Atapmig: no ledger of another tool is in this database, and no table nowhere\n/, 'its message');

my $dbmate = 'CREATE TABLE schema_migrations (version varchar(128) PRIMARY KEY)';
$database = database_of('empty', $dbmate);
($exit, $out, $err) = adopt($database, '--yes');
is("$exit|$out", '2|', 'an empty ledger: exit code 2');
like($err, qr/\Atapmig: public\.schema_migrations \(dbmate\) is empty\nHINT:  .*tapmig baseline.*tapmig up/, 'its message');
sql_value($node, "SELECT tapmig.register('001')", dbname => $database);
($exit, $out, $err) = adopt($database, '--yes');
is("$exit|$out", '2|', 'an empty ledger beside a full one of tapmig');

my $flyway = read_file(fixture('ledgers/flyway.sql'));
my $diesel = read_file(fixture('ledgers/diesel.sql'));
$database = database_of('several', $flyway, $diesel,
	q{CREATE SCHEMA "odd ""one"; CREATE TABLE "odd ""one"."x; DROP TABLE a; --" (version bigint PRIMARY KEY, dirty boolean NOT NULL)},
	q{INSERT INTO "odd ""one"."x; DROP TABLE a; --" VALUES (1, false)});
for my $yes ([], ['--yes'])
{
	($exit, $out, $err) = adopt($database, @$yes);
	is("$exit|$out", '2|', "several ledgers: exit code 2 (@$yes)");
	is( $err,
		qq{tapmig: these may be meant: "odd ""one"."x; DROP TABLE a; --" (golang-migrate), public.__diesel_schema_migrations (diesel), public.flyway_schema_history (flyway)\n}
		  . "HINT:  Name one: tapmig adopt --from TABLE\n",
		'its message names them');
}
is(recorded($database), '', 'nothing is recorded');
($exit, $out, $err) = adopt($database, '--from', 'nowhere');
like($err, qr/\Atapmig: no table nowhere; these may be meant: /, 'a table that is not there');
($exit, $out, $err) = adopt($database, '--from', '__diesel_schema_migrations');
is($exit, 0, '--from a table') or diag $err;
like($out, qr/\Apublic\.__diesel_schema_migrations is the ledger of: diesel\n/, 'it is read');
like($out, qr/^nothing is recorded yet: tapmig adopt --yes --from __diesel_schema_migrations records 2$/m, 'the next step names it');
($exit, $out, $err) = adopt($database, '--from', '"odd ""one"."x; DROP TABLE a; --"', '--yes');
is("$exit|$out|$err", "0|registered 001_a\n|", 'a table of an odd name');
is(recorded($database), '001', 'is read');
($exit, $out, $err) = adopt($database, '--from', 'y; DROP TABLE a; --');
is("$exit|$out", '2|', 'what is no name: exit code 2') or diag $err;
is(recorded($database), '001', 'and nothing else happens');

# Flyway's own setting puts its table into any schema
$database = database_of('elsewhere', 'CREATE SCHEMA app', $diesel, $flyway, 'ALTER TABLE flyway_schema_history SET SCHEMA app', 'CREATE SCHEMA app2',
	'CREATE TABLE app2.same (version text PRIMARY KEY)', 'CREATE TABLE app.same (version text PRIMARY KEY)');
($exit, $out, $err) = adopt($database, '--from', 'flyway_schema_history');
like($out, qr/\Aapp\.flyway_schema_history is the ledger of: flyway\n/, 'a ledger outside of the search_path is found by its name') or diag $err;
($exit, $out, $err) = adopt($database, '--from', 'same');
is($exit, 2, 'but not when two have it');

# ------------------------------------------------------- what it doesn't know

$database = database_of('unknown', 'CREATE TABLE my_migrations (id int PRIMARY KEY, file text, done_at date)');
($exit, $out, $err) = adopt($database);
is($exit, 2, 'columns of no tool: not found');
($exit, $out, $err) = adopt($database, '--from', 'my_migrations');
is("$exit|$out", '2|', 'and named: exit code 2');
like($err,
	qr/\Atapmig: ERROR:  public\.my_migrations is not the ledger of a tool that tapmig knows\nDETAIL:  Its columns are: id integer, file text, done_at date\.\nHINT:  tapmig baseline VERSION .*tapmig\.register\(\)/,
	'its message: what it is, what to do');

# One column more than a runbook's table has is another table
$database = database_of('more', 'CREATE TABLE schema_migrations (version text PRIMARY KEY, applied_at timestamptz, source text, checksum text)');
($exit, $out, $err) = adopt($database, '--from', 'schema_migrations');
is($exit, 2, 'a column more than a runbook has') or diag $out;
is(sql_value($node, "SELECT relkind FROM pg_class WHERE oid = 'schema_migrations'::regclass", dbname => $database), 'r', 'its table stays');

is_error(sql_try($node, 'SELECT * FROM tapmig.foreign_rows(NULL)', dbname => $database), '22004', qr/must not be null/, 'no table at all');

# Tapmig's own, another extension's, views and temporary tables are none
is(sql_value($node, 'SELECT count(*) FROM tapmig.foreign_ledgers()', dbname => database_of('own', "SELECT tapmig.register('1')", 'CREATE VIEW v AS SELECT version, applied_at, source FROM tapmig.schema_migrations')),
	0, "tapmig's own ledger is none");
# The types count too
is(sql_value($node, 'SELECT count(*) FROM tapmig.foreign_ledgers()',
	dbname => database_of('types', 'CREATE TABLE schema_migrations (version date PRIMARY KEY)', 'CREATE TABLE x (version bigint, dirty text)', 'CREATE TABLE app_versions (version text)')), 0, 'columns of other types, and one that is not unique');

# Rows that are no migrations, rows of one version, rows in force already
$database = database_of('rows', $dbmate,
	"INSERT INTO schema_migrations VALUES ('001'), ('1'), ('init'), (''), (E'2\\n'), (repeat('9', 128)), ('002'), ('''; DROP TABLE schema_migrations; --')",
	"SELECT tapmig.register('002')");
($exit, $out, $err) = adopt($database, '--yes');
is($exit, 0, 'odd rows') or diag $err;
is($out, "registered 001_a\nregistered " . ('9' x 128) . "\n", 'what is a version is registered');
is(() = $err =~ /^tapmig: WARNING:  .* is not in force by the old ledger, and not recorded: /mg, 5, 'the rest is reported') or diag $err;
like($err, qr/not recorded: another row of the same version$/m, 'one version twice');
like($err, qr/init .*not recorded: its name does not begin with a version$/m, 'no version');

# golang-migrate: dirty, and before the first
$database = database_of('dirty', 'CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL)', 'INSERT INTO schema_migrations VALUES (2, true)');
($exit, $out, $err) = adopt($database, '--yes');
is("$exit|$out", "0|registered 001_a\n", 'dirty: what is below') or diag $err;
like($err, qr/\Atapmig: WARNING:  002_b is not in force .*: dirty: it failed, and may be half done\n\z/, 'the dirty one is reported');
$node->safe_psql($database, 'TRUNCATE schema_migrations; INSERT INTO schema_migrations VALUES (-1, true)');
($exit, $out, $err) = adopt($database, '--yes');
is($exit, 0, 'before the first') or diag $err;
like($err, qr/-1 .*: dirty/, 'is reported');

# A file that was registered with other content before
$database = database_of('changed', $dbmate, "INSERT INTO schema_migrations VALUES ('001'), ('002')", "SELECT tapmig.register('001', 'SELECT 1')");
($exit, $out, $err) = adopt($database, '--yes');
is("$exit|$out", "0|registered 002_b\n", 'what is in force is left as it is') or diag $err;

# Nothing of it stays when one of it fails
$database = database_of('fails', $dbmate, "INSERT INTO schema_migrations VALUES ('001'), ('002')",
	q{CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.version = '002' THEN RAISE 'no'; END IF; RETURN NEW; END$$},
	'CREATE TRIGGER no BEFORE INSERT ON tapmig.schema_migrations FOR EACH ROW EXECUTE FUNCTION no()',
	'ALTER TABLE tapmig.schema_migrations ENABLE ALWAYS TRIGGER no');
($exit, $out, $err) = adopt($database, '--yes');
is("$exit|$out", '1|', 'one that fails');
like($err, qr/^tapmig: nothing was recorded \(SQLSTATE P0001\)/m, 'its message');
is(recorded($database), '', 'none is recorded');

# ------------------------------------------------------------- up says so

$database = database_of('up', $dbmate, "INSERT INTO schema_migrations VALUES ('001')");
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ], dbname => $database);
is($exit, 4, 'up before adopt: refused');
like($err, qr/tapmig adopt where another tool has recorded them/, 'and says what to do');

# ------------------------------------------------------------- odd names

$database = database_of('odd_names', q{CREATE SCHEMA "Up Case"; CREATE TABLE "Up Case"."it's mine" (version text PRIMARY KEY, applied_at timestamptz, source text)},
	q{INSERT INTO "Up Case"."it's mine" VALUES ('001', now(), 'x')});
for my $from (q{"Up Case"."it's mine"}, q{it's mine})
{
	($exit, $out, $err) = adopt($database, '--from', $from);
	is("$exit|$err", '0|', "--from $from");
	my ($word) = $out =~ /^nothing is recorded yet: tapmig adopt --yes --from (.*) records 1$/m;
	my $read = '';
	IPC::Run::run([ 'sh', '-c', "printf %s $word" ], '>', \$read);
	is($read, $from, 'a shell reads the command that it gives');
}
for my $from ('"', 'a b', 'a.b.c', '.', "x'; DROP TABLE a; --")
{
	($exit, $out, $err) = adopt($database, '--from', $from);
	is("$exit|$out", '2|', "--from $from: exit code 2");
	like($err, qr/no table \Q$from\E/, 'its message');
}
($exit, $out, $err) = adopt($database, '--yes', '--from', q{it's mine});
is($exit, 0, 'adopted') or diag $err;

# Whoever reads what it prints may go before the end.
my $tmp = scratch_dir();
{
	local %ENV = ($node->_get_env(PGDATABASE => 'several'), TMPDIR => $tmp);
	delete @ENV{qw(DATABASE_URL TAPMIG_DIR)};
	for my $shell (grep { system("command -v $_ >/dev/null") == 0 } 'dash', 'busybox', 'bash')
	{
		my $start = $shell eq 'busybox' ? 'busybox sh' : $shell;
		my $bin = tapmig_bin();

		IPC::Run::run([ 'sh', '-c', "$start '$bin' adopt --dir '$dir' --from __diesel_schema_migrations 2>/dev/null | true" ]);
		is_deeply([ glob("$tmp/*") ], [], "$shell: no temporary file is left where the reader has gone");
	}
}

# ------------------------------------------------------------- who may adopt

$node->safe_psql('postgres', 'CREATE ROLE deployer LOGIN; CREATE ROLE nobody_much LOGIN');
$database = database_of('rights', read_file(fixture('ledgers/runbook.sql')), 'ALTER TABLE schema_migrations OWNER TO deployer', 'GRANT CREATE ON SCHEMA public TO deployer',
	read_file(top_dir() . '/doc/adopt.md') =~ /^(GRANT EXECUTE .*?;)$/ms);
my $rows_dir = migrations_dir({ '001_a.sql' => 'SELECT 1' });
($exit, $out, $err) = run_tapmig($node, [ 'adopt', '--yes', '--dir', $rows_dir ], dbname => $database, env => { PGUSER => 'nobody_much' });
is($exit, 1, 'without a grant');
like($err, qr/\Atapmig: ERROR:  permission denied for function foreign_ledgers\ntapmig: this role may not adopt \(SQLSTATE 42501\)\nHINT:  [^\n]*tapmig\.foreign_ledgers, [^\n]* TO the role[^\n]*\n\z/,
	'is refused once, and told what to do');
($exit, $out, $err) = run_tapmig($node, [ 'adopt', '--yes', '--dir', $rows_dir ], dbname => $database, env => { PGUSER => 'deployer' });
is($exit, 0, 'a deployer with the grants of the documentation') or diag $err;
is(recorded($database), '001 002 003', 'adopts');
is(sql_value($node, "INSERT INTO schema_migrations (version) VALUES ('004') RETURNING source", dbname => $database, user => 'deployer'), 'manual', 'and inserts');

# A view of the deployer's own lets whom he grants it record, and no more
is_error(sql_try($node, "INSERT INTO schema_migrations (version) VALUES ('005')", dbname => $database, user => 'nobody_much'), '42501', qr/permission denied for view/, 'others do not');

done_testing();
