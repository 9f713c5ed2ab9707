# The failures of the runbook's table: each symptom is produced, and what
# tapmig names as the next step works.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my ($exit, $out, $err);

sub tapmig
{
	my ($dir, @arguments) = @_;
	my %opt = ref $arguments[-1] ? %{ pop @arguments } : ();

	($exit, $out, $err) = run_tapmig($node, [ @arguments, defined $dir ? ('--dir', $dir) : () ], %opt);
	return $exit;
}

# ---------------------------------------------------------------- connection refused

my $dir = migrations_dir({ '001_a.sql' => "CREATE TABLE a (i int);\n", '002_b.sql' => "CREATE TABLE b (i int);\n" });
$node->stop;
is(tapmig($dir, 'up'), 3, 'no server: exit code 3');
like($err, qr/\Atapmig: .*connection to server .* failed: .*\n.*\nHINT:  Is the server up, and is this the one\? Name the database with --db, DATABASE_URL or PGHOST/, 'its message');
$node->start;
is(tapmig($dir, 'up', '--to', '1', '--db', 'postgres'), 0, 'the server is up, the database named: works') or diag $err;

# ---------------------------------------------------------------- relation already exists

$node->safe_psql('postgres', 'CREATE TABLE b (i int)');
is(tapmig($dir, 'up'), 1, 'the table is there already: exit code 1');
like($err, qr/\Atapmig: 002_b: ERROR:  relation "b" already exists\n/, 'its message');
my ($fix) = $err =~ /^HINT:  .*(SELECT tapmig\.register\('002'[^;\n]*\))/m;
ok(defined $fix, 'names a statement') or diag $err;
like(sql_value($node, $fix), qr/^registered$/, 'which works');
is(tapmig($dir, 'up') . $out . $err, '0', 'nothing is left to do');
write_file("$dir/003_c.sql", "CREATE TABLE b (i int);\n");
tapmig($dir, 'up');
is(tapmig($dir, 'register', '003', '--source', 'by hand, ticket 4711'), 0, "the runner's way");
is($out, "registered 003_c\n", 'says so');
is(sql_value($node, "SELECT source FROM tapmig.schema_migrations WHERE version = '003'"), 'by hand, ticket 4711', 'with its source');
is(sql_value($node, "SELECT source FROM tapmig.history WHERE version = '003'"), 'by hand, ticket 4711', 'in the history too');
is(sql_value($node, "SELECT encode(checksum, 'hex') FROM tapmig.schema_migrations WHERE version = '003'"),
	sha256_file("$dir/003_c.sql"), 'and the content of its file');
is(tapmig(undef, 'register', '077', '--source', q{it's "x"}, { cwd => scratch_dir() }), 0, 'register --source without a file');
is(sql_value($node, "SELECT source FROM tapmig.schema_migrations WHERE version = '077'"), q{it's "x"}, 'likewise');
sql_value($node, "INSERT INTO tapmig.schema_migrations (version, source) VALUES ('078', 'by hand') RETURNING 1");
is(tapmig(undef, 'require', '078'), 0, 'and the plain INSERT');

# ---------------------------------------------------------------- app before migration

is(tapmig(undef, 'require', '100'), 6, 'the application is there before its migration: exit code 6');
like($err, qr/\Atapmig: ERROR:  migration 100 is not applied\n.*\nHINT:  Apply it first: tapmig up\.\n\z/m, 'its message');
write_file("$dir/100_app.sql", "SELECT 1;\n");
is(tapmig($dir, 'up'), 0, 'which works') or diag $err;
is(tapmig(undef, 'require', '100'), 0, 'the gate is open');

# ---------------------------------------------------------------- restored without its ledger

my $full = tapmig_database($node, 'full');
$node->safe_psql($full, 'CREATE TABLE a (i int); CREATE TABLE b (i int)');
my $two = migrations_dir({ '001_a.sql' => "CREATE TABLE a (i int);\n", '002_b.sql' => "CREATE TABLE b (i int);\n" });
my %full = (dbname => $full);
is(tapmig($two, 'up', \%full), 4, 'a full database, an empty ledger: exit code 4');
like($err, qr/tapmig baseline VERSION, with the last one that did/, 'its message');
is(tapmig($two, 'baseline', '2', \%full), 0, 'which works');
is(tapmig($two, 'up', \%full) . $out . $err, '0', 'nothing is left to do');

# A dump that was made while a migration was running
my $source = tapmig_database($node, 'source');
my $running = migrations_dir({
		'001_a.sql' => "CREATE TABLE a (i int);\n",
		'002_b.sql' => "-- tapmig: lock_timeout=10min\nCREATE TABLE b (i int);\nCREATE INDEX CONCURRENTLY ON a (i);\nSELECT pg_advisory_xact_lock(4711);\n" });
my $gate = session($node, dbname => $source);
$gate->try('SELECT pg_advisory_lock(4711)');
my $runner = start_tapmig($node, [ 'up', '--dir', $running ], dbname => $source);
ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted)"),
	'a migration is in its third step');
my $copy = 'copy';
$node->safe_psql('postgres', "CREATE DATABASE $copy");
my $dump = write_file(scratch_dir() . '/dump.sql', dump_text($node, $source));
$gate->close;
is(($runner->finish(60))[0], 0, 'and ends well');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $node->port, '-d', $copy, '-f', $dump ],
	'what was dumped meanwhile is restored');
my %copy = (dbname => $copy);
is(tapmig($running, 'status', \%copy), 6, 'status there');
like($out, qr/^002 +b +interrupted +begun .*, its process is gone$/m, 'says that it was interrupted');
is(tapmig($running, 'up', \%copy), 0, 'up goes on') or diag $err;
is($out =~ s/ \(\d+ ms\)//r, "applied 002_b\n", 'with it');
is(sql_value($node, 'SELECT count(*) FROM tapmig.verify()', %copy), 0, 'and verify is clean');

# ---------------------------------------------------------------- wrong words

my @wrong = (
	[ [ 'status', '--role', 'nobody_x' ], qr/role "nobody_x" does not exist\nHINT:  --role names a role that is there/ ],
	[ [ 'status', '--statement-timeout', 'foo' ], qr/"foo"\nHINT:  --statement-timeout is a time: 30s/ ],
	[ [ 'wait', '1', '--timeout', 'foo' ], qr/"foo"\nHINT:  --timeout is a time: 90s/ ],
);
for my $case (@wrong)
{
	is(tapmig($dir, @{ $case->[0] }), 2, "@{ $case->[0] }: exit code 2");
	like($err, $case->[1], 'with a next step');
}
$node->safe_psql('postgres', 'CREATE ROLE other; CREATE ROLE plain LOGIN');
is(tapmig($dir, 'status', '--role', 'other', { env => { PGUSER => 'plain' } }), 2, 'a role of others: exit code 2');
like($err, qr/permission denied to set role "other"\nHINT:  --role names a role .* member of/, 'with a next step');

# Files that nobody would miss before it is too late
my $odd = migrations_dir({
		'V1__a.sql' => 'SELECT 1', 'U1__a.sql' => 'SELECT 2', 'U15__x.sql' => 'SELECT 3', '014.SQL' => 'SELECT 4',
		'notes.txt' => '', 'schema.sql' => '' });
is(tapmig($odd, 'up', '--track', 'odd'), 0, 'odd files') or diag $err;
is($out =~ s/ \(\d+ ms\)//r, "applied V1__a\n", 'are not run');
is(join('', sort $err =~ /(\S+) is ignored/g), join('', sort "$odd/014.SQL", "$odd/U15__x.sql"), 'and said, but for what undoes a file that is there');

done_testing();
