# A stepwise script whose step cannot get a lock is tried again from that step.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;
use Time::HiRes 'time';

my $node = tapmig_node('main');
my $fast = '-c tapmig.lock_timeout=200ms';

sql_try($node, "CREATE TABLE $_ (a int); INSERT INTO $_ VALUES (1)") for qw(t u v);
sql_try($node, 'CREATE TABLE seen (what text)');

sub blocker
{
	my (@sql) = @_;
	my $s = session($node);
	$s->try('BEGIN');
	$s->try($_) for @sql ? @sql : 'SELECT * FROM t';
	return $s;
}

sub notices
{
	my ($r) = @_;
	return grep { /^NOTICE: .*was rolled back; try/ } @{ $r->{notices} };
}

sub waits_to_try_again
{
	my ($what) = @_;
	return wait_until($node, "SELECT count(*) > 0 FROM pg_stat_activity WHERE $a_worker AND query LIKE 'tapmig %$what%: waits to try again'");
}

# A transactional step behind a build.
{
	my $blocker = blocker();
	my $run     = session($node, options => $fast);
	my $pid     = $blocker->pid;
	my $began   = time;
	start_run($run, '10_step', "CREATE INDEX CONCURRENTLY u10 ON u (a);\nINSERT INTO seen VALUES ('10');\nALTER TABLE t ADD b int;\n");
	ok(waits_to_try_again('10_step'), 'a step: the worker pauses');
	ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity a WHERE $a_worker AND query LIKE '%10_step: waits to try again' AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND locktype NOT IN ('virtualxid', 'advisory')))"), 'a step: it has the migration lock and nothing else');
	$blocker->try('COMMIT');
	my $r = $run->finish;
	is($r->{value}, 'applied', 'a step: applied when the blocker has gone');
	like((notices($r))[0], qr/migration 10_step waited [\d.]+ m?s for ACCESS EXCLUSIVE on t and was rolled back; try 2 of 11.*Process $pid /s, 'a step: the caller is told who was in the way');
	has_waited((notices($r))[0], 200, $began, 'a step: and for how long');
	is(sql_value($node, "SELECT count(*) FROM seen WHERE what = '10'"), 1, 'a step: it ran once');
	is(attempts($node, 10), 'applied', 'a step: one attempt');
}

# It gives up, and resumes.
{
	my $blocker = blocker();
	my $script  = "VACUUM u;\nINSERT INTO seen VALUES ('11');\nALTER TABLE t ADD c int;\n";
	my $began   = time;
	my $r = run($node, '11_step', $script, options => "$fast -c tapmig.lock_retries=1");
	is_error($r, 'TM005', qr/^migration 11_step is blocked: it waited [\d.]+ m?s for ACCESS EXCLUSIVE on t$/, 'TM005 at the end');
	has_waited($r->{message}, 200, $began, 'with how long it waited');
	like($r->{hint}, qr/^It was tried 2 times.* 1 of its 2 steps are done, and stay: run it again to go on with step 2\.$/, 'what is done is said');
	like($r->{context}, qr/statement 3 of 3, line 3: ALTER TABLE t/, 'and where');
	is(attempt($node, 11)->{sqlstate}, 'TM005', 'the attempt is recorded');
	$blocker->try('COMMIT');
	is(run($node, '11_step', $script)->{value}, 'applied', 'the next run ends well');
	is(sql_value($node, "SELECT count(*) FROM seen WHERE what = '11'"), 1, 'each step ran once');
}

# The waits of a step share one lock_timeout; it is whole again for the next, and
# what the script SETs of it stays the script's.
{
	my @blockers = map { blocker("SELECT * FROM $_") } qw(t u);
	my $run      = session($node, options => '-c tapmig.lock_timeout=4s -c tapmig.lock_retries=0');
	my $reader   = session($node);
	start_run($run, '12_budget', "VACUUM v;\nALTER TABLE t ADD d int;\nALTER TABLE u ADD d int;\n");
	ok(wait_blocked($node, worker_pid($node)), 'the worker waits for a first table');
	my $began = time;
	$reader->start('SELECT * FROM t');
	$blockers[0]->start('SELECT pg_sleep(2.4); COMMIT');
	$reader->finish;
	cmp_ok(time - $began, '<', 5.6, 'a reader waits for no longer than lock_timeout');
	is_error($run->finish, 'TM005', qr/ on u$/, 'the second wait is cut short');
	$_->close for @blockers;

	my $r = run($node, '13_setting', <<'SQL', options => '-c tapmig.lock_timeout=3s');
VACUUM v;
INSERT INTO seen VALUES ('13 ' || current_setting('lock_timeout'));
VACUUM v;
SET lock_timeout = '7s';
VACUUM v;
INSERT INTO seen VALUES ('13 ' || current_setting('lock_timeout'));
VACUUM v;
RESET lock_timeout;
INSERT INTO seen VALUES ('13 ' || current_setting('lock_timeout'));
SQL
	is($r->{value}, 'applied', 'settings: applied');
	is(rows_of($node, "SELECT what FROM seen WHERE what LIKE '13%'"), "13 3s\n13 7s\n13 3s", 'settings: as the script and tapmig made them');
}

