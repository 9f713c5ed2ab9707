# A standard output that is full, closed, or a pipe that nobody reads.

use strict;
use warnings;

use IPC::Run ();
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $dir  = migrations_dir({ map { sprintf('%03d_t.sql', $_) => "CREATE TABLE t$_ (i int);\n" } 1 .. 3 });
local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
my ($out, $err);

# The exit code of the runner, with a redirection of the shell's
sub redirected
{
	my ($redirection, @arguments) = @_;

	IPC::Run::run([ 'sh', '-c', "\"\$@\" $redirection", 'sh', tapmig_bin(), @arguments, '--dir', $dir ],
		'<', \'', '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	return $? >> 8;
}

# Waits until no process below another one has such a command line.
sub ended
{
	my ($like, $ancestor) = @_;

	for (1 .. 3000)
	{
		my (%parent, @found);

		for my $stat (glob '/proc/[0-9]*/stat')
		{
			my ($pid, $parent) = slurp($stat) =~ /^(\d+) \(.*\) \S (\d+)/s or next;
			$parent{$pid} = $parent;
			push @found, $pid if slurp("/proc/$pid/cmdline") =~ $like;
		}
		for my $pid (@found)
		{
			for ($pid = $parent{$pid}; $pid && $pid != $ancestor; $pid = $parent{$pid}) { }
		}
		return 1 unless grep { $_ } @found;
		select undef, undef, undef, 0.02;
	}
	return 0;
}

# What a file of a process that may end holds
sub slurp
{
	my ($path) = @_;

	open(my $file, '<', $path) or return '';
	local $/;
	return <$file> // '';
}

for my $case ([ 'status' ], [ 'status', '--json' ], [ 'plan' ], [ 'plan', '--json' ], [ 'plan', '--markdown' ],
	[ 'lint', '--format', 'json' ], [ 'dump', '--out', '-' ])
{
	is(redirected('>/dev/full', @$case), 2, "tapmig @$case: a full standard output");
	like($err, qr/standard output/, "tapmig @$case: says so");
}
is(redirected('>&-', 'status'), 6, 'a closed standard output: the same exit code');
is("$out$err", '', 'and nothing else');
is(redirected('>&- 2>&- <&-', 'up', '--to', '1'), 0, 'all closed');
is(sql_value($node, 'SELECT count(*) FROM tapmig.schema_migrations'), 1, 'applied');

# The reader ends behind the first line, of which the second migration waits.
write_file("$dir/002_t.sql", "SELECT pg_advisory_lock_shared(643);\nCREATE TABLE t2 (i int);\n");
write_file("$dir/004_t.sql", "SELECT pg_advisory_lock_shared(644);\n");
my $gate = session($node);
$gate->try('SELECT pg_advisory_lock(643), pg_advisory_lock(644)');
my $code = scratch_dir() . '/code';
# IPC::Run's children do not hear of that signal, nor do theirs.
my $run = IPC::Run::start([ 'perl', '-e', '$SIG{PIPE} = "DEFAULT"; exec @ARGV', 'sh', '-c', '{ "$1" up --dir "$2"; echo $? >"$3"; } | true', 'sh', tapmig_bin(), $dir, $code ],
	'<', \'', '>', \$out, '2>', \$err, IPC::Run::timeout(60));
ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"), 'the second migration is under way');
# The fourth one waits until the runner's writer has met the end of the pipe.
$gate->try('SELECT pg_advisory_unlock(643)');
ok(ended(qr/awk.*timed != ""/s, $run->{KIDS}[0]{PID}), 'the writer has ended');
$gate->close;
$run->finish;
is(read_file($code), "141\n", 'a pipe that nobody reads: exit code 141') or diag $err;
like($err, qr/^tapmig: nobody reads standard output any more(?:: stopped in 00\d_t, |$)/m, 'it says why');
is(redirected('', 'up'), 0, 'the next run');
is(sql_value($node, 'SELECT count(*) FROM tapmig.schema_migrations'), 4, 'goes on');

done_testing();
