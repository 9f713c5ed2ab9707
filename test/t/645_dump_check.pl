# dump writes schema.sql, the same bytes for the same schema, and a database
# built from it knows its versions; check says when it is stale.

use strict;
use warnings;

use IPC::Run ();
use TapmigTest;
use Test::More;

my $node = tapmig_node('main', conf => "wal_level = logical\n");
my $tmp  = scratch_dir();
$node->safe_psql('postgres', 'CREATE ROLE reader; CREATE ROLE deployer LOGIN');
$node->safe_psql('postgres', 'CREATE DATABASE dev');
$node->safe_psql('dev', <<'SQL');
CREATE EXTENSION tapmig;
GRANT EXECUTE ON PROCEDURE tapmig.run TO deployer;
GRANT CREATE, USAGE ON SCHEMA public TO deployer;
SQL

# What makes dumps of one schema differ, or fools who reads them line by line.
my $dir = migrations_dir({
		'001_lists.sql' => <<'SQL', "002_it's \\x.sql" => <<'SQL', '003_index.sql' => "CREATE INDEX CONCURRENTLY lists_n ON lists (n);\n" });
CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
CREATE TYPE mood AS ENUM ('good');
CREATE TABLE lists (
  s varchar(10) CHECK (s IN ('a', 'b', 'it''s', 'x[,(')),
  c char(1) CHECK (c IN ('x', 'y')),
  n numeric CHECK (n = ANY (ARRAY[1, 2])),
  m varchar[] DEFAULT ARRAY['a', 'b']::text[],
  i int PRIMARY KEY);
CREATE VIEW some_lists AS SELECT s FROM lists WHERE s IN ('a', 'b') AND i > 1;
CREATE INDEX ON lists (lower(s)) WHERE s NOT IN ('a', 'b');
CREATE FUNCTION tricky() RETURNS text LANGUAGE plpgsql AS $f$
BEGIN
  -- it's (ARRAY['a'::character varying, 'b'::character varying])::text[]
  /*
\restrict not one
--
-- Name: SCHEMA public; Type: ACL; Schema: -; Owner: -
--


*/
  RETURN '$$';
END $f$;
COMMENT ON TABLE lists IS 'it''s
(ARRAY[''a''::character varying])::text[]
--
-- Name: EXTENSION x; Type: COMMENT; Schema: -; Owner: -
';
CREATE TABLE "it's ""q"" $$" ("a'b" int);
ALTER TABLE lists ALTER n SET (n_distinct = 5, n_distinct_inherited = 6);
CREATE FUNCTION is_ab(varchar) RETURNS boolean LANGUAGE sql BEGIN ATOMIC SELECT $1 IN ('a', 'b'); END;
SQL
-- tapmig: lock_timeout=2s, loses=a.b, approved-by="O'Neil \ x"
GRANT SELECT ON lists TO reader;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader;
CREATE TABLE with_default_rights ();
CREATE CAST (mood AS int) WITH INOUT;
CREATE FUNCTION event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER event ON sql_drop EXECUTE FUNCTION event();
CREATE PUBLICATION publication FOR TABLE lists;
CREATE VIEW applied_versions AS SELECT version FROM tapmig.schema_migrations;
SQL

sub tapmig
{
	my ($db, @arguments) = @_;

	return run_tapmig($node, [ @arguments, '--dir', $dir ], dbname => $db, env => { TMPDIR => $tmp });
}

sub build
{
	my ($db, $file) = @_;
	my ($out, $err) = ('', '');

	$node->safe_psql('postgres', "CREATE DATABASE $db");
	local %ENV = $node->_get_env(PGDATABASE => $db);
	IPC::Run::run([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $file ], '>', \$out, '2>', \$err);
	return $err;
}

sub databases { return sql_value($node, 'SELECT count(*) FROM pg_database'); }

my ($exit, $out, $err) = tapmig('dev', 'check');
is("$exit|$out", '5|', 'check without schema.sql: exit code 5');
is($err, "tapmig: there is no $dir/schema.sql\nHINT:  Make it with tapmig dump, and commit it.\n", 'its message');
is((tapmig('dev', 'up'))[0], 0, 'up') or diag $err;

# ---------------------------------------------------------------- dump

