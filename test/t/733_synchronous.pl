# A commit that waits for a synchronous standby which isn't there: the migration
# is committed on this server, and what ends the wait (a cancel, the client's
# end, a terminated backend) takes nothing back and leaves no lock behind.

use strict;
use warnings;

use TapmigClients;
use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main', init => [ allows_streaming => 1 ], conf => "autovacuum = off\n");
$node->safe_psql('postgres', 'CREATE TABLE log (what text)');

# Commits wait from when the checkpointer has read the setting, which is seen by one.
sub standby_is
{
	my ($names) = @_;
	$node->safe_psql('postgres', $_) for "ALTER SYSTEM SET synchronous_standby_names = '$names'", 'SELECT pg_reload_conf()';
	wait_until($node, "SELECT current_setting('synchronous_standby_names') = '$names'") or return 0;
	return 1 if $names eq '';

	my $probe = session($node);
	my $waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = @{[ $probe->pid ]} AND wait_event = 'SyncRep')";
	bounded(60, 'a commit waits', sub {
		$probe->start(q{SELECT pg_logical_emit_message(true, 'probe', '')}) unless $probe->{sent};
		return 1 if sql_value($node, $waits) eq 't';
		$probe->finish unless $probe->busy;
		return 0;
	});
	$probe->cancel;
	$probe->finish;
	return 1;
}

sub waits_for_standby
{
	my ($pid) = @_;
	return wait_until($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = $pid AND wait_event = 'SyncRep'");
}

sub after
{
	my ($name, $version, $effects) = @_;
	ok(standby_is(''), "$name: no standby is asked for any more");
	is(rows_of($node, 'SELECT count(*) FROM tapmig.running'), 0, "$name: nothing is under way");
	is(sql_value($node, 'SELECT count(*) FROM log WHERE what = ' . quoted($name)), $effects, "$name: the effect is there once");
	verify_is_clean($node, $name);
	return;
}

my $n = 0;
for my $call ('run', 'apply')
{
	for my $end ('cancel', 'terminate')
	{
		my $name = "$call, $end";
		my $version = sprintf '%03d', ++$n;
		my $script = 'INSERT INTO log VALUES (' . quoted($name) . ')';
		my $session = session($node);

		ok(standby_is('nobody'), "$name: a standby is asked for");
		$session->start($call eq 'run' ? 'CALL tapmig.run($1, $2)' : 'SELECT tapmig.apply($1, $2)', bind => [ $version, $script ]);
		ok(waits_for_standby($session->pid), "$name: it waits");
		sql_try($node, $end eq 'cancel' ? "SELECT pg_cancel_backend(@{[ $session->pid ]})" : "SELECT pg_terminate_backend(@{[ $session->pid ]})");
		my $r = eval { $session->finish } // { ok => 0 };
		if ($end eq 'cancel')
		{
			is($r->{value}, 'applied', "$name: it is applied, and says so") or diag explain $r;
			ok(scalar(grep { /committed locally/ } @{ $r->{notices} }), "$name: with the server's WARNING") or diag explain $r->{notices};
		}
		else
		{
			is($r->{ok}, 0, "$name: the session is gone");
			ok(wait_gone($node, $session->pid), "$name: and its backend");
		}
		after($name, $version, 1);
		is(run($node, $version, $script)->{value}, 'skipped', "$name: again: skipped");
	}
}

# With steps: each step's end waits. The caller's cancel ends the worker; what was
# committed stays, and the next run goes on behind it.
for my $end ('cancel', 'terminate the worker')
{
	my $name = "steps, $end";
	my $version = sprintf '%03d', ++$n;
	my $script = "INSERT INTO log VALUES (" . quoted($name) . ");\nVACUUM log;\nCREATE INDEX CONCURRENTLY log_$n ON log (what);\n";
	my $session = session($node);

	ok(standby_is('nobody'), "$name: a standby is asked for");
	start_run($session, $version, $script);
	my $worker = worker_pid($node);
	ok(waits_for_standby($worker), "$name: the worker waits");
	sql_try($node, $end eq 'cancel' ? "SELECT pg_cancel_backend(@{[ $session->pid ]})" : "SELECT pg_terminate_backend($worker)");
	my $r = $session->finish;
	is($r->{ok}, 0, "$name: the run has failed");
	ok(no_worker($node), "$name: no worker is left");
	ok(standby_is(''), "$name: no standby is asked for any more");
	$r = run($node, $version, $script);
	is($r->{value}, 'applied', "$name: the next run ends well") or diag explain $r;
	after($name, $version, 1);
	is(valid($node, "log_$n"), 't', "$name: the index is valid");
}

# Steps that wait, until the standby comes: nothing else is needed.
{
	my $session = session($node);
	ok(standby_is('nobody'), 'late: a standby is asked for');
	start_run($session, '100', "INSERT INTO log VALUES ('late');\nVACUUM log;\n");
	ok(waits_for_standby(worker_pid($node)), 'late: the worker waits');
	my $other = session($node, options => '-c tapmig.wait_timeout=0');
	is_error($other->try(q{CALL tapmig.run('101', 'SELECT 1')}), 'TM004', undef, 'late: another one is told that it is under way');
	ok(standby_is(''), 'late: the standby is not asked for any more');
	is($session->finish->{value}, 'applied', 'late: and it goes on');
	after('late', '100', 1);
}

done_testing();
