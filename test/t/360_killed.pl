# A client killed, a session terminated or cancelled, an error caught: nothing is
# left of the migration, neither in the database nor in the session.

use strict;
use warnings;

use IPC::Run ();
use TapmigClients;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

sql_value($node, 'CREATE TABLE log (version text, part int)');

# The gate is in the middle.
sub script
{
	my ($version) = @_;
	return "INSERT INTO log VALUES ('$version', 1);\nSELECT pg_advisory_xact_lock_shared(42);\n"
	  . "CREATE TABLE made_$version ();\nINSERT INTO log VALUES ('$version', 3);\n";
}

sub state_of
{
	my ($version) = @_;
	my @seen = (
		sql_value($node, "SELECT count(*) FROM tapmig.schema_migrations WHERE version = '$version'"),
		sql_value($node, "SELECT count(*) FROM tapmig.history WHERE version = '$version'"),
		sql_value($node, "SELECT count(*) FROM pg_tables WHERE tablename = 'made_$version'"),
		sql_value($node, "SELECT count(*) FROM log WHERE version = '$version'") / 2);

	return "@seen" eq '1 1 1 1' ? 'applied' : "@seen" eq '0 0 0 0' ? 'absent' : "torn: @seen";
}

my $gate = session($node);
sub close_gate { return $gate->try('SELECT pg_advisory_lock(42)'); }
sub open_gate  { return $gate->try('SELECT pg_advisory_unlock(42)'); }

my %call = (apply => 'SELECT tapmig.apply(%s, %s)', run => 'CALL tapmig.run(%s, %s)');
sub call { return sprintf($call{ $_[0] }, quoted($_[1]), quoted($_[2])); }

my $number = 0;
sub next_version { return sprintf('%03d', ++$number); }

# Nothing of it is there, and whoever comes next need not wait.
sub nothing_left
{
	my ($version, $name) = @_;

	is(state_of($version), 'absent', "$name: nothing of it is there");
	verify_is_clean($node, $name);
	is(sql_try($node, call('run', $version, script($version)), options => '-c tapmig.wait_timeout=0')->{value},
		'applied', "$name: and another session applies it at once");
	is(state_of($version), 'applied', "$name: wholly");
	return;
}

