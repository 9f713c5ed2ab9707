# TapmigClients.pm
#
# Many clients at one moment, and what the ledger must be after them; over
# TapmigTest.
#
# clients($node, $n, $work, %opt)	-> [ what each client's $work returned, a list of
#		strings ]. Each client is a process with a session of its own, and
#		$work->($session, $i) is called in it once all have come to a gate. An
#		exception in it is the one string "died: ...". Options: as session's, and
#		through => an object with host and port (a pooler), gate => how many can
#		wait at the gate at once (default all), timeout => 120 seconds.
# verify_is_clean($node, $name, dbname => ...)	one test: verify() has no row.
# verify_sees($node, $name, dbname => ...)		one test: it has some for each thing that
#		is changed, added or removed behind its back, in transactions that are rolled
#		back; in a ledger of several versions and a kept script.
# bouncer($node, $pool)	-> an object with host and port: pgbouncer in transaction
#		mode with that many server connections. undef where it isn't installed.
# bounded($seconds, $what, $code)	polls until $code gives true; dies at the bound.

package TapmigClients;

use strict;
use warnings;

use Exporter 'import';
use IO::Socket::UNIX ();
use POSIX            ();
use Time::HiRes      ();
use Test::More;
use TapmigTest;

our @EXPORT = qw(clients verify_is_clean verify_sees bouncer bounded);

my $gate_key = 7_300_001;

sub bounded
{
	my ($seconds, $what, $code) = @_;
	my $deadline = Time::HiRes::time() + $seconds;

	until ($code->())
	{
		die "$what: not within $seconds seconds" if Time::HiRes::time() > $deadline;
		Time::HiRes::usleep(5_000);
	}
	return 1;
}

sub clients
{
	my ($node, $n, $work, %opt) = @_;
	my $dir  = scratch_dir();
	my $gate = session($node, dbname => $opt{dbname});
	my %running;

	$gate->try("SELECT pg_advisory_lock($gate_key)");
	for my $i (1 .. $n)
	{
		my $pid = fork() // die "fork: $!";

		if ($pid == 0)
		{
			# Never to the parent's exit handlers, which would stop its servers.
			my @lines = eval {
				my $session = session($opt{through} // $node, %opt);
				$session->try("SELECT pg_advisory_xact_lock_shared($gate_key)");
				$work->($session, $i);
			};
			@lines = ("died: $@") if $@;
			write_file("$dir/$i", join("\n", @lines));
			POSIX::_exit(0);
		}
		$running{$pid} = 1;
	}
	my $good = wait_until($node,
		"SELECT count(*) >= @{[ $opt{gate} // $n ]} FROM pg_locks"
		  . " WHERE locktype = 'advisory' AND objid = $gate_key AND NOT granted");
	$gate->close;
	BAIL_OUT("the clients did not come to the gate") unless $good;

	eval {
		bounded($opt{timeout} // 120, 'the clients end', sub {
			for my $pid (keys %running)
			{
				delete $running{$pid} if waitpid($pid, POSIX::WNOHANG) != 0;
			}
			return !%running;
		});
	};
	if ($@)
	{
		kill 'KILL', keys %running;
		waitpid($_, 0) for keys %running;
		diag($@);
	}
	return [ map { [ -e "$dir/$_" ? split(/\n/, read_file("$dir/$_")) : 'killed' ] } 1 .. $n ];
}

sub verify_is_clean
{
	my ($node, $name, %opt) = @_;
	my $r = sql_try($node, 'SELECT track, seq, version, problem FROM tapmig.verify()', %opt);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is_deeply($r->{ok} ? $r->{rows} : "$r->{sqlstate} $r->{message}", [],
		"$name: verify() is clean");
}

