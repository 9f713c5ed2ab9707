#!/usr/bin/perl
# boundaries.pl [--seconds N] [--trials N] [--seed N] [--jobs N] [--kinds K,K] [--hows H,H] [--sides S,S] [--trial NAME]
#
# A fault at each place of a run, one after the other: before and behind each
# commit and rollback, each query, each utility statement and each change of the
# catalogs, tapmig's own and the script's. chaos.pl meets such a place by chance
# only. "make chaos ARGS=boundaries" starts it, test/t/701_boundaries.pl a part.
#
# A TRIAL is one of the scripts of TapmigChaos in a schema and a track of its own;
# a side, the worker, the caller of tapmig.run, or that of tapmig.apply; a fault, at
# a place of its run:
#	lock, deadlock	a lock could not be had: an error that is tried again
#	full			an error of the disk
#	cancel, terminate, kill		what comes from outside
# With "again" it comes a second time, some places on: in the way out of the
# first. Then whatever the ledger says must be true, the next run, sometimes with
# a fault as well, goes on from there, and one without a fault ends it, each mark
# left once.
#
# Without --trials (of each job) and --seconds all of them are made, else any. The
# seed gives their order, and the name of a trial is all of it:
# --trial 'builds worker 17 lock 0 2 -'. A job has a server of its own.

use strict;
use warnings;

use Getopt::Long qw(GetOptions);
use POSIX        ();
use TapmigChaos;
use TapmigTest;
use Test::More;
use Time::HiRes ();

my %opt = (seconds => 0, trials => 0, jobs => 2, seed => POSIX::floor(Time::HiRes::time() * 1000) % 1_000_000_000,
	kinds => '', hows => 'lock,deadlock,full,cancel,terminate', sides => 'worker,caller,apply', trial => '');
GetOptions(\%opt, qw(seconds=i trials=i jobs=i seed=i kinds=s hows=s sides=s trial=s))
  or die "usage: boundaries.pl [--seconds N] [--trials N] [--seed N] [--jobs N] [--kinds K,K] [--hows H,H] [--sides S,S] [--trial NAME]\n";

my $began   = Time::HiRes::time();
my $scratch = scratch_dir();
my $library = fault_library();
my $version = 100;
my $bound   = 60;

note "seed $opt{seed}";
ok($library, 'the faults are compiled') or BAIL_OUT('no compiler?');

# What a step needs to fail and to be mended is chaos.pl's; "requires" wants an
# earlier version. One transaction in the caller has no worker.
my @kinds = $opt{kinds} ne '' ? split(/,/, $opt{kinds}) : grep { $_ ne 'requires' } sort keys %kinds;
my %in_caller = map { $_ => 1 } qw(table alter wrapped fails read_levels crosses);
my %without   = (worker => \%in_caller, caller => {}, apply => { map { $_ => 1 } 'read_levels', grep { !$in_caller{$_} } keys %kinds });

# ---------------------------------------------------------------- one job

my ($node, $admin, $n, @problems);

