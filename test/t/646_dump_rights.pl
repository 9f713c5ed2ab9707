# Rights on the schema public and on tapmig's tables, and comments on
# extensions, are in schema.sql and in what check compares: where migrations
# made them, and not where the server, an extension or a deployer's first day did.

use strict;
use warnings;

use IPC::Run ();
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
$node->safe_psql('postgres', 'CREATE ROLE app; CREATE ROLE "Odd ""one"; CREATE ROLE deployer LOGIN; CREATE ROLE other LOGIN SUPERUSER');

my $dir = migrations_dir({ '001_table.sql' => "CREATE TABLE t (i int);\nGRANT SELECT ON t TO app;\n" });

sub tapmig
{
	my ($db, @arguments) = @_;

	return run_tapmig($node, [ @arguments, '--dir', $dir ], dbname => $db);
}

sub same
{
	my ($db, $name, @arguments) = @_;
	my ($exit, $out, $err) = tapmig('postgres', 'check', '--db', $db, @arguments);

	is("$exit|$out|$err", '0||', $name);
	return;
}

sub build
{
	my ($db) = @_;
	my ($out, $err) = ('', '');

	$node->safe_psql('postgres', "CREATE DATABASE $db");
	local %ENV = $node->_get_env(PGDATABASE => $db);
	IPC::Run::run([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/schema.sql" ], '>', \$out, '2>', \$err);
	return $err;
}

# ------------------------------------------------ what is no migration's doing

tapmig_database($node, 'dev');
is((tapmig('dev', 'up'))[0], 0, 'up');
is((tapmig('dev', 'dump'))[0], 0, 'dump');
my $plain = read_file("$dir/schema.sql");
unlike($plain, qr/SCHEMA public|EXTENSION tapmig IS|ON \w+ tapmig\.|COMMENT ON/, 'a new database has none of it');
tapmig_database($node, 'deployed');
$node->safe_psql('deployed', read_file(top_dir() . '/README.md') =~ /^CREATE EXTENSION tapmig;\n(.*?)^```/ms ? $1 =~ s/^CREATE ROLE deployer LOGIN;//mr : die);
is((run_tapmig($node, [ 'up', '--dir', $dir ], dbname => 'deployed', env => { PGUSER => 'deployer' }))[0], 0, 'a deployer who needs rights');
same('deployed', 'they are not in it');
is((run_tapmig($node, [ 'dump', '--dir', $dir, '--out', '-' ], dbname => 'deployed', env => { PGUSER => 'deployer' }))[1], $plain,
	'nor when it dumps');
$node->safe_psql('dev', 'ALTER SCHEMA public OWNER TO other');
same('dev', "nor the schema's owner");
$node->safe_psql('dev', 'ALTER SCHEMA public OWNER TO pg_database_owner');

# ------------------------------------------------------------ what migrations do

write_file("$dir/002_rights.sql", <<'SQL');
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO app;
GRANT USAGE, CREATE ON SCHEMA public TO "Odd ""one" WITH GRANT OPTION;
GRANT SELECT ON tapmig.history TO app;
REVOKE SELECT ON tapmig.schema_migrations FROM PUBLIC;
CREATE EXTENSION "uuid-ossp" SCHEMA pg_catalog;
COMMENT ON EXTENSION "uuid-ossp" IS E'it''s \\ ours,\nin two lines';
COMMENT ON EXTENSION plpgsql IS NULL;
SQL
my ($exit, $out, $err) = tapmig('dev', 'check');
is($exit, 5, 'a migration with rights: schema.sql is stale') or diag $err;
my @added = (
	q{COMMENT ON EXTENSION plpgsql IS NULL;},
	q{COMMENT ON EXTENSION "uuid-ossp" IS E'it''s \\\\ ours,\nin two lines';},
	q{REVOKE USAGE ON SCHEMA public FROM PUBLIC;},
	q{GRANT CREATE, USAGE ON SCHEMA public TO "Odd ""one" WITH GRANT OPTION;},
	q{GRANT USAGE ON SCHEMA public TO app;},
	q{GRANT SELECT ON TABLE tapmig.history TO app;},
	q{REVOKE SELECT ON TABLE tapmig.schema_migrations FROM PUBLIC;});
is(join("\n", grep { /^(?:COMMENT|GRANT|REVOKE)/ } map { s/^\+//r } grep { /^\+/ } split /\n/, $out), join("\n", @added),
	'the difference has them');
is((tapmig('dev', 'up'))[0], 0, 'up');
is((tapmig('dev', 'dump'))[0], 0, 'dump');
($exit, $out, $err) = tapmig('dev', 'check');
is("$exit|$out|$err", '0||', 'check');
same('dev', 'check --db');
($exit, $out) = tapmig('postgres', 'check', '--db', 'deployed');
is($exit, 5, 'a database without');
like($out, qr/^-\Q$_\E$/m, "has not: $_") for @added;
is(build('built'), '', 'schema.sql makes a database');
same('built', 'which has them');
is((run_tapmig($node, [ 'dump', '--dir', $dir, '--out', '-' ], dbname => 'built', env => { PGUSER => 'other' }))[1],
	read_file("$dir/schema.sql"), 'the same bytes for another user');

# By hand
$node->safe_psql('built', 'GRANT CREATE ON SCHEMA public TO PUBLIC');
($exit, $out) = tapmig('postgres', 'check', '--db', 'built');
like("$exit|$out", qr/^5\|.*^\+GRANT CREATE ON SCHEMA public TO PUBLIC;$/ms, 'what was granted by hand is shown');
$node->safe_psql('built', 'REVOKE ALL ON SCHEMA public, tapmig FROM PUBLIC, app, "Odd ""one"');
($exit, $out) = tapmig('postgres', 'check', '--db', 'built');
like("$exit|$out", qr/^5\|.*^-GRANT USAGE ON SCHEMA public TO app;\n.*^\+REVOKE USAGE ON SCHEMA tapmig FROM PUBLIC;$/ms, 'and what was revoked');

# ------------------------------------------------------------------ less of it

same('built', 'check --no-privileges compares the rest', '--no-privileges');
same('built', 'also without the versions', '--no-privileges', '--no-ledger');
$node->safe_psql('dev', 'REVOKE SELECT ON tapmig.history FROM app');
same('dev', "check --no-ledger: no rights on tapmig's tables", '--no-ledger');
for my $option ('--no-privileges', '--no-ledger')
{
	($exit, $out, $err) = tapmig('dev', 'dump', '--out', '-', $option);
	unlike($out, qr/ON \w+ tapmig\./, "dump $option");
	$option eq '--no-ledger'
	  ? like($out, qr/^GRANT USAGE ON SCHEMA public TO app;$/m, 'has the rights on public')
	  : unlike($out, qr/^(?:GRANT|REVOKE)/m, 'has no rights');
	like($out, qr/^COMMENT ON EXTENSION plpgsql/m, "dump $option has the comments");
}

# --------------------------------------------------------- no schema public

write_file("$dir/003_private.sql", "CREATE SCHEMA app;\nALTER TABLE t SET SCHEMA app;\nDROP SCHEMA public;\n");
is((tapmig('dev', 'up'))[0], 0, 'DROP SCHEMA public');
($exit, $out) = tapmig('dev', 'check', '--db', 'dev');
like("$exit|$out", qr/^5\|.*^\+DROP SCHEMA public;$/ms, 'check shows it');
is((tapmig('dev', 'dump'))[0], 0, 'dump');
is(build('private'), '', 'schema.sql makes a database');
is(sql_value($node, "SELECT to_regnamespace('public') IS NULL", dbname => 'private'), 't', 'without the schema');
same('private', 'which is the same');
($exit, $out, $err) = tapmig('deployed', 'check');
is($exit, 5, 'rights on tapmig were changed by hand') or diag $err;

done_testing();
