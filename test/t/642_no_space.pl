# Files below TMPDIR that cannot be written to their end, as on a full disk (here by
# a limit on the size of a file): whatever is cut, no command says that all is well
# when it is not. Each limit cuts at another place.

use strict;
use warnings;

use IPC::Run ();
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $dir  = migrations_dir({
	'001_a.sql' => "CREATE TABLE a (i int);\n",
	'002_b.sql' => "-- tapmig: compensates=001\nCREATE TABLE b (i int);\n",
});
$node->safe_psql('postgres', 'CREATE DATABASE empty');
$node->safe_psql('empty', 'CREATE EXTENSION tapmig');
$node->safe_psql('postgres', 'CREATE DATABASE staging TEMPLATE empty');
is((run_tapmig($node, [ 'up', '--dir', $dir ], dbname => 'staging'))[0], 0, 'staging');
my $report = scratch_dir() . '/report.json';
write_file($report, (run_tapmig($node, [ 'status', '--json', '--dir', $dir ], dbname => 'staging'))[1]);

my ($err, $versions);

# The exit code of the runner on an empty database, with a limit of so many blocks of
# 512 bytes for each file that is written; sets what it has said, and what is recorded.
sub limited
{
	my ($blocks, @arguments) = @_;
	my $out;

	$node->safe_psql('postgres', 'DROP DATABASE IF EXISTS fresh WITH (FORCE)');
	$node->safe_psql('postgres', 'CREATE DATABASE fresh TEMPLATE empty');
	local $ENV{PGHOST}     = $node->host;
	local $ENV{PGPORT}     = $node->port;
	local $ENV{PGDATABASE} = 'fresh';
	my @shell = ('sh', '-c', 'trap "" XFSZ; ulimit -f "$1"; shift; exec "$@"', 'sh', $blocks);
	IPC::Run::run([ @shell, tapmig_bin(), @arguments ], '<', \'', '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	my $exit = $? >> 8;
	$versions = sql_value($node, 'SELECT count(*) FROM tapmig.schema_migrations', dbname => 'fresh');
	return $exit;
}

# What each command ends with where it has its way
for my $case (
	[ 0, 2, 'up', '--dir', $dir ],
	[ 0, 2, 'up', '--json', '--dir', $dir ],
	[ 0, 2, 'up', '--window', '00:00-23:59', '--dir', $dir ],
	[ 0, 2, 'promote', '--from', $report, '--soak', '0s', '--dir', $dir ],
	[ 0, 2, 'baseline', '2', '--dir', $dir ],
	[ 6, 0, 'require', '1' ],
	[ 6, 0, 'wait', '1', '--timeout', '0' ],
	[ 6, 0, 'status', '--dir', $dir ],
	[ 0, 0, 'lint', '--dir', $dir ],
	[ 0, 0, 'rehearse', '--dir', $dir ])
{
	my ($ends, $recorded, @arguments) = @$case;
	my ($cut, $went, @wrong) = (0, 0);

	for my $blocks (1 .. 8, 10, 12, 16, 24, 40, 80, 200)
	{
		my $exit = limited($blocks, @arguments);
		if ($exit == $ends && $versions == $recorded) { $went++ }
		elsif ($exit == 2 && $err =~ /^HINT:  .*TMPDIR|cannot read/m) { $cut++ }
		else { push @wrong, "$blocks blocks: exit code $exit, $versions versions, $err" }
		last if $went == 2;
	}
	is(join('', @wrong), '', "tapmig $arguments[0]: never another end than with space");
	cmp_ok($cut, '>', 0, "tapmig $arguments[0]: without it, a failure");
	cmp_ok($went, '>', 0, "tapmig $arguments[0]: with it, none");
}

done_testing();
