# A script's statement_timeout is about each of its statements: it is over with the
# last one of a step, and counts anew where a repair waits for a lock.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
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

is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');
done_testing();
