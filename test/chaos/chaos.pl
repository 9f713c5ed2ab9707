#!/usr/bin/perl
# chaos.pl [--rounds N] [--seconds N] [--seed N] [--first ROUND] [--window S] [--kinds K,K] [--keep-going]
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
# while and reads nothing, all worker slots taken, locks and old snapshots of an
# application.
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

use strict;
use warnings;

use Getopt::Long qw(GetOptions);
use POSIX        ();
use Time::HiRes  ();
use TapmigTest;
use Test::More;

my $rounds     = 200;
my $seconds    = 0;
my $seed       = POSIX::floor(Time::HiRes::time() * 1000) % 1_000_000_000;
my $first      = 1;
my $window     = 3;
my $keep_going = 0;
my $only       = '';

GetOptions('rounds=i' => \$rounds, 'seconds=i' => \$seconds, 'seed=i' => \$seed, 'first=i' => \$first,
	'window=f' => \$window, 'kinds=s' => \$only, 'keep-going' => \$keep_going)
  or die "usage: chaos.pl [--rounds N] [--seconds N] [--seed N] [--first ROUND] [--window S] [--kinds K,K] [--keep-going]\n";

my $runners    = 8;
my $bound      = 90;
my $began      = Time::HiRes::time();
my $node       = tapmig_node('main', conf => <<'CONF');
restart_after_crash = on
dynamic_shared_memory_type = mmap
max_worker_processes = 5
max_parallel_workers = 1
log_error_verbosity = verbose
tapmig.lock_timeout = '150ms'
tapmig.lock_retries = 3
tapmig.wait_timeout = '20s'
tapmig.lint = 'off'
CONF
my $scratch    = scratch_dir();
my $psql       = [ 'psql', '-X', '-q', '-A', '-t', '-v', 'VERBOSITY=verbose', '-h', $node->host, '-p', $node->port, '-d', 'postgres' ];
my $log_offset = 0;
my @problems;
my %seen;

$ENV{PGCONNECT_TIMEOUT} = 20;
note("seed $seed");
print STDERR "# chaos: seed $seed\n";

# ---------------------------------------------------------------- the plan

# A generator that is the same everywhere: integers below n.
sub dice
{
	my ($state) = @_;

	$state = ($state * 2654435761 + 12345) & 0xffffffff;
	return sub {
		my ($n) = @_;

		for (1 .. 2) { $state = ($state * 1103515245 + 12345) & 0x7fffffff; }
		return ($state >> 8) % $n;
	};
}

sub pick { my ($dice, @from) = @_; return $from[ $dice->(scalar @from) ]; }

