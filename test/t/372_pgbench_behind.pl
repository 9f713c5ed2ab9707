# An application (pgbench) on a table that a forgotten transaction has read, and
# a migration that adds a column to it.

use strict;
use warnings;

use IPC::Run ();
use TapmigTest;
use Test::More;

my $node    = tapmig_node('main');
my $timeout = 1.0;

sql_try($node, 'CREATE TABLE accounts (id int PRIMARY KEY, n int)');
sql_try($node, 'INSERT INTO accounts SELECT i, 0 FROM generate_series(1, 1000) i');

# Runs the migration between a transaction that is idle for that many seconds
# and an application; returns its result, and the application's longest wait in
# seconds.
sub with_application
{
	my ($version, $idle, $options) = @_;
	my $dir    = scratch_dir();
	my $script = "$dir/application.sql";
	my $idler  = session($node, options => "-c idle_in_transaction_session_timeout=${idle}s");
	my $run    = session($node, options => $options);
	my ($out, $longest, $n) = ('', 0, 0);
	my $name = "application$version";

	write_file($script, "\\set id random(1, 1000)\nUPDATE accounts SET n = n + 1 WHERE id = :id;\n");
	my $pgbench = IPC::Run::start(
		[ 'pgbench', '-n', '-h', $node->host, '-p', $node->port, '-c', 4, '-R', 200, '-T', 300,
			'-f', $script, '-l', '--log-prefix', "$dir/log", 'postgres' ],
		'<', \undef, '>&', \$out,
		init => sub { $ENV{PGAPPNAME} = $name });
	wait_until($node, "SELECT count(*) = 4 FROM pg_stat_activity WHERE application_name = '$name'") or die $out;

	$idler->try('BEGIN');
	$idler->try('SELECT count(*) FROM accounts');
	$run->start('CALL tapmig.run($1, $2)', bind => [ $version, "ALTER TABLE accounts ADD c$version int" ]);
	my $r = $run->finish(120);
	wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted)");
	$pgbench->signal('ALRM');    # the end of -T, with the whole log
	$pgbench->finish;

	for my $log (glob "$dir/log.*")
	{
		# client, transaction, latency in µs, script, seconds, µs, lag in µs
		for (split /\n/, read_file($log))
		{
			my (undef, undef, $latency, undef, undef, undef, $lag) = split / /;
			my $waited = ($latency - $lag) / 1e6;
			$longest = $waited if $waited > $longest;
			$n++;
		}
	}
	cmp_ok($n, '>', 10, "application $version: it has worked ($n transactions)");
	return ($r, $longest);
}

my ($r, $longest) = with_application(1, 20, '-c tapmig.lock_timeout=1s');
is($r->{value}, 'applied', 'with tapmig: applied when the idle transaction was gone');
cmp_ok(scalar(grep { /was rolled back; try/ } @{ $r->{notices} }), '>', 2, 'with tapmig: after some tries');
cmp_ok($longest, '<', $timeout + 1, "with tapmig: nobody waited for longer than lock_timeout and a second ($longest s)");

($r, $longest) = with_application(2, 5, '-c tapmig.lock_timeout=0');
is($r->{value}, 'applied', 'without a lock_timeout: applied');
cmp_ok($longest, '>', $timeout + 1, "without a lock_timeout: the application has piled up behind it ($longest s)");

done_testing();