($exit, $out, $err) = tapmig('dev', 'dump');
is("$exit|$out|$err", '0||', 'dump');
my $schema = read_file("$dir/schema.sql");
my $stripped = $schema =~ s/AS \$_\$.*?\$_\$;//sr;
unlike($stripped, qr/restrict|[Dd]umped (?:from|by)|PostgreSQL database dump/, 'no key, no versions of programs');
unlike($schema, qr/Owner: [^-]|OWNER TO|FOR ROLE/, 'no owner');
unlike($schema, qr/deployer/, "no rights on the schema public, and on tapmig's own objects");
unlike($schema, qr/CREATE SCHEMA|EXTENSION tapmig IS|TABLE tapmig|WITH SCHEMA pg_catalog/, "nothing of tapmig's own");
like($schema, qr/GRANT SELECT ON TABLE public\.lists TO reader;/, 'what the migrations grant');
like($schema, qr/^ALTER DEFAULT PRIVILEGES GRANT SELECT/m, 'and default privileges');
like($schema, qr/^CREATE $_ /m, "a $_") for 'CAST', 'EVENT TRIGGER', 'PUBLICATION', 'EXTENSION IF NOT EXISTS "uuid-ossp"';
like($schema, qr/^\\restrict not one\n--\n-- Name: SCHEMA public; Type: ACL; Schema: -; Owner: -\n--\n\n\n\*\/$/m,
	'the body of a function as it is');
is(scalar(() = $schema =~ /\(ARRAY\['a'::character varying, 'b'::character varying\]\)::text\[\]/g), 1,
	'but for which no array is cast as a whole');
