# When something fails: what is left, what is said, and the exit code.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

sub up
{
	my ($dir, @arguments) = @_;
	my %opt = @arguments && ref $arguments[-1] ? %{ pop @arguments } : ();

	return run_tapmig($node, [ 'up', '--dir', $dir, @arguments ], %opt);
}

# ------------------------------------------------------- a migration that fails

my $filler = join '', map { "INSERT INTO one VALUES ($_);\n" } 1 .. 200;
my $dir    = migrations_dir({
		'001_one.sql'   => "CREATE TABLE one (i int);\n",
		'002_two.sql'   => "CREATE TABLE two (i int);\n${filler}SELECT 1 / 0;\n$filler",
		'003_three.sql' => "CREATE TABLE three (i int);\n",
	});
my ($exit, $out, $err) = up($dir);
is($exit, 1, 'a failed migration: exit code 1');
like($out, qr/\Aapplied 001_one \(\d+ ms\)\n\z/, 'the one before it is in');
is( $err,
	"tapmig: 002_two: ERROR:  division by zero\n"
	  . "CONTEXT:  migration 002_two, statement 202 of 402, line 202: SELECT 1 / 0\n"
	  . "tapmig: nothing of 002_two was applied, the migrations before it are in; correct it and run tapmig up again (SQLSTATE 22012)\n",
	'the message: cause, place, what is in, what to do; not the script');
is_deeply(
	sql_try($node, "SELECT to_regclass('one') IS NULL, to_regclass('two') IS NULL, to_regclass('three') IS NULL, count(*) FROM one")->{rows},
	[ [ 'f', 't', 't', 0 ] ], 'nothing of it is left, nothing after it ran');

