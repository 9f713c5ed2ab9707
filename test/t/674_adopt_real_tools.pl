# The tools themselves, from npm: they migrate a database, tapmig takes over and
# runs the next of their files. (The fixtures say what their tables are; this
# says that the fixtures are right.)

use strict;
use warnings;

use IPC::Run ();
use TapmigNpm;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $host = $node->host =~ s{/}{%2F}gr;
my $user = (getpwuid($>))[0];

# A tool's program in $dir, with a URI of $database
sub program
{
	my ($dir, $cwd, $database, @command) = @_;
	my $output = '';

	local %ENV = (%ENV, HOME => $cwd, DATABASE_URL => "postgres://$user\@$host:" . $node->port . "/$database?sslmode=disable");
	my $good = IPC::Run::run([ "$dir/node_modules/.bin/$command[0]", @command[ 1 .. $#command ] ], '<', '/dev/null', '>', \$output, '2>&1',
		init => sub { chdir($cwd) or die "$cwd: $!" }, IPC::Run::timeout(120));
	ok($good, "@command") or diag $output;
}

sub takes_over
{
	my ($tool, $dir, $database, $registered, $applied) = @_;

	my ($exit, $out, $err) = run_tapmig($node, [ 'adopt', '--yes', '--dir', $dir ], dbname => $database);
	is($out, join('', map { "registered $_\n" } @$registered), "$tool: adopted") or diag $err;
	is($err, '', "$tool: without a word");
	is(sql_value($node, "SELECT count(*) FROM tapmig.schema_migrations WHERE source ~ '^\Q$tool\E' AND checksum IS NOT NULL", dbname => $database), scalar @$registered, "$tool: with its files");
	($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ], dbname => $database);
	is($out =~ s/ \(\d+ ms\)//gr, join('', map { "applied $_\n" } @$applied), "$tool: up runs what is new") or diag $err;
	is(sql_value($node, "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relname IN ('one', 'two', 'three')", dbname => $database), 'one three two', "$tool: all is there");
}

SKIP:
{
	my ($modules, $problem) = node_modules('dbmate', '2.36.0');
	skip $problem, 1 unless $modules;
	my $dir = migrations_dir({
			'20200101000000_one.sql' => "-- migrate:up\nCREATE TABLE one (i int)\n\n-- migrate:down\nDROP TABLE one\n",
			'20200102000000_two.sql' => "-- migrate:up transaction:false\nCREATE TABLE two (i int);\n\n-- migrate:down\nDROP TABLE two;\n" });
	my $database = tapmig_database($node, 'dbmate');
	local %ENV = (%ENV, DBMATE_MIGRATIONS_DIR => $dir);
	my $socket = $node->host;
	my $output = '';
	my $uri = "postgres://$user\@/$database?socket=$socket&port=" . $node->port . '&sslmode=disable';
	ok(IPC::Run::run([ "$modules/node_modules/.bin/dbmate", '--url', $uri, '--no-dump-schema', 'up' ], '<', '/dev/null', '>', \$output, '2>&1', IPC::Run::timeout(120)), 'dbmate up')
	  or diag $output;
	write_file("$dir/20200103000000_three.sql", "-- migrate:up\nCREATE TABLE three (i int)\n\n-- migrate:down\nDROP TABLE three\n");
	takes_over('dbmate', $dir, $database, [ '20200101000000_one', '20200102000000_two' ], ['20200103000000_three']);
}

SKIP:
{
	my ($modules, $problem) = node_modules('node-pg-migrate', '8.0.3');
	skip $problem, 1 unless $modules;
	my $top      = scratch_dir();
	my $database = tapmig_database($node, 'node_pg_migrate');
	write_file("$top/migrations/1600000000000_one.sql", "-- Up Migration\nCREATE TABLE one (i int);\n\n-- Down Migration\nDROP TABLE one;\n");
	write_file("$top/migrations/1600000000001_two.sql", "-- Up Migration\nCREATE TABLE two (i int);\n\n-- Down Migration\nDROP TABLE two;\n");
	program($modules, $top, $database, 'node-pg-migrate', 'up');
	write_file("$top/migrations/1600000000002_three.sql", "-- Up Migration\nCREATE TABLE three (i int);\n\n-- Down Migration\nDROP TABLE three;\n");
	takes_over('node-pg-migrate', "$top/migrations", $database, [ '1600000000000_one', '1600000000001_two' ], ['1600000000002_three']);
}

done_testing();
