# INT cancels the migration; TERM and HUP leave the statement under way to the
# server. No temporary file and no client is left.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $tmp  = scratch_dir();
my $dir  = migrations_dir({
		'001_a.sql'    => "CREATE TABLE a (i int);\n",
		'002_gate.sql' => "-- tapmig: lock_timeout=10min\nCREATE TABLE b (i int);\nSELECT pg_advisory_xact_lock(4711);\n",
		'003_c.sql'    => "CREATE TABLE c (i int);\n",
	});
my $gate = session($node);
my $in_gate =
  "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted)";

sub begin_up
{
	my @arguments = @_ ? @_ : ('up', '--dir', $dir);
	my $runner = start_tapmig($node, \@arguments, env => { TMPDIR => $tmp });

	ok(wait_until($node, $in_gate), 'a migration is under way');
	return $runner;
}

# A backend in tapmig.run shows the statement of the script there.
my $running = "SELECT count(*) FROM pg_stat_activity WHERE (query LIKE 'CALL tapmig.run(%' OR query LIKE 'tapmig %') AND state = 'active'";

sub clients { return sql_value($node, $running); }

sub cleaned_up
{
	my ($name) = @_;

	is_deeply([ glob("$tmp/*") ], [], "$name: no temporary file is left");
}

# ------------------------------------------------------------------------ INT

$gate->try('SELECT pg_advisory_lock(4711)');
my $runner = begin_up();
$runner->signal('INT');
my ($exit, $out, $err) = $runner->finish(60);
is($exit, 130, 'INT: exit code 130');
like($out, qr/\Aapplied 001_a \(\d+ ms\)\n\z/, 'the one before it is in');
like($err, qr/^tapmig: 002_gate: ERROR:  canceling statement due to user request$/m, 'the migration was cancelled');
like($err, qr/^tapmig: interrupted: 002_gate was cancelled\n\z/m, 'and that is said');
is(clients(), 0, 'nothing of it runs on');
is(sql_value($node, "SELECT to_regclass('b') IS NULL"), 't', 'nothing of it is left');
cleaned_up('INT');

# To the whole process group, as a terminal's Ctrl-C sends it: psql gets two.
SKIP:
{
	skip 'no /proc', 5 unless -r '/proc/self/stat';
	$runner = begin_up();
	my @children = map { m{/(\d+)/} } grep { (eval { read_file($_) } // '') =~ /\A\d+ \(.*\) \S \Q@{[ $runner->pid ]}\E /s } glob '/proc/[0-9]*/stat';
	cmp_ok(scalar @children, '>', 0, 'the runner has processes');
	kill 'INT', $runner->pid, @children;
	($exit, $out, $err) = $runner->finish(60);
	is($exit, 130, 'INT to all processes: exit code 130');
	is(clients(), 0, 'nothing runs on');
	cleaned_up('INT to all');
}

# While a gate waits
my $waiting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CALL tapmig.wait_for%' AND state = 'active'";
for my $case ([ INT => 130 ], [ TERM => 143 ], [ HUP => 143 ])
{
	my $waiter = start_tapmig($node, [ 'wait', '99', '--timeout', '10min' ], env => { TMPDIR => $tmp });

	ok(wait_until($node, $waiting, expect => 1), 'a waiter');
	$waiter->signal($case->[0]);
	($exit, $out, $err) = $waiter->finish(60);
	is($exit, $case->[1], "$case->[0] to a waiter: exit code $case->[1]");
	ok(wait_until($node, $waiting, expect => 0, timeout => 20), 'it waits no more');
	cleaned_up("$case->[0] to a waiter");
}

# --------------------------------------------------------------- TERM and HUP

for my $signal (qw(TERM HUP))
{
	my $track = lc $signal;
	my $files = migrations_dir({
			'002_gate.sql' => "-- tapmig: lock_timeout=10min\nCREATE TABLE b_$track (i int);\nSELECT pg_advisory_xact_lock(4711);\n",
			'003_c.sql'    => "CREATE TABLE c_$track (i int);\n",
		});

	$runner = begin_up('up', '--dir', $files, '--track', $track);
	$runner->signal($signal);
	($exit, $out, $err) = $runner->finish(60);
	is($exit, 143, "$signal: exit code 143");
	is($out, '', "$signal: nothing is said to be applied");
	like($err, qr/\Atapmig: terminated: the server finishes what is under way in 002_gate\nHINT:  Run tapmig up again/,
		"$signal: what goes on is said");
	is(clients(), 1, "$signal: the statement goes on");
	cleaned_up($signal);

	# Another run waits for it.
	my $next = start_tapmig($node, [ 'up', '--dir', $files, '--track', $track ], env => { TMPDIR => $tmp });
	ok(wait_until($node, $running, expect => 2), "$signal: the next run waits");
	$gate->try('SELECT pg_advisory_unlock(4711)');
	($exit, $out, $err) = $next->finish(60);
	is($exit, 0, "$signal: and goes on") or diag $err;
	is($out =~ s/\(\d+ ms\)//r, "applied 003_c \n", "$signal: what was under way was finished by the server, and is skipped");
	is(sql_value($node, "SELECT to_regclass('b_$track') IS NOT NULL"), 't', "$signal: its effect is there");
	$gate->try('SELECT pg_advisory_lock(4711)');
}
$gate->close;
cleaned_up('afterwards');

done_testing();
