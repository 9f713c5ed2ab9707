# The progress of a long build: a NOTICE every ten seconds, which `tapmig up`
# shows on a terminal as one line that is written over and erased, and
# elsewhere as it came, without escape codes. Four runners at once, each in a
# database of its own, since those ten seconds are real.

use strict;
use warnings;

use IO::Pty;
use IPC::Run    ();
use Time::HiRes ();
use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main', conf => "max_worker_processes = 16\n");
my $dir  = migrations_dir({
	'001_table.sql' => "CREATE TABLE t AS SELECT g AS a FROM generate_series(1, 100) g;\n",
	'002_index.sql' => "CREATE INDEX CONCURRENTLY t_a ON t (a);\n",
	'003_after.sql' => "DO \$\$BEGIN RAISE NOTICE 'after it'; END\$\$;\n",
});
my $line  = qr/\r\e\[K\e\[\?7ltapmig: [^\r\n\e]+\e\[\?7h/;
my $erase = qr/\r\e\[K/;

# `tapmig up` whose standard error is a terminal of that kind
sub on_terminal
{
	my ($db, $term) = @_;
	my $pty  = IO::Pty->new;
	my $self = { out => '', err => '', pty => $pty };

	local %ENV = $node->_get_env(PGDATABASE => $db, TERM => $term);
	delete @ENV{qw(DATABASE_URL TAPMIG_DIR TAPMIG_REVISION)};
	$pty->slave->set_raw;
	$pty->blocking(0);
	$self->{h} = IPC::Run::start([ tapmig_bin(), 'up', '--dir', $dir, '--force-empty' ],
		'<', '/dev/null', '>', \$self->{out}, '2>', $pty->slave);
	$pty->close_slave;
	return $self;
}

sub pump
{
	my ($self) = @_;

	while (sysread($self->{pty}, my $text, 8192)) { $self->{err} .= $text; }
	$self->{h}->pump_nb if $self->{h}->pumpable;
	return $self->{h}->pumpable;
}

# Until its terminal shows that, or it has ended.
sub shows
{
	my ($self, $like) = @_;
	my $deadline = Time::HiRes::time() + 60;

	while (Time::HiRes::time() < $deadline)
	{
		my $open = pump($self);
		return 1 if $self->{err} =~ $like;
		return 0 unless $open;
		Time::HiRes::usleep(10_000);
	}
	return 0;
}

sub ended
{
	my ($self) = @_;
	my $deadline = Time::HiRes::time() + 60;

	while (pump($self))
	{
		die 'tapmig not finished after its bound' if Time::HiRes::time() > $deadline;
		Time::HiRes::usleep(10_000);
	}
	$self->{h}->finish;
	pump($self);
	return $self->{h}->full_result(0) >> 8;
}

my %run;
my %holder;
for my $db (qw(terminal dumb stopped file))
{
	tapmig_database($node, $db);
	$holder{$db} = holder($node, dbname => $db);
	$holder{$db}->try('SET application_name = an_application_of_a_rather_long_name');
}
$run{terminal} = on_terminal('terminal', 'xterm');
$run{stopped}  = on_terminal('stopped',  'xterm');
$run{dumb}     = on_terminal('dumb',     'dumb');
$run{file}     = start_tapmig($node, [ 'up', '--dir', $dir, '--force-empty' ], dbname => 'file');

# A terminal
ok(shows($run{terminal}, $line), 'terminal: the progress is shown');
is($run{terminal}{out} =~ s/\(\d+ ms\)//r, "applied 001_table \n", 'terminal: while it is under way');
like($run{terminal}{err}, qr/tapmig: main\/002_index: statement 1 of 1: waiting for old snapshots.*; it waits for process \d+ \(application "an_application_of_a_rather_long_name"\)/,
	'terminal: what it does, and whom it waits for');
like($run{terminal}{err}, qr/\e\[\?7l[^\r\n]*\e\[\?7h\z/, 'terminal: cut off at its edge, since only one row can be erased');
$holder{terminal}->close;
is(ended($run{terminal}), 0, 'terminal: the runner ends well');
is($run{terminal}{out} =~ s/\(\d+ ms\)//gr, "applied 001_table \napplied 002_index \napplied 003_after \n", 'terminal: standard output has no escape codes');
my $left = $run{terminal}{err};
like($left, qr/$line$erase\z|$line$erase(?!\e\[\?7l)[^\e]*\z/, 'terminal: the line is erased at the end') or diag explain $left;
1 while $left =~ s/$line($erase)/$1/;
$left =~ s/$erase//g;
is($left, "tapmig: 003_after: NOTICE:  after it\n", 'terminal: and nothing of it is left') or diag explain $run{terminal}{err};

# TERM: what is said then stands on a line of its own.
ok(shows($run{stopped}, $line), 'stopped: the progress is shown');
$run{stopped}{h}->signal('TERM');
is(ended($run{stopped}), 143, 'stopped: exit code 143');
like($run{stopped}{err}, qr/$line${erase}tapmig: terminated: [^\e]*\z/, 'stopped: the line is erased before something else is said') or diag explain $run{stopped}{err};

# A terminal that knows no escape codes, and none
ok(shows($run{dumb}, qr/is under way/), 'dumb: the progress is shown');
$holder{$_}->close for qw(dumb stopped);
ok(wait_until($node, "SELECT tapmig.is_applied('002')", dbname => 'dumb'), 'dumb: it goes on');
is(ended($run{dumb}), 0, 'dumb: the runner ends well');
unlike($run{dumb}{err}, qr/[\e\r]/, 'dumb: no escape codes') or diag explain $run{dumb}{err};
like($run{dumb}{err}, qr/^tapmig: 002_index: NOTICE:  migration 002_index is under way: .*waiting for old snapshots/m, 'dumb: the progress on a line of its own');

ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'file' AND $a_worker)"), 'file: it is under way');
my $deadline = Time::HiRes::time() + 60;
while ($run{file}{err} !~ /is under way/ && Time::HiRes::time() < $deadline) { $run{file}{h}->pump_nb; Time::HiRes::usleep(10_000); }
$holder{file}->close;
my ($exit, $out, $err) = $run{file}->finish(60);
is($exit, 0, 'file: the runner ends well');
unlike("$out$err", qr/[\e\r]/, 'file: no escape codes');
like($err, qr/^tapmig: 002_index: NOTICE:  migration 002_index is under way: .*waiting for old snapshots/m, 'file: the progress on a line of its own');

done_testing();
