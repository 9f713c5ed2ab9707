#!/usr/bin/perl
# chaos.pl [--rounds N] [--seconds N] [--seed N] [--first ROUND] [--window S] [--kinds K,K] [--faults F,F] [--keep-going] [--plant]
#
# Random scripts, eight runners at once, and a fault injector; after each round
# the ledger, the effects and the server are compared. "make chaos" starts it,
# and test/t/700_chaos.pl a few rounds of it.
#
# A ROUND has a schema and two tracks of its own. Each track has a directory of
# scripts. Five runners are "tapmig up" on them, three are psql with CALL
# tapmig.run and SELECT tapmig.apply of the same scripts in any order. Whoever
# ends is started anew, until the window of the round is over; then all have to
# end by themselves.
#
# FAULTS, at times of the plan: SIGKILL of a client (psql, the runner's shell, or
# both), pg_terminate_backend and pg_cancel_backend of sessions and of workers,
# SIGKILL of a backend (the server starts anew), an immediate and a fast
# shutdown, INT, TERM and HUP to the runner, a client that is stopped for a
# while and reads nothing, a worker that is, all worker slots taken, locks and old
# snapshots of an application, deadlocks with it, SIGKILL of the postmaster,
# settings that change, an autovacuum that ends.
#
# A ninth client looks on and corrects meanwhile: rehearse, lint, plan, verify and
# the views on any script; register, withdraw, abandon and step_done on those of
# the kind "free" only, of which no mark is expected.
#
# EFFECTS. Each script leaves marks: rows (version, step), written without a key,
# so that a second one would stay. A script whose version is in force has each
# mark once; any other one has those of the steps that its attempt has recorded
# as done, and no more. What runs outside of a transaction is looked up in the
# catalogs. Then the cause of the scripts' own errors is removed, and one "up" a
# track has to finish all.
#
# THE SEED gives the plan: scripts, calls, faults and their times. How sessions
# interleave it does not give. --seed S --first R runs round R of it again.
#
# Waits have a bound; whoever is not done by then counts as hanging.
#
# --plant plays no storm: it breaks what is checked, one thing after the other, in
# a copy of the database, and each has to be found.

use strict;
use warnings;

use Getopt::Long qw(GetOptions);
use POSIX        ();
use Time::HiRes  ();
use TapmigChaos;
use TapmigTest;
use Test::More;

my $rounds     = 200;
my $seconds    = 0;
my $seed       = POSIX::floor(Time::HiRes::time() * 1000) % 1_000_000_000;
my $first      = 1;
my $window     = 3;
my $keep_going = 0;
my $only       = '';
my $faults     = '';
my $plant      = 0;

GetOptions('rounds=i' => \$rounds, 'seconds=i' => \$seconds, 'seed=i' => \$seed, 'first=i' => \$first,
	'window=f' => \$window, 'kinds=s' => \$only, 'keep-going' => \$keep_going,
	'faults=s' => \$faults, 'plant' => \$plant)
  or die "usage: chaos.pl [--rounds N] [--seconds N] [--seed N] [--first ROUND] [--window S] [--kinds K,K] [--faults F,F] [--keep-going] [--plant]\n";

my $runners    = 8;
my $bound      = 90;
my $began      = Time::HiRes::time();
my $node       = tapmig_node($plant ? 'planted' : 'main', conf => <<'CONF');
restart_after_crash = on
dynamic_shared_memory_type = mmap
max_worker_processes = 5
max_parallel_workers = 1
log_error_verbosity = verbose
deadlock_timeout = '60ms'
autovacuum_naptime = 1
autovacuum_vacuum_threshold = 1
tapmig.lock_timeout = '150ms'
tapmig.lock_retries = 3
tapmig.wait_timeout = '20s'
tapmig.lint = 'off'
CONF
my $scratch    = scratch_dir();
my $psql       = [ 'psql', '-X', '-q', '-A', '-t', '-v', 'VERBOSITY=verbose', '-h', $node->host, '-p', $node->port, '-d', 'postgres' ];
my $database   = 'postgres';
my $log_offset = 0;
my @problems;
my %seen;

$ENV{PGCONNECT_TIMEOUT} = 20;
note("seed $seed");

# ---------------------------------------------------------------- the plan

sub script
{
	my ($kind, $track, $schema, $version) = @_;
	my $k = $kinds{$kind};

	return {
		version => $version, kind => $kind, track => $track, name => "${version}_$kind",
		map { $_ => defined $k->{$_} ? fill_in($k->{$_}, $schema, $version) : undef } qw(sql setup mend holds)
	};
}

