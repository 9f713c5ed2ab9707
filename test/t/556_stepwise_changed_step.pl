# The step that was interrupted has another text when the script is run again: what
# it would drop or detach is not there, which is no effect of the step before.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

sql_try($node, $_) for 'CREATE TABLE t (a int, b int)', 'CREATE INDEX t_a ON t (a)',
  'CREATE TABLE p (a int) PARTITION BY RANGE (a)', 'CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)',
  'CREATE TABLE other (a int)', 'CREATE INDEX t_b ON t (b)';

# Interrupts a step that waits for an old transaction.
sub interrupted
{
	my ($version, $script, $table) = @_;
	my $holder = session($node);
	my $run    = session($node);

	$holder->try($_) for 'BEGIN', "LOCK TABLE $table IN ACCESS SHARE MODE";
	start_run($run, $version, $script);
	wait_blocked($node, worker_pid($node));
	$run->cancel;
	is_error($run->finish, '57014', undef, "$version: cancelled");
	ok(no_worker($node), "$version: no worker is left");
	is(sql_value($node, "SELECT step_running FROM tapmig.attempts WHERE version = '$version'"), 2, "$version: in its second step");
	$holder->close;
	return;
}

interrupted('1', "INSERT INTO other VALUES (1);\nDROP INDEX CONCURRENTLY t_a;\n", 't');
is_error(run($node, '1', "INSERT INTO other VALUES (1);\nDROP INDEX CONCURRENTLY t_typo;\n"), '42704', qr/"t_typo" does not exist/, 'an index that never was is not taken for dropped');
my $r = run($node, '1', "INSERT INTO other VALUES (1);\nDROP INDEX CONCURRENTLY t_a;\n");
is($r->{value}, 'applied', 'the right name: applied') or diag explain $r;
is(sql_value($node, "SELECT to_regclass('t_a')"), undef, 'and gone');

interrupted('2', "INSERT INTO other VALUES (2);\nALTER TABLE p DETACH PARTITION p1 CONCURRENTLY;\n", 'p');
is_error(run($node, '2', "INSERT INTO other VALUES (2);\nALTER TABLE p DETACH PARTITION other CONCURRENTLY;\n"), '55000', qr/"p1" already pending detach/, 'a table that never was a partition is not taken for detached');
is(run($node, '2', "INSERT INTO other VALUES (2);\nALTER TABLE p DETACH PARTITION p1 CONCURRENTLY;\n")->{value}, 'applied', 'the right name: applied');
is(sql_value($node, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'p'::regclass"), 0, 'and detached');

# An index that was built under another spelling is that index.
{
	my $gate = holder($node);
	my $run  = session($node);

	start_run($run, '3', "INSERT INTO other VALUES (3);\nCREATE INDEX CONCURRENTLY t_new ON t (a);\n");
	ok(wait_build($node), 'a build waits');
	sql_try($node, 'SELECT pg_terminate_backend(' . worker_pid($node) . ')');
	ok(!$run->finish->{ok}, 'and is terminated');
	$gate->close;
	ok(no_worker($node), 'no worker is left');
	sql_try($node, 'REINDEX INDEX CONCURRENTLY t_new');
	is(valid($node, 't_new'), 't', 'somebody makes its index valid');
	is(run($node, '3', "INSERT INTO other VALUES (3);\nCREATE INDEX CONCURRENTLY t_new ON public.t USING btree (a);\n")->{value}, 'applied', 'the next run takes it for built, however it is written');
}
is(sql_value($node, 'SELECT count(*) FROM other'), 3, 'each first step ran once');
is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');
# What failed is mended into something that could have run with the step before it.
for my $case ([ '10', 'CREATE UNIQUE INDEX CONCURRENTLY other_a ON other (a)', 'DROP INDEX other_a; CREATE INDEX other_a ON other (a)' ],
	[ '11', 'VACUUM nowhere', "INSERT INTO other VALUES (111);\nINSERT INTO other VALUES (112)" ])
{
	my ($version, $bad, $good) = @$case;
	my $script = "BEGIN;\nINSERT INTO other VALUES (${version}0);\nINSERT INTO other VALUES (${version}0);\n%s;\nCOMMIT;\n";

	is_error(run($node, $version, sprintf($script, $bad)), $version == 10 ? '23505' : '42P01', undef, "$version fails in its second step");
	is_error(run($node, $version, sprintf($script =~ s/0\)/1)/r, $good)), 'TM001', qr/^step 1 of migration $version has another text/, "$version: the first one is not to change");
	is(run($node, $version, sprintf($script, $good))->{value}, 'applied', "$version: the second one is");
	is(sql_value($node, "SELECT count(*) FROM other WHERE a = ${version}0"), 2, "$version: the first one is not run again");
	is(attempt($node, $version)->{steps}, 2, "$version: two steps");
}
is(sql_value($node, 'SELECT count(*) FROM other WHERE a IN (111, 112)'), 2, 'and the mended one runs whole');

