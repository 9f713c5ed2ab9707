# A thousand stepwise runs in one session leak neither memory, nor shared
# segments, nor worker slots; those that fail don't either.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

# With mmap each segment is a file that can be counted. A vacuum would make new
# files of the ledger's tables, which the session opens.
my $node = tapmig_node('main', conf => "autovacuum = off\ndynamic_shared_memory_type = mmap\nlog_min_messages = warning\nlog_statement = none\nlog_min_error_statement = panic\n");
my $s    = session($node);

sql_try($node, 'CREATE TABLE t (a int)');

sub measure
{
	my $pid = $s->pid;
	my ($rss) = eval { read_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m };

	return {
		contexts => $s->try("SELECT sum(total_bytes) FROM pg_backend_memory_contexts")->{value},
		rss      => $rss // 0,
		segments => sql_value($node, "SELECT count(*) FROM pg_ls_dir('pg_dynshmem') AS f WHERE f LIKE 'mmap%'"),
		workers  => sql_value($node, "SELECT count(*) FROM pg_stat_activity WHERE $a_worker"),
		locks    => sql_value($node, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
		files    => scalar(glob_count("/proc/$pid/fd/*")),
	};
}

sub glob_count { my @found = glob $_[0]; return scalar @found; }

my ($good, $bad) = (0, 0);

# Every fifth one fails, in the worker.
sub runs
{
	my ($from, $to) = @_;

	for my $n ($from .. $to)
	{
		my $fails = $n % 5 == 0;
		my $r = $s->try('CALL tapmig.run($1, $2)',
			bind => [ $n, ($fails ? "SELECT 1 / a FROM (VALUES (0)) v (a);\n" : '') . "VACUUM t;\n-- " . ('x' x 10_000) . "\n" ]);
		$good++ if $r->{ok} && $r->{value} eq 'applied';
		$bad++ if !$r->{ok} && $r->{sqlstate} eq '22012';
	}
	return;
}

runs(1, 100);
my $before = measure();
runs(101, 1000);
my $after = measure();

is("$good $bad", '800 200', 'a thousand runs, one in five failed as it should');
is($after->{segments}, $before->{segments}, 'no shared segment is left');
is($after->{workers},  0,                   'no worker is left');
is($after->{locks},    0,                   'no lock is left');
is($after->{files},    $before->{files},    'no file is left open');
cmp_ok($after->{contexts} - $before->{contexts}, '<', 64 * 1024, "no memory context grew ($before->{contexts} to $after->{contexts} bytes)");
cmp_ok($after->{rss} - $before->{rss}, '<', 1024, "the process did not grow ($before->{rss} to $after->{rss} kB)");

# All slots are free: as many workers at once as there are, but for the logical
# replication launcher's.
my $holder = holder($node);
my @at_once = map { session($node, options => '-c tapmig.wait_timeout=0') } 1 .. 7;
$at_once[$_]->start('CALL tapmig.run($1, $2, track => $3)', bind => [ 1, "CREATE INDEX CONCURRENTLY ON t$_ (a)", "track $_" ])
  for grep { sql_try($node, "CREATE TABLE t$_ (a int)") } 0 .. $#at_once;
ok(wait_until($node, "SELECT count(*) = 7 FROM pg_stat_activity WHERE $a_worker AND wait_event = 'virtualxid'"), 'seven workers at once');
$holder->close;
is(join(',', map { $_->finish->{value} // 'failed' } @at_once), join(',', ('applied') x 7), 'all of them end well');

done_testing();