# Each kind: what is there before the round, the script, which steps leave a mark
# once (marks) or at least once (again), what must hold when it is in force, and
# what takes away the cause of its failure. S is the schema, V the version.
my %kinds = (
	table => {
		sql   => "CREATE TABLE S.t_V AS SELECT g AS a FROM generate_series(1, 2000) g;\nMARK(1);\n",
		marks => [1],
		holds => "(SELECT count(*) FROM S.t_V) = 2000",
	},
	alter => {
		sql   => "MARK(1);\nALTER TABLE S.shared ADD COLUMN c_V int;\nINSERT INTO S.shared (c_V) VALUES (1);\n",
		marks => [1],
		holds => "(SELECT count(*) FROM S.shared WHERE to_jsonb(shared) ->> 'c_V' = '1') = 1",
	},
	wrapped => {
		sql   => "BEGIN;\nMARK(1);\nCREATE TABLE S.w_V (a int);\nCOMMIT;\n",
		marks => [1],
		holds => "to_regclass('S.w_V') IS NOT NULL",
	},
	fails => {
		sql   => "MARK(1);\nSELECT 1 / x FROM S.switch;\nCREATE TABLE S.f_V (a int);\n",
		marks => [1],
		holds => "to_regclass('S.f_V') IS NOT NULL",
		stays => 1,
	},
	builds => {
		sql   => "CREATE TABLE S.b_V AS SELECT g AS a FROM generate_series(1, 3000) g;\nMARK(1);\nCREATE INDEX CONCURRENTLY b_V_a ON S.b_V (a);\nMARK(3);\n",
		marks => [ 1, 3 ],
		holds => "VALID('S.b_V_a')",
	},
	builds_if => {
		sql   => "MARK(1);\nCREATE INDEX CONCURRENTLY IF NOT EXISTS bi_V_a ON S.shared (a, b);\nMARK(3);\nALTER TABLE S.shared ADD COLUMN d_V int;\nCREATE INDEX CONCURRENTLY bi_V_d ON S.shared (d_V);\n",
		marks => [ 1, 3 ],
		holds => "VALID('S.bi_V_a') AND VALID('S.bi_V_d')",
	},
	unique => {
		setup => "CREATE TABLE S.u_V AS SELECT g / 2 AS a FROM generate_series(2, 1001) g",
		sql   => "MARK(1);\nCREATE UNIQUE INDEX CONCURRENTLY u_V_a ON S.u_V (a);\nMARK(3);\n",
		marks => [ 1, 3 ],
		mend  => "DELETE FROM S.u_V x WHERE EXISTS (SELECT FROM S.u_V y WHERE y.a = x.a AND y.ctid > x.ctid)",
		holds => "VALID('S.u_V_a')",
		stays => 1,
	},
	detach => {
		setup => "CREATE TABLE S.p_V (a int) PARTITION BY RANGE (a); CREATE TABLE S.p_V_1 PARTITION OF S.p_V FOR VALUES FROM (0) TO (10); CREATE TABLE S.p_V_2 PARTITION OF S.p_V FOR VALUES FROM (10) TO (20)",
		sql   => "MARK(1);\nALTER TABLE S.p_V DETACH PARTITION S.p_V_1 CONCURRENTLY;\nMARK(3);\n",
		marks => [ 1, 3 ],
		holds => "(SELECT count(*) FROM pg_inherits WHERE inhparent = 'S.p_V'::regclass) = 1",
	},
	vacuum => {
		sql   => "MARK(1);\nVACUUM S.shared;\nMARK(3);\nVACUUM ANALYZE S.marks;\n",
		marks => [ 1, 3 ],
	},
	commits => {
		sql   => "MARK(1);\nDO \$\$ BEGIN MARK(2); COMMIT; PERFORM count(*) FROM generate_series(1, 20000); MARK(2); COMMIT; END \$\$;\nMARK(3);\n",
		marks => [ 1, 3 ],
		again => [2],
	},
	enum => {
		setup => "CREATE TYPE S.e_V AS ENUM ('a'); CREATE TABLE S.et_V (e S.e_V)",
		sql   => "MARK(1);\nALTER TYPE S.e_V ADD VALUE 'b';\nINSERT INTO S.et_V VALUES ('b');\nMARK(2);\n",
		marks => [ 1, 2 ],
		holds => "(SELECT count(*) FROM S.et_V) = 1",
	},
	drops => {
		setup => "CREATE TABLE S.d_V (a int); CREATE INDEX d_V_a ON S.d_V (a)",
		sql   => "MARK(1);\nDROP INDEX CONCURRENTLY S.d_V_a;\nMARK(3);\n",
		marks => [ 1, 3 ],
		holds => "to_regclass('S.d_V_a') IS NULL",
	},
	reindexes => {
		setup => "CREATE TABLE S.x_V AS SELECT g AS a, g AS b FROM generate_series(1, 2000) g; CREATE INDEX x_V_a ON S.x_V (a); CREATE UNIQUE INDEX x_V_b ON S.x_V (b)",
		sql   => "MARK(1);\nREINDEX TABLE CONCURRENTLY S.x_V;\nMARK(3);\nREINDEX INDEX CONCURRENTLY S.x_V_a;\n",
		marks => [ 1, 3 ],
		holds => "VALID('S.x_V_a') AND VALID('S.x_V_b') AND (SELECT count(*) FROM pg_index WHERE indrelid = 'S.x_V'::regclass) = 2",
	},
	transactions => {
		sql   => "BEGIN;\nMARK(1);\nCOMMIT;\nBEGIN;\nMARK(2);\nALTER TABLE S.shared ADD COLUMN m_V int;\nCOMMIT;\nBEGIN;\nMARK(3);\nCOMMIT;\n",
		marks => [ 1, 2, 3 ],
	},
	late => {
		sql   => "CREATE TABLE S.l_V AS SELECT g AS a FROM generate_series(1, 500) g;\nMARK(1);\nCREATE INDEX CONCURRENTLY ON S.l_V (a);\nMARK(3);\nSELECT 1 / x FROM S.switch;\nVACUUM S.l_V;\nMARK(5);\n",
		marks => [ 1, 3, 5 ],
		holds => "(SELECT count(*) FROM pg_index WHERE indrelid = 'S.l_V'::regclass AND indisvalid) = 1 AND (SELECT count(*) FROM pg_index WHERE indrelid = 'S.l_V'::regclass) = 1",
		stays => 1,
	},
	settings => {
		sql   => "SET search_path = S;\nSET ROLE chaos_builder;\nCREATE TABLE s_V (a int);\nINSERT INTO marks VALUES ('V', 1);\nCREATE INDEX CONCURRENTLY s_V_a ON s_V (a);\nINSERT INTO marks VALUES ('V', 3);\nCREATE INDEX CONCURRENTLY s_V_b ON s_V ((a + 1));\nINSERT INTO marks SELECT 'V', 5 WHERE current_user = 'chaos_builder';\n",
		marks => [ 1, 3, 5 ],
		holds => "VALID('S.s_V_a') AND VALID('S.s_V_b') AND (SELECT relowner::regrole::text FROM pg_class WHERE oid = 'S.s_V'::regclass) = 'chaos_builder'",
	},
	unlocks => {
		sql   => "MARK(1);\nSELECT pg_advisory_unlock_all();\nVACUUM S.filler;\nSELECT pg_advisory_unlock_all();\nMARK(3);\nDISCARD ALL;\nMARK(5);\nCREATE INDEX CONCURRENTLY un_V_a ON S.shared (b, a);\n",
		marks => [ 1, 3, 5 ],
		holds => "VALID('S.un_V_a')",
	},
	noisy => {
		sql   => "MARK(1);\nVACUUM (VERBOSE) S.shared;\nDO \$\$ BEGIN FOR i IN 1 .. 3000 LOOP RAISE NOTICE '%', repeat('noise ', 20); END LOOP; END \$\$;\nMARK(3);\nVACUUM S.filler;\nMARK(5);\n",
		marks => [ 1, 3, 5 ],
	},
	schemas => {
		setup => "CREATE SCHEMA SX; CREATE TABLE SX.a AS SELECT g AS a, g AS b FROM generate_series(1, 1000) g; CREATE INDEX a_a ON SX.a (a); CREATE TABLE SX.b AS SELECT g AS a FROM generate_series(1, 1000) g; CREATE UNIQUE INDEX b_a ON SX.b (a)",
		sql   => "MARK(1);\nREINDEX SCHEMA CONCURRENTLY SX;\nMARK(3);\n",
		marks => [ 1, 3 ],
		holds => "(SELECT count(*) FILTER (WHERE indisvalid) = 2 AND count(*) = 2 FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = 'SX'::regnamespace)",
	},
	requires => {
		sql   => "-- tapmig: requires=PREVIOUS\nMARK(1);\nVACUUM S.filler;\nMARK(3);\n",
		marks => [ 1, 3 ],
		holds => "tapmig.is_applied('PREVIOUS', (SELECT track FROM tapmig.schema_migrations WHERE version = 'V' ORDER BY applied_at DESC LIMIT 1))",
	},
	read_levels => {
		sql   => "BEGIN ISOLATION LEVEL REPEATABLE READ;\nMARK(1);\nCREATE TABLE S.rl_V (a int);\nCOMMIT;\n",
		marks => [1],
		run   => 1,
		holds => "to_regclass('S.rl_V') IS NOT NULL",
	},
);

