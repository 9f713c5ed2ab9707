# up's one session: psql waits while the shell lists the files, and while it puts
# the scripts together. What ends either of them in such a moment ends both, and
# nothing is run.

use strict;
use warnings;

use POSIX ();
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $tmp  = scratch_dir();
my $dir  = migrations_dir({
		'001_a.sql' => "CREATE TABLE a AS SELECT pg_backend_pid() AS pid, current_setting('search_path') AS path;\n",
		'002_b.sql' => "CREATE TABLE b AS SELECT pg_backend_pid() AS pid;\n",
	});
my $clients = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tapmig'";
my $idle    = "$clients AND state = 'idle' AND query <> ''";

# A program of the runner's that says that it was reached, and goes on when the
# test says so.
sub gated
{
	my ($program) = @_;
	my $place = scratch_dir();
	my ($real) = grep { -x } map { "$_/$program" } split /:/, $ENV{PATH};

	POSIX::mkfifo("$place/go", 0600) or die "mkfifo: $!";
	write_file("$place/$program", "#!/bin/sh\n[ -e '$place/open' ] || { : >'$place/reached'; read -r go <'$place/go'; }\nexec '$real' \"\$@\"\n");
	chmod 0755, "$place/$program";
	return $place;
}

sub reached
{
	my ($place) = @_;
	my $end = time + 60;

	until (-e "$place/reached")
	{
		return 0 if time > $end;
		select undef, undef, undef, 0.02;
	}
	return 1;
}

sub let_go
{
	my ($place) = @_;

	write_file("$place/open", '');
	open(my $go, '>', "$place/go") or die "go: $!";
	print $go "go\n";
	close $go;
}

sub begin_up
{
	my ($place, @more) = @_;

	return start_tapmig($node, [ 'up', '--dir', $dir, @more ],
		env => { TMPDIR => $tmp, PGAPPNAME => 'tapmig', PATH => ($place ? "$place:" : '') . $ENV{PATH}, TAPMIG_BIN => tapmig_bin() });
}

sub nothing_is_left
{
	my ($name) = @_;

	ok(wait_until($node, $clients, expect => 0), "$name: no client is left");
	is_deeply([ glob("$tmp/*") ], [], "$name: no temporary file is left");
	is(sql_value($node, 'SELECT count(*) FROM tapmig.schema_migrations'), 0, "$name: nothing was run");
}

# find lists the files; what wc counts are the zero bytes in what was put together.
my %moment = (find => 'while files are listed', wc => 'while psql waits for the scripts');

# -------------------------------------------------------------------- signals

for my $program (sort keys %moment)
{
	for my $case ([ INT => 130 ], [ TERM => 143 ], [ HUP => 143 ])
	{
		my ($signal, $code) = @$case;
		my $name   = "$signal $moment{$program}";
		my $place  = gated($program);
		my $runner = begin_up($place);

		ok(reached($place), "$name: it is that far");
		ok(wait_until($node, $idle, expect => 1), "$name: psql is connected, and waits");
		$runner->signal($signal);
		let_go($place);
		my ($exit, $out, $err) = $runner->finish(60);
		is($exit, $code, "$name: exit code $code");
		is("$out|$err", '|', "$name: nothing is said");
		nothing_is_left($name);
	}

	# The runner can do nothing about this one.
	my $name   = "KILL $moment{$program}";
	my $place  = gated($program);
	my $runner = begin_up($place);
	ok(reached($place), "$name: it is that far");
	ok(wait_until($node, $idle, expect => 1), "$name: psql is connected, and waits");
	$runner->signal('KILL');
	let_go($place);
	$runner->finish(60);
	ok(wait_until($node, $clients, expect => 0), "$name: psql ends too");
	is(sql_value($node, 'SELECT count(*) FROM tapmig.schema_migrations'), 0, "$name: nothing was run");
	system('rm', '-rf', glob("$tmp/*"));
}

# While the server makes the plan
my $holder = session($node);
for my $case ([ INT => 130, 'interrupted' ], [ TERM => 143, 'terminated' ], [ HUP => 143, 'terminated' ])
{
	my ($signal, $code, $word) = @$case;
	my $name = "$signal while the plan is made";

	$holder->try('BEGIN');
	$holder->try('LOCK TABLE tapmig.schema_migrations IN ACCESS EXCLUSIVE MODE');
	my $runner = begin_up();
	ok(wait_until($node, "$clients AND wait_event_type = 'Lock'", expect => 1), "$name: it waits");
	$runner->signal($signal);
	my ($exit, $out, $err) = $runner->finish(60);
	is($exit, $code, "$name: exit code $code");
	is($out, '', "$name: nothing is applied");
	like($err, qr/^tapmig: $word\n\z/m, "$name: that is said");
	$holder->try('ROLLBACK');
	nothing_is_left($name);
}

# ------------------------------------------------------------ a session's end

