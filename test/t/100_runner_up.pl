# The runner's main job: what is pending is applied once, in order, and said so.

use strict;
use warnings;

use POSIX  ();
use Socket qw(AF_UNIX SOCK_SEQPACKET);
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $dir  = migrations_dir({
		'001_first.sql'       => "-- Why: the beginning\nCREATE TABLE first (i int);\n",
		'V2__second.sql'      => "CREATE TABLE second (i int);\n",
		'003_third.up.sql'    => "CREATE TABLE third (i int);\n",
		'003_third.down.sql'  => "DROP TABLE third;\n",
		'004_fourth/up.sql'   => "CREATE TABLE fourth (i int);\n",
		'004_fourth/down.sql' => "DROP TABLE fourth;\n",
		'005_fifth/migration.sql' => "CREATE TABLE fifth (i int);\n",
		'006_sixth.undo.sql'  => "DROP TABLE second;\n",
		'U2__second.sql'      => "DROP TABLE second;\n",
		'010_tenth.sql'       => "CREATE TABLE tenth (i int);\n",
		'schema.sql'          => "CREATE TABLE not_this (i int);\n",
		'.hidden.sql'         => "CREATE TABLE not_this (i int);\n",
		'readme.txt'          => "not SQL\n",
	});

my ($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir, '--to', '2' ],
	env => { TAPMIG_REVISION => 'v1.2-3-gabc', PGAPPNAME => undef });
is($exit, 0, 'up --to exits 0') or diag $err;
like($out, qr/\Aapplied 001_first \(\d+ ms\)\napplied V2__second \(\d+ ms\)\n\z/, 'up --to stops at its version');
is($err, '', 'nothing on standard error');
is(sql_value($node, "SELECT to_regclass('third') IS NULL"), 't', 'the third is not applied yet');

($exit, $out, $err) = run_tapmig($node, [ '--dir', "$dir/", 'up' ], env => { PGAPPNAME => 'deploy job' });
is($exit, 0, 'up exits 0, options before the command') or diag $err;
is( $out =~ s/\(\d+ ms\)/(ms)/gr,
	"applied 003_third (ms)\napplied 004_fourth (ms)\napplied 005_fifth (ms)\napplied 010_tenth (ms)\n",
	'the rest is applied in the order of versions');
is($err, '', 'nothing on standard error');
is( sql_value($node,
		"SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"),
	'fifth first fourth second tenth third',
	'every migration ran; down, undo, hidden files and schema.sql did not');

($exit, $out, $err) = run_tapmig($node, [ 'up', "--dir=$dir" ]);
is("$exit|$out|$err", '0||', 'a second up prints nothing and exits 0');

