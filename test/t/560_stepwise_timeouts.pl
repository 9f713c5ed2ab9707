# A script's statement_timeout is about each of its statements: it is over with the
# last one of a step, and counts anew where a repair waits for a lock. The session's
# transaction_timeout ends its CALL, and not the worker.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my ($major) = $node->safe_psql('postgres', 'SHOW server_version_num') =~ /^(\d+)\d{4}$/;
my $waits = "SELECT EXISTS (SELECT FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE $a_worker AND NOT granted AND mode = 'ShareUpdateExclusiveLock')";
my $later = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $a_worker AND now() > state_change + interval '1500 ms')";

# A table whose index is INVALID, and somebody who is at work on it.
sub blocked
{
	my ($n) = @_;
	my $holder = session($node);

	sql_try($node, "CREATE TABLE t$n AS SELECT 1 AS a FROM generate_series(1, 2)");
	sql_try($node, "CREATE UNIQUE INDEX CONCURRENTLY i$n ON t$n (a)");
	sql_try($node, "DELETE FROM t$n WHERE ctid = '(0,1)'");
	$holder->try($_) for 'BEGIN', "LOCK TABLE t$n IN SHARE UPDATE EXCLUSIVE MODE";
	return $holder;
}

my $holder = blocked(1);
my $s      = session($node, options => '-c tapmig.lock_timeout=0');
start_run($s, 1, "SET statement_timeout = '1s';\nSELECT 1;\nSET statement_timeout = 0;\nCREATE UNIQUE INDEX CONCURRENTLY i1 ON t1 (a);\n");
ok(wait_until($node, $waits), 'the repair waits for the table');
ok(wait_until($node, $later), 'for longer than the script allowed earlier statements') if $s->busy;
$holder->close;
my $r = $s->finish;
is($r->{value}, 'applied', 'a timeout that the script has switched off ends nothing') or diag explain $r;

$holder = blocked(2);
$s      = session($node, options => '-c tapmig.lock_timeout=0');
my $script = "SET statement_timeout = '1s';\nCREATE UNIQUE INDEX CONCURRENTLY i2 ON t2 (a);\n";
start_run($s, 2, $script);
is_error($s->finish, '57014', qr/statement timeout/, 'one that holds ends the wait of a repair');
$holder->close;
is(run($node, 2, $script)->{value}, 'applied', 'and the next run goes on there');
is(valid($node, 'i2'), 't', 'to its end');

if ($major >= 17)
{
	sql_try($node, 'CREATE TABLE t3 AS SELECT 1 AS a');
	$holder = holder($node);
	$s      = session($node, options => '-c transaction_timeout=1s');
	start_run($s, 3, "CREATE INDEX CONCURRENTLY i3 ON t3 (a);\nINSERT INTO t3 SELECT 2;\n");
	ok(wait_build($node), 'the build waits');
	ok(wait_gone($node, $s->pid), 'the session is ended by its timeout');
	ok(wait_until($node, $later), 'the build goes on');
	$holder->close;
	ok(no_worker($node), 'the worker comes to its end');
	is(attempt($node, 3)->{outcome}, 'applied', 'and it is applied');
}

is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');
done_testing();