# A table that was empty has rows when the pause ends: they would be lost.
{
	my $blocker = blocker('CREATE TABLE grows (a int, b int)', 'COMMIT', 'BEGIN', 'SELECT * FROM grows');
	my $run     = session($node, options => "$fast -c tapmig.data_loss=error");
	start_run($run, '18_loss', "VACUUM u;\nALTER TABLE grows DROP COLUMN b;\n");
	ok(waits_to_try_again('18_loss'), 'loss: the worker pauses');
	sql_try($node, 'INSERT INTO grows VALUES (1, 1)');
	$blocker->try('COMMIT');
	is_error($run->finish, 'TM008', undef, 'loss: the next try is refused');
	is(sql_value($node, 'SELECT b FROM grows'), 1, 'loss: nothing is lost');
}

# Statements that run alone.
{
	my $blocker = blocker();
	my $run     = session($node, options => $fast);
	my $began   = time;
	start_run($run, '14_full', "VACUUM FULL t;\n");
	ok(waits_to_try_again('14_full'), 'VACUUM FULL: the worker pauses');
	$blocker->try('COMMIT');
	my $r = $run->finish;
	is($r->{value}, 'applied', 'VACUUM FULL: applied when the blocker has gone');
	like((notices($r))[0], qr/waited [\d.]+ m?s for ACCESS EXCLUSIVE on t and.*Process ${\ $blocker->pid } /s, 'VACUUM FULL: it says who was in the way');
	has_waited((notices($r))[0], 200, $began, 'VACUUM FULL: and for how long');
}
{
	my $blocker = blocker();
	my $began   = time;
	my $r = run($node, '15_do', "DO 'BEGIN INSERT INTO seen VALUES (15); COMMIT; LOCK TABLE t; END';\n", options => $fast);
	is_error($r, 'TM005', qr/^migration 15_do is blocked: it waited [\d.]+ m?s for ACCESS EXCLUSIVE on t$/, 'a block that has committed is not tried again');
	has_waited($r->{message}, 200, $began, 'with how long it waited');
	is(scalar(notices($r)), 0, 'nor is it said so');
	is(sql_value($node, "SELECT count(*) FROM seen WHERE what = '15'"), 1, 'what it has committed stays');
	like($r->{hint}, qr/^What it had committed by then stays/, 'which is said');
}

# A build that ends in a deadlock leaves an INVALID index: cleared away and built.
{
	my $other = session($node, options => '-c deadlock_timeout=30s');
	# It looks once, when it has waited for so long: the other has to be there by then.
	my $run   = session($node, options => '-c deadlock_timeout=3s');
	$other->try('BEGIN ISOLATION LEVEL REPEATABLE READ');
	$other->try('SELECT 1');
	start_run($run, '16_deadlock', "SET lock_timeout = '9s';\nCREATE INDEX CONCURRENTLY t16 ON t (a);\nINSERT INTO seen VALUES ('16 ' || current_setting('lock_timeout'));\n");
	ok(wait_build($node), 'deadlock: the build waits');
	$other->start('LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE');
	is($other->finish->{ok}, 1, 'deadlock: the other session goes on');
	$other->try('COMMIT');
	my $r = $run->finish;
	is($r->{value}, 'applied', 'deadlock: built in another try');
	like((notices($r))[0], qr/migration 16_deadlock met a deadlock and was rolled back/, 'deadlock: it is said');
	is(valid($node, 't16'), 't', 'deadlock: the index is valid');
	is(sql_value($node, "SELECT what FROM seen WHERE what LIKE '16%'"), '16 9s', 'deadlock: lock_timeout is the script\'s again');
}

