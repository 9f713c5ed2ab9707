# What a failed step leaves to the human: an INVALID index that a plain IF NOT
# EXISTS skips over, a step that had taken effect, a block that had committed.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main', conf => "wal_level = logical\n");

sql_try($node, 'CREATE TABLE t AS SELECT 1 AS a FROM generate_series(1, 2)');
sql_try($node, 'CREATE TABLE u (a int)');
sql_try($node, 'CREATE UNIQUE INDEX CONCURRENTLY corpse ON t (a)');
is(valid($node, 'corpse'), 'f', 'a build has left an INVALID index');

# In a script of one transaction, by either call, and in a step.
my $skips = "SET search_path = public;\nCREATE INDEX IF NOT EXISTS corpse ON t (a);\n";
for my $what ('run', 'apply', 'a step')
{
	my $script = $what eq 'a step' ? "VACUUM u;\n$skips" : $skips;
	my $r = $what eq 'apply' ? apply($node, '10', $script) : run($node, '10', $script);
	is_error($r, '55000', qr/^index "corpse" is still invalid$/, "$what: IF NOT EXISTS over an INVALID index is no success");
	like($r->{hint}, qr/IF NOT EXISTS has skipped over it\. Write CONCURRENTLY here as well/, "$what: and what to do");
	like($r->{context}, qr/^migration 10, statement \d of \d, line \d: CREATE INDEX IF NOT EXISTS corpse/m, "$what: with its place");
	is(sql_value($node, "SELECT tapmig.is_applied('10')"), 'f', "$what: not recorded");
}
sql_try($node, "SELECT tapmig.abandon('10', 'test')");
sql_try($node, 'DROP INDEX corpse');
is(run($node, '10', $skips)->{value}, 'applied', 'without it: applied');
is(run($node, '11', "$skips\nCREATE TABLE p (a int) PARTITION BY LIST (a);\nCREATE TABLE p1 PARTITION OF p DEFAULT;\nCREATE INDEX IF NOT EXISTS p_a ON ONLY p (a);\n")->{value},
	'applied', 'an index ON ONLY a partitioned table is INVALID by design');
is(run($node, '12', "CREATE INDEX IF NOT EXISTS corpse ON u (a);\n")->{value}, 'applied', "another table's index of that name is skipped, as ever");

# A step was interrupted when it had taken effect: the next run meets that effect.
{
	my $script = "CREATE DATABASE elsewhere;\nINSERT INTO u VALUES (20);\n";
	sql_try($node, 'CREATE DATABASE elsewhere');
	my $r = run($node, '20', $script);
	is_error($r, '42P04', undef, 'a database that is there');
	is_error(sql_try($node, "SELECT tapmig.step_done('20', 1, 'made by hand')"), '55000', undef, 'a step that failed did not take effect');

	sql_try($node, "UPDATE tapmig.attempts SET outcome = 'interrupted', step_running = 1 WHERE version = '20'");
	$r = run($node, '20', $script);
	is_error($r, '42P04', undef, 'one that was interrupted meets its own effect');
	is($r->{hint}, q{Step 1 was interrupted earlier: if it took effect then, SELECT tapmig.step_done('20', 1, why), and run it again. No step of it is done. Run it again: what the failed one may have left is cleared away first.},
		'and says how to tell');
	is(sql_try($node, "SELECT tapmig.step_done('20', 1, 'it is there')")->{ok}, 1, 'a human may say so after that as well');
	is(run($node, '20', $script)->{value}, 'applied', 'and the run goes on behind it');
	is(sql_value($node, 'SELECT count(*) FROM u WHERE a = 20'), 1, 'with the steps that were left');
}

