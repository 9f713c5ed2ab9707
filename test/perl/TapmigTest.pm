# TapmigTest.pm
#
# What tapmig's TAP tests share, over PostgreSQL::Test::Cluster.
#
#	use strict;
#	use warnings;
#	use TapmigTest;
#	use Test::More;
#
#	my $node = tapmig_node('main');
#	my $r = apply($node, '001_first', 'CREATE TABLE t (i int)');
#	is($r->{value}, 'applied', 'first call');
#	done_testing();
#
# SERVERS
#
# tapmig_node($name, %opt)	-> PostgreSQL::Test::Cluster, running, on a unix
#		socket, with the extension in database "postgres". Options:
#		conf => lines for postgresql.conf, extension => 0 (don't create it),
#		init => [ arguments of $node->init ], e.g. [ allows_streaming => 1 ],
#		install_path => another PostgreSQL's, with bin, lib and share below it.
#		It is stopped at the end of the test.
# tapmig_database($node, $db)	-> $db, a new database with the extension.
#
# ONE CALL, ITS RESULT
#
# sql_try($node, $sql, %opt)	-> hash reference, never dies because of $sql:
#		ok			1 or 0
#		sqlstate	'' or the error's code; likewise message, detail, hint,
#					context, position (undef where the server gave none)
#		rows		[ [ column, ... ], ... ] of the (last) result
#		value		first column of the first row
#		notices		[ 'NOTICE:  text', ... ] in order, each with DETAIL and HINT
#	Options: dbname => 'postgres', user => OS user, bind => [ values of $1, ... ],
#		options => '-c lock_timeout=1s' (as PGOPTIONS), encoding => 'LATIN1'.
#		Without bind the simple protocol is used: several statements may stand
#		in $sql. With bind values go as parameters: scripts need no quoting.
# sql_error(...)				-> the same, and a failed test when there is no error.
# sql_value($node, $sql, %opt)	-> first column of the first row; dies on error.
# apply($node, $version, $script, %opt), run($node, $version, $script, %opt)
#								-> sql_try of tapmig.apply / CALL tapmig.run; also
#		options source => label, track => name.
# is_error($r, $sqlstate, $like, $name)	one test: that code, and a message like $like.
# has_waited($text, $ms, $since, $name)	one test: this message of a lock says
#		"waited N ms": so many at least, less than the default of
#		tapmig.lock_timeout, and no more than what is gone by since that time
#		(Time::HiRes), whatever a busy machine adds.
# quoted($text)					-> an SQL string literal.
#
# SESSIONS, for what two of them do to each other
#
# my $s = session($node, %opt)	-> options as sql_try
#	$s->try($sql, %opt)			like sql_try, in this session
#	$s->start($sql, %opt)		sends it, comes back at once
#	$s->busy					is it still running?
#	$s->finish($seconds)		waits for its end, result as sql_try; dies when the
#								bound (default 60) is over
#	$s->pid						its backend
#	$s->cancel, $s->close
#
# WAITING (always with a bound; never sleep for a guessed time)
#
# wait_until($node, $sql, %opt)	polls until $sql gives 't' (expect => other);
#		timeout => 60 seconds; returns 1, or 0 with a diag of the last answer.
# wait_blocked($node, $pid)		until that backend waits for a heavyweight lock.
# wait_event($node, $pid, $like)	until its wait_event is LIKE $like.
# wait_gone($node, $pid)		until that backend is no more.
#
# THE RUNNER
#
# my ($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ], %opt)
#		Options: env => { NAME => value or undef to unset }, cwd => directory,
#		stdin => text, timeout => 180, dbname => 'postgres'. $exit is 128 + signal
#		when it died of one.
# my $h = start_tapmig(...)		the same, in the background:
#	$h->signal('INT'), $h->busy, my ($exit, $out, $err) = $h->finish($seconds)
# migrations_dir({ '001_a.sql' => 'CREATE ...', ... })	-> a new directory with these files
# write_file($path, $bytes), read_file($path), sha256_file($path)
#
# DUMPS
#
# dump_text($node, $db, @arguments)	-> pg_dump's output without \restrict lines
#
# PATHS
#
# top_dir()			the source tree		fixture($name)	test/fixtures/$name
# tapmig_bin()		the installed runner
# scratch_dir()		a new empty directory, removed at the end
#
# For more rows, psql and so on use the methods of PostgreSQL::Test::Cluster.