# Terminated and cancelled, in a statement of the script
for my $how ('apply', 'run')
{
	for my $end ('terminate', 'cancel', 'statement_timeout')
	{
		my $name    = "$how, $end";
		my $version = next_version();
		my $s       = session($node);
		my $pid     = $s->pid;

		$s->try(q{SET statement_timeout = '2s'}) if $end eq 'statement_timeout';
		close_gate();
		$s->start(call($how, $version, script($version)));

		# Where it was when its time was over, its error says.
		ok(wait_blocked($node, $pid), "$name: under way") unless $end eq 'statement_timeout';
		sql_value($node, "SELECT pg_${end}_backend($pid)") unless $end eq 'statement_timeout';
		my $r = $s->finish;
		ok($r->{sqlstate} =~ ($end eq 'terminate' ? qr/^(?:57P01|08)/ : qr/^57014$/), "$name: the client is told")
		  or diag("$r->{sqlstate} $r->{message}");
		open_gate();
		if ($end eq 'terminate')
		{
			ok(wait_gone($node, $pid), "$name: the session is gone");
		}
		else
		{
			like($r->{context} // '', qr/migration $version, statement 2 of 4, line 2/, "$name: where it was");

			# The same session goes on.
			$s->try('SET statement_timeout = 0');
			is($s->try('SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = \'advisory\'')->{value},
				0, "$name: it holds no lock");
			my $next = next_version();
			is($s->try(call($how, $next, script($next)))->{value}, 'applied', "$name: the same session applies the next");
		}
		nothing_left($version, $name);
		is(sql_value($node, "SELECT count(*) FROM tapmig.attempts WHERE version = '$version'"),
			$how eq 'run' && $end ne 'terminate' ? 1 : 0, "$name: attempts");
	}
}

# The client killed. A session notices that when it would send or read, or by
# client_connection_check_interval: until then the statement goes on.
for my $how ('apply', 'run', 'apply in a block')
{
	for my $check (0, 1)
	{
		my $name    = "client of $how killed, " . ($check ? 'with' : 'without') . ' client_connection_check_interval';
		my $version = next_version();
		my $call    = call($how =~ /(apply|run)/, $version, script($version));
		my $sql     = ($check ? "SET client_connection_check_interval = 50;\n" : '')
		  . "SET application_name = 'to_be_killed';\n"
		  . ($how =~ /block/ ? "BEGIN;\n$call;\nCOMMIT;\n" : "$call;\n");
		my $file = write_file(scratch_dir() . '/script.sql', $sql);
		my ($out, $err) = ('', '');

		close_gate();
		local %ENV = $node->_get_env();
		delete $ENV{PGAPPNAME};
		my $psql = IPC::Run::start([ 'psql', '-X', '-d', 'postgres', '-f', $file ], '<', '/dev/null', '>', \$out, '2>', \$err);
		ok(wait_until($node, q{SELECT EXISTS (SELECT FROM pg_stat_activity a JOIN pg_locks l USING (pid)
			WHERE a.application_name = 'to_be_killed' AND NOT l.granted)}), "$name: under way");
		my $pid = sql_value($node, q{SELECT pid FROM pg_stat_activity WHERE application_name = 'to_be_killed'});
		$psql->signal('KILL');
		eval { $psql->finish };
		ok(wait_gone($node, $pid), "$name: the session notices by itself") if $check;
		open_gate();
		ok(wait_gone($node, $pid), "$name: the session is gone");

		if ($check || $how =~ /block/) { nothing_left($version, $name); }
		else
		{
			is(state_of($version), 'applied', "$name: it went on to its end");
			is(run($node, $version, script($version))->{value}, 'skipped', "$name: and is skipped the next time");
			verify_is_clean($node, $name);
		}
	}
}

# A script that ends its own session
{
	my $version = next_version();
	my $s = session($node);
	my $r = $s->try(call('run', $version, "INSERT INTO log VALUES ('$version', 1); SELECT pg_terminate_backend(pg_backend_pid())"));
	is($r->{ok}, 0, 'a script that ends its own session');
	nothing_left($version, 'it');
}

# Errors that are caught: in a savepoint, in a PL/pgSQL block
my $bad = "INSERT INTO log VALUES ('bad', 1);\nSELECT 1/0";
{
	my $s = session($node);
	my $version = next_version();

	$s->try('BEGIN');
	$s->try('SAVEPOINT a');
	is_error($s->try(call('apply', $version, $bad)), '22012', undef, 'an error after a savepoint');
	is_error($s->try('SELECT 1'), '25P02', undef, 'aborts the transaction');
	$s->try('ROLLBACK TO a');
	is(sql_try($node, call('apply', '900', 'SELECT 1'), options => '-c tapmig.wait_timeout=0')->{value}, 'applied',
		'rolled back to it: the lock is free');
	$s->try('SET tapmig.out_of_order = allow');
	is($s->try(call('apply', $version, script($version)))->{value}, 'applied', 'and the session applies another text');
	$s->try('SAVEPOINT b');
	my $undone = next_version();
	is($s->try(call('apply', $undone, script($undone)))->{value}, 'applied', 'another one');
	$s->try('ROLLBACK TO b');
	is($s->try("SELECT tapmig.is_applied('$undone')")->{value}, 'f', 'undone with its savepoint');
	is_error(sql_try($node, call('apply', '901', 'SELECT 1'), options => '-c tapmig.wait_timeout=0'), 'TM004', undef,
		'the lock of the first is held');
	is($s->try('COMMIT')->{ok}, 1, 'committed');
	is(state_of($version), 'applied', 'the one');
	is(state_of($undone),  'absent',  'but not the other');
	verify_is_clean($node, 'savepoints');
	is($s->try(call('apply', $undone, script($undone)))->{value}, 'applied', 'which is applied now');
}
{
	my $s = session($node);
	my $version = next_version();
	my $block = q{DO $do$ DECLARE said text; BEGIN
		FOR i IN 1 .. 3 LOOP
			BEGIN PERFORM tapmig.apply('%1$s', %2$s);
			EXCEPTION WHEN division_by_zero THEN GET STACKED DIAGNOSTICS said = PG_EXCEPTION_CONTEXT; RAISE NOTICE '%%', said; END;
		END LOOP;
		IF tapmig.apply('%1$s', %3$s) <> 'applied' THEN RAISE 'not applied'; END IF;
	END $do$};
	$s->try('SET tapmig.out_of_order = allow');
	my $r = $s->try(sprintf($block, $version, quoted($bad), quoted(script($version))));
	is($r->{ok}, 1, 'a caller that catches errors of apply') or diag("$r->{sqlstate} $r->{message}");
	is(scalar(grep { /migration $version, statement 2 of 2, line 2/ } @{ $r->{notices} }), 3, 'three times');
	is(state_of($version), 'applied', 'and then applies a better text');
	is(sql_value($node, q{SELECT count(*) FROM log WHERE version = 'bad'}), 0, 'of the errors nothing is left');
	verify_is_clean($node, 'exception blocks');

	# The script itself catches an error, also of calls that are refused to it.
	my $next = next_version();
	is($s->try(call('run', $next, "DO \$\$ BEGIN PERFORM tapmig.apply('903', 'SELECT 1'); EXCEPTION WHEN object_not_in_prerequisite_state THEN NULL; END \$\$;\n"
			. script($next)))->{value}, 'applied', 'a script that catches the refusal of an apply inside of it');
	is(sql_value($node, q{SELECT count(*) FROM tapmig.schema_migrations WHERE version = '903'}), 0, 'which was refused');
	is($s->try(call('run', '904', 'SELECT 904'))->{value}, 'applied', 'after it the session applies another');
	is_error($s->try(call('apply', '905', q{SELECT tapmig.apply('906', 'SELECT 1')})), '55000', undef, 'an apply in a script');
	is($s->try(call('apply', '905', 'SELECT 905'))->{value}, 'applied', 'after it the session applies another');
}

# At commit: a deferred constraint
sql_value($node, $_) for 'CREATE TABLE parent (i int PRIMARY KEY)',
	'CREATE TABLE child (i int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)';
for my $how ('apply', 'run')
{
	my $version = next_version();
	my $s = session($node);
	my $r = $s->try(call($how, $version, "INSERT INTO child VALUES (1); INSERT INTO log VALUES ('$version', 1)"));

	$s->try('SET tapmig.out_of_order = allow');
	is_error($r, '23503', undef, "$how: a deferred constraint at the end");
	like($r->{context} // '', qr/migration $version/, 'run: in its context') if $how eq 'run';
	is($s->try(call($how, $version, script($version)))->{value}, 'applied', "$how: the same session applies another text");
	is(state_of($version), 'applied', "$how: which is there");
}
verify_is_clean($node, 'deferred constraints');

# Prepared transactions hold the lock, over a crash too.
for my $end ('COMMIT', 'ROLLBACK')
{
	my $version = next_version();
	my $other   = next_version();
	my $s       = session($node);

	$s->try('SET tapmig.out_of_order = allow');
	$s->try('BEGIN');
	is($s->try(call('apply', $version, script($version)))->{value}, 'applied', "$end PREPARED: applied");
	is($s->try("PREPARE TRANSACTION 'migration $version'")->{ok}, 1, "$end PREPARED: prepared");
	for my $round ('before', 'after')
	{
		for my $who ($s, session($node))
		{
			$who->try('SET tapmig.wait_timeout = 0');
			my $r = $who->try(call('run', $other, script($other)));
			is_error($r, 'TM004', undef, "$round a crash: it holds the lock");
			like($r->{detail}, qr/prepared transaction/i, 'the detail says so');
			is_error($who->try(call('apply', $version, script($version))), 'TM004', undef, 'also for its own version');
		}
		next if $round eq 'after';
		$node->stop('immediate');
		$node->start;
		$s = session($node);
		$gate = session($node);
	}
	$s->try('RESET tapmig.wait_timeout');
	$s->try('SET tapmig.out_of_order = allow');
	my $waiter = session($node);
	$waiter->try('SET tapmig.out_of_order = allow');
	$waiter->start(call('run', $version, script($version)));
	ok(wait_event($node, $waiter->pid, 'Extension'), "$end PREPARED: one waits for it");
	$s->try("$end PREPARED 'migration $version'");
	is($waiter->finish->{value}, $end eq 'COMMIT' ? 'skipped' : 'applied', "$end PREPARED: and goes on");
	is(state_of($version), 'applied', "$end PREPARED: it is there");
	verify_is_clean($node, "$end PREPARED");
	is($s->try(call('run', $other, script($other)))->{value}, 'applied', "$end PREPARED: the lock is free");
}

is(sql_value($node, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), 0, 'no lock is left');
verify_is_clean($node, 'in the end');

done_testing();