sub plan_round
{
	my ($round) = @_;
	my $dice = dice($seed + 7919 * $round);
	my %plan = (round => $round, schema => "r$round", scripts => {}, tracks => [ "r${round}a", "r${round}b" ], calls => {}, dirs => {});
	my $next = 100;

	for my $track (@{ $plan{tracks} })
	{
		my %files;
		my @names = $only ne '' ? split(/,/, $only) : sort keys %kinds;
		my @kinds = map { pick($dice, @names) } 1 .. 8 + $dice->(8);

		# What fails until it is mended holds up "up", so it is not the first
		@kinds = ((grep { !$kinds{$_}{stays} } @kinds), (grep { $kinds{$_}{stays} } @kinds)) if $dice->(4);
		# It needs the one before it
		$kinds[0] = 'table' if $kinds[0] eq 'requires';
		for my $kind (@kinds)
		{
			my $version = ++$next;

			$plan{scripts}{$version} = script($kind, $track, $plan{schema}, $version);
			$files{"${version}_$kind.sql"} = $plan{scripts}{$version}{sql};
		}
		$plan{dirs}{$track} = \%files;
	}

	# A generator for each runner, so that its calls depend on nobody's speed
	for my $slot (0 .. $runners - 1)
	{
		$plan{slots}[$slot] = {
			dice  => dice($seed + 7919 * $round + 104729 * ($slot + 1)),
			kind  => $slot < 5 ? 'up' : 'sql',
			track => $plan{tracks}[ $slot % 2 ],
		};
	}
	$plan{slots}[$runners] = { dice => dice($seed + 7919 * $round + 15485863), kind => 'other', track => undef };
	$plan{slow} = $dice->(3);
	# In every second round the server stays up: there the locks have their say
	$plan{locks} = $dice->(2);
	my $n = $plan{locks} ? 16 + $dice->(16) : 8 + $dice->(10);
	my @weighted = $faults ne '' ? split(/,/, $faults)
	  : $plan{locks}
	  ? ((qw(lock) x 8), (qw(cross clash) x 6), (qw(snapshot) x 4), (qw(cancel_worker terminate_worker cancel) x 3),
		(qw(terminate kill_client freeze_worker reload fill) x 2), qw(autovacuum freeze signal))
	  : ((qw(kill_client) x 3), (qw(terminate) x 3), (qw(terminate_worker) x 4), (qw(cancel) x 3),
		(qw(cancel_worker) x 2), qw(kill_backend kill_worker fast fill), (qw(immediate) x 2), (qw(signal freeze) x 2), (qw(lock) x 6), (qw(snapshot) x 4),
		(qw(cross clash) x 3), qw(freeze_worker reload autovacuum kill_postmaster));
	for (1 .. $n)
	{
		push @{ $plan{faults} }, { at => 0.1 + $window * $dice->(1000) / 1000, what => pick($dice, @weighted), which => $dice->(1000) };
	}
	push @{ $plan{faults} }, { at => $window * (0.4 + $dice->(50) / 100), what => 'mend', which => 0 };
	@{ $plan{faults} } = sort { $a->{at} <=> $b->{at} } @{ $plan{faults} };
	return \%plan;
}

# ---------------------------------------------------------------- processes

my %children;

# Starts a program in a process group of its own, its output in files.
sub spawn
{
	my ($name, @command) = @_;
	my $base = "$scratch/$name";
	my $pid  = fork();

	die "fork: $!" unless defined $pid;
	if (!$pid)
	{
		setpgrp(0, 0);
		open(STDIN,  '<', '/dev/null')  or POSIX::_exit(126);
		open(STDOUT, '>', "$base.out") or POSIX::_exit(126);
		open(STDERR, '>', "$base.err") or POSIX::_exit(126);
		$ENV{PGHOST}     = $node->host;
		$ENV{PGPORT}     = $node->port;
		$ENV{PGDATABASE} = 'postgres';
		exec { $command[0] } @command or POSIX::_exit(127);
	}
	setpgrp($pid, $pid);
	$children{$pid} = { name => $name, base => $base, pid => $pid };
	return $pid;
}

sub spawn_psql
{
	my ($name, $text) = @_;

	write_file("$scratch/$name.sql", $text);
	return spawn($name, @$psql, '-f', "$scratch/$name.sql");
}

# Those that have ended, with status.
sub reap
{
	my @ended;

	while ((my $pid = waitpid(-1, POSIX::WNOHANG())) > 0)
	{
		my $child = delete $children{$pid} or next;

		$child->{status} = $?;
		push @ended, $child;
	}
	return @ended;
}

# ---------------------------------------------------------------- what is seen

my $round_now = 0;

sub problem
{
	my ($text) = @_;

	push @problems, "round $round_now: $text";
	print STDERR "# chaos: VIOLATION seed $seed round $round_now: $text\n" unless $plant;
	return;
}

my %expected = map { $_ => 1 } qw(
  TM004 TM005 TM006 57014 57P01 57P02 57P03 53300 08006 08001 22012 23505 40001);

# What a runner or client said: which versions it reports as applied, and codes.
sub read_output
{
	my ($plan, $child) = @_;
	my $out = -e "$child->{base}.out" ? read_file("$child->{base}.out") : '';
	my $err = -e "$child->{base}.err" ? read_file("$child->{base}.err") : '';

	$plan->{said}{$1}++ while $out =~ /^applied (\d+)/mg;
	$plan->{said}{$1}++ while $out =~ /^call (\d+)\napplied$/mg;
	while ($err =~ /^.*?(ERROR|FATAL|PANIC):  ([0-9A-Z]{5}): (.*)/mg)
	{
		my ($code, $text) = ($2, $3);

		$seen{$child->{kind} eq 'other' ? "other $code" : $code}++;
		# A rehearsal of what is there already fails, as it should
		next if $child->{kind} eq 'other' && $code !~ /^(?:XX|22P|42601|TM009)/;
		next if $expected{$code};
		next if $code eq 'TM003' && $text =~ /^migration \S+ (?:is stepwise|has finished steps)|cannot/;
		problem("$child->{name} got $code: $text");
	}
	while ($err =~ /^(?:tapmig: .*|.*(?:syntax error|command not found|: not found).*)$/mg)
	{
		$seen{ $& =~ s/\d+/N/gr }++;
	}
	if (($child->{status} & 127) == 0 && $child->{kind} eq 'up')
	{
		my $exit = $child->{status} >> 8;

		$seen{"exit $exit"}++;
		problem("$child->{name} exits with $exit: $err") unless $exit =~ /^(?:0|1|3|7|130|143)$/;
	}
	return;
}

sub rows
{
	my ($sql) = @_;
	my $r = sql_try($node, $sql, dbname => $database);

	die "$sql: $r->{sqlstate} $r->{message}" unless $r->{ok};
	return @{ $r->{rows} };
}

sub value { return (rows($_[0]))[0][0]; }

sub server_is_up
{
	my $until = Time::HiRes::time() + $bound;

	while (Time::HiRes::time() < $until)
	{
		return 1 if eval { value('SELECT pg_is_in_recovery()') eq 'f' };
		Time::HiRes::usleep(50_000);
	}
	return 0;
}