package TapmigTest;

use strict;
use warnings;

use Cwd ();
use Digest::SHA ();
use Exporter 'import';
use File::Basename ();
use File::Path     ();
use File::Temp     ();
use IPC::Run       ();
use Time::HiRes    ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  tapmig_node tapmig_database
  sql_try sql_error sql_value apply run is_error has_waited quoted
  session
  wait_until wait_blocked wait_event wait_gone
  run_tapmig start_tapmig migrations_dir write_file read_file sha256_file
  dump_text
  top_dir fixture tapmig_bin scratch_dir
);

my $default_timeout = 60;

# ---------------------------------------------------------------- servers

sub tapmig_node
{
	my ($name, %opt) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name // 'main',
		defined $opt{install_path} ? (install_path => $opt{install_path}) : ());

	$node->init(@{ $opt{init} // [] });
	$node->append_conf('postgresql.conf', <<'CONF');
fsync = off
max_connections = 100
max_prepared_transactions = 10
log_min_messages = info
CONF
	$node->append_conf('postgresql.conf', $opt{conf}) if defined $opt{conf};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION tapmig')
	  unless defined $opt{extension} && !$opt{extension};
	return $node;
}

sub tapmig_database
{
	my ($node, $db) = @_;
	my $ident = $db =~ s/"/""/gr;

	$node->safe_psql('postgres', qq{CREATE DATABASE "$ident"});
	$node->safe_psql($db,        'CREATE EXTENSION tapmig');
	return $db;
}

# ---------------------------------------------------------------- one call

sub session { return TapmigTest::Session->new(@_); }

sub sql_try
{
	my ($node, $sql, %opt) = @_;
	my $session = session($node, %opt);
	my $result  = $session->try($sql, %opt);

	$session->close;
	return $result;
}

sub sql_error
{
	my ($node, $sql, %opt) = @_;
	my $result = sql_try($node, $sql, %opt);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	fail("an error was expected of: " . substr($sql, 0, 80)) if $result->{ok};
	return $result;
}

sub sql_value
{
	my ($node, $sql, %opt) = @_;
	my $result = sql_try($node, $sql, %opt);

	die "$sql: $result->{sqlstate} $result->{message}" unless $result->{ok};
	return $result->{value};
}

sub _call
{
	my ($call, $node, $version, $script, %opt) = @_;
	my @bind = ($version, $script, $opt{source});
	my $named = '';

	if (defined $opt{track})
	{
		push @bind, $opt{track};
		$named = ', track => $4';
	}
	return sql_try($node, sprintf($call, $named), %opt, bind => \@bind);
}

sub apply { return _call('SELECT tapmig.apply($1, $2, $3%s)', @_); }
sub run   { return _call('CALL tapmig.run($1, $2, $3%s)',     @_); }

sub is_error
{
	my ($result, $sqlstate, $like, $name) = @_;
	my $good = !$result->{ok} && $result->{sqlstate} eq $sqlstate;

	$good &&= $result->{message} =~ $like if defined $like;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($good, $name // "error $sqlstate")
	  or diag $result->{ok}
	  ? 'no error; value: ' . ($result->{value} // 'null')
	  : "got $result->{sqlstate}: $result->{message}\n  wanted $sqlstate"
	  . (defined $like ? " like $like" : '');
	return $good;
}

sub has_waited
{
	my ($text, $ms, $since, $name) = @_;
	my $gone = (Time::HiRes::time() - $since) * 1000;
	my ($n, $unit) = ($text // '') =~ /\bwaited ([\d.]+) (ms|s)\b/;
	my $waited = defined $n ? $n * ($unit eq 's' ? 1000 : 1) : -1;
	# Seconds are said with one digit.
	my $most = $gone < 4900 ? $gone + 50 : 4999;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($waited >= $ms && $waited <= $most, $name)
	  or diag("wanted a wait of $ms to $most ms, got: " . ($text // 'no message'));
	return;
}

sub quoted
{
	my ($text) = @_;
	my $prefix = $text =~ /\\/ ? ' E' : '';

	$text =~ s/\\/\\\\/g;
	$text =~ s/'/''/g;
	return "$prefix'$text'";
}

# ---------------------------------------------------------------- waiting

sub wait_until
{
	my ($node, $sql, %opt) = @_;
	my $expect   = $opt{expect} // 't';
	my $deadline = Time::HiRes::time() + ($opt{timeout} // $default_timeout);
	my $session  = session($node, dbname => $opt{dbname});
	my $last;

	while (1)
	{
		my $result = $session->try($sql);

		$last = $result->{ok} ? $result->{value} // '(null)'
		  : "$result->{sqlstate} $result->{message}";
		if ($result->{ok} && $last eq $expect)
		{
			$session->close;
			return 1;
		}
		last if Time::HiRes::time() > $deadline;
		Time::HiRes::usleep(20_000);
	}
	$session->close;
	diag("wait_until: wanted '$expect', last answer '$last' of: $sql");
	return 0;
}

sub wait_blocked
{
	my ($node, $pid) = @_;

	return wait_until($node,
		"SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pid = $pid)");
}

sub wait_event
{
	my ($node, $pid, $like) = @_;

	return wait_until($node,
		"SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid AND wait_event LIKE "
		  . quoted($like) . ')');
}

sub wait_gone
{
	my ($node, $pid) = @_;

	return wait_until($node,
		"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)");
}

# ---------------------------------------------------------------- the runner

sub run_tapmig
{
	my ($node, $args, %opt) = @_;

	return start_tapmig($node, $args, %opt)->finish($opt{timeout} // 180);
}

sub start_tapmig { return TapmigTest::Runner->new(@_); }

sub migrations_dir
{
	my ($files) = @_;
	my $dir = scratch_dir();

	write_file("$dir/$_", $files->{$_}) for keys %$files;
	return $dir;
}

sub write_file
{
	my ($path, $bytes) = @_;

	utf8::encode($bytes) if utf8::is_utf8($bytes);
	File::Path::make_path(File::Basename::dirname($path));
	open(my $fh, '>:raw', $path) or die "$path: $!";
	print $fh $bytes;
	close($fh) or die "$path: $!";
	return $path;
}

sub read_file
{
	my ($path) = @_;

	open(my $fh, '<:raw', $path) or die "$path: $!";
	local $/ = undef;
	return scalar <$fh>;
}

sub sha256_file
{
	my ($path) = @_;

	return Digest::SHA->new(256)->addfile($path, 'b')->hexdigest;
}

# ---------------------------------------------------------------- dumps

sub dump_text
{
	my ($node, $db, @arguments) = @_;
	my ($out, $err) = ('', '');

	local %ENV = $node->_get_env();
	IPC::Run::run([ 'pg_dump', @arguments, $db ], '>', \$out, '2>', \$err)
	  or die "pg_dump of $db: $err";
	$out =~ s/^\\(?:un)?restrict .*\n//mg;
	return $out;
}

# ---------------------------------------------------------------- paths

sub top_dir
{
	return $ENV{TAPMIG_TOP} if $ENV{TAPMIG_TOP};
	return Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../..');
}

sub fixture { return top_dir() . "/test/fixtures/$_[0]"; }

sub tapmig_bin
{
	return $ENV{TAPMIG_BIN} if $ENV{TAPMIG_BIN};
	chomp(my $bindir = `pg_config --bindir`);
	return "$bindir/tapmig";
}

sub scratch_dir { return PostgreSQL::Test::Utils::tempdir_short(); }

# ---------------------------------------------------------------- sessions

package TapmigTest::Session;

use strict;
use warnings;

use DBI;
use DBD::Pg qw(:async);
use Time::HiRes ();

sub new
{
	my ($class, $node, %opt) = @_;
	my $dsn = join ';', 'dbi:Pg:',
	  map { my ($k, $v) = @$_; $v =~ s/([\\'])/\\$1/g; "$k='$v'" }
	  grep { defined $_->[1] } (
		[ host            => $node->host ],
		[ port            => $node->port ],
		[ dbname          => $opt{dbname} // 'postgres' ],
		[ options         => $opt{options} ],
		[ client_encoding => $opt{encoding} ]);

	$dsn =~ s/:;/:/;
	my $dbh = DBI->connect(
		$dsn,
		$opt{user} // '',
		$opt{password} // '',
		{
			AutoCommit        => 1,
			PrintError        => 0,
			RaiseError        => 0,
			PrintWarn         => 1,
			pg_server_prepare => 0,
			pg_bool_tf        => 1,
		}) or die "connect: $DBI::errstr";
	$dbh->{pg_placeholder_dollaronly} = 1;
	return bless { dbh => $dbh, notices => [] }, $class;
}

sub pid { return $_[0]{dbh}{pg_pid}; }

sub try
{
	my ($self, $sql, %opt) = @_;
	my $sth = $self->_send($sql, {}, %opt);

	return $self->_result($sth, defined $sth, 1);
}

sub start
{
	my ($self, $sql, %opt) = @_;

	$self->{sth} = $self->_send($sql, { pg_async => PG_ASYNC }, %opt);
	$self->{sent} = 1;
	return;
}

# undef when it failed.
sub _send
{
	my ($self, $sql, $attributes, %opt) = @_;

	die "a statement is under way in this session" if $self->{sent};
	$self->{notices} = [];
	local $SIG{__WARN__} = sub { $self->_notice($_[0]) };

	# pg_direct: the text goes to the server as it is
	$attributes->{pg_direct} = 1 unless $opt{bind};
	my $sth = $self->{dbh}->prepare($sql, $attributes) or return undef;
	return undef unless $sth->execute(@{ $opt{bind} // [] });
	return $sth;
}

sub _notice
{
	my ($self, $text) = @_;

	$text =~ s/\n\z//;
	push @{ $self->{notices} }, $text;
	return;
}

sub busy
{
	my ($self) = @_;

	return 0 unless $self->{sth};
	local $SIG{__WARN__} = sub { $self->_notice($_[0]) };
	return $self->{dbh}->pg_ready ? 0 : 1;
}

sub finish
{
	my ($self, $seconds) = @_;
	my $dbh      = $self->{dbh};
	my $sth      = $self->{sth};
	my $deadline = Time::HiRes::time() + ($seconds // 60);
	my $good     = 0;

	die "no statement is under way in this session" unless $self->{sent};
	if ($sth)
	{
		local $SIG{__WARN__} = sub { $self->_notice($_[0]) };
		while (!$dbh->pg_ready)
		{
			die "statement not finished after its bound"
			  if Time::HiRes::time() > $deadline;
			Time::HiRes::usleep(5_000);
		}
		# Newer ones of DBD::Pg take a cancelled statement for a good one.
		$good = defined $dbh->pg_result && $dbh->state ne '57014';
	}
	$self->{sent} = $self->{sth} = undef;
	return $self->_result($sth, $good, 0);
}

# DBD::Pg has the fields of an error for synchronous calls only; else they are
# read from its text.
sub _result
{
	my ($self, $sth, $good, $synchronous) = @_;
	my $dbh = $self->{dbh};
	my %r   = (
		ok       => $good ? 1 : 0,
		sqlstate => '',
		rows     => [],
		value    => undef,
		notices  => [ @{ $self->{notices} } ]);

	if ($good)
	{
		$r{rows} = $sth->fetchall_arrayref if $sth->{NUM_OF_FIELDS};
		$r{value} = $r{rows}[0][0] if @{ $r{rows} };
		return \%r;
	}

	my $text = $dbh->errstr // '';
	$r{sqlstate} = $dbh->state;
	if (($synchronous || $text eq '') && defined $dbh->pg_error_field('PG_DIAG_MESSAGE_PRIMARY'))
	{
		$r{message}  = $dbh->pg_error_field('PG_DIAG_MESSAGE_PRIMARY');
		$r{detail}   = $dbh->pg_error_field('PG_DIAG_MESSAGE_DETAIL');
		$r{hint}     = $dbh->pg_error_field('PG_DIAG_MESSAGE_HINT');
		$r{context}  = $dbh->pg_error_field('PG_DIAG_CONTEXT');
		$r{position} = $dbh->pg_error_field('PG_DIAG_STATEMENT_POSITION');
	}
	else
	{
		$r{$_} = undef for qw(detail hint context position);
		$r{lc $1} = $2
		  while $text =~ /^(DETAIL|HINT|CONTEXT):  (.*?)(?=\n[A-Z]+:  |\n?\z)/msg;
		($r{message}) = $text =~ /\A(?:[A-Z]+:  )?(.*?)(?=\n(?:[A-Z]+:  |LINE \d)|\n?\z)/s;
	}
	return \%r;
}

sub cancel
{
	my ($self) = @_;
	my $node_pid = $self->pid;

	return $self->{dbh}->clone->do("SELECT pg_cancel_backend($node_pid)");
}

sub close
{
	my ($self) = @_;

	$self->{sth} = undef;
	$self->{dbh}->disconnect if $self->{dbh};
	$self->{dbh} = undef;
	return;
}

sub DESTROY
{
	local ($@, $!, $?);
	$_[0]->close if $_[0]{dbh};
	return;
}

# ---------------------------------------------------------------- runner handle

package TapmigTest::Runner;

use strict;
use warnings;

use Cwd      ();
use IPC::Run ();
use Time::HiRes ();

sub new
{
	my ($class, $node, $args, %opt) = @_;
	my $self = bless { out => '', err => '' }, $class;
	my $cwd  = Cwd::getcwd();
	my $stdin =
	  defined $opt{stdin}
	  ? TapmigTest::write_file(TapmigTest::scratch_dir() . '/stdin', $opt{stdin})
	  : '/dev/null';

	local %ENV = $node ? $node->_get_env(PGDATABASE => $opt{dbname} // 'postgres') : %ENV;
	delete @ENV{qw(DATABASE_URL TAPMIG_DIR TAPMIG_REVISION)};
	for my $name (keys %{ $opt{env} // {} })
	{
		if (defined $opt{env}{$name}) { $ENV{$name} = $opt{env}{$name}; }
		else                          { delete $ENV{$name}; }
	}
	chdir($opt{cwd}) or die "$opt{cwd}: $!" if defined $opt{cwd};
	$self->{h} = IPC::Run::start([ TapmigTest::tapmig_bin(), @$args ],
		'<', $stdin, '>', \$self->{out}, '2>', \$self->{err});
	chdir($cwd) or die "$cwd: $!" if defined $opt{cwd};
	return $self;
}

sub signal { my ($self, $name) = @_; return $self->{h}->signal($name); }

sub pid { return $_[0]{h}{KIDS}[0]{PID}; }

sub busy { my ($self) = @_; return $self->{h}->pump_nb && $self->{h}->pumpable; }

sub finish
{
	my ($self, $seconds) = @_;
	my $deadline = Time::HiRes::time() + ($seconds // 180);

	while ($self->{h}->pumpable)
	{
		$self->{h}->pump_nb;
		if (Time::HiRes::time() > $deadline)
		{
			$self->{h}->kill_kill(grace => 5);
			die "tapmig not finished after its bound; standard error so far: $self->{err}";
		}
		Time::HiRes::usleep(5_000);
	}
	$self->{h}->finish;
	my $status = $self->{h}->full_result(0);
	my $exit   = $status & 127 ? 128 + ($status & 127) : $status >> 8;

	return ($exit, $self->{out}, $self->{err});
}

1;