for my $program (sort keys %moment)
{
	my $name   = "terminated $moment{$program}";
	my $place  = gated($program);
	my $runner = begin_up($place);

	ok(reached($place), "$name: it is that far");
	ok(wait_until($node, $idle, expect => 1), "$name: psql is connected, and waits");
	sql_value($node, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'tapmig'");
	ok(wait_until($node, $clients, expect => 0), "$name: its session is gone");
	let_go($place);
	my ($exit, $out, $err) = $runner->finish(60);
	is($exit, 3, "$name: exit code 3") or diag $err;
	is($out, '', "$name: nothing is said to be applied");
	like($err, qr/^tapmig: .*terminating connection due to administrator command$/m, "$name: the server's word is shown");
	nothing_is_left($name);
}

$holder->try('BEGIN');
$holder->try('LOCK TABLE tapmig.schema_migrations IN ACCESS EXCLUSIVE MODE');
my $runner = begin_up();
ok(wait_until($node, "$clients AND wait_event_type = 'Lock'", expect => 1), 'terminated while the plan is made: it waits');
sql_value($node, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'tapmig'");
my ($exit, $out, $err) = $runner->finish(60);
is("$exit|$out", '3|', 'terminated while the plan is made: nothing is applied') or diag $err;
like($err, qr/^tapmig: FATAL:  terminating connection/m, 'and the word is shown');
$holder->try('ROLLBACK');
nothing_is_left('terminated while the plan is made');
$holder->close;

# A psql that ends by itself, at once or after a while, and one that never connects
my $place = scratch_dir();
POSIX::mkfifo("$place/go", 0600) or die "mkfifo: $!";
for my $case ([ 'at once' => 'exit 2' ], [ 'killed' => 'kill -9 $$' ])
{
	write_file("$place/psql", "#!/bin/sh\n$case->[1]\n");
	chmod 0755, "$place/psql";
	($exit, $out, $err) = begin_up($place)->finish(60);
	is("$exit|$out", '3|', "psql ends $case->[0]: exit code 3") or diag $err;
	like($err, qr/^tapmig: the connection was lost\nHINT:  Is the server up/, "psql ends $case->[0]: that is said");
	is_deeply([ glob("$tmp/*") ], [], "psql ends $case->[0]: no temporary file is left");
}
for my $case ([ INT => 130 ], [ TERM => 143 ])
{
	write_file("$place/psql", "#!/bin/sh\n: >'$place/reached'\nexec cat '$place/go'\n");
	unlink "$place/reached";
	$runner = begin_up($place);
	ok(reached($place), "$case->[0] to one whose psql does not connect: it is that far");
	$runner->signal($case->[0]);
	($exit, $out, $err) = $runner->finish(60);
	is("$exit|$out", "$case->[1]|", 'it ends') or diag $err;
	is_deeply([ glob("$tmp/*") ], [], 'no temporary file is left');
}

# ----------------------------------------------------------------- the runner's

# A failure of the shell's own, with psql connected
write_file("$dir/002_c.sql", "SELECT 1;\n");
($exit, $out, $err) = begin_up()->finish(60);
is("$exit|$out", '4|', 'two files of one version') or diag $err;
nothing_is_left('two files of one version');
unlink "$dir/002_c.sql";

# A file that goes while the scripts are put together; git is asked before.
$place = scratch_dir();
write_file("$place/git", "#!/bin/sh\nrm -f '$dir/003_c.sql'\necho 0123456789ab\n");
chmod 0755, "$place/git";
write_file("$dir/003_c.sql", "SELECT 1;\n");
($exit, $out, $err) = begin_up($place)->finish(60);
is("$exit|$out", '2|', 'a file that is gone after the plan') or diag $err;
like($err, qr/003_c\.sql.*^tapmig: cannot put the scripts together in \S+; nothing was run$/ms, 'it is named');
ok(!-e "$dir/003_c.sql", 'it is gone');
nothing_is_left('a file that is gone after the plan');

# ----------------------------------------------------------------- one session

my $path = sql_value($node, 'SHOW search_path');
$place  = gated('find');
$runner = begin_up($place);
ok(reached($place), 'up has begun');
ok(wait_until($node, $idle, expect => 1), 'psql is connected');
my $pid = sql_value($node, "SELECT pid FROM pg_stat_activity WHERE application_name = 'tapmig'");
let_go($place);
($exit, $out, $err) = $runner->finish(60);
is("$exit|$err", '0|', 'up') or diag $out;
is($out =~ s/\(\d+ ms\)//gr, "applied 001_a \napplied 002_b \n", 'both are applied');
is(sql_value($node, 'SELECT DISTINCT pid FROM (SELECT pid FROM a UNION ALL SELECT pid FROM b) p'), $pid,
	'in the session that was there from the beginning');
is(sql_value($node, 'SELECT path FROM a'), $path, 'whose search_path is its own');
($exit, $out, $err) = begin_up()->finish(60);
is("$exit|$out|$err", '0||', 'nothing to do');
ok(wait_until($node, $clients, expect => 0), 'no client is left');
is_deeply([ glob("$tmp/*") ], [], 'no temporary file is left');

done_testing();