sub show_server
{
	eval {
		for my $sql (
			"SELECT pid, backend_type, application_name, state, wait_event_type, wait_event, backend_xmin, pg_blocking_pids(pid), left(query, 100) FROM pg_stat_activity WHERE backend_type ~ 'client|tapmig'",
			"SELECT pid, locktype, relation::regclass, classid, objid, objsubid, mode, granted FROM pg_locks WHERE NOT granted OR locktype = 'advisory'",
			"SELECT id, track, version, outcome, steps, steps_done, step_running, pid, sqlstate, message FROM tapmig.attempts WHERE outcome = 'running'")
		{
			print STDERR "# $_\n" for map { join '|', map { ref $_ ? "{@$_}" : $_ // '' } @$_ } rows($sql);
		}
		1;
	} or print STDERR "# $@";
	return;
}

# ---------------------------------------------------------------- faults

my $admin;

sub admin_rows
{
	my ($sql) = @_;
	my @rows;

	eval {
		local $SIG{ALRM} = sub { die "alarm\n" };
		$admin //= session($node, options => '-c application_name=injector');
		my $r = $admin->try($sql);
		die "$r->{message}\n" unless $r->{ok};
		@rows = @{ $r->{rows} };
		1;
	} or do { $admin = undef; };
	return @rows;
}

sub backend
{
	my ($fault, $where) = @_;
	my $until = Time::HiRes::time() + 0.4;

	while (Time::HiRes::time() < $until)
	{
		my @pids = map { $_->[0] } admin_rows("SELECT pid FROM pg_stat_activity WHERE $where AND pid <> pg_backend_pid() AND application_name <> 'injector' ORDER BY pid");

		# Not always at the beginning of what it does
		Time::HiRes::usleep(1000 * ($fault->{which} % 40));
		return $pids[ $fault->{which} % @pids ] if @pids;
		Time::HiRes::usleep(5_000);
	}
	return undef;
}

sub inject
{
	my ($plan, $fault) = @_;
	my $what   = $fault->{what};
	my $worker = "backend_type = 'tapmig worker'";
	my $client = "backend_type = 'client backend'";
	my $id     = "f$plan->{round}_" . ++$plan->{injected};

	if ($what eq 'kill_client')
	{
		my @pids = sort { $a <=> $b } grep { defined $children{$_}{kind} } keys %children;
		return unless @pids;
		my $pid = $pids[ $fault->{which} % @pids ];
		$children{$pid}{killed} = 1;
		kill 'KILL', $fault->{which} % 3 ? -$pid : $pid;
	}
	elsif ($what =~ /^(terminate|cancel)(_worker)?$/)
	{
		my $pid = backend($fault, $2 ? $worker : $client);
		return unless $pid;
		admin_rows("SELECT pg_${1}_backend($pid)");
	}
	elsif ($what =~ /^kill_(backend|worker)$/)
	{
		my $pid = backend($fault, $1 eq 'worker' ? $worker : $client);
		return unless $pid;
		kill 'KILL', $pid;
	}
	elsif ($what eq 'immediate')
	{
		$admin = undef;
		$node->stop('immediate', fail_ok => 1);
		$node->start(fail_ok => 1) or problem('the server does not start');
	}
	elsif ($what eq 'fast')
	{
		$admin = undef;
		problem('a fast shutdown takes too long') if !$node->stop('fast', fail_ok => 1);
		$node->start(fail_ok => 1) or problem('the server does not start');
	}
	elsif ($what eq 'signal')
	{
		my @pids = sort { $a <=> $b } grep { ($children{$_}{kind} // '') eq 'up' } keys %children;
		return unless @pids;
		kill pick(dice($fault->{which}), 'INT', 'TERM', 'HUP'), $pids[ $fault->{which} % @pids ];
	}
	elsif ($what eq 'freeze')
	{
		my @pids = sort { $a <=> $b } grep { defined $children{$_}{kind} } keys %children;
		return unless @pids;
		my $pid = $pids[ $fault->{which} % @pids ];
		spawn($id, 'sh', '-c', "kill -STOP -$pid; sleep 0.8; kill -CONT -$pid");
	}
	elsif ($what eq 'freeze_worker')
	{
		my $pid = backend($fault, $worker);
		return unless $pid;
		spawn($id, 'sh', '-c', "kill -STOP $pid; sleep 0.8; kill -CONT $pid");
	}
	elsif ($what eq 'autovacuum')
	{
		my $pid = backend($fault, "backend_type LIKE 'autovacuum%'");
		return unless $pid;
		admin_rows("SELECT pg_terminate_backend($pid)");
	}
	elsif ($what eq 'reload')
	{
		admin_rows("ALTER SYSTEM SET $_") for "tapmig.lock_timeout = '" . pick(dice($fault->{which}), 40, 150, 400) . "ms'", 'tapmig.lock_retries = ' . $fault->{which} % 5;
		admin_rows('SELECT pg_reload_conf()');
	}
	elsif ($what eq 'kill_postmaster')
	{
		my $until = Time::HiRes::time() + $bound;
		my $file = eval { value('SELECT 1'); read_file($node->data_dir . '/postmaster.pid') } // '';
		my ($pid) = $file =~ /^(\d+)/;

		$admin = undef;
		return unless $pid;
		$node->kill9;
		Time::HiRes::usleep(10_000) while kill(0, $pid) && Time::HiRes::time() < $until;
		# It starts when the last process of the old one has seen that it is gone
		my @start = ('pg_ctl', '-s', '-w', '-D', $node->data_dir, '-l', $node->logfile, '-o', '--cluster-name=' . $node->name, 'start');
		Time::HiRes::usleep(50_000) while system(@start) != 0 && Time::HiRes::time() < $until;
		$node->_update_pid(1);
	}
	elsif ($what eq 'cross')
	{
		spawn_psql($id, "BEGIN;\nLOCK TABLE $plan->{schema}.other IN ACCESS SHARE MODE;\nSELECT pg_sleep(0.2);\nLOCK TABLE $plan->{schema}.shared IN ACCESS SHARE MODE;\nSELECT pg_sleep(0.2);\nROLLBACK;\n");
	}
	elsif ($what eq 'clash')
	{
		# A build waits for the snapshot, and the snapshot's owner for the build
		my $table = pick(dice($fault->{which}), 'shared', 'other');
		spawn_psql($id, "SET deadlock_timeout = '" . pick(dice($fault->{which} + 1), 30, 500) . "ms';\nBEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT 1;\nSELECT pg_sleep(0.2);\nLOCK TABLE $plan->{schema}.$table IN SHARE UPDATE EXCLUSIVE MODE;\nSELECT pg_sleep(0.1);\nROLLBACK;\n");
	}
	elsif ($what eq 'fill')
	{
		for my $i (1 .. 5)
		{
			spawn_psql("${id}_$i", "CALL tapmig.run('1', 'SELECT pg_sleep(0.8); VACUUM $plan->{schema}.filler', track => '${id}_$i');\n");
		}
	}
	elsif ($what eq 'lock')
	{
		my %of = (unique => 'u', detach => 'p', drops => 'd', reindexes => 'x');
		my @own = map { "$of{ $_->{kind} }_$_->{version}" } grep { $of{ $_->{kind} } } map { $plan->{scripts}{$_} } sort keys %{ $plan->{scripts} };
		my $table = pick(dice($fault->{which}), 'shared', 'shared', 'marks', @own);
		my $mode  = pick(dice($fault->{which} + 1), 'SHARE', 'ACCESS SHARE', 'ROW EXCLUSIVE', 'SHARE UPDATE EXCLUSIVE');
		$mode = 'ACCESS SHARE' if $table eq 'marks' || $table =~ /^[pd]/;
		spawn_psql($id, "BEGIN;\nLOCK TABLE $plan->{schema}.$table IN $mode MODE;\nSELECT pg_sleep(0.9);\nROLLBACK;\n");
	}
	elsif ($what eq 'snapshot')
	{
		spawn_psql($id, "BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT 1;\nSELECT pg_sleep(0.7);\nROLLBACK;\n");
	}
	elsif ($what eq 'mend')
	{
		mend($plan);
	}
	$fault->{hit} = 1;
	$seen{"fault $what"}++;
	return;
}

# ---------------------------------------------------------------- a round

sub slow
{
	my ($table, $on) = @_;

	sql_try($node, "DROP TRIGGER IF EXISTS zz_slow ON tapmig.$table");
	return if !$on;
	sql_try($node, "CREATE TRIGGER zz_slow BEFORE INSERT OR UPDATE ON tapmig.$table FOR EACH ROW EXECUTE FUNCTION public.chaos_slow()");
	sql_try($node, "ALTER TABLE tapmig.$table ENABLE ALWAYS TRIGGER zz_slow");
	return;
}

sub set_up
{
	my ($plan) = @_;
	my $s = $plan->{schema};
	my $r = sql_try($node, join(";\n",
			"CREATE SCHEMA $s",
			"CREATE TABLE $s.marks (version text, step int)",
			"CREATE TABLE $s.switch AS SELECT 0 AS x",
			"CREATE TABLE $s.filler (a int)",
			"CREATE TABLE $s.other (a int)",
			"CREATE TABLE $s.shared AS SELECT g AS a, -g AS b FROM generate_series(1, 5000) g",
			"GRANT ALL ON SCHEMA $s TO chaos_builder",
			"GRANT ALL ON ALL TABLES IN SCHEMA $s TO chaos_builder",
			grep { defined } map { $plan->{scripts}{$_}{setup} } sort keys %{ $plan->{scripts} }));

	die "round $plan->{round}: $r->{message}" unless $r->{ok};
	sql_try($node, "ALTER SYSTEM RESET $_") for 'tapmig.lock_timeout', 'tapmig.lock_retries';
	sql_try($node, 'SELECT pg_reload_conf()');
	# Without it the ledger writes past the executor
	slow($_, $plan->{slow}) for qw(attempts history);
	for my $track (@{ $plan->{tracks} })
	{
		$plan->{dir}{$track} = "$scratch/$track";
		mkdir "$scratch/$track" or die $!;
		write_file("$scratch/$track/$_", $plan->{dirs}{$track}{$_}) for keys %{ $plan->{dirs}{$track} };
	}
	return;
}

# What an SQL client sends: calls of any of its track's scripts, in any order.
sub calls
{
	my ($plan, $slot) = @_;
	my $dice  = $slot->{dice};
	my @all   = grep { $_->{track} eq $slot->{track} } map { $plan->{scripts}{$_} } sort keys %{ $plan->{scripts} };
	my $text  = '';

	$text .= "SET default_transaction_isolation = 'repeatable read';\n" if $dice->(5) == 0;
	for (1 .. 1 + $dice->(5))
	{
		my $script = pick($dice, @all);
		my $args   = "'$script->{name}', \$tapmig\$$script->{sql}\$tapmig\$, track => '$script->{track}'";
		my $how    = $dice->(10);

		$text .= "SET statement_timeout = '" . (50 + $dice->(900)) . "ms';\n" if $dice->(8) == 0;
		if (@{ $kinds{ $script->{kind} }{marks} } > 1 || $kinds{ $script->{kind} }{run} || $how < 5)
		{
			$text .= "\\echo call $script->{version}\nCALL tapmig.run($args);\n";
		}
		elsif ($how < 7)
		{
			$text .= "\\echo call $script->{version}\nSELECT tapmig.apply($args);\n";
		}
		elsif ($how < 8)
		{
			$text .= "\\echo block\nBEGIN;\nSELECT tapmig.apply($args);\nROLLBACK;\n";
		}
		else
		{
			$text .= "\\echo block\nBEGIN;\nSELECT count(*) FROM $plan->{schema}.marks;\nSELECT tapmig.apply($args);\nCOMMIT;\n";
		}
		$text .= "RESET statement_timeout;\n";
	}
	return $text;
}

# What looks on, and what corrects those that are free.
sub other_calls
{
	my ($plan, $slot) = @_;
	my $dice = $slot->{dice};
	my @all  = map { $plan->{scripts}{$_} } sort keys %{ $plan->{scripts} };
	my @free = grep { $kinds{ $_->{kind} }{free} } @all;
	my $text = "SET tapmig.rehearse_limit = '" . (20 + $dice->(300)) . "ms';\nSET tapmig.wait_timeout = '" . $dice->(2000) . "ms';\n";

	for (1 .. 3 + $dice->(6))
	{
		my $script = pick($dice, @all);
		my $sql    = "\$tapmig\$$script->{sql}\$tapmig\$";
		my $free   = pick($dice, @free, undef);
		my $how    = $dice->(12);

		if    ($how < 3)           { $text .= "SELECT * FROM tapmig.rehearse($sql);\n"; }
		elsif ($how < 4)           { $text .= "SELECT * FROM tapmig.lint($sql);\n"; }
		elsif ($how < 5)           { $text .= "SELECT * FROM tapmig.plan(ARRAY['$script->{name}'], track => '$script->{track}');\nSELECT * FROM tapmig.running;\nSELECT * FROM tapmig.health;\n"; }
		elsif ($how < 6)           { $text .= "SELECT tapmig.require('$script->{version}', track => '$script->{track}');\nCALL tapmig.wait_for('$script->{version}', '300ms', track => '$script->{track}');\n"; }
		elsif ($how < 7 || !$free) { $text .= "SELECT * FROM tapmig.verify();\nSELECT * FROM tapmig.statements($sql);\n"; }
		else
		{
			my $call = pick($dice, qw(register register withdraw abandon step_done));
			my $args = $call eq 'register' ? "\$tapmig\$$free->{sql}\$tapmig\$" : $call eq 'step_done' ? 1 + $dice->(3) . ", 'chaos'" : "'chaos'";
			$text .= "SELECT tapmig.$call('$free->{name}', $args, track => '$free->{track}');\n";
		}
	}
	return $text;
}

sub start_slot
{
	my ($plan, $i) = @_;
	my $slot = $plan->{slots}[$i];
	my $name = "r$plan->{round}_s${i}_" . ++$slot->{starts};
	my $pid;

	if ($slot->{kind} eq 'up')
	{
		$pid = spawn($name, tapmig_bin(), 'up', '--force-empty', '--track', $slot->{track}, '--dir', $plan->{dir}{ $slot->{track} });
	}
	else
	{
		$pid = spawn_psql($name, $slot->{kind} eq 'other' ? other_calls($plan, $slot) : calls($plan, $slot));
	}
	$children{$pid}{slot} = $i;
	$children{$pid}{kind} = $slot->{kind};
	return;
}

sub storm
{
	my ($plan) = @_;
	my $start  = Time::HiRes::time();
	my @faults = @{ $plan->{faults} };
	my @not_before = (0) x ($runners + 1);
	my $end;

	start_slot($plan, $_) for 0 .. $runners;
	while (1)
	{
		my $now = Time::HiRes::time();

		for my $child (reap())
		{
			read_output($plan, $child) if defined $child->{kind};
			$not_before[ $child->{slot} ] = $now + 0.05 if defined $child->{slot};
		}
		if (@faults)
		{
			inject($plan, shift @faults) if $now - $start >= $faults[0]{at};
		}
		elsif (!defined $end && $now - $start > $window)
		{
			$end = $now;
		}
		if (defined $end)
		{
			last unless %children;
			if ($now > $end + $bound)
			{
				problem('hangs: ' . join(' ', map { $_->{name} } values %children));
				show_server();
				kill 'KILL', -$_ for keys %children;
				$bound = 30;
				last;
			}
		}
		else
		{
			my %running = map { $_->{slot} => 1 } grep { defined $_->{slot} } values %children;

			for my $i (0 .. $runners)
			{
				start_slot($plan, $i) if !$running{$i} && $now >= $not_before[$i];
			}
		}
		Time::HiRes::usleep(10_000);
	}
	$admin = undef;
	return;
}

# Nobody is left: neither a client whose program was killed, nor a worker.
sub all_gone
{
	my ($when) = @_;
	my $until = Time::HiRes::time() + $bound;
	my $sql   = "SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('client backend', 'tapmig worker') AND pid <> pg_backend_pid()";

	# One session looks: those that it closed would be seen while they end.
	my $look;

	while (Time::HiRes::time() < $until)
	{
		my $r = eval { $look //= session($node); $look->try($sql) };

		return 1 if $r && $r->{ok} && $r->{value} eq '0';
		$look = undef if !$r || !$r->{ok};
		Time::HiRes::usleep(30_000);
	}
	problem("$when: a session or worker is left");
	show_server();
	eval { rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type IN ('client backend', 'tapmig worker') AND pid <> pg_backend_pid()") };
	return 0;
}

# What must hold at any time when nobody runs.
sub check
{
	my ($plan, $when) = @_;
	my $s      = $plan->{schema};
	my $tracks = "('" . join("', '", @{ $plan->{tracks} }) . "')";
	my %applied = map { $_->[0] => $_->[1] } rows("SELECT version, count(*) FROM tapmig.schema_migrations WHERE track IN $tracks GROUP BY 1");
	my %by_word = map { $_->[0] => 1 } rows("SELECT version FROM tapmig.schema_migrations WHERE kind = 'registered' AND track IN $tracks");
	my %events  = map { $_->[0] => $_->[1] } rows("SELECT version, sum(CASE event WHEN 'withdrawn' THEN -1 ELSE 1 END) FROM tapmig.history WHERE event IN ('applied', 'registered', 'withdrawn') AND track IN $tracks GROUP BY 1");
	my @others  = rows("SELECT version, event FROM tapmig.history WHERE event <> 'applied' AND track IN $tracks");
	my %done    = map { $_->[0] => $_->[1] } rows("SELECT DISTINCT ON (version) version, steps_done FROM tapmig.attempts WHERE track IN $tracks ORDER BY version, id DESC");
	my %running = map { $_->[0] => $_->[1] } rows("SELECT DISTINCT ON (version) version, coalesce(step_running, 0) FROM tapmig.attempts WHERE track IN $tracks ORDER BY version, id DESC");
	my %marks;

	$marks{ $_->[0] }{ $_->[1] } = $_->[2] for rows("SELECT version, step, count(*) FROM $s.marks GROUP BY 1, 2");
	problem("$when: ledger: " . join('|', map { $_ // '' } @$_)) for rows('SELECT * FROM tapmig.verify()');
	problem("$when: the migration lock is held") if value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 3");
	# The two views are not of one moment, and an autovacuum comes and goes
	my ($until, @nobody) = Time::HiRes::time() + 5;
	while (@nobody = rows('SELECT locktype, database, relation, mode FROM pg_locks l WHERE NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = l.pid)'))
	{
		last if Time::HiRes::time() > $until;
		Time::HiRes::usleep(20_000);
	}
	problem("$when: a lock is held by nobody: " . join('|', map { $_ // '' } @$_)) for @nobody;
	problem("$when: the history has $_->[0] $_->[1]") for grep { !$kinds{ ($plan->{scripts}{ $_->[0] } // {})->{kind} // '' }{free} } @others;
	problem("$when: version $_ is there more than once") for grep { $applied{$_} > 1 } keys %applied;
	for my $track (@{ $plan->{tracks} })
	{
		my $versions = join ', ', map { "'$_->{name}'" } grep { $_->{track} eq $track } map { $plan->{scripts}{$_} } sort keys %{ $plan->{scripts} };

		for my $row (rows("SELECT version, state FROM tapmig.plan(ARRAY[$versions], track => '$track')"))
		{
			my ($version, $state) = @$row;

			problem("$when: the plan calls $version $state") if ($applied{$version} ? 1 : 0) != ($state eq 'applied' ? 1 : 0) || $state !~ /^(?:applied|pending|out_of_order|failed|interrupted)$/;
		}
	}
	problem("$when: tapmig.running has " . join('|', map { $_ // '' } @$_)) for rows('SELECT * FROM tapmig.running');
	problem("$when: the text of $_->[0] is not kept") for rows("SELECT m.version FROM tapmig.schema_migrations m LEFT JOIN tapmig.scripts s USING (checksum) WHERE m.track IN $tracks AND sha256(convert_to(s.sql, 'UTF8')) IS DISTINCT FROM m.checksum");
	my @segments = glob($node->data_dir . '/pg_dynshmem/mmap.*');
	problem("$when: " . @segments . ' segments of shared memory') if @segments > 12;
	for my $version (keys %applied, keys %events, keys %marks)
	{
		problem("$when: what is version $version?") unless $plan->{scripts}{$version};
	}

	for my $version (sort keys %{ $plan->{scripts} })
	{
		my $script = $plan->{scripts}{$version};
		my $k      = $kinds{ $script->{kind} };
		my $label  = "$when: $script->{name}";
		my $in     = $applied{$version} ? 1 : 0;
		my $upto   = $in ? 99 : $done{$version} // 0;

		problem("$label: " . ($events{$version} // 0) . " events, in the ledger: $in") if ($events{$version} // 0) != $in;
		problem("$label: was reported as applied and is not in the ledger") if $plan->{said}{$version} && !$in && !$k->{free};
		problem("$label: was reported as applied $plan->{said}{$version} times") if ($plan->{said}{$version} // 0) > 1 && !$k->{free};
		for my $step (@{ $k->{marks} })
		{
			my $want = $step <= $upto ? 1 : 0;
			my $is   = $marks{$version}{$step} // 0;

			problem("$label: mark of step $step is there $is times, should be $want (in the ledger: $in, steps done: $upto)") if $is != $want;
		}
		for my $step (@{ $k->{again} // [] })
		{
			my $is = $marks{$version}{$step} // 0;

			problem("$label: mark of step $step is there $is times (steps done: $upto)")
			  if ($step <= $upto && $is < 2) || ($step > $upto + 1 && $is > 0);
		}
		if ($in && $script->{holds} && !$by_word{$version})
		{
			my $holds = eval { value("SELECT $script->{holds}") } // $@;
			problem("$label: in the ledger, but does not hold ($holds): $script->{holds}") if $holds ne 't';
		}
		if (!$in && @{ $k->{marks} } == 1 && $script->{kind} =~ /^(?:table|wrapped|fails|read_levels)$/)
		{
			my ($table) = $script->{sql} =~ /CREATE TABLE (\S+)/;
			problem("$label: not in the ledger, but $table is there") if defined value("SELECT to_regclass('$table')");
		}
	}
	return;
}

sub check_log
{
	my $path = $node->logfile;

	open(my $fh, '<:raw', $path) or die "$path: $!";
	seek($fh, $log_offset, 0);
	while (my $line = <$fh>)
	{
		problem("log: $line")
		  if $line =~ /PANIC|TRAP|XX000|XX001|XX002|signal (?:6|7|8|11)\b|could not be recorded|WARNING:.*(?:leak|still referenced|still active|already a transaction|no transaction|you don.t own|worker lost)/
		  # Core's startup process says the second when the postmaster is killed; the third
		  # is a timeout that came behind the script's error
		  && $line !~ /terminating connection because of crash|could not signal for checkpoint|failed attempt could not be recorded: canceling/;
	}
	$log_offset = tell($fh);
	close($fh);
	return;
}

# Takes away the causes of the scripts' own errors.
sub mend
{
	my ($plan) = @_;

	for my $sql ("UPDATE $plan->{schema}.switch SET x = 1", grep { defined } map { $plan->{scripts}{$_}{mend} } sort keys %{ $plan->{scripts} })
	{
		eval { sql_try($node, $sql, options => '-c statement_timeout=5s') };
	}
	return;
}

sub calm
{
	my ($plan) = @_;

	mend($plan);
	for my $track (@{ $plan->{tracks} })
	{
		for my $again (0, 1)
		{
			my ($exit, $out, $err) = eval { run_tapmig($node, [ 'up', '--force-empty', '--track', $track, '--dir', $plan->{dir}{$track} ], timeout => $bound) };

			if (!defined $exit)
			{
				problem("the calm up hangs: $@");
				show_server();
				last;
			}
			$err =~ s/^NOTICE:.*\n|^WARNING:.*\n//mg;
			problem("calm up of $track: exit $exit: $out$err") if $exit != 0;
			problem("a second calm up of $track says: $out$err") if $again && $out ne '';
			$plan->{said}{$1}++ while $out =~ /^applied (\d+)/mg;
			last if $exit != 0;
		}
	}
	return;
}

# What must hold when all is done.
sub check_end
{
	my ($plan) = @_;
	my $tracks  = join ', ', map { "'$_'" } @{ $plan->{tracks} };
	my $pending = value("SELECT count(*) FROM tapmig.schema_migrations WHERE track IN ($tracks)");
	problem("$pending of " . keys(%{ $plan->{scripts} }) . ' are applied in the end') if $pending != keys %{ $plan->{scripts} };
	# What a human has registered in the middle of a build is as it was
	my %by_word = map { ("$plan->{schema}.fr_$_->[0]_a" => 1) } rows("SELECT version FROM tapmig.schema_migrations WHERE kind = 'registered' AND track IN ($tracks)");
	problem("invalid index $_->[0]") for grep { !$by_word{ $_->[0] } } rows("SELECT indexrelid::regclass FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = '$plan->{schema}'::regnamespace AND NOT (indisvalid AND indisready AND indislive)");
	problem("attempt is still running: @$_") for rows("SELECT version, pid FROM tapmig.attempts WHERE outcome = 'running' AND track IN ($tracks)");
	return;
}

sub play
{
	my ($round) = @_;
	my $plan   = plan_round($round);
	my $before = @problems;

	$round_now = $round;
	server_is_up() or die 'the server is not up';
	set_up($plan);
	storm($plan);
	if (!server_is_up())
	{
		problem('the server is not up after the round');
		return 0;
	}
	all_gone('after the storm');
	check($plan, 'after the storm');
	calm($plan);
	all_gone('after the calm');
	check($plan, 'after the calm');
	check_end($plan);
	check_log();

	my $good = @problems == $before;
	if ($good)
	{
		sql_try($node, "DROP SCHEMA $_ CASCADE") for map { $_->[0] } rows("SELECT nspname FROM pg_namespace WHERE nspname ~ '^$plan->{schema}(_|\$)'");
		unlink glob("$scratch/r${round}_*"), glob("$scratch/f${round}_*");
	}
	else
	{
		my $kept = ($ENV{TESTLOGDIR} // '.') . "/round$round";
		mkdir $kept;
		write_file("$kept/" . ($_ =~ s/.*\///r), read_file($_)) for grep { -f } glob("$scratch/r${round}_*"), glob("$scratch/f${round}_*");
		print STDERR "# faults: " . join(' ', map { sprintf '%.2f:%s%s', $_->{at}, $_->{what}, $_->{hit} ? '' : '(missed)' } @{ $plan->{faults} }) . "\n";
	}
	return $good;
}

sql_try($node, 'CREATE ROLE chaos_builder');

# Widens the time between what a statement did and the word that it is done
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION public.chaos_slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_catalog.pg_sleep(pg_catalog.random() * 0.05);
	RETURN NEW;
END $$;
SQL
# ---------------------------------------------------------------- what is checked can fail

# Each: what is broken, how, and what has to be said of it. In the ledger are 101
# (builds), 102 (table) and 103 (late, in its middle); 104 (table) is not.
my @plants = (
	[ 'a row of the ledger is gone', "DELETE FROM tapmig.schema_migrations WHERE version = '102'", qr/102_table: 1 events, in the ledger: 0/ ],
	[ 'an event is gone', "DELETE FROM tapmig.history WHERE version = '102'", qr/102_table: 0 events, in the ledger: 1/ ],
	[ 'an event is there twice', "INSERT INTO tapmig.history SELECT (jsonb_populate_record(h, jsonb_build_object('seq', 9000, 'at', now()))).* FROM tapmig.history h WHERE version = '102'", qr/102_table: 2 events/ ],
	[ 'a version is there twice', "ALTER EXTENSION tapmig DROP VIEW tapmig.health; ALTER TABLE tapmig.schema_migrations DROP CONSTRAINT schema_migrations_pkey CASCADE; DROP INDEX tapmig.schema_migrations_key; CREATE INDEX schema_migrations_key ON tapmig.schema_migrations (track, tapmig.version_key(version) COLLATE \"C\"); INSERT INTO tapmig.schema_migrations SELECT * FROM tapmig.schema_migrations WHERE version = '102'", qr/version 102 is there more than once/ ],
	[ 'the chain is broken', "UPDATE tapmig.history SET reason = 'other' WHERE version = '102'", qr/ledger: .*102/ ],
	[ 'the text is gone', 'DELETE FROM tapmig.scripts', qr/the text of 101 is not kept/ ],
	[ 'a recorded table is empty', 'DELETE FROM r0.t_102', qr/102_table: in the ledger, but does not hold/ ],
	[ 'a recorded index is gone', 'DROP INDEX r0.b_101_a', qr/101_builds: in the ledger, but does not hold/ ],
	[ 'a recorded index is INVALID', "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'r0.b_101_a'::regclass", qr/101_builds: in the ledger, but does not hold/ ],
	[ 'an index is INVALID in the end', "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'r0.b_101_a'::regclass", qr/invalid index r0\.b_101_a/ ],
	[ 'a recorded step left nothing', "DELETE FROM r0.marks WHERE version = '101' AND step = 3", qr/101_builds: mark of step 3 is there 0 times, should be 1/ ],
	[ 'a step ran twice', "INSERT INTO r0.marks VALUES ('101', 1)", qr/101_builds: mark of step 1 is there 2 times, should be 1/ ],
	[ 'a finished step of an open attempt left nothing', "DELETE FROM r0.marks WHERE version = '103' AND step = 1", qr/103_late: mark of step 1 is there 0 times, should be 1 .in the ledger: 0, steps done: 2/ ],
	[ 'a step is done and not recorded', "INSERT INTO r0.marks VALUES ('103', 5)", qr/103_late: mark of step 5 is there 1 times, should be 0/ ],
	[ 'an effect that nobody recorded', "INSERT INTO r0.marks VALUES ('104', 1)", qr/104_table: mark of step 1 is there 1 times, should be 0/ ],
	[ 'a table that nobody recorded', 'CREATE TABLE r0.t_104 ()', qr/104_table: not in the ledger, but r0\.t_104 is there/ ],
	[ 'an unknown version', "INSERT INTO r0.marks VALUES ('999', 1)", qr/what is version 999\?/ ],
	[ 'a correction that nobody made', "SELECT tapmig.abandon('103', 'planted', track => 'r0a')", qr/the history has 103 abandoned/ ],
	[ 'an attempt that runs in the end', "UPDATE tapmig.attempts SET outcome = 'running'", qr/attempt is still running: 101/ ],
	[ 'not all is applied in the end', 'SELECT 1', qr/^round 0: 2 of 4 are applied in the end/ ],
	[ 'the migration lock is held', "SELECT tapmig.apply('900', 'SELECT 1', track => 'planted')", qr/the migration lock is held/, 1 ],
	[ 'a lock is left', "BEGIN; LOCK TABLE r0.shared; PREPARE TRANSACTION 'planted'", qr/a lock is held by nobody: relation/ ],
	[ 'a session is left', 'SELECT 1', qr/planted: a session or worker is left/, 1 ],
	[ 'a version is called applied and is not', 'SELECT 1', qr/104_table: was reported as applied and is not in the ledger/, 0, sub { $_[0]{said}{104} = 1 } ],
	[ 'a version is applied twice', 'SELECT 1', qr/102_table: was reported as applied 2 times/, 0, sub { $_[0]{said}{102} = 2 } ],
	[ 'shared memory is left', 'SELECT 1', qr/2\d segments of shared memory/, 0, sub { write_file($node->data_dir . "/pg_dynshmem/mmap.planted$_", '') for 1 .. 20 } ],
	[ 'the server has panicked', 'SELECT 1', qr/log: PANIC/, 0, sub { open(my $fh, '>>', $node->logfile) or die; print $fh "PANIC:  planted\n"; } ],
);

sub plant_all
{
	my %plan = (round => 0, schema => 'r0', tracks => ['r0a'], slow => 0);
	my ($version, %files) = (100);

	for my $kind (qw(builds table late table))
	{
		my $script = script($kind, 'r0a', 'r0', ++$version);

		$plan{scripts}{$version} = $script;
		$files{"$script->{name}.sql"} = $script->{sql};
	}
	$plan{dirs}{r0a} = \%files;
	set_up(\%plan);
	run_tapmig($node, [ 'up', '--force-empty', '--track', 'r0a', '--dir', $plan{dir}{r0a} ]);
	all_gone('before');
	check(\%plan, 'before');
	check_log();
	is(join("\n", @problems), '', 'nothing is wrong before something is planted');
	$bound = 0.3;
	for my $p (@plants)
	{
		my ($what, $sql, $like, $open, $also) = @$p;
		my %copy = (%plan, said => {});

		@problems = ();
		$node->safe_psql('template1', 'CREATE DATABASE planted TEMPLATE postgres');
		$database = 'planted';
		{
			my $s = session($node, dbname => $database);

			$s->try($_) for 'ALTER TABLE tapmig.schema_migrations DISABLE TRIGGER ALL', 'ALTER TABLE tapmig.history DISABLE TRIGGER ALL', $open ? 'BEGIN' : ();
			my $r = $s->try($sql);
			is($r->{message} // '', '', "$what: planted");
			$s->close unless $open;
			$also->(\%copy) if $also;
			all_gone('planted') if $like =~ /session/;
			check(\%copy, 'planted');
			check_end(\%copy);
			check_log();
		}
		ok((grep { /$like/ } @problems) > 0, "$what: found") or diag join "\n", @problems;
		sql_try($node, "ROLLBACK PREPARED 'planted'", dbname => 'planted');
		$database = 'postgres';
		unlink glob($node->data_dir . '/pg_dynshmem/mmap.planted*');
		$node->safe_psql('template1', 'DROP DATABASE planted WITH (FORCE)');
	}
	done_testing();
	exit;
}

plant_all() if $plant;

my $played = 0;
for my $round ($first .. $first + $rounds - 1)
{
	last if $seconds && Time::HiRes::time() - $began > $seconds;
	my $t = Time::HiRes::time();
	my $good = play($round);
	$played++;
	ok($good, sprintf 'seed %d, round %d, %.0f s', $seed, $round, Time::HiRes::time() - $t) or diag join("\n", grep { /^round $round:/ } @problems);
	last if !$good && !$keep_going;
}
cmp_ok($played, '>', 0, 'a round was played');
note("$_: $seen{$_}") for sort keys %seen;
done_testing();