# Mended so, and a later step fails too: what is finished is known as finished still.
{
	my $script = "INSERT INTO other VALUES (160);\n%s;\nVACUUM other;\n%s;\n";

	is_error(run($node, '16', sprintf($script, 'VACUUM nowhere', 'SELECT 1/0')), '42P01', undef, '16 fails in its second step');
	is_error(run($node, '16', sprintf($script, 'INSERT INTO other VALUES (161)', 'SELECT 1/0')), '22012', undef, '16: mended, it fails in its fourth');
	is(run($node, '16', sprintf($script, 'INSERT INTO other VALUES (161)', 'SELECT 1'))->{value}, 'applied', '16: mended there too, it goes on');
	is(sql_value($node, 'SELECT count(*) FROM other WHERE a IN (160, 161)'), 2, '16: each step has run once');
}

# A COMMIT behind a block that the server had run alone belongs to the step behind it.
{
	my $script = "DO 'BEGIN COMMIT; END';\nCOMMIT;\nINSERT INTO other VALUES (170);\n%s;\n";

	is_error(run($node, '17', sprintf($script, 'VACUUM nowhere')), '42P01', undef, '17 fails in its third step');
	is(run($node, '17', sprintf($script, 'INSERT INTO other VALUES (171)'))->{value}, 'applied', '17: mended, it goes on') or diag explain attempt($node, '17');
	is(sql_value($node, 'SELECT count(*) FROM other WHERE a IN (170, 171)'), 2, '17: each step has run once');
}

# What failed is taken out, and nothing stood behind it.
is_error(run($node, '18', "INSERT INTO other VALUES (180);\nVACUUM nowhere;\n"), '42P01', undef, '18 fails in its last step');
$r = run($node, '18', "INSERT INTO other VALUES (180);\n");
is($r->{value}, 'applied', '18: without it, it is applied');
like(join("\n", @{ $r->{notices} }), qr/migration 18 has no step left to run/, '18: and says so');
is(sql_value($node, 'SELECT count(*) FROM other WHERE a = 180'), 1, '18: its first step has run once');

# A finished step is taken out.
is_error(run($node, '19', "INSERT INTO other VALUES (190);\nVACUUM other;\nVACUUM nowhere;\n"), '42P01', undef, '19 fails in its third step');
$r = run($node, '19', "INSERT INTO other VALUES (190);\n");
is_error($r, 'TM001', qr/^step 2 of migration 19 has another text/, '19: without the second');
like($r->{detail}, qr/it is not in the script any more/, '19: the detail says so');
is(run($node, '19', "INSERT INTO other VALUES (190);\nVACUUM other;\n")->{value}, 'applied', '19: with it');

# A build is interrupted and then written as a plain one: what is in its way is no
# work of a human, which could be registered.
{
	my $gate = holder($node);
	my $run  = session($node);

	start_run($run, '20', "INSERT INTO other VALUES (200);\nCREATE INDEX CONCURRENTLY t_plain ON t (a);\n");
	ok(wait_build($node), '20: a build waits');
	sql_try($node, 'SELECT pg_terminate_backend(' . worker_pid($node) . ')');
	ok(!$run->finish->{ok}, '20: and is terminated');
	$gate->close;
	ok(no_worker($node), '20: no worker is left');
	$r = run($node, '20', "INSERT INTO other VALUES (200);\nCREATE INDEX t_plain ON t (a);\n");
	is_error($r, '42P07', undef, '20: built plainly it meets what was left');
	unlike($r->{hint}, qr/register/, '20: which is not to be registered');
	is(run($node, '20', "INSERT INTO other VALUES (200);\nDROP INDEX t_plain;\nCREATE INDEX t_plain ON t (a);\n")->{value}, 'applied', '20: cleared away, it is applied');
}

# A block that had to run alone is mended into what cannot, there and behind it.
sql_try($node, q{CREATE PROCEDURE commits() LANGUAGE plpgsql AS 'BEGIN BEGIN COMMIT; EXCEPTION WHEN division_by_zero THEN END; END'});
is_error(run($node, '12', "INSERT INTO other VALUES (120);\nCALL commits();\n"), '2D000', undef, '12 fails in a block');
$r = run($node, '12', "INSERT INTO other VALUES (120);\nCOPY other FROM stdin;\n121\n\\.\nINSERT INTO other VALUES (122);\n");
is($r->{value}, 'applied', '12: COPY in its place') or diag $r->{message};
is_error(run($node, '13', "INSERT INTO other VALUES (130);\nVACUUM other;\nSELECT 1;\nDO 'BEGIN COMMIT; END';\nSELECT 1/0;\n"), '22012', undef, '13 fails behind a block');
is(attempt($node, '13')->{steps_done}, 4, '13: which is done');
is(run($node, '13', "INSERT INTO other VALUES (130);\nVACUUM other;\nSELECT 1;\nDO 'BEGIN COMMIT; END';\nCOPY other FROM stdin;\n131\n\\.\n")->{value}, 'applied', '13: the rest is another one');
is(rows_of($node, 'SELECT a, count(*) FROM other WHERE a BETWEEN 120 AND 139 GROUP BY 1 ORDER BY 1'), "120|1\n121|1\n122|1\n130|1\n131|1", 'each has run once');

done_testing();