# A cancel in the pause.
{
	my $blocker = blocker();
	my $run     = session($node, options => $fast);
	start_run($run, '17_cancel', "VACUUM u;\nALTER TABLE t ADD e int;\n");
	ok(waits_to_try_again('17_cancel'), 'cancel: the worker pauses');
	$run->cancel;
	is_error($run->finish, '57014', undef, 'cancel: the call ends');
	ok(no_worker($node), 'cancel: no worker is left');
	is(attempt($node, 17)->{outcome}, 'interrupted', 'cancel: the attempt is interrupted');
}

# The ledger is locked when a statement that runs alone has ended: what is tried
# again is the word that it is done, and not the statement.
my %alone = (
	'a build' => "CREATE INDEX CONCURRENTLY ledger_idx ON u (a);\n",
	'a block' => "DO 'BEGIN INSERT INTO seen VALUES (''ledger''); COMMIT; SET LOCAL lock_timeout = 0; PERFORM pg_advisory_xact_lock(4714); END';\n",
);
my $version = 20;
for my $what (sort keys %alone)
{
	for my $retries (0, 10)
	{
		my $run    = session($node, options => "$fast -c tapmig.lock_retries=$retries");
		my $admin  = session($node);
		my $gate   = $what eq 'a build' ? holder($node) : session($node);
		my $script = $alone{$what} =~ s/ledger/ledger$retries/gr;

		$version++;
		$gate->try('SELECT pg_advisory_lock(4714)');
		start_run($run, $version, $script);
		ok($what eq 'a build' ? wait_build($node) : wait_blocked($node, worker_pid($node)), "$what, $retries retries: it is under way");
		$admin->try($_) for 'BEGIN', 'LOCK TABLE tapmig.schema_migrations IN SHARE MODE';
		$gate->close;
		if ($retries)
		{
			ok(waits_to_try_again($version), "$what: it pauses behind the ledger");
			$admin->try('COMMIT');
			is($run->finish->{value}, 'applied', "$what: applied when the ledger is free");
		}
		else
		{
			my $r = $run->finish;
			is_error($r, 'TM005', undef, "$what: TM005 without a retry");
			like($r->{hint}, qr/ No step of it is done|0 of its 1 steps are done/, "$what: and nothing is said to be done");
			$admin->try('COMMIT');
			is(sql_try($node, "SELECT tapmig.step_done('$version', 1, 'seen')")->{ok}, 1, 'a human may say that the block is done')
			  if $what eq 'a block';
			is(run($node, $version, $script)->{value}, 'applied', "$what: the next run records it");
		}
		is(sql_value($node, "SELECT tapmig.is_applied('$version')"), 't', "$what, $retries retries: recorded");
		is(attempt($node, $version)->{outcome}, 'applied', "$what, $retries retries: so is the attempt");
	}
}
is(sql_value($node, "SELECT count(*) FROM seen WHERE what = 'ledger$_'"), 1, "the block ran once ($_)") for 0, 10;
is(valid($node, "ledger${_}_idx"), 't', "index ledger${_}_idx is valid") for 0, 10;

# A catalog is locked when a build has ended: the look at its index is tried again,
# and not the build, which would find its own index.
for my $retries (0, 10)
{
	my $run    = session($node, options => "$fast -c tapmig.lock_retries=$retries");
	my $admin  = session($node);
	my $gate   = holder($node);
	my $script = "CREATE INDEX CONCURRENTLY looked$retries ON u (a);\n";

	$version++;
	start_run($run, $version, $script);
	ok(wait_build($node), "a look, $retries retries: the build is under way");
	$admin->try($_) for 'BEGIN', 'LOCK TABLE pg_catalog.pg_depend IN ACCESS EXCLUSIVE MODE';
	$gate->close;
	if ($retries)
	{
		ok(waits_to_try_again($version), 'a look: it pauses behind the catalog');
		$admin->try('COMMIT');
		is($run->finish->{value}, 'applied', 'a look: applied when the catalog is free');
	}
	else
	{
		is_error($run->finish, 'TM005', undef, 'a look: TM005 without a retry');
		$admin->try('COMMIT');
		is(run($node, $version, $script)->{value}, 'applied', 'a look: the next run finds the index');
	}
	is(valid($node, "looked$retries"), 't', "a look, $retries retries: the index is valid");
}

is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');
done_testing();