# A block that commits, and is interrupted behind that, meets its own table.
{
	my $script = "DO 'BEGIN CREATE TABLE made_once (a int); COMMIT; PERFORM pg_advisory_xact_lock_shared(548); END';\nINSERT INTO u VALUES (21);\n";
	my $gate = session($node);
	$gate->try('SELECT pg_advisory_lock(548)');
	my $client = session($node);
	$client->try('SET tapmig.lock_timeout = 0');
	$client->start('CALL tapmig.run($1, $2)', bind => [ '21', $script ]);
	ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'made_once')"), 'a block has committed');
	$client->cancel;
	is_error($client->finish, '57014', undef, 'and is cancelled');
	$gate->close;
	my $r = run($node, '21', $script);
	is_error($r, '42P07', undef, 'it meets its own table');
	like($r->{hint}, qr/\AStep 1 was interrupted earlier: if it took effect then, SELECT tapmig\.step_done\('21', 1, why\), and run it again\. 0 of its 2 steps are done\. What this block had committed/,
		'which is nothing to be registered');
	ok(sql_try($node, "SELECT tapmig.step_done('21', 1, 'the table is there')")->{ok}, 'the advice');
	is(run($node, '21', $script)->{value}, 'applied', 'works');
	is(sql_value($node, 'SELECT count(*) FROM u WHERE a = 21'), 1, 'and what is behind it has run');
}

# A function in a query cannot commit wherever it runs: there is nothing to be
# gained by a cut, and what stands before it would stay.
{
	sql_try($node, "CREATE FUNCTION commits() RETURNS void LANGUAGE plpgsql AS 'BEGIN COMMIT; END'");
	my $r = run($node, '22', "CREATE TABLE before_it (a int);\nSELECT commits();\n");
	is_error($r, '2D000', undef, 'a function that commits, in a query');
	like($r->{hint}, qr/^A query or function cannot call what commits: .* into the script\.$/, 'what to do');
	is(sql_value($node, "SELECT to_regclass('before_it')"), undef, 'nothing is left');
	for my $case ([ 'in a function of a block', "DO 'BEGIN PERFORM commits(); END'", '2D000', qr/^A query or function cannot call what commits/ ],
		[ 'in an EXECUTE', 'DO $$BEGIN EXECUTE $x$DO $y$BEGIN COMMIT; END$y$ $x$; END$$', '2D000', qr/^A query or function cannot/ ],
		[ 'VACUUM in a block', 'DO $$BEGIN EXECUTE $x$VACUUM u$x$; END$$', '25001', qr/^The server refuses it inside of DO, functions and EXECUTE: write/ ])
	{
		my ($name, $script, $sqlstate, $hint) = @$case;

		$r = run($node, '22', "CREATE TABLE before_it (a int);\n$script;\n");
		is_error($r, $sqlstate, undef, $name);
		like($r->{context}, qr/^migration 22, statement 2 of 2, line 2: DO /m, "$name: its place");
		like($r->{hint}, $hint, "$name: what to do");
		is(sql_value($node, "SELECT to_regclass('before_it')"), undef, "$name: nothing is left");
		my $attempt = attempt($node, '22');
		is("$attempt->{outcome} $attempt->{sqlstate} $attempt->{line} $attempt->{steps_done}", "failed $sqlstate 2 0", "$name: the attempt");
	}
	sql_try($node, "CREATE PROCEDURE commits_too() LANGUAGE plpgsql AS 'BEGIN COMMIT; END'");
	is(run($node, '22', "CREATE TABLE before_it (a int);\nCALL commits_too();\n")->{value}, 'applied', 'the advice works');

	# What 25001 refuses may go alone.
	is(run($node, '23', "CREATE TABLE with_slot (a int);\nSELECT pg_create_logical_replication_slot('slot_548', 'pgoutput');\n")->{value},
		'applied', 'a replication slot behind a CREATE TABLE');
}

