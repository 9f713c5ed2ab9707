# deploy/cloudrun/runner.sh: one JSON object for each thing that happens, the
# exit codes of tapmig, waits and retries only where it says so.

use strict;
use warnings;

use IPC::Run ();
use JSON::PP ();
use POSIX ();
use TapmigTest;
use Test::More;
use Time::HiRes ();

my $node   = tapmig_node('main');
my $runner = top_dir() . '/deploy/cloudrun/runner.sh';
my $bin    = tapmig_bin() =~ s{/[^/]*$}{}r;
my $tmp    = scratch_dir();
my $log    = scratch_dir();
my %shells = map { my ($shell) = @$_; ($shell => $_) }
  grep { system("command -v $_->[0] >/dev/null") == 0 } ([ 'dash' ], [ 'busybox', 'sh' ], [ 'bash', '--posix' ]);
my $number = 0;

# A runner in the background: ->{h}, with its output in a file.
sub start_runner
{
	my ($args, %opt) = @_;
	my $file = $log . '/' . ++$number;

	local %ENV = ($node->_get_env(PGDATABASE => $opt{dbname} // 'postgres'), RUNNER_PAUSE => 0, TMPDIR => $tmp);
	$ENV{PATH} = $opt{path} // "$bin:$ENV{PATH}";
	delete @ENV{qw(DATABASE_URL TAPMIG_DIR TAPMIG_REVISION)};
	$ENV{TAPMIG_DIR} = $opt{dir} if defined $opt{dir};
	@ENV{ keys %{ $opt{env} } } = values %{ $opt{env} } if $opt{env};
	my $pid = fork() // die "fork: $!";
	if (!$pid)
	{
		open(STDIN,  '<', '/dev/null') or POSIX::_exit(99);
		open(STDOUT, '>', $file)       or POSIX::_exit(99);
		open(STDERR, '>', "$file.err") or POSIX::_exit(99);
		no warnings 'exec';
		exec(@{ $opt{shell} // ['sh'] }, $runner, @$args);
		POSIX::_exit(99);
	}
	return { pid => $pid, file => $file };
}

sub ended
{
	my ($r) = @_;

	if (!defined $r->{status} && waitpid($r->{pid}, POSIX::WNOHANG()) == $r->{pid}) { $r->{status} = $?; }
	return defined $r->{status};
}

sub finish_runner
{
	my ($r, $name) = @_;
	my $deadline = Time::HiRes::time() + 120;

	while (!ended($r))
	{
		if (Time::HiRes::time() > $deadline)
		{
			kill 'KILL', $r->{pid};
			die 'runner.sh not finished after its bound: ' . read_file($r->{file});
		}
		Time::HiRes::usleep(5_000);
	}
	my $status = $r->{status};
	my $text   = read_file($r->{file});
	my @events = map { JSON::PP->new->utf8->decode($_) } split /\n/, $text;

	is(read_file("$r->{file}.err"), '', "$name: nothing on standard error");
	is_deeply([ glob("$tmp/*") ], [], "$name: no temporary file is left");
	return ($status & 127 ? 128 + ($status & 127) : $status >> 8, \@events, $text);
}

sub runner { my ($name, @rest) = @_; return finish_runner(start_runner(@rest), $name); }

sub events { my ($list) = @_; return join ' ', map { "$_->{severity}:$_->{event}" } @$list; }

# Until the running one has written an event like this.
sub wait_written
{
	my ($r, $like, $name) = @_;
	my $deadline = Time::HiRes::time() + 60;

	while (!-e $r->{file} || read_file($r->{file}) !~ $like)
	{
		if (Time::HiRes::time() > $deadline || ended($r))
		{
			fail($name);
			diag(read_file($r->{file}));
			return;
		}
		Time::HiRes::usleep(20_000);
	}
	pass($name);
}

# ------------------------------------------------- the same under every shell

for my $shell (sort keys %shells)
{
	my $database = tapmig_database($node, "shell_$shell");
	my $dir      = migrations_dir({
			'001_a.sql' => "CREATE TABLE a (t text);\n",
			"002_it's a \"b\".sql" => "DO \$\$BEGIN RAISE NOTICE E'quote \" back \\\\ tab \\t bell \\x07 gr\\u00fcn \\u2713'
				USING DETAIL = 'first\nsecond', HINT = 'third'; RAISE WARNING 'w'; END\$\$;\n",
		});
	my %opt = (dbname => $database, dir => $dir, shell => $shells{$shell}, env => { TAPMIG_REVISION => 'r1' });

	my ($exit, $events, $text) = runner($shell, [], %opt);
	is($exit, 0, "$shell: exit code") or diag $text;
	is(join(' ', sort map { "$_->{severity}:$_->{event}" } @$events),
		'INFO:applied INFO:applied INFO:done INFO:start NOTICE:message WARNING:message', "$shell: its events");
	is_deeply([ map { $_->{migration} } grep { $_->{event} eq 'applied' } @$events ],
		[ '001_a', q{002_it's a "b"} ], "$shell: what is applied");
	is_deeply([ map { "$_->{migration}: $_->{message}" } grep { $_->{severity} eq 'NOTICE' } @$events ],
		[ qq{002_it's a "b": 002_it's a "b": NOTICE:  quote " back \\ tab \t bell ? gr\x{fc}n \x{2713}\nDETAIL:  first\nsecond\nHINT:  third} ],
		"$shell: a notice of several lines is one event, with its characters");
	like($text, qr/gr\xc3\xbcn \xe2\x9c\x93/, "$shell: UTF-8 as it is");
	is($events->[-1]{exit}, 0, "$shell: the last one has the exit code");
	is_deeply([ grep { $_->{time} !~ /\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/ } @$events ], [], "$shell: times");
	is(sql_value($node, "SELECT source FROM tapmig.schema_migrations WHERE version = '001'", dbname => $database),
		"$dir/001_a.sql\@r1", "$shell: the revision is in the ledger");

	($exit, $events) = runner("$shell, again", [], %opt);
	is($exit . ' ' . events($events), '0 INFO:start INFO:done', "$shell: run again");
	like($events->[-1]{message}, qr/nothing was to be done/, "$shell: and it says so");

	write_file("$dir/003_bad.sql", "SELECT 1;\nSELECT nosuch();\n");
	($exit, $events) = runner("$shell, failure", [], %opt);
	is($exit . ' ' . events($events), '1 INFO:start ERROR:message ERROR:message ERROR:failed', "$shell: a failure");
	like($events->[1]{message}, qr/\A003_bad: ERROR:  function nosuch\(\) does not exist\n.*line 2/s, "$shell: cause and line");
	is($events->[1]{migration}, '003_bad', "$shell: and migration");
	like($events->[3]{message}, qr/^HINT:  .*correct the file/m, "$shell: what to do");
	is($events->[3]{exit}, 1, "$shell: its exit code");
}
cmp_ok(scalar keys %shells, '>=', 2, 'several shells were tried');

# ----------------------------------------------------------- what goes to JSON

# emit alone, with bytes that no server sends.
my ($functions) = read_file($runner) =~ /^(emit\(\) \{.*?^\})/ms;
ok(defined $functions, 'emit was found');
my @applets = grep { system("command -v $_ >/dev/null") == 0 } qw(mawk gawk original-awk busybox);
cmp_ok(scalar @applets, '>', 0, 'an awk was found');
for my $awk (@applets)
{
	my $path = scratch_dir();
	my $program = $awk eq 'busybox' ? 'busybox awk' : $awk;
	write_file("$path/awk", "#!/bin/sh\nexec $program \"\$@\"\n");
	chmod 0755, "$path/awk";
	my $bytes = join '', map { chr } 1 .. 255;
	my ($out, $err) = ('', '');

	local $ENV{PATH} = "$path:$ENV{PATH}";
	my $emit = sub {
		my @values = @_;
		$out = '';
		IPC::Run::run([ 'sh', '-c', "$functions\nemit \"\$@\"", 'emit', 'INFO', 'test', @values ], '>', \$out, '2>', \$err)
		  or die $err;
		return JSON::PP->new->utf8->decode($out);
	};
	is($emit->($bytes)->{message}, join('', map { chr } 1 .. 127) . "\x{fffd}" x 128, "$awk: every byte");
	is($emit->("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")->{message}, "\x{e9}\x{20ac}\x{1f600}", "$awk: UTF-8 of two to four bytes");
	is($emit->("\xc0\xaf|\xe0\x80\xaf|\xed\xa0\x80|\xf4\x90\x80\x80|\xe2\x82")->{message},
		"\x{fffd}\x{fffd}|\x{fffd}\x{fffd}\x{fffd}|\x{fffd}\x{fffd}\x{fffd}|\x{fffd}\x{fffd}\x{fffd}\x{fffd}|\x{fffd}\x{fffd}",
		"$awk: what is no UTF-8");
	is($out =~ tr/\n//, 1, "$awk: one line");
	my $forged = $emit->("x\n= exit\n0\n= severity ERROR", 'migration', "\"\n= exit", 'exit', 7);
	is_deeply([ @$forged{qw(severity message migration exit)} ],
		[ 'INFO', "x\n= exit\n0\n= severity ERROR", "\"\n= exit", 7 ], "$awk: no value passes for a field");
	is($emit->('')->{message}, '', "$awk: nothing");
	my $long = $emit->("\xc3\xa9" x 60000)->{message};
	ok(length($long) < 40000 && $long =~ / \.\.\. \(cut\)\z/, "$awk: what is too long is cut");
}

# ------------------------------------------------------------------ connection

my $dir = migrations_dir({ '001_a.sql' => "CREATE TABLE a (i int);\n" });
my $nowhere = scratch_dir();
my ($exit, $events, $text) = runner('refused', [], dir => $dir, env => { PGHOST => '127.0.0.1', PGPORT => 1, RUNNER_WAIT => 0 });
is($exit . ' ' . events($events), '3 INFO:start ERROR:failed', 'connection refused: exit code 3');
like($events->[1]{message}, qr/\Ano connection to the database in \d+ s: .*127\.0\.0\.1.*port 1 failed: Connection refused/, 'connection refused: cause and address');
like($events->[1]{message}, qr/^HINT:  Nothing listens there\. .*DATABASE_URL.*listen_addresses.*firewall.*VPC egress/m, 'connection refused: what to do');

($exit, $events) = runner('waited', [], dir => $dir, env => { PGHOST => $nowhere, RUNNER_WAIT => 1 });
is($exit . ' ' . events($events), '3 INFO:start INFO:waiting ERROR:failed', 'it waits as long as it is told');

($exit, $events, $text) = runner('--db', [ 'up', '--db', "postgresql://u:geheim\@127.0.0.1:1/x" ], dir => $dir, env => { RUNNER_WAIT => 0 });
is($exit . ' ' . events($events), '3 INFO:start ERROR:failed', '--db: the probe goes there');
like($events->[1]{message}, qr/port 1 failed/, '--db: as its address says');
unlike($text, qr/geheim/, 'no password is shown');

$node->safe_psql('postgres', 'CREATE DATABASE plain');
$node->safe_psql('postgres', 'CREATE ROLE nologin NOLOGIN');
my $few = scratch_dir();
for my $program ($bin . '/tapmig', map { "/usr/bin/$_" } qw(awk cat date dirname git grep id mkdir mkfifo mktemp od printf rm sed sh sleep sort tr uniq wc xargs))
{
	my ($found) = grep { -x $_ } $program, $program =~ s{^/usr}{}r;
	symlink($found, $few . '/' . $program =~ s{.*/}{}r) if $found;
}
for my $case (
	[ 'no such database', { PGDATABASE => 'nosuch' }, qr/database "nosuch" does not exist/, qr/Create it/ ],
	[ 'no such role',     { PGUSER => 'nosuch' },     qr/role "nosuch" does not exist/,     qr/Create it/ ],
	[ 'no login',         { PGUSER => 'nologin' },    qr/not permitted to log in/,          qr/./ ],
	[ 'not installed',    { PGDATABASE => 'plain' },  qr/tapmig is not installed/,          qr/CREATE EXTENSION tapmig/ ],
	[ 'a broken URI', { DATABASE_URL => 'postgresql://[::1' }, qr/\[::1/,             qr/DATABASE_URL/ ],
	[ 'no psql',      { PATH => $few },               qr/psql is not installed/, qr/must hold psql/ ])
{
	my ($name, $env, $cause, $hint) = @$case;

	($exit, $events) = runner($name, [], dir => $dir, env => { RUNNER_WAIT => 600, %$env });
	is($exit . ' ' . events($events), '3 INFO:start ERROR:failed', "$name: fails at once");
	like($events->[1]{message}, $cause, "$name: cause");
	like($events->[1]{message}, qr/^HINT:  .*$hint/m, "$name: what to do");
}

# A server that comes up while it waits.
$node->stop;
my $r = start_runner([], dir => $dir, env => { RUNNER_WAIT => 100 });
wait_written($r, qr/"event":"waiting"/, 'no server: it waits');
$node->start;
($exit, $events) = finish_runner($r, 'server comes up');
is($exit . ' ' . events([ grep { $_->{event} ne 'waiting' } @$events ]), '0 INFO:start INFO:applied INFO:done', 'and goes on when the server is there');

# --------------------------------------------------------- retries: exit code 7

my $holder = session($node);
$holder->try('BEGIN');
$holder->try('LOCK TABLE a IN ACCESS SHARE MODE');
write_file("$dir/002_b.sql", "ALTER TABLE a ADD COLUMN j int;\n");
my %busy = (dir => $dir, env => { PGOPTIONS => '-c tapmig.lock_timeout=50ms -c tapmig.lock_retries=0', RUNNER_RETRIES => 2 });
($exit, $events) = runner('busy', [], %busy);
is($exit, 7, 'blocked: exit code 7');
is(scalar(grep { events([$_]) eq 'WARNING:busy' } @$events), 2, 'after two retries');
like($events->[-1]{message}, qr/after 3 tries\nHINT:  /, 'as its last event says');

$r = start_runner([], %busy, env => { %{ $busy{env} }, RUNNER_RETRIES => 1000000 });
wait_written($r, qr/"event":"busy"/, 'blocked: it tries again');
$holder->try('ROLLBACK');
($exit, $events) = finish_runner($r, 'freed');
is($exit . ' ' . $events->[-2]{event}, '0 applied', 'and goes through when the table is free');

# Outside of its window it is not busy, and minutes change nothing.
my $losing = migrations_dir({ '001_w.sql' => "CREATE TABLE w (i int);\n",
		'002_w.sql' => "-- tapmig: loses=w, approved-by=\"N. N.\"\nDROP TABLE w;\n" });
my $window = sql_value($node, "SELECT to_char(clock_timestamp() + interval '2 h', 'HH24:MI-') || to_char(clock_timestamp() + interval '3 h', 'HH24:MI')");
for my $arguments ([], ['--json'])
{
	($exit, $events) = runner("window @$arguments", [ 'up', '--track', 'window', '--window', $window, @$arguments ], dir => $losing);
	is($exit, 7, "outside of the window @$arguments: exit code 7");
	is(scalar(grep { $_->{event} eq 'busy' } @$events), 0, 'at once');
	ok((grep { $_->{severity} eq 'ERROR' && $_->{message} =~ /002_w loses data.* is for $window only/ } @$events), 'the window is named');
	like($events->[-1]{message}, qr/\Atapmig up: outside of its window;.*\nHINT:  .*again in the window\./, 'and what to do');
}

# Others are not tried again: a failure was above, here the plan and a gate.
write_file("$dir/001_a.sql", "CREATE TABLE a (i bigint);\n");
($exit, $events) = runner('plan', [], dir => $dir);
is($exit . ' ' . $events->[-1]{event}, '4 failed', 'an edited file: exit code 4');
unlike(events($events), qr/busy/, 'not tried again');
write_file("$dir/001_a.sql", "CREATE TABLE a (i int);\n");
($exit, $events) = runner('gate', [ 'require', '99' ], dir => $dir);
is($exit . ' ' . $events->[-1]{event}, '6 failed', 'arguments are tapmig\'s: exit code 6 of a gate');
my $staging = tapmig_database($node, 'empty_staging');
write_file("$dir/099_waits.sql", "SELECT 99;\n");
($exit, $events) = runner('promote', [ 'promote', '--from', "dbname=$staging" ], dir => $dir);

# It writes to both of its outputs, which have no order between them; on a busy
# machine a tick may come between a message and its hint.
my %said = map { $_ => 1 } split / /, events($events);
is($exit . ' ' . join(' ', sort keys %said), '6 ERROR:failed ERROR:message INFO:output INFO:start', 'what waits in promote: exit code 6');
like($events->[-1]{message}, qr/^tapmig promote: not everything was promoted\nHINT:  .* say what waits, for what and how long\./, 'and what to do');
($exit, $events) = runner('promote from nowhere', [ 'promote', '--from', 'dbname=nosuch' ], dir => $dir);
is($exit . ' ' . events($events), '3 INFO:start ERROR:message ERROR:failed', 'promote from a database that is not there: exit code 3');
is($events->[1]{migration}, undef, 'which is said of no migration');
($exit, $events) = runner('check', ['check'], dir => $dir);
is($exit, 5, 'check without schema.sql: exit code 5');
like($events->[-1]{message}, qr/\Atapmig check: schema\.sql .*\nHINT:  /, 'and what to do');
unlink "$dir/099_waits.sql";
($exit, $events) = runner('option', [ '--nosuch' ], dir => $dir);
is($exit, 2, 'an option alone belongs to up: exit code 2');
($exit, $events) = runner('status', ['status'], dir => $dir);
is($exit . ' ' . events($events), '0 INFO:start INFO:output INFO:output INFO:output INFO:done', 'what another command prints');
($exit, $events) = runner('number', [], dir => $dir, env => { RUNNER_RETRIES => 'x' });
is($exit, 2, 'a setting that is no number');
($exit, $events) = runner('directory', [], dir => "$dir/nosuch");
is($exit, 2, 'no such directory: exit code 2');

# --------------------------------------------------------------------- signals

$holder->try('SELECT pg_advisory_lock(4711)');
my $gated = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted";
for my $shell (sort keys %shells)
{
	for my $signal (qw(TERM INT))
	{
		my $name = "$signal under $shell";
		my $files = migrations_dir({ '001_gate.sql' =>
			"-- tapmig: lock_timeout=10min\nDO \$\$BEGIN RAISE NOTICE 'here'; END\$\$;\nSELECT pg_advisory_xact_lock(4711);\n" });

		$r = start_runner([ '--track', "$signal$shell" ], dir => $files, shell => $shells{$shell});
		ok(wait_until($node, $gated, expect => 1), "$name: a migration is under way");
		wait_written($r, qr/NOTICE:  here/, "$name: its last message is shown while it runs on");
		kill $signal, $r->{pid};
		($exit, $events) = finish_runner($r, $name);
		is($exit . ' ' . $events->[-1]{event}, '143 terminated', "$name: exit code 143");
		ok((grep { $_->{message} =~ /the server finishes what is under way in 001_gate/ && $_->{severity} eq 'WARNING' } @$events), "$name: tapmig got it");
		is(sql_value($node, $gated), 1, "$name: the statement goes on");
		sql_value($node, "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted");
		ok(wait_until($node, $gated, expect => 0), "$name: ended");
	}
}
$r = start_runner([], dir => $dir, env => { PGHOST => $nowhere, RUNNER_WAIT => 600 });
wait_written($r, qr/"event":"waiting"/, 'TERM while it waits');
kill 'TERM', $r->{pid};
($exit, $events) = finish_runner($r, 'TERM while it waits');
is($exit . ' ' . $events->[-1]{event}, '143 terminated', 'TERM while it waits: exit code 143');
$holder->close;

# ------------------------------------------------------------------ shellcheck

for my $script (glob(top_dir() . '/deploy/*.sh ' . top_dir() . '/deploy/*/*.sh'))
{
	SKIP:
	{
		skip 'no shellcheck', 1 if system('command -v shellcheck >/dev/null') != 0;
		is(scalar `shellcheck '$script' 2>&1`, '', "shellcheck of $script");
	}
}

done_testing();
