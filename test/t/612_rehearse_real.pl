# tapmig rehearse, end to end: what is measured, what fails, and that nothing is
# left of it.

use strict;
use warnings;

use JSON::PP ();
use TapmigTest;
use Test::More;

my $node = tapmig_node('main', conf => "tapmig.rehearse_limit = '1min'\n");
my %opt  = (env => { LC_ALL => 'C', COLUMNS => 80 });

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE agents (id int, name text, ref int);
INSERT INTO agents SELECT i, 'a' || i % 10, i FROM generate_series(1, 1000) i;
CREATE TABLE "odd ""name""" (id int);
CREATE SCHEMA app;
CREATE TABLE app.orders (id int PRIMARY KEY);
SQL
my $dir = migrations_dir({
		'001_type.sql' => <<'SQL',
-- Why: more of them.
CREATE TABLE made (id int);
ALTER TABLE agents ALTER id TYPE bigint;
CREATE INDEX ON app.orders (id);

ALTER TABLE "odd ""name""" ADD CHECK (id > 0);
SQL
	});
my $before = dump_text($node, 'postgres');

my ($exit, $out, $err) = run_tapmig($node, [ 'rehearse', '--dir', $dir ], %opt);
is("$exit|$err", '0|', 'rehearse');
like($out, qr/^001_type: 4 statements, /, 'the heading');
like($out, qr/^ +2 +3  ALTER TABLE +[\d.]+ m?s +[\d.]+ .?B  agents +ACCESS EXCLUSIVE +[\d.]+ m?s  yes +yes$/m, 'a rewrite');
like($out, qr/^ +3 +4  CREATE INDEX +[\d.]+ m?s +[\d.]+ .?B  app\.orders +SHARE +[\d.]+ m?s  no +yes$/m, 'an index');
like($out, qr/^ +4 +6  ALTER TABLE +[\d.]+ m?s +[\d.]+ .?B  "odd ""name""" +ACCESS EXCLUSIVE +[\d.]+ m?s  no +yes$/m, 'a check');
like($out, qr/SCANNED\n +2 +3  ALTER TABLE .*\n/, 'the rewrite is the worst');
like($out, qr/^agents +#+  ACCESS EXCLUSIVE, [\d.]+ m?s\n.*^app\.orders +\++  SHARE, [\d.]+ m?s\n"odd.*#+ +ACCESS EXCLUSIVE, /ms, 'the timeline');
is(dump_text($node, 'postgres'), $before, 'and nothing is left');
is(sql_value($node, 'SELECT count(*) FROM tapmig.history'), 0, 'not in the ledger either');

($exit, $out, $err) = run_tapmig($node, [ 'rehearse', '--dir', $dir, '--json' ], %opt);
my $json = JSON::PP->new->decode($out);
is(join(' ', map { "$_->{statement}:" . ($_->{relation} // '-') } @{ $json->[0]{rows} }),
	'1:- 2:agents 3:app.orders 4:"odd ""name"""', 'JSON');
cmp_ok($json->[0]{elapsed_ms}, '>', 0, 'its time');

# ---------------------------------------------------------------- failures

my @bad = (
	[ "ALTER TABLE agents ADD note text;\nCREATE UNIQUE INDEX ON agents (name);",       '23505', qr/could not create unique index/ ],
	[ "UPDATE agents SET name = NULL WHERE id = 7;\nALTER TABLE agents ALTER name SET NOT NULL;", '23502', qr/contains null values/ ],
	[ "SELECT 1;\nALTER TABLE agents ADD FOREIGN KEY (ref) REFERENCES app.orders;",   '23503', qr/violates foreign key/ ],
	[ "SELECT 1;\nALTER TABLE agents ALTER name TYPE int USING name::int;",           '22P02', qr/invalid input syntax/ ]);
for my $case (@bad)
{
	my ($script, $state, $like) = @$case;
	my $file = write_file(scratch_dir() . '/bad.sql', $script);

	($exit, $out, $err) = run_tapmig($node, [ 'rehearse', $file ], %opt);
	is("$exit|$out", '1|', "$state: exit code 1");
	like($err, qr/\Atapmig: bad: ERROR: .*$like(?s:.*)^CONTEXT: .*statement 2 of 2, line 2: (?s:.*)^tapmig: the rehearsal of bad failed; nothing was changed \(SQLSTATE $state\)$/m,
		'its message, statement and line');
}

# A pending one that needs what another pending one makes.
write_file("$dir/002_made.sql", "ALTER TABLE made ADD note text;\n");
($exit, $out, $err) = run_tapmig($node, [ 'rehearse', '--dir', $dir ], %opt);
is("$exit|" . join(' ', $out =~ /^(\w+): /mg), '1|001_type', 'needs the one before it');
like($err, qr/relation "made" does not exist(?s:.*)^HINT:  It ran without 001_type, pending before it: /m, 'is told so');

# ---------------------------------------------------------------- steps, limits

my $steps = write_file(scratch_dir() . '/steps.sql', "ALTER TABLE agents ADD note text;\nCREATE INDEX CONCURRENTLY i ON agents (id);\nALTER TABLE app.orders ADD note text;\n");
($exit, $out, $err) = run_tapmig($node, [ 'rehearse', $steps ], %opt);
is($exit, 0, 'several steps') or diag $err;
like($out, qr/^not rehearsable: statement 2, line 2: CREATE INDEX/m, 'what cannot be rehearsed');
like($out, qr/^agents +#+ +ACCESS EXCLUSIVE.*\napp\.orders +#+ +ACCESS EXCLUSIVE/m, 'the others');

my $long = write_file(scratch_dir() . '/long.sql', "ALTER TABLE agents ADD note text;\nSELECT pg_sleep(600);\n");
($exit, $out, $err) = run_tapmig($node, [ 'rehearse', $long ], env => { %{ $opt{env} }, PGOPTIONS => '-c tapmig.rehearse_limit=100ms' });
is($exit, 0, 'the limit: exit code 0') or diag $err;
like($err, qr/\Atapmig: long: WARNING: /, 'a warning');
like($out, qr/^agents +#+>?  ACCESS EXCLUSIVE, /m, 'and what was measured');
is(dump_text($node, 'postgres'), $before, 'nothing is left of all these');

# ---------------------------------------------------------------- signals

my $endless = write_file(scratch_dir() . '/endless.sql', "SELECT pg_sleep(600);\n");
for my $case ([ INT => 130 ], [ TERM => 143 ])
{
	my $sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
	my $runner = start_tapmig($node, [ 'rehearse', $endless, $endless ], %opt);

	ok(wait_until($node, $sleeping, expect => 1), "$case->[0]: under way");
	$runner->signal($case->[0]);
	($exit, $out, $err) = $runner->finish(60);
	is($exit, $case->[1], "$case->[0]: exit code") or diag $err;
	ok(wait_until($node, $sleeping, expect => 0), "$case->[0]: cancelled, and the next one is not begun");
}
my $runner = start_tapmig($node, [ 'rehearse', $endless ], %opt);
wait_until($node, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'PgSleep'", expect => 1);
($exit, $out, $err) = $runner->finish(60);
is($exit, 3, 'the connection is lost: exit code 3');
like($err, qr/^tapmig: the connection was lost in the rehearsal of endless; nothing was changed$/m, 'and that is said');

# Somebody holds the table: another time, perhaps.
my $holder = session($node);
$holder->try('BEGIN; LOCK TABLE agents IN ACCESS SHARE MODE');
($exit, $out, $err) = run_tapmig($node, [ 'rehearse', $long ], env => { %{ $opt{env} }, PGOPTIONS => '-c tapmig.lock_timeout=100ms' });
is($exit, 7, 'blocked: exit code 7') or diag $err;
$holder->close;

done_testing();