my $ledger = sql_try($node, 'SELECT version, name, source, kind, application, why FROM tapmig.schema_migrations ORDER BY version COLLATE "C"');
is_deeply(
	[ map { join '|', map { $_ // '' } @$_ } @{ $ledger->{rows} } ],
	[
		"001|first|$dir/001_first.sql\@v1.2-3-gabc|applied|tapmig|the beginning",
		"003|third|$dir/003_third.up.sql|applied|deploy job|",
		"004|fourth|$dir/004_fourth/up.sql|applied|deploy job|",
		"005|fifth|$dir/005_fifth/migration.sql|applied|deploy job|",
		"010|tenth|$dir/010_tenth.sql|applied|deploy job|",
		"2|second|$dir/V2__second.sql\@v1.2-3-gabc|applied|tapmig|",
	],
	'the ledger has version, name, source with the revision, application and reason');

# Tracks
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', migrations_dir({ '001_a.sql' => 'CREATE TABLE other (i int)' }),
		'--track', q{it's "a" \\ $track} ]);
is($exit, 0, 'a track of its own') or diag $err;
is(sql_value($node, 'SELECT track FROM tapmig.schema_migrations WHERE name = $$a$$'), q{it's "a" \\ $track}, 'its name arrives as it is');

# Directories without --dir
my $top = scratch_dir();
write_file("$top/db/migrations/100_found.sql",     'CREATE TABLE found (i int)');
write_file("$top/deploy/migrations/101_later.sql", 'CREATE TABLE later (i int)');
($exit, $out, $err) = run_tapmig($node, [ 'up', '--track', 'places' ], cwd => $top);
like($out, qr/\Aapplied 100_found \(\d+ ms\)\n\z/, 'db/migrations is found');
is(sql_value($node, "SELECT source LIKE 'db/migrations/100_found.sql%' FROM tapmig.schema_migrations WHERE version = '100'"),
	't', 'the source is relative, as the directory was');
($exit, $out, $err) = run_tapmig($node, [ 'up', '--track', 'places' ], cwd => $top, env => { TAPMIG_DIR => 'deploy/migrations' });
like($out, qr/\Aapplied 101_later \(\d+ ms\)\n\z/, 'TAPMIG_DIR wins');

# git's revision
SKIP:
{
	skip 'no git', 1 if system("command -v git >/dev/null") != 0;
	my $repository = scratch_dir();
	write_file("$repository/migrations/200_git.sql", 'SELECT 1');
	my $commands = 'git init -q . && git add . && git -c user.name=n -c user.email=e@example.org commit -q -m m && git rev-parse --short=12 HEAD';
	chomp(my $head = `cd '$repository' && { $commands; } 2>/dev/null`);
	run_tapmig($node, [ 'up', '--track', 'places' ], cwd => $repository);
	is( sql_value($node, "SELECT source FROM tapmig.schema_migrations WHERE version = '200'"),
		"migrations/200_git.sql\@$head",
		"the source has git's revision");
}

# What the server says on the way
write_file("$dir/011_talks.sql",
	"DO \$\$BEGIN RAISE NOTICE E'first line\\nsecond line'; RAISE WARNING 'careful' USING DETAIL = 'why'; END\$\$;\n");
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ]);
is($exit, 0, 'a script that talks') or diag $err;
is( $err,
	"tapmig: 011_talks: NOTICE:  first line\nsecond line\ntapmig: 011_talks: WARNING:  careful\nDETAIL:  why\n",
	'notices name the migration');

# A name that looks like psql's \timing
write_file("$dir/012_took_1234.567 ms.sql", "SELECT pg_sleep(0.05);\n");
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ]);
is($exit, 0, 'a name with a time in it') or diag $err;
like($out, qr/\Aapplied 012_took_1234\.567 ms \((?:[5-9]\d|\d{3,}) ms\)\n\z/, 'is shown with its own');

# Nothing of one script reaches the next
write_file("$dir/020_sets.sql", "SET search_path = pg_catalog; CREATE TEMP TABLE left_over (i int); DECLARE left_over CURSOR WITH HOLD FOR SELECT 1;"
	  . " PREPARE left_over AS SELECT 1; LISTEN left_over; SELECT pg_advisory_lock(4711); SET statement_timeout = '1ms';\n");
write_file("$dir/021_sees.sql",
	"CREATE TABLE sees AS SELECT concat(to_regclass('pg_temp.left_over'), (SELECT count(*) FROM pg_cursors WHERE name = 'left_over'),"
	  . " (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_listening_channels()),"
	  . " (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory' AND objid = 4711)) AS left_over, current_setting('statement_timeout') AS timeout,"
	  . " current_setting('idle_in_transaction_session_timeout') AS idle, current_user::text AS who;\n");
sql_value($node, q{DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET statement_timeout = %L', current_database(), '1h');
	EXECUTE format('ALTER DATABASE %I SET idle_in_transaction_session_timeout = %L', current_database(), '1h'); END$$});
sql_value($node, 'CREATE ROLE deployer; GRANT CREATE ON SCHEMA public TO deployer; GRANT EXECUTE ON ALL ROUTINES IN SCHEMA tapmig TO deployer');
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir, '--role', 'deployer' ]);
is($exit, 0, 'a script after one that sets things, as another role') or diag $err;
is_deeply(sql_try($node, 'SELECT * FROM sees')->{rows}, [ [ '0000', '0', '0', 'deployer' ] ],
	'it has a clean session, the timeouts at 0, and the role');
is(sql_value($node, "SELECT applied_as FROM tapmig.schema_migrations WHERE version = '021'"), 'deployer', 'the ledger says who');
write_file("$dir/022_timeout.sql", "CREATE TABLE timeouts AS SELECT current_setting('statement_timeout') AS timeout;\n");
run_tapmig($node, [ 'up', '--dir', $dir, '--statement-timeout', '17min' ]);
is(sql_value($node, 'SELECT timeout FROM timeouts'), '17min', '--statement-timeout');

# Each line is written at once, so that nothing comes between it and its end: of this
# kind of socket each write is a message.
socketpair(my $reader, my $writer, AF_UNIX, SOCK_SEQPACKET, 0) or die "socketpair: $!";
write_file("$dir/023_line.sql", 'SELECT 1');
my $pid = fork() // die "fork: $!";
if (!$pid)
{
	%ENV = (%ENV, $node->_get_env(PGDATABASE => 'postgres'));
	open(STDOUT, '>&', $writer) or POSIX::_exit(99);
	no warnings 'exec';
	exec(tapmig_bin(), 'up', '--dir', $dir);
	POSIX::_exit(99);
}
close($writer);
my ($message, @written);
while (defined recv($reader, $message, 4096, 0) && length $message) { push @written, $message =~ s/\d+ ms/N ms/r; }
waitpid($pid, 0);
is(join('|', @written), "applied 023_line (N ms)\n", 'a line is written at once');

# Several runners at once: every one succeeds, every migration runs once
my $many = migrations_dir({ map { (sprintf('%03d_m.sql', $_) => "CREATE TABLE many_$_ (i int);\n") } 1 .. 20 });
my @runners = map { start_tapmig($node, [ 'up', '--dir', $many, '--track', 'many' ]) } 1 .. 6;
my @results = map { [ $_->finish ] } @runners;
is_deeply([ map { $_->[0] } @results ], [ (0) x 6 ], 'six runners at once: all succeed') or diag map { $_->[2] } @results;
is_deeply([ sort map { $_->[1] =~ /^applied (\d+)_m /mg } @results ], [ map { sprintf '%03d', $_ } 1 .. 20 ],
	'each migration is said to be applied by one of them');

done_testing();
