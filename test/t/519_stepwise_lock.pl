# The worker's lock: pg_advisory_unlock_all(), DISCARD ALL and committing blocks
# do not let a second runner in.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $lock = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE $a_worker AND locktype = 'advisory' AND objsubid = 3 AND granted AND mode = 'ExclusiveLock'";

sql_try($node, 'CREATE TABLE t (a int)');
sql_try($node, 'CREATE TABLE seen (what text)');

my %unlock = (
	'a transactional step'  => "SELECT pg_advisory_unlock_all();\n",
	'DISCARD ALL'           => "DISCARD ALL;\n",
	'a committing block'    => "DO \$\$BEGIN PERFORM pg_advisory_unlock_all(); COMMIT; PERFORM pg_advisory_unlock_all(); COMMIT; END\$\$;\n",
	'a block that waits'    => undef,
);
my $n = 10;

for my $what (sort keys %unlock)
{
	my $version = $n++;
	my $script  = ($unlock{$what} // '') . "CREATE INDEX CONCURRENTLY t_$version ON t (a);\nINSERT INTO seen VALUES ('$version');\n";
	my $holder  = holder($node);
	my $first   = session($node);

	if (!defined $unlock{$what})
	{
		# It waits between its two transactions, after it let go of the lock.
		$script = "DO \$\$BEGIN PERFORM pg_advisory_unlock_all(); COMMIT; PERFORM pg_advisory_xact_lock(4711); INSERT INTO seen VALUES ('block $version'); END\$\$;\nVACUUM t;\n";
		$holder->try('SELECT pg_advisory_lock(4711)');
	}
	start_run($first, $version, $script);
	my $worker = worker_pid($node);
	ok(defined $unlock{$what} ? wait_build($node) : wait_blocked($node, $worker), "$what: the worker waits");

	cmp_ok(sql_value($node, $lock), '>=', 1, "$what: it holds the lock");
	my $r = run($node, 500 + $version, 'SELECT 1', options => '-c tapmig.wait_timeout=0');
	is_error($r, 'TM004', undef, "$what: no other run gets in");
	like($r->{detail}, qr/Process $worker /, "$what: which names the worker");
	is_error(apply($node, 500 + $version, 'SELECT 1'), 'TM004', undef, "$what: nor an apply");
	$r = run($node, $version, $script, options => '-c tapmig.wait_timeout=0');
	is_error($r, 'TM004', undef, "$what: nor a run of the same version");
	$holder->close;
	is($first->finish->{value}, 'applied', "$what: it ends well");
	is(sql_value($node, "SELECT count(*) FROM seen WHERE what LIKE '%$version'"), 1, "$what: it ran once");
}

# A block frees it in its second transaction, and waits: in a third one after a
# ROLLBACK, behind a caught error, and right there.
my %later = (
	'right there'          => "PERFORM pg_advisory_unlock_all(); PERFORM gate();",
	'with another clause'  => "PERFORM * FROM pg_advisory_unlock_all(); PERFORM gate();",
	'behind a rollback'    => "PERFORM pg_advisory_unlock_all(); ROLLBACK; PERFORM gate();",
	'behind a caught error' => "BEGIN PERFORM pg_advisory_unlock_all(); PERFORM 1 / (SELECT 0); EXCEPTION WHEN division_by_zero THEN NULL; END; PERFORM gate();",
);
sql_try($node, "CREATE FUNCTION gate() RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_xact_lock(4713)'");
for my $what (sort keys %later)
{
	my $version = $n++;
	my ($first, $gate) = map { session($node) } 1 .. 2;
	my $script = "DO \$\$BEGIN COMMIT; $later{$what} INSERT INTO seen VALUES ('later $version'); END\$\$;\n";
	$gate->try('SELECT pg_advisory_lock(4713)');
	start_run($first, $version, $script);
	my $worker = worker_pid($node);
	ok(wait_blocked($node, $worker), "unlocked later, $what: the worker waits");
	my $r = run($node, 600 + $version, 'SELECT 1', options => '-c tapmig.wait_timeout=0');
	is_error($r, 'TM004', undef, "unlocked later, $what: no other run gets in");
	like($r->{detail} // '', qr/Process $worker /, "unlocked later, $what: which names the worker");
	is_error(apply($node, 600 + $version, 'SELECT 1'), 'TM004', undef, "unlocked later, $what: nor an apply");
	$gate->close;
	is($first->finish->{value}, 'applied', "unlocked later, $what: it ends well");
	is(sql_value($node, "SELECT count(*) FROM seen WHERE what = 'later $version'"), 1, "unlocked later, $what: it ran once");
}

# Another track goes on meanwhile.
{
	my $holder = holder($node);
	my $first  = session($node);
	start_run($first, 30, "CREATE INDEX CONCURRENTLY t_30 ON t (a);\n");
	ok(wait_build($node), 'a build waits');
	is(run($node, 30, 'SELECT 1', track => 'other')->{value}, 'applied', 'another track applies a script');
	$holder->close;
	is($first->finish->{value}, 'applied', 'the build ends');
}

# A second run of the same version waits and is told that it is there.
{
	my $holder = holder($node);
	my ($first, $second) = map { session($node) } 1 .. 2;
	start_run($first, 31, "CREATE INDEX CONCURRENTLY t_31 ON t (a);\n");
	ok(wait_build($node), 'a build waits');
	start_run($second, 31, "CREATE INDEX CONCURRENTLY t_31 ON t (a);\n");
	ok(wait_event($node, $second->pid, 'Extension'), 'a second run of it waits');
	$holder->close;
	is($first->finish->{value}, 'applied', 'the first applies it');
	is($second->finish->{value}, 'skipped', 'the second is told that it is there');
	is(attempts($node, 31), 'applied', 'one attempt');
}

# A client in apply, which has a snapshot, waits while the worker is in a
# transaction, and gives up as soon as the build begins, which would wait for it.
{
	my ($first, $second) = map { session($node) } 1 .. 2;
	my $gate = session($node);
	$gate->try('SELECT pg_advisory_lock(4712)');
	start_run($first, 32, "SELECT pg_advisory_xact_lock(4712);\nCREATE INDEX CONCURRENTLY t_32 ON t (a);\n");
	ok(wait_blocked($node, worker_pid($node)), 'a worker is in a transactional step');
	$second->try('BEGIN ISOLATION LEVEL REPEATABLE READ');
	$second->try('SELECT 1');
	$second->start("SELECT tapmig.apply('33', 'SELECT 1')");
	ok(wait_event($node, $second->pid, 'Extension'), 'a client in apply waits for it');
	$gate->try('SELECT pg_advisory_unlock(4712)');
	is_error($second->finish(30), 'TM004', undef, 'it gives up when the build begins');
	$second->try('ROLLBACK');
	is($first->finish(30)->{value}, 'applied', 'the build ends');
}

# The server is stopped in the orderly way, in mid-build.
{
	my $holder = holder($node);
	my $first  = session($node);
	my $script = "INSERT INTO seen VALUES ('34');\nCREATE INDEX CONCURRENTLY t_34 ON t (a);\n";
	start_run($first, 34, $script);
	ok(wait_build($node), 'a build waits');
	$node->stop('fast');
	$_->close for $holder, $first;
	$node->start;
	is(rows_of($node, "SELECT state FROM tapmig.plan(ARRAY['34']) WHERE version = '34'"), 'interrupted', 'stopped: the plan says interrupted');
	is(run($node, 34, $script)->{value}, 'applied', 'stopped: the next run ends well');
	is(valid($node, 't_34'), 't', 'stopped: the index is valid');
	is(sql_value($node, "SELECT count(*) FROM seen WHERE what = '34'"), 1, 'stopped: each step ran once');
}

is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');
done_testing();
