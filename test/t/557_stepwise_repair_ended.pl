# A worker that is terminated while it clears away what an earlier try left, at each
# place of it: no lock stays behind, and the next run goes on from there.

use strict;
use warnings;

use TapmigChaos;
use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node    = tapmig_node('main', conf => "max_worker_processes = 16\nautovacuum = off\n");
my $library = fault_library() // BAIL_OUT('no compiler?');
my $noted   = scratch_dir() . '/noted';
my $admin   = session($node);
my $waits   = "SELECT EXISTS (SELECT FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE $a_worker AND NOT granted)";

# Each: the script, what is there before, and what is true at the end.
my %cases = (
	build  => [ 'CREATE INDEX CONCURRENTLY i%d ON t%d (a)', 'CREATE TABLE t%d AS SELECT 1 AS a', q{SELECT indisvalid FROM pg_index WHERE indexrelid = 'i%d'::regclass} ],
	detach => [ 'ALTER TABLE t%d DETACH PARTITION q%d CONCURRENTLY', 'CREATE TABLE t%d (a int) PARTITION BY RANGE (a); CREATE TABLE q%d PARTITION OF t%d FOR VALUES FROM (0) TO (10)', q{SELECT count(*) = 0 FROM pg_inherits WHERE inhparent = 't%d'::regclass} ],
);

# The same, where the first try ended by an error and not from outside.
$cases{'detach, failed'} = $cases{detach};

sub filled { my ($text, $n) = @_; return $text =~ s/%d/$n/gr; }

my $n = 0;
for my $what (sort keys %cases)
{
	my (@wrong, $places);

	for (my $at = 1; $at < 300; $at++)
	{
		my ($script, $setup, $done) = map { filled($_, $n + 1) } @{ $cases{$what} };
		my $id     = ++$n;
		my $holder = session($node);
		my $first  = session($node);

		$admin->try($setup);
		$holder->try($_) for 'BEGIN ISOLATION LEVEL REPEATABLE READ', "SELECT * FROM t$id";
		start_run($first, $id, $script);
		wait_until($node, $waits) or last;
		$first->cancel;
		$first->finish;
		$holder->close;
		$admin->try("UPDATE tapmig.attempts SET outcome = 'failed', step_running = NULL WHERE version = '$id'") if $what =~ /failed/;

		unlink $noted;
		my $second = session($node, options => "-c session_preload_libraries=$library -c chaos_fault.file=$noted -c chaos_fault.how=terminate");
		$second->try("SET chaos_fault.at = $at");
		start_run($second, $id, $script);
		my $r = $second->finish;
		push @wrong, "place $at: it hangs" if !no_worker($node);
		# The two views are not of one moment.
		my ($left, $until) = (1, time + 5);
		$left = $admin->try("SELECT count(*) FROM pg_locks l WHERE NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = l.pid)")->{value} while $left && time < $until;
		push @wrong, "place $at: $left locks are left" if $left;
		my $end = run($node, $id, $script);
		push @wrong, "place $at: the next run says $end->{sqlstate} $end->{message}" if !$end->{ok};
		push @wrong, "place $at: it is not done" if $admin->try($done)->{value} ne 't';
		$places = $at if -e $noted;
		last if !-e $noted || @wrong > 6;
	}
	is(join("\n", @wrong), '', "$what: ended at each place");
	cmp_ok($places // 0, '>', 20, "$what: " . ($places // 0) . ' places');
}
is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');
done_testing();