my @lines = grep { /^INSERT INTO tapmig\.schema_migrations / } split /\n/, $schema;
is(scalar @lines, 3, 'a line for each version');
my $values = quotemeta(q{('main', '001', 'lists', 'schema.sql', '\x} . sha256_file("$dir/001_lists.sql") . q{', '\x});
like($lines[0], qr/$values[0-9a-f]{64}'\);\z/,
	'with version, name, checksum and fingerprint');
like($schema, qr/\Q$lines[2]\E\n\z/, 'at its end');
is((tapmig('dev', 'dump', '--out', '-'))[1], $schema, '--out -');

# A server stamps columns with an option of its own, which a pg_dump of an earlier
# minor release prints.
chomp(my $pg_dump = `pg_config --bindir`);
my $earlier = scratch_dir();
write_file("$earlier/stamps.sed", <<'SED');
/^CREATE TABLE public\.lists (/,/^);/{
/^);/{
a\
ALTER TABLE ONLY public.lists ALTER COLUMN s SET (pg_attver=97479224);
a\
ALTER FOREIGN TABLE ONLY public."it's ""q"" $$" ALTER COLUMN "a'b SET (x)" SET (pg_attver=1);
}
}
s/(n_distinct=5, n_distinct_inherited=6)/(pg_attver=3, n_distinct=5, pg_attver=4, n_distinct_inherited=6, pg_attver=5)/
SED
write_file("$earlier/pg_dump", "#!/bin/sh\n$pg_dump/pg_dump \"\$\@\" >$earlier/dump || exit\nsed -f $earlier/stamps.sed $earlier/dump | tee $earlier/stamped\n");
chmod 0755, "$earlier/pg_dump";
like($schema, qr/ALTER COLUMN n SET \(n_distinct=5, n_distinct_inherited=6\);/, 'the options of a column');
is((run_tapmig($node, [ 'dump', '--dir', $dir, '--out', '-' ], dbname => 'dev', env => { PATH => "$earlier:$ENV{PATH}" }))[1],
	$schema, 'without the stamps of the server');
cmp_ok(scalar(() = read_file("$earlier/stamped") =~ /pg_attver/g), '>=', 5, 'which that pg_dump prints');
($exit, $out, $err) = tapmig('dev', 'dump', '--out', "$tmp/nowhere/x.sql");
is($exit, 2, 'a file that cannot be written') or diag $err;

# ---------------------------------------------------------------- a database from it

is(build('built', "$dir/schema.sql"), '', 'it makes a database');
($exit, $out, $err) = tapmig('built', 'up');
is("$exit|$out|$err", '0||', 'up says nothing');
is(sql_value($node, 'SELECT count(*) FROM tapmig.verify()', dbname => 'built'), 0, 'verify is clean');
is((tapmig('built', 'status', '--strict'))[0], 0, 'status has nothing to do');
is((tapmig('built', 'dump', '--out', "$tmp/again.sql"))[0], 0, 'dump again');
is(read_file("$tmp/again.sql"), $schema, 'the same bytes');
unlink "$tmp/again.sql";
$node->safe_psql('postgres', 'ALTER ROLE deployer SUPERUSER');
is((run_tapmig($node, [ 'dump', '--dir', $dir, '--out', '-' ], dbname => 'built', env => { PGUSER => 'deployer' }))[1]
	=~ s/ FOR ROLE \w+//r, $schema, 'and for another user');
$node->safe_psql('postgres', 'ALTER ROLE deployer NOSUPERUSER');

# ---------------------------------------------------------------- check

my $before = databases();
for my $db ('dev', 'built')
{
	($exit, $out, $err) = tapmig($db, 'check');
	is("$exit|$out|$err", '0||', "check on the server of $db");
	($exit, $out, $err) = run_tapmig($node, [ 'check', '--dir', $dir, '--db', "dbname=$db" ]);
	is("$exit|$out|$err", '0||', "check --db $db");
}
for my $url ('postgresql:///dev', 'postgresql:///dev?application_name=x', "dbname='dev'", 'dev')
{
	($exit, $out, $err) = run_tapmig($node, [ 'check', '--dir', $dir ], dbname => 'nosuch', env => { DATABASE_URL => $url });
	is("$exit|$out|$err", '0||', "check with DATABASE_URL=$url");
}
is(databases(), $before, 'no database is left');

# Another layout of what is applied: the file's checksum counts.
my $file = read_file("$dir/003_index.sql");
write_file("$dir/003_index.sql", "-- a comment\n$file");
($exit, $out, $err) = tapmig('dev', 'up');
like($err, qr/layout or comments only/, 'another layout');
is((tapmig('dev', 'check'))[0], 5, 'makes schema.sql stale');
is((tapmig('dev', 'dump'))[0], 0, 'dump again');
is((tapmig('dev', 'check'))[0], 0, 'and it is not');
write_file("$dir/003_index.sql", $file);
write_file("$dir/schema.sql", $schema);

# A new migration without dump
write_file("$dir/004_more.sql", "CREATE TABLE more (i int);\n");
($exit, $out, $err) = tapmig('dev', 'check');
is($exit, 5, 'stale: exit code 5') or diag $err;
like($out, qr{\A--- \Q$dir\E/schema\.sql\n\+\+\+ a database built from \Q$dir\E\n@@ }, 'a unified diff');
like($out, qr/^\+CREATE TABLE public\.more \($/m, 'with the table');
like($out, qr/^\+INSERT INTO tapmig\.schema_migrations .*'004', 'more'/m, 'and the version');
like($err, qr/\Atapmig: \S+\/schema\.sql is stale\nHINT:  tapmig up and tapmig dump .*\n\z/, 'its message');
($exit, $out, $err) = tapmig('dev', 'dump', '--out', '-');
like($err, qr/WARNING:  1 of the files are not applied/, 'dump before up: a warning');

# One that stopped in its middle is in it in part.
write_file("$dir/005_parts.sql", "CREATE TABLE parts (i int);\nVACUUM parts;\nSELECT 1/0;\n");
is((tapmig('dev', 'up'))[0], 1, 'a migration stops in its middle');
($exit, $out, $err) = tapmig('dev', 'dump', '--out', '-');
like($out, qr/^CREATE TABLE public\.parts /m, 'its first step is in the dump');
like($err, qr/\Atapmig: WARNING:  not applied to its end: 005_parts; what its steps have done is in the dump, and its version is not\nHINT:  Let tapmig up finish it, .*\n\z/,
	'which says so, and not that the dump is without it');
write_file("$dir/005_parts.sql", "CREATE TABLE parts (i int);\nVACUUM parts;\nDROP TABLE parts;\n");
is((tapmig('dev', 'up'))[0], 0, 'the fix that it names: up');
($exit, $out, $err) = run_tapmig($node, [ 'check', '--dir', $dir, '--db', 'dev' ]);
is($exit, 5, 'a live database that has more');
like($err, qr/the database is not what .* says/, 'its message');
is((tapmig('dev', 'dump'))[0], 0, 'and dump');
($exit, $out, $err) = tapmig('dev', 'check');
is("$exit|$out|$err", '0||', 'works');

# By hand in the live database
$node->safe_psql('dev', 'ALTER TABLE more ADD COLUMN by_hand int');
($exit, $out, $err) = run_tapmig($node, [ 'check', '--dir', $dir, '--db', 'dev' ]);
is($exit, 5, 'what was changed by hand');
like($out, qr/^\+    by_hand integer$/m, 'is shown');
is((tapmig('dev', 'check'))[0], 0, 'and is none of the migrations');

# ---------------------------------------------------------------- --no-ledger

($exit, $out, $err) = tapmig('built', 'dump', '--no-ledger', '--out', "$tmp/plain.sql");
is("$exit|$out|$err", '0||', 'dump --no-ledger');
unlike(read_file("$tmp/plain.sql"), qr/INSERT INTO|EXTENSION IF NOT EXISTS tapmig/, 'knows nothing of tapmig');
write_file("$tmp/plain.sql", read_file("$tmp/plain.sql") =~ s/^CREATE VIEW public\.applied_versions.*?;\n//msr =~ s/^GRANT.*applied_versions.*\n//mr);
is(build('plain', "$tmp/plain.sql"), '', 'and goes into a plain server');
is((tapmig('built', 'check', '--no-ledger', '--db', 'built'))[0], 5, 'check --no-ledger sees the structure');
unlink "$dir/004_more.sql";
write_file("$dir/schema.sql", $schema =~ s/^INSERT INTO tapmig.*\n//mgr);
is((tapmig('built', 'check', '--no-ledger', '--db', 'built'))[0], 0, 'and nothing but');
is((tapmig('built', 'check', '--db', 'built'))[0], 5, 'unlike check');
unlink "$tmp/plain.sql";
write_file("$dir/schema.sql", $schema);
like((tapmig('dev', 'dump', '--no-privileges', '--out', '-'))[1], qr/\A(?!.*^GRANT)/ms, '--no-privileges');

# ---------------------------------------------------------------- whatever is in it

my $varied = migrations_dir({ '001_varied.sql' => read_file(fixture('schema_varied.sql')) });
tapmig_database($node, 'varied');
is((run_tapmig($node, [ 'up', '--dir', $varied ], dbname => 'varied'))[0], 0, 'a varied schema');
is((run_tapmig($node, [ 'dump', '--dir', $varied ], dbname => 'varied'))[0], 0, 'dump');
is(build('varied_built', "$varied/schema.sql"), '', 'it makes a database');
is((run_tapmig($node, [ 'dump', '--dir', $varied, '--out', '-' ], dbname => 'varied_built'))[1], read_file("$varied/schema.sql"),
	'which dumps the same bytes');
($exit, $out, $err) = run_tapmig($node, [ 'check', '--dir', $varied, '--db', 'varied_built' ]);
is("$exit|$out|$err", '0||', 'and is what the file says');
$node->safe_psql('postgres', "DROP DATABASE $_") for qw(varied varied_built);

# ---------------------------------------------------------------- --exclude

my $ledger = migrations_dir({ '001_kept.sql' => "CREATE TABLE kept (i int);\n" });
tapmig_database($node, 'excluding');
$node->safe_psql('excluding', q{CREATE TABLE flyway_schema_history (i serial); CREATE SCHEMA "O dd"; CREATE VIEW "O dd"."it's v" AS SELECT 1});
is((run_tapmig($node, [ 'up', '--force-empty', '--dir', $ledger ], dbname => 'excluding'))[0], 0, 'up');
my @exclude = ('--exclude', 'flyway*', q{--exclude="O dd"."it's v"});
is((run_tapmig($node, [ 'dump', '--dir', $ledger, @exclude ], dbname => 'excluding'))[0], 0, 'dump --exclude');
unlike(read_file("$ledger/schema.sql"), qr/flyway|it's v/, 'leaves them out');
like(read_file("$ledger/schema.sql"), qr/^CREATE TABLE public\.kept/m, 'and nothing else');
is((run_tapmig($node, [ 'check', '--dir', $ledger, '--db', 'excluding', @exclude ]))[0], 0, 'check --exclude');
is((run_tapmig($node, [ 'check', '--dir', $ledger, '--db', 'excluding' ]))[0], 5, 'unlike check');
$node->safe_psql('postgres', 'DROP DATABASE excluding');

# ---------------------------------------------------------------- whoever dumps it, and wherever

my $shown = migrations_dir({ '001_shown.sql' => <<'SQL' });
CREATE TABLE shown (t timestamptz DEFAULT '2020-01-01 00:00:00+00', b bytea DEFAULT '\x01ff', d date DEFAULT '2020-02-03', i interval DEFAULT '25 h',
  "select" text DEFAULT 'it\s') PARTITION BY RANGE (t);
CREATE TABLE shown_1 PARTITION OF shown FOR VALUES FROM ('2020-01-01 00:00:00+00') TO ('2021-01-01 00:00:00+00');
CREATE FUNCTION shown() RETURNS text LANGUAGE sql RETURN 'a\b';
COMMENT ON EXTENSION plpgsql IS E'a\\b\nc';
SQL
tapmig_database($node, 'shown');
is((run_tapmig($node, [ $_, '--dir', $shown ], dbname => 'shown'))[0], 0, "$_: a schema that settings show in other ways") for 'up', 'dump';
my @settings = ('TimeZone=Asia/Tokyo', 'DateStyle=German', 'IntervalStyle=iso_8601', 'standard_conforming_strings=off', 'bytea_output=escape',
	'quote_all_identifiers=on', 'search_path=nosuch', 'client_min_messages=error', 'extra_float_digits=-5');
my $options = join ' ', map { "-c $_" } @settings;
my $schema_shown = read_file("$shown/schema.sql");
is((run_tapmig($node, [ 'dump', '--dir', $shown, '--out', '-' ], dbname => 'shown', env => $_))[1], $schema_shown, 'the same bytes with ' . join ' ', %$_)
  for { PGOPTIONS => $options }, { PGTZ => 'America/New_York' };
$node->safe_psql('postgres', "ALTER DATABASE shown SET " . s/=(.*)/ = '$1'/r) for @settings;
is((run_tapmig($node, [ 'dump', '--dir', $shown, '--out', '-' ], dbname => 'shown'))[1], $schema_shown, "and with the database's settings");
$options = join ' ', map { "-c $_" } grep { !/search_path|standard_conforming/ } @settings;
is((run_tapmig($node, [ 'check', '--dir', $shown ], env => { PGOPTIONS => $options }))[0], 0, 'check too, but for those that a script obeys');
$node->safe_psql('postgres', 'DROP DATABASE shown');

# --role is for the migrations
$node->safe_psql('postgres', 'CREATE ROLE runner');
my $owned = migrations_dir({ '001_schema.sql' => "CREATE SCHEMA own;\nCREATE TABLE in_public (i int);\n", 'schema.sql' => '' });
($exit, $out, $err) = run_tapmig($node, [ 'check', '--dir', $owned, '--role', 'runner' ]);
is($exit, 5, 'check --role of one that may not make databases: builds it') or diag $err;
like($out, qr/^\+CREATE SCHEMA own;$/m, 'with its schemas');

# ---------------------------------------------------------------- failures leave nothing

write_file("$dir/004_bad.sql", "SELECT 1 / 0;\n");
($exit, $out, $err) = tapmig('dev', 'check');
is("$exit|$out", '1|', 'a migration that fails in check: exit code 1');
like($err, qr/^tapmig: 004_bad: ERROR:  division by zero\n.*^tapmig: so the schema could not be built/ms, 'its message');
is(databases(), $before + 1, 'the database is dropped');
write_file("$dir/004_bad.sql", "SELECT pg_sleep(600);\n");
for my $case ([ INT => 130 ], [ TERM => 143 ])
{
	my $runner = start_tapmig($node, [ 'check', '--dir', $dir ], dbname => 'dev', env => { TMPDIR => $tmp });

	ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')"), 'check is under way');
	is(databases(), $before + 2, 'in a database of its own');
	$runner->signal($case->[0]);
	($exit, $out, $err) = $runner->finish(60);
	is($exit, $case->[1], "$case->[0]: exit code $case->[1]") or diag $err;
	unlike($err, qr/the server finishes|could not be built/, 'nothing else is said to be wrong, or to go on');
	is(databases(), $before + 1, 'the database is dropped');
}

# A database that was not there yet when it was dropped would stay.
my $holder = session($node);
ok(!$holder->try($_)->{error}, $_) for 'BEGIN', "COMMENT ON DATABASE template0 IS 'held'";
my $runner = start_tapmig($node, [ 'check', '--dir', $dir ], dbname => 'dev', env => { TMPDIR => $tmp });
ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CREATE DATABASE%' AND wait_event_type = 'Lock')"),
	'CREATE DATABASE waits');
$runner->signal('TERM');
($exit, $out, $err) = $runner->finish(60);
is($exit, 143, 'TERM: exit code 143') or diag $err;
$holder->try('ROLLBACK');
ok(wait_until($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE query LIKE 'CREATE DATABASE%'"), 'CREATE DATABASE has ended');
is(databases(), $before + 1, 'the database is not there');
($exit, $out, $err) = run_tapmig($node, [ 'check', '--dir', $dir ], dbname => 'dev', env => { PGUSER => 'deployer' });
is("$exit|$out", '3|', 'without the right to make a database: exit code 3');
like($err, qr/permission denied to create database\n(?s:.*)HINT:  tapmig check needs a role that may create databases/, 'its message');
($exit, $out, $err) = run_tapmig($node, [ 'check', '--dir', $dir ], env => { PGHOST => '/nowhere' });
is($exit, 3, 'without a server: exit code 3');
is(() = $err =~ /^HINT:/mg, 1, 'one next step');
is_deeply([ glob("$tmp/*") ], [], 'no temporary file is left');

done_testing();