write_file("$dir/002_two.sql", "CREATE TABLE two (i int);\n");
($exit, $out, $err) = up($dir);
is($exit, 0, 'corrected and run again') or diag $err;
is($out =~ s/\(\d+ ms\)//gr, "applied 002_two \napplied 003_three \n", 'goes on where it stopped');

write_file("$dir/004_syntax.sql", "SELECT 1;\n\n  SELEC 2;\n");
($exit, $out, $err) = up($dir);
is($exit, 1, 'a syntax error: exit code 1');
like($err, qr/\Atapmig: 004_syntax: ERROR:  syntax error at or near "SELEC"\nCONTEXT:  .*line 3, column 3/, 'with its line');
($exit, $out, $err) = run_tapmig($node, [ 'plan', '--dir', $dir ]);
is($exit, 1, 'plan finds it too');
like($err, qr/\Atapmig: 004_syntax: ERROR:  syntax error/, 'and names it');

write_file("$dir/004_syntax.sql", "CREATE TABLE one (i int);\n");
($exit, $out, $err) = up($dir);
like($err, qr/^HINT:  .*tapmig\.register\('004'/m, "the server's hint is shown");

# Somebody else's doing: there is nothing to correct in the file.
write_file("$dir/004_syntax.sql", "SELECT pg_cancel_backend(pg_backend_pid());\nSELECT pg_sleep(60);\n");
($exit, $out, $err) = up($dir);
is($exit, 1, 'a cancel from outside');
like($err, qr/^tapmig: nothing of 004_syntax was applied, the migrations before it are in; run tapmig up again \(SQLSTATE 57014\)$/m, 'its message');

# A step that was interrupted may have taken effect: not "nothing".
write_file("$dir/004_syntax.sql", "CREATE DATABASE postgres;\n");
($exit, $out, $err) = up($dir);
like($err, qr/^tapmig: nothing of 004_syntax was applied/m, 'a database that is there');
$node->safe_psql('postgres', "UPDATE tapmig.attempts SET outcome = 'interrupted', step_running = 1 WHERE version = '004'");
($exit, $out, $err) = up($dir);
like($err, qr/^HINT:  Step 1 was interrupted earlier: .*step_done.*^tapmig: 004_syntax stopped in its middle/ms, 'the same in a step that was interrupted');
$node->safe_psql('postgres', "SELECT tapmig.abandon('004', 'test')");

# A script can neither write our messages nor end the run early
write_file("$dir/004_syntax.sql", "\\echo x\nDO \$\$BEGIN RAISE NOTICE E'\\npsql:/x.sql:1: ERROR:  not one\\ntapmig: applied 999_x'; END\$\$;\n");
($exit, $out, $err) = up($dir);
is($exit, 0, 'odd notices') or diag $err;
like($out, qr/\Aapplied 004_syntax \(\d+ ms\)\n\z/, 'change no outcome');

# ----------------------------------------------------------------- exit code 4

write_file("$dir/001_one.sql", "CREATE TABLE one (i bigint);\n");
write_file("$dir/009_later.sql", "CREATE TABLE later (i int);\n");
($exit, $out, $err) = up($dir);
is($exit, 4, 'TM001: exit code 4');
is($out, '', 'nothing was applied');
like($err, qr/\Atapmig: 001_one: ERROR:  .*other content\nDETAIL:  .*\nHINT:  .*accept.*\ntapmig: tapmig up stopped at 001_one: nothing of it or after it was run \(SQLSTATE TM001\)\n\z/,
	'its message');
write_file("$dir/001_one.sql", "CREATE TABLE one (i int);\n");
($exit, $out, $err) = up($dir);
is($exit, 0, 'put back');

write_file("$dir/005_lower.sql", "CREATE TABLE lower_version (i int);\n");
write_file("$dir/010_next.sql", "CREATE TABLE next (i int);\n");
($exit, $out, $err) = up($dir, { env => { PGOPTIONS => '-c tapmig.out_of_order=error' } });
is($exit, 4, 'out of order under "error": exit code 4');
like($err, qr/^tapmig: 005_lower is out_of_order.*\n.*the plan is wrong; nothing was run/m, 'its message');
is("$out" . sql_value($node, "SELECT to_regclass('next') IS NULL"), 't', 'nothing ran');
($exit, $out, $err) = up($dir);
is($exit, 0, 'out of order by default');
like($err, qr/\Atapmig: 005_lower: WARNING:  /, 'is a warning');

unlink "$dir/002_two.sql" or die;
($exit, $out, $err) = up($dir);
is("$exit|$out|$err", '0||', 'a file that is missing');
($exit, $out, $err) = up($dir, '--strict');
is($exit, 4, 'under --strict: exit code 4');
like($err, qr/in the ledger, and not in \S+: 002\n/, 'names the version');

# ----------------------------------------------------------------- exit code 7

my $holder = session($node);
$holder->try('BEGIN');
$holder->try("SELECT tapmig.apply('100', 'SELECT 1', track => 'held')");
my $held = migrations_dir({ '001_a.sql' => 'SELECT 1' });
($exit, $out, $err) = up($held, '--track', 'held', { env => { PGOPTIONS => '-c tapmig.wait_timeout=0' } });
is($exit, 7, 'TM004, the lock is taken: exit code 7');
like($err, qr/run tapmig up again \(SQLSTATE TM004\)\n\z/, 'its message');
$holder->try('ROLLBACK');

$holder->try('BEGIN');
$holder->try('LOCK TABLE one IN ACCESS SHARE MODE');
my $blocked = migrations_dir({ '011_b.sql' => 'ALTER TABLE one ADD COLUMN j int' });
($exit, $out, $err) = up($blocked, '--track', 'blocked',
	{ env => { PGOPTIONS => '-c tapmig.lock_timeout=50ms -c tapmig.lock_retries=0' } });
is($exit, 7, 'a table is locked: exit code 7') or diag $err;
like($err, qr/run tapmig up again \(SQLSTATE TM005\)\n\z/, 'its message');
$holder->try('ROLLBACK');
$holder->close;
($exit, $out, $err) = up($blocked, '--track', 'blocked');
is($exit, 0, 'run again, it works');

sql_value($node, 'CREATE ROLE few LOGIN CONNECTION LIMIT 0');
($exit, $out, $err) = up($blocked, { env => { PGUSER => 'few' } });
is($exit, 7, 'too many connections: exit code 7') or diag $err;
like($err, qr/\Atapmig: .*too many connections.*\nHINT:  .*run it again/, 'its message');

# ----------------------------------------------------------------- exit code 3

($exit, $out, $err) = up($dir, { env => { PGHOST => scratch_dir() } });
is($exit, 3, 'no server: exit code 3');
like($err, qr/\Atapmig: .*connection to server/, 'its message');
is(() = $err =~ /^HINT:/mg, 1, 'one next step');
($exit, $out, $err) = up($dir, '--db', 'nosuchdatabase');
is($exit, 3, 'no database: exit code 3');
like($err, qr/"nosuchdatabase" does not exist/, 'its message');
($exit, $out, $err) = up($dir, '--db', 'template1');
is($exit, 3, 'no extension: exit code 3');
is( $err,
	"tapmig: tapmig is not installed in this database (schema \"tapmig\" does not exist)\n"
	  . "HINT:  On the server: make install; in this database, as a superuser: CREATE EXTENSION tapmig.\n",
	'its message: one cause, one next step');
my $no_psql = scratch_dir();
for my $program (qw(sh awk sed mktemp mkfifo od tr rm cat))
{
	chomp(my $path = `command -v $program;`);
	symlink $path, "$no_psql/$program";
}
($exit, $out, $err) = up($dir, { env => { PATH => $no_psql, TAPMIG_BIN => tapmig_bin() } });
is($exit, 3, 'no psql: exit code 3');
like($err, qr/\Atapmig: psql is not installed/, 'its message');

# The scripts cannot be put together
my $no_awk = scratch_dir();
chomp(my $awk = `command -v awk;`);
write_file("$no_awk/awk", qq(#!/bin/sh\nif [ "\${chosen+is} \${revision+set}" = 'is set' ]; then exit 2; fi\nexec $awk "\$@"\n));
chmod 0755, "$no_awk/awk";
write_file("$dir/019_another.sql", 'CREATE TABLE another (i int)');
($exit, $out, $err) = up($dir, { env => { PATH => "$no_awk:$ENV{PATH}", TAPMIG_BIN => tapmig_bin() } });
is($exit, 2, 'awk fails: exit code 2');
like($err, qr/^tapmig: cannot put the scripts together in .*; nothing was run\n/m, 'its message');
is($out, '', 'nothing has run');

# A revision that is longer than mawk lets sprintf's result be
($exit, $out, $err) = up($dir, { env => { TAPMIG_REVISION => 'r' x 9000 } });
is("$exit|$err", '0|', 'a long revision');
like($out, qr/\Aapplied 019_another \(\d+ ms\)\n\z/, 'the migration has run');
is(sql_value($node, "SELECT source LIKE '%\@' || repeat('r', 9000) FROM tapmig.schema_migrations WHERE version = '019'"), 't', 'the ledger has the revision');

# The server goes away in the middle
write_file("$dir/020_long.sql", "CREATE TABLE long (i int);\nSELECT pg_sleep(600);\n");
my $runner = start_tapmig($node, [ 'up', '--dir', $dir ]);
ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')"), 'a migration is under way');
$node->stop('immediate');
$node->start;
($exit, $out, $err) = $runner->finish(60);
is($exit, 3, 'the server crashes: exit code 3') or diag $err;
like($err, qr/^tapmig: the connection was lost in 020_long, which is recorded whole or not at all\nHINT:  /m, 'its message');
is(sql_value($node, "SELECT to_regclass('long') IS NULL"), 't', 'nothing of it is left');

# ------------------------------------------------------------------- the others

($exit, $out, $err) = up($dir, '--role', 'nosuchrole');
is($exit, 2, 'no such role: exit code 2');
like($err, qr/role "nosuchrole" does not exist/, 'its message');
($exit, $out, $err) = up($dir, '--statement-timeout', '2s', '--to', '20');
is($exit, 1, 'a statement timeout: exit code 1');
like($err, qr/statement timeout/, 'its message');
($exit, $out, $err) = up($dir, '--to', 'nothing');
is($exit, 2, '--to without a version: exit code 2');

done_testing();