sub rows
{
	my ($sql) = @_;
	my $until = Time::HiRes::time() + $bound;

	while (1)
	{
		my $r = eval { $admin //= session($node); $admin->try($sql) };
		return @{ $r->{rows} } if $r && $r->{ok};
		my $lost = !$r || $r->{sqlstate} =~ /^(?:57P0|08)/ || $r->{message} =~ /closed the connection|no connection/;
		$admin = undef;
		die "$sql: $r->{sqlstate} $r->{message}" if !$lost;
		die "$sql: the server is not there" if Time::HiRes::time() > $until;
		Time::HiRes::usleep(50_000);
	}
}

sub value { return (rows($_[0]))[0][0]; }

# One call, with a fault, or undef. -> what it said, and where the fault was.
sub call
{
	my ($script, $trial, $fault) = @_;
	my $noted = "$scratch/noted$$";
	my @options = ("-c tapmig.lock_retries=$trial->{retries}", '-c tapmig.lint=off');
	my $r;

	unlink $noted;
	push @options, "-c session_preload_libraries=$library", "-c chaos_fault.file=$noted",
	  "-c chaos_fault.how=$fault->{how}", "-c chaos_fault.side=" . ($fault->{side} eq 'worker' ? 'worker' : 'caller'), "-c chaos_fault.again=$fault->{again}"
	  if $fault;
	rows('SELECT 1');
	$r = eval {
		my $s = session($node, options => "@options");
		my $r = { ok => 1 };

		$r = $s->try("SET chaos_fault.at = $fault->{at}") if $fault;
		if ($r->{ok})
		{
			my $call = ($fault->{side} // '') eq 'apply' ? 'SELECT tapmig.apply($1, $2, track => $3)' : 'CALL tapmig.run($1, $2, track => $3)';
			$s->start($call, bind => [ $version, $script->{sql}, $script->{track} ]);
			$r = $s->finish($bound);
		}
		$r;
	} // { ok => 0, sqlstate => 'lost', message => $@, value => '' };
	push @problems, "$trial->{name}: hangs" if $r->{message} && $r->{message} =~ /after its bound/;
	$r->{noted} = -e $noted ? read_file($noted) : '';
	return $r;
}

# Nobody runs any more.
sub wait_for_end
{
	my ($trial) = @_;
	my $until = Time::HiRes::time() + $bound;
	my $quiet = 0;

	# A caller that was ended may have asked for a worker that is not there yet.
	my $enough = $trial->{side} ne 'worker' && $trial->{how} =~ /terminate|kill/ ? 60 : 1;

	while (Time::HiRes::time() < $until)
	{
		my $n = value("SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('client backend', 'tapmig worker') AND pid <> pg_backend_pid()");

		$quiet = $n eq '0' ? $quiet + 1 : 0;
		return if $quiet >= $enough;
		Time::HiRes::usleep(5_000);
	}
	push @problems, "$trial->{name}: a session or worker is left";
	return;
}

sub check
{
	my ($script, $trial, $r, $when) = @_;
	my $problem = sub { push @problems, "$trial->{name}: $when: $_[0]"; };
	my $track = "track = '$script->{track}'";
	my ($locks, $until) = (1, Time::HiRes::time() + 5);

	# The two views are not of one moment.
	$locks = value("SELECT count(*) FROM pg_locks l WHERE locktype = 'advisory' OR NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = l.pid)")
	  while $locks && Time::HiRes::time() < $until;
	my ($in, $events, $states) = @{ (rows(<<"SQL"))[0] };
SELECT (SELECT count(*) FROM tapmig.schema_migrations WHERE $track),
	(SELECT count(*) FROM tapmig.history WHERE $track AND event = 'applied'),
	(SELECT state FROM tapmig.plan(ARRAY['$version'], track => '$script->{track}'))
SQL
	my @attempts = rows("SELECT outcome, steps_done, coalesce(step_running, 0), coalesce(cardinality(step_fingerprints), 0) FROM tapmig.attempts WHERE $track ORDER BY id");
	my ($outcome, $done, $running, $steps) = @attempts ? @{ $attempts[-1] } : ('none', 0, 0, 0);
	my %marks = map { $_->[0] => $_->[1] } rows("SELECT step, count(*) FROM $script->{schema}.marks GROUP BY 1");
	my $upto = $in ? 99 : $done;

	$problem->("$events events, in the ledger: $in") if $events != $in;
	$problem->("it said $r->{value}, in the ledger: $in") if $r->{ok} && !$in;
	$problem->("$locks locks are left") if $locks;
	$problem->("the plan says $states, the attempt $outcome, in the ledger: $in")
	  if $states !~ ($in ? qr/^applied$/ : $outcome eq 'none' ? qr/^pending$/ : $outcome eq 'failed' ? qr/^failed$/ : qr/^interrupted$/);
	# One of a transactional script is written when it failed, and stays.
	$problem->("the attempt is $outcome, in the ledger: $in") if @attempts && $steps && ($outcome eq 'applied') != ($in > 0);
	$problem->('an earlier attempt still runs') if grep { $_->[0] eq 'running' } @attempts[ 0 .. $#attempts - 1 ];
	for my $step (@{ $script->{kind}{marks} })
	{
		my $is = $marks{$step} // 0;
		$problem->("mark of step $step is there $is times (steps done: $upto, running: $running, attempt $outcome)") if $is != ($step <= $upto ? 1 : 0);
	}
	for my $step (@{ $script->{kind}{again} // [] })
	{
		my $is = $marks{$step} // 0;
		$problem->("mark of step $step is there $is times (steps done: $upto)") if ($step <= $upto && $is < 2) || ($step > $upto + 1 && $is > 0);
	}
	if ($in && defined $script->{holds})
	{
		my $holds = eval { value("SELECT $script->{holds}") } // $@;
		$problem->("it is in the ledger, but does not hold ($holds): $script->{holds}") if $holds ne 't';
	}
	return $in;
}

sub set_up
{
	my ($kind) = @_;
	my $s = sprintf 'k%d', ++$n;
	my %script = (kind => $kinds{$kind}, schema => $s, track => $s,
		map { $_ => defined $kinds{$kind}{$_} ? fill_in($kinds{$kind}{$_}, $s, $version) : undef } qw(sql setup mend holds));

	rows($_) for "CREATE SCHEMA $s", "CREATE TABLE $s.marks (version text, step int)", "CREATE TABLE $s.switch AS SELECT 1 AS x",
	  "CREATE TABLE $s.filler (a int)", "CREATE TABLE $s.other (a int)", "CREATE TABLE $s.shared AS SELECT g AS a, -g AS b FROM generate_series(1, 100) g",
	  "GRANT ALL ON SCHEMA $s TO chaos_builder", "GRANT ALL ON ALL TABLES IN SCHEMA $s TO chaos_builder",
	  grep { defined } $script{setup}, $script{mend};
	return \%script;
}

sub clear
{
	my ($script) = @_;

	rows("DROP SCHEMA $_->[0] CASCADE") for rows("SELECT nspname FROM pg_namespace WHERE nspname ~ '^$script->{schema}(_|\$)'");
	return;
}

sub trial
{
	my ($trial) = @_;
	my $before = @problems;
	my $script = set_up($trial->{kind});
	my $r = call($script, $trial, { side => $trial->{side}, at => $trial->{at}, how => $trial->{how}, again => $trial->{again} });
	my $fired = () = $r->{noted} =~ /\n/g;

	wait_for_end($trial);
	check($script, $trial, $r, "after the fault ($r->{noted}) it said " . ($r->{ok} ? $r->{value} : "$r->{sqlstate} $r->{message}"));
	if ($trial->{second} =~ /^(\d+):(\w+)$/)
	{
		$r = call($script, $trial, { side => 'worker', at => $1, how => $2, again => 0 });
		wait_for_end($trial);
		check($script, $trial, $r, "after a second one ($r->{noted})");
	}
	$r = call($script, $trial);
	wait_for_end($trial);
	my $in = check($script, $trial, $r, 'in the end');
	push @problems, "$trial->{name}: in the end it says $r->{sqlstate} " . ($r->{message} // '') if !$r->{ok};
	push @problems, "$trial->{name}: in the end it is not in the ledger" if !$in;
	push @problems, "$trial->{name}: invalid index $_->[0]"
	  for rows("SELECT indexrelid::regclass FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = '$script->{schema}'::regnamespace AND NOT (indisvalid AND indisready AND indislive)");
	clear($script) if @problems == $before;
	return $fired;
}

# The places of an undisturbed run.
my %places;
sub places
{
	my ($kind, $side) = @_;

	return $places{$kind}{$side} if $places{$kind}{$side};
	my $script = set_up($kind);
	my %trial = (name => "$kind, undisturbed", retries => 0, side => $side, how => 'count');
	my $r = call($script, \%trial, { side => $side, at => 1, how => 'count', again => 0 });

	check($script, \%trial, $r, 'undisturbed');
	push @problems, "$kind, undisturbed: $r->{sqlstate} $r->{message}" if !$r->{ok};
	clear($script);
	my @noted = split /\n/, $r->{noted};
	return $places{$kind}{$side} = @noted;
}

sub name_of { return join ' ', map { $_[0]{$_} } qw(kind side at how again retries second); }

# Retries of a lock cost a pause each: with them, or without, by turns.
sub made_of
{
	my ($dice, $kind, $side, $how, $at) = @_;
	my $trial = {
		kind => $kind, side => $side, at => $at, how => $how,
		again => pick($dice, 0, 0, 0, 1, 2, 3, 4, 6, 9), retries => pick($dice, 0, 0, 1, 2), second => '-' };

	$trial->{second} = 1 + $dice->(places($kind, 'worker')) . ':' . pick($dice, qw(lock cancel full terminate))
	  if !$dice->(3) && !$without{worker}{$kind};
	$trial->{name} = name_of($trial);
	return $trial;
}

# Every trial, in the seed's order.
sub all_trials
{
	my $dice = dice($opt{seed});
	my @trials;

	for my $kind (@kinds)
	{
		for my $side (grep { !$without{$_}{$kind} } split /,/, $opt{sides})
		{
			for my $how (split /,/, $opt{hows})
			{
				push @trials, made_of($dice, $kind, $side, $how, $_) for 1 .. places($kind, $side);
			}
		}
	}
	for (my $i = $#trials; $i > 0; $i--)
	{
		my $j = $dice->($i + 1);
		@trials[ $i, $j ] = @trials[ $j, $i ];
	}
	return @trials;
}

# Any one.
sub any_trial
{
	my ($dice) = @_;

	while (1)
	{
		my $kind  = pick($dice, @kinds);
		my @sides = grep { !$without{$_}{$kind} } split /,/, $opt{sides};

		next unless @sides;
		my $side = pick($dice, @sides);
		return made_of($dice, $kind, $side, pick($dice, split /,/, $opt{hows}), 1 + $dice->(places($kind, $side)));
	}
}

sub check_log
{
	for my $line (split /\n/, read_file($node->logfile))
	{
		push @problems, "log: $line"
		  if $line =~ /PANIC|TRAP|XX000|XX001|XX002|signal (?:6|7|8|11)\b|WARNING:.*(?:leak|still referenced|still active|already a transaction|no transaction|you don.t own|worker lost)/
		  && $line !~ /terminating connection because of crash/;
	}
	return;
}

sub job
{
	my ($i, $result) = @_;
	my $dice = dice($opt{seed} + 7919 * $i);
	my ($fired, $all, %made, @trials) = (0, 0);

	$node = tapmig_node("boundaries$$", conf => "restart_after_crash = on\nmax_worker_processes = 8\nautovacuum = off\nlog_error_verbosity = verbose\n");
	rows('CREATE ROLE chaos_builder');
	if ($opt{trial} ne '')
	{
		my %trial = (name => $opt{trial});

		@trial{qw(kind side at how again retries second)} = split / /, $opt{trial};
		@trials = (\%trial);
	}
	elsif (!$opt{seconds} && !$opt{trials})
	{
		my @every = all_trials();
		@trials = @every[ grep { $_ % $opt{jobs} == $i } 0 .. $#every ];
	}
	my $some = @trials == 0;
	while (1)
	{
		my $before = @problems;

		last if $opt{seconds} && Time::HiRes::time() - $began > $opt{seconds};
		last if $some ? $opt{trials} && $all >= $opt{trials} : !@trials;
		my $trial = eval { $some ? any_trial($dice) : shift @trials };
		last if !$trial && push @problems, $@;
		$fired++ if eval { trial($trial) } // do { push @problems, "$trial->{name}: $@"; 0 };
		$made{"$trial->{side} $trial->{how}"}++;
		$all++;
		print STDERR "# VIOLATION $_\n" for @problems[ $before .. $#problems ];
	}
	push @problems, "ledger: @{[ map { $_ // '' } @$_ ]}" for rows('SELECT * FROM tapmig.verify()');
	check_log();
	write_file($result, join "\n", "made $all", "fired $fired", (map { "of $_ $made{$_}" } sort keys %made), (map { s/\s*\n\s*/ /gr } map { "problem $_" } @problems), '');
	write_file("$result.places", join "\n", map { my $k = $_; "places $k: " . join ', ', map { "$_ $places{$k}{$_}" } sort keys %{ $places{$k} } } sort keys %places);
	$admin = undef;
	$node->stop('fast');
	return;
}

# ---------------------------------------------------------------- all of them

$opt{jobs} = 1 if $opt{trial} ne '';
my @children;
for my $i (0 .. $opt{jobs} - 1)
{
	my $pid = fork() // die "fork: $!";

	if (!$pid)
	{
		eval { job($i, "$scratch/result$i"); 1 } or print STDERR "# job $i: $@";
		POSIX::_exit(0);
	}
	push @children, $pid;
}
waitpid $_, 0 for @children;

my %sum = (made => 0, fired => 0);
for my $i (0 .. $opt{jobs} - 1)
{
	my $result = -e "$scratch/result$i" ? read_file("$scratch/result$i") : "problem job $i has no result\n";
	my @bad = $result =~ /^problem (.*)/mg;

	is(scalar @bad, 0, "job $i, seed $opt{seed}") or diag map { substr($_, 0, 500) . "\n" } @bad[ 0 .. ($#bad > 20 ? 20 : $#bad) ];
	$sum{$1} += $2 while $result =~ /^(made|fired|of .*) (\d+)$/mg;
}
cmp_ok($sum{made}, '>', 0, 'trials');
cmp_ok($sum{fired}, '>=', $sum{made} * 0.9, 'and their faults');
note read_file("$scratch/result0.places") if -e "$scratch/result0.places";
note "$_: $sum{$_}" for sort keys %sum;
done_testing();