# Of a script of many steps no word is written again with each of them.
{
	my $many = join '', map { "BEGIN; INSERT INTO u VALUES (-$_); COMMIT;\n" } 1 .. 1000;
	my $r = run($node, '25', "${many}SELECT 1/0;\n");
	is_error($r, '22012', undef, 'a script of a thousand steps fails at its end');
	is(rows_of($node, "SELECT steps, steps_done, cardinality(step_fingerprints) FROM tapmig.attempts WHERE version = '25'"),
		'1001|1000|1001', 'a thousand are done');
	cmp_ok(sql_value($node, "SELECT pg_total_relation_size('tapmig.attempts')"), '<', 5_000_000, 'which takes no room for a thousand times a thousand');
	is_error(run($node, '25', $many =~ s/-999\)/-9999)/r), 'TM001', qr/^step 999 of migration 25 has another text/, 'each of them is known');
	is(run($node, '25', $many)->{value}, 'applied', 'the rest');
	is(sql_value($node, 'SELECT count(*) FROM u WHERE a < 0'), 1000, 'each ran once');
}

# Nor of one that the server cuts at each of its statements
{
	my $many = join '', map { "DO 'BEGIN INSERT INTO u VALUES (-$_ - 10000); COMMIT; END';\n" . ($_ % 10 ? '' : "INSERT INTO u VALUES (-$_ - 20000);\n") } 1 .. 2000;
	my $attempt = q{FROM tapmig.attempts WHERE version = '26' ORDER BY id DESC LIMIT 1};
	my $before  = sql_value($node, "SELECT pg_total_relation_size('tapmig.attempts')");

	is_error(run($node, '26', "${many}SELECT 1/0;\n"), '22012', undef, 'two thousand blocks that commit');
	is(rows_of($node, "SELECT steps, steps_done, cardinality(cuts) + cardinality(late_cuts) $attempt"), '2200|2199|2000', 'all but the last step are done');
	cmp_ok(sql_value($node, "SELECT pg_total_relation_size('tapmig.attempts')") - $before, '<', 5_000_000, 'which takes no room for two thousand times two thousand');
	for my $block (1, 1003, 1999)
	{
		my $step = $block + int(($block - 1) / 10);
		is_error(run($node, '26', $many =~ s/-$block - /-3$block - /r), 'TM001', qr/^step $step of migration 26 has another text/, "block $block is known");
	}
	is_error(run($node, '26', $many =~ s/-1990 - 2/-1 - 9/r), 'TM001', qr/^step 2189 of migration 26 has another text/, 'and so is what stands between them');
	is(run($node, '26', "${many}SELECT 1;\n")->{value}, 'applied', 'the rest');
	is(rows_of($node, 'SELECT count(*), count(DISTINCT a) FROM u WHERE a < -10000'), '2200|2200', 'each ran once');
}

# Hints
{
	my $r = run($node, '30', "DO 'BEGIN INSERT INTO u VALUES (30); COMMIT; PERFORM 1/0; END';\n");
	is_error($r, '22012', undef, 'a block fails after its COMMIT');
	is($r->{hint}, '0 of its 1 steps are done. What this block had committed stays as well, and the next run begins the block anew: see to it that it can.', 'its hint');
	is(sql_value($node, 'SELECT count(*) FROM u WHERE a = 30'), 1, 'what it had committed is there');
	my $temp = "CREATE TEMP TABLE kept (a int);\nVACUUM u;\nSELECT 1/%d;\nINSERT INTO kept VALUES (1);\n";
	is_error(run($node, '32', sprintf($temp, 0)), '22012', undef, 'a script with a temporary table fails in its middle');
	$r = run($node, '32', sprintf($temp, 1));
	is_error($r, '42P01', undef, 'which is gone when it is resumed');
	like($r->{hint}, qr/^If it was a temporary table, prepared statement or cursor of the first 2 steps, it went with its session: make it again behind these\. 2 of its 3 steps/, 'as its hint says');
	is(run($node, '32', sprintf($temp =~ s/(SELECT)/CREATE TEMP TABLE kept (a int);\n$1/r, 1))->{value}, 'applied', 'the advice works');
	$r = run($node, '31', "VACUUM u;\nCREATE TABLE u (a int);\n");
	like($r->{hint}, qr/record it: SELECT tapmig\.register\('31'\)\. 1 of its 2 steps are done/, 'two hints are two sentences');
}

done_testing();