my @behind = (
	'a row of the ledger'      => q{UPDATE tapmig.schema_migrations SET applied_at = applied_at - interval '1 us' WHERE version = (SELECT max(version) FROM tapmig.schema_migrations)},
	'a row that is gone'       => q{DELETE FROM tapmig.schema_migrations WHERE version = (SELECT min(version) FROM tapmig.schema_migrations)},
	'a row too many'           => q{INSERT INTO tapmig.schema_migrations (track, version, applied_at, source, kind, applied_by, applied_as, out_of_order) VALUES ('main', '98765', now(), 'manual', 'applied', 'x', 'x', false)},
	'an event'                 => q{UPDATE tapmig.history SET at = at - interval '1 us' WHERE seq = (SELECT max(seq) FROM tapmig.history)},
	'a chain'                  => q{UPDATE tapmig.history SET chain = sha256(chain) WHERE seq = (SELECT min(seq) FROM tapmig.history)},
	'an event that is gone'    => q{DELETE FROM tapmig.history WHERE seq = (SELECT min(seq) FROM tapmig.history)},
	'the text of a script'     => q{UPDATE tapmig.scripts SET sql = sql || ' ' WHERE checksum = (SELECT checksum FROM tapmig.scripts ORDER BY 1 LIMIT 1)});

sub verify_sees
{
	my ($node, $name, %opt) = @_;
	my $session = session($node, %opt);
	my @missed;

	for (my $i = 0; $i < @behind; $i += 2)
	{
		my ($what, $change) = @behind[ $i, $i + 1 ];
		my ($table) = $change =~ /(tapmig\.\w+)/;
		my $r;

		for ('BEGIN', "ALTER TABLE $table DISABLE TRIGGER USER", $change, q{SELECT count(*) FROM tapmig.verify() WHERE problem !~ '^trigger '})
		{
			$r = $session->try($_);
			die "$_: $r->{sqlstate} $r->{message}" if !$r->{ok};
		}
		push @missed, $what if $r->{value} == 0;
		$session->try('ROLLBACK');
	}
	push @missed, 'a head of another history' if !$session->try(q{SELECT count(*) FROM tapmig.verify(sha256('x'))})->{value};
	$session->close;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is_deeply(\@missed, [], "$name: verify() sees each change");
}

sub bouncer { return TapmigClients::Bouncer->new(@_); }

package TapmigClients::Bouncer;

use strict;
use warnings;

use IPC::Run ();

sub new
{
	my ($class, $node, $pool) = @_;
	my ($program) = grep { -x } '/usr/sbin/pgbouncer', '/usr/bin/pgbouncer';
	my $dir  = TapmigTest::scratch_dir();
	my $self = bless { host => $dir, port => 6432 }, $class;

	return undef unless defined $program;
	TapmigTest::write_file("$dir/ini", <<"INI");
[databases]
* = host=@{[ $node->host ]} port=@{[ $node->port ]}
[pgbouncer]
listen_addr =
unix_socket_dir = $dir
listen_port = 6432
auth_type = any
pool_mode = transaction
default_pool_size = $pool
max_client_conn = 200
logfile = $dir/log
ignore_startup_parameters = extra_float_digits,options
INI
	# Its user names are the server's: with auth_type any it takes one for all.
	my ($user) = getpwuid($<);
	my $ini = TapmigTest::read_file("$dir/ini") =~ s/^(\* = .*)$/$1 user=$user/mr;
	TapmigTest::write_file("$dir/ini", $ini);
	$self->{run} = IPC::Run::start([ $program, '-q', "$dir/ini" ],
		'<', '/dev/null', '>', "$dir/out", '2>', "$dir/err");
	eval {
		TapmigClients::bounded(30, 'pgbouncer listens', sub {
			return IO::Socket::UNIX->new(Peer => "$dir/.s.PGSQL.6432");
		});
	} or die "$@\n" . TapmigTest::read_file("$dir/err");
	return $self;
}

sub host { return $_[0]{host}; }
sub port { return $_[0]{port}; }

sub stop
{
	my ($self) = @_;
	my $run = delete $self->{run} or return;

	$run->kill_kill(grace => 5);
	return;
}

sub DESTROY
{
	local ($@, $!, $?);
	$_[0]->stop;
	return;
}

1;