sub fill_in
{
	my ($text, $schema, $version) = @_;

	$text =~ s/\bMARK\((\d)\)/INSERT INTO S.marks VALUES ('V', $1)/g;
	$text =~ s/\bVALID\(('[^']*')\)/(SELECT indisvalid AND indisready AND indislive FROM pg_index WHERE indexrelid = $1::regclass)/g;
	$text =~ s/\bS\b(?=[. ;]|$)/$schema/gm;
	$text =~ s/\bSX\b/${schema}_$version/g;
	$text =~ s/\bPREVIOUS\b/$version - 1/ge;
	$text =~ s/'V'/'$version'/g;
	$text =~ s/_V(?![A-Z])/_$version/g;
	return $text;
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
			my $k       = $kinds{$kind};

			$plan{scripts}{$version} = {
				version => $version, kind => $kind, track => $track, name => "${version}_$kind",
				sql => fill_in($k->{sql}, $plan{schema}, $version),
				map { $_ => defined $k->{$_} ? fill_in($k->{$_}, $plan{schema}, $version) : undef } qw(setup mend holds)
			};
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
	$plan{slow} = $dice->(3);
	my $n = 8 + $dice->(10);
	my @weighted = ((qw(kill_client) x 3), (qw(terminate) x 3), (qw(terminate_worker) x 4), (qw(cancel) x 3),
		(qw(cancel_worker) x 2), qw(kill_backend kill_worker fast fill), (qw(immediate) x 2), (qw(signal freeze) x 2), (qw(lock) x 6), (qw(snapshot) x 4));
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
	print STDERR "# chaos: VIOLATION seed $seed round $round_now: $text\n";
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

		$seen{$code}++;
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
	my $r = sql_try($node, $sql);

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

sub set_up
{
	my ($plan) = @_;
	my $s = $plan->{schema};
	my $r = sql_try($node, join(";\n",
			"CREATE SCHEMA $s",
			"CREATE TABLE $s.marks (version text, step int)",
			"CREATE TABLE $s.switch AS SELECT 0 AS x",
			"CREATE TABLE $s.filler (a int)",
			"CREATE TABLE $s.shared AS SELECT g AS a, -g AS b FROM generate_series(1, 5000) g",
			"GRANT ALL ON SCHEMA $s TO chaos_builder",
			"GRANT ALL ON ALL TABLES IN SCHEMA $s TO chaos_builder",
			grep { defined } map { $plan->{scripts}{$_}{setup} } sort keys %{ $plan->{scripts} }));

	die "round $plan->{round}: $r->{message}" unless $r->{ok};
	sql_try($node, "ALTER TABLE tapmig.$_ " . ($plan->{slow} ? 'ENABLE ALWAYS' : 'DISABLE') . ' TRIGGER zz_slow') for qw(attempts history);
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
		$pid = spawn_psql($name, calls($plan, $slot));
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
	my @not_before = (0) x $runners;
	my $end;

	start_slot($plan, $_) for 0 .. $runners - 1;
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

			for my $i (0 .. $runners - 1)
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

	while (Time::HiRes::time() < $until)
	{
		return 1 if eval { value($sql) } eq '0';
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
	my %events  = map { $_->[0] => $_->[1] } rows("SELECT version, count(*) FROM tapmig.history WHERE event = 'applied' AND track IN $tracks GROUP BY 1");
	my %others  = map { $_->[0] => $_->[1] } rows("SELECT event, count(*) FROM tapmig.history WHERE event <> 'applied' AND track IN $tracks GROUP BY 1");
	my %done    = map { $_->[0] => $_->[1] } rows("SELECT DISTINCT ON (version) version, steps_done FROM tapmig.attempts WHERE track IN $tracks ORDER BY version, id DESC");
	my %running = map { $_->[0] => $_->[1] } rows("SELECT DISTINCT ON (version) version, coalesce(step_running, 0) FROM tapmig.attempts WHERE track IN $tracks ORDER BY version, id DESC");
	my %marks;

	$marks{ $_->[0] }{ $_->[1] } = $_->[2] for rows("SELECT version, step, count(*) FROM $s.marks GROUP BY 1, 2");
	problem("$when: ledger: " . join('|', map { $_ // '' } @$_)) for rows('SELECT * FROM tapmig.verify()');
	problem("$when: the migration lock is held") if value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 3");
	problem("$when: the history has $others{$_} $_") for keys %others;
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
		problem("$label: was reported as applied and is not in the ledger") if $plan->{said}{$version} && !$in;
		problem("$label: was reported as applied $plan->{said}{$version} times") if ($plan->{said}{$version} // 0) > 1;
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
		if ($in && $script->{holds})
		{
			my $holds = eval { value("SELECT $script->{holds}") } // $@;
			problem("$label: in the ledger, but does not hold ($holds): $script->{holds}") if $holds ne 't';
		}
		if (!$in && $k->{marks}[-1] == 1 && $script->{kind} =~ /^(?:table|wrapped|fails|read_levels)$/)
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
		  && $line !~ /terminating connection because of crash/;
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
	my $tracks  = join ', ', map { "'$_'" } @{ $plan->{tracks} };
	my $pending = value("SELECT count(*) FROM tapmig.schema_migrations WHERE track IN ($tracks)");
	problem("$pending of " . keys(%{ $plan->{scripts} }) . ' are applied in the end') if $pending != keys %{ $plan->{scripts} };
	problem("invalid index $_->[0]") for rows("SELECT indexrelid::regclass FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = '$plan->{schema}'::regnamespace AND NOT (indisvalid AND indisready AND indislive)");
	problem("attempt is still running: @$_") for rows("SELECT version, pid FROM tapmig.attempts WHERE outcome = 'running' AND track IN ($tracks)");
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
CREATE TRIGGER zz_slow BEFORE INSERT OR UPDATE ON tapmig.attempts FOR EACH ROW EXECUTE FUNCTION public.chaos_slow();
CREATE TRIGGER zz_slow BEFORE INSERT ON tapmig.history FOR EACH ROW EXECUTE FUNCTION public.chaos_slow();
SQL
my $played = 0;
for my $round ($first .. $first + $rounds - 1)
{
	last if $seconds && Time::HiRes::time() - $began > $seconds;
	my $t = Time::HiRes::time();
	my $good = play($round);
	$played++;
	printf STDERR "# chaos: round %d %s, %.1f s\n", $round, $good ? 'ok' : 'BAD', Time::HiRes::time() - $t if $ENV{CHAOS_SHOW};
	ok($good, "seed $seed, round $round") or diag join("\n", grep { /^round $round:/ } @problems);
	last if !$good && !$keep_going;
}
cmp_ok($played, '>', 0, 'a round was played');
note("$_: $seen{$_}") for sort keys %seen;
if ($ENV{CHAOS_SHOW}) { print STDERR "# $_: $seen{$_}\n" for sort keys %seen; }
done_testing();
