# For machines: --json of up, status and plan; commands that are called
# otherwise elsewhere; no colours.

use strict;
use warnings;

use JSON::PP ();
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $dir  = migrations_dir({
		'001_a.sql'                 => "CREATE TABLE a (i int);\n",
		"002_\xc3\xa4 \"q\" \\.sql" => "DO \$\$BEGIN RAISE NOTICE 'hello'; END\$\$;\n",
		'003.sql'                   => "CREATE INDEX CONCURRENTLY ON a (i);\n",
	});
my ($exit, $out, $err);

sub tapmig
{
	my @arguments = @_;
	my %opt = ref $arguments[-1] ? %{ pop @arguments } : ();

	($exit, $out, $err) = run_tapmig($node, [ @arguments, '--dir', $dir ], %opt);
	return $exit;
}

# Each line of standard output as an object; dies of one that is none.
sub objects { return [ map { JSON::PP::decode_json($_) } split /\n/, $out ]; }

# ---------------------------------------------------------------- status, plan

is(tapmig('status', '--json'), 6, 'status --json');
my $status = objects()->[0];
is(scalar @{ objects() }, 1, 'is one object');
is_deeply([ map { "$_->{version} $_->{state} $_->{action}" } @{ $status->{versions} } ],
	[ '001 pending run', '002 pending run', '003 pending run' ], 'with the versions');
is($status->{versions}[1]{name}, "\xe4 \"q\" \\", 'any name');
is($status->{versions}[0]{file}, "$dir/001_a.sql", 'the file');
is($status->{versions}[0]{file_checksum}, sha256_file("$dir/001_a.sql"), 'its checksum');
is_deeply([ @$status{qw(track database)} ], [ 'main', 'postgres' ], 'track and database');
like($status->{now}, qr/^20\d\d-.*\+00:00$/, "and the server's clock, in UTC");

is(tapmig('plan', '--json'), 0, 'plan --json');
is_deeply(
	[ map { [ @$_{qw(version name state shape steps statements)} ] } @{ objects()->[0]{migrations} } ],
	[
		[ '001', 'a', 'pending', 'transactional', 1, 1 ],
		[ '002', "\xe4 \"q\" \\", 'pending', 'depends', 1, 1 ],
		[ '003', undef, 'pending', 'stepwise', 1, 1 ],
	],
	'with shapes and steps');
my $plan = $out;
is(tapmig('up', '--dry-run', '--json'), 0, 'up --dry-run');
is($out, $plan, 'is plan');
is(tapmig('up', '--dry-run', '--to', '1'), 0, 'up --dry-run --to');
like($out, qr/^001 .*\n\z/m, 'shows as much');
is(sql_value($node, "SELECT count(*) FROM tapmig.schema_migrations"), 0, 'nothing ran');

# ---------------------------------------------------------------- up

is(tapmig('up', '--json'), 0, 'up --json') or diag $err;
my $events = objects();
is_deeply(
	[ map { [ @$_{qw(event migration version name outcome source)} ] } @$events ],
	[
		[ 'migration', '001_a', '001', 'a', 'applied', "$dir/001_a.sql" ],
		[ 'migration', "002_\xe4 \"q\" \\", '002', "\xe4 \"q\" \\", 'applied', "$dir/002_\xe4 \"q\" \\.sql" ],
		[ 'migration', '003', '003', undef, 'applied', "$dir/003.sql" ],
	],
	'an object for each migration');
is((grep { $_->{ms} !~ /^\d+$/ } @$events), 0, 'with its time');
like($err, qr/NOTICE:  hello/, 'notices go to standard error');
is(tapmig('up', '--json') . $out, '0', 'again: nothing');
is(tapmig('status', '--json'), 0, 'status --json, all applied');
is_deeply([ @{ objects()->[0]{versions}[0] }{qw(kind checksum accepted attempt)} ],
	[ 'applied', sha256_file("$dir/001_a.sql"), JSON::PP::false(), undef ], 'with what the ledger knows');
is(tapmig('plan', '--json'), 0, 'plan --json of nothing');
is_deeply(objects()->[0], { track => 'main', migrations => [] }, 'is an object too');

# ---------------------------------------------------------------- errors

write_file("$dir/004_b.sql", <<'SQL');
CREATE TABLE b (i int);

DO $$BEGIN RAISE 'a "%"', E'\t\\' USING DETAIL = E'two\nlines', HINT = 'look', ERRCODE = 'AB123'; END$$;
SQL
write_file("$dir/005_c.sql", "CREATE TABLE c (i int);\n");
is(tapmig('up', '--json'), 1, 'an error');
is_deeply(objects(),
	[ {
			event => 'error', migration => '004_b', version => '004', name => 'b', sqlstate => 'AB123', message => "a \"\t\\\"",
			detail => "two\nlines", hint => 'look', line => 3, exit => 1 } ],
	'with code, message, detail, hint and line');
like($err, qr/^tapmig: 004_b: ERROR:  a/m, 'and in words on standard error');
write_file("$dir/004_b.sql", "SELECT 1;\nSELEC 2;\n");
is(tapmig('up', '--json'), 1, 'a syntax error');
is_deeply([ @{ objects()->[0] }{qw(sqlstate line)} ], [ '42601', 2 ], 'code and line');
is(tapmig('plan', '--json'), 1, 'plan --json of a script that cannot be read');
is_deeply([ map { $_->{shape} } @{ objects()->[0]{migrations} } ], [ 'unreadable', 'transactional' ], 'says which');
is(scalar @{ objects() }, 1, 'in one object');
write_file("$dir/001_a.sql", "CREATE TABLE other ();\n");
write_file("$dir/002.5_low.sql", "SELECT 1;\n");
is(tapmig('up', '--json', { env => { PGOPTIONS => '-c tapmig.out_of_order=error' } }), 4, 'a plan that is wrong');
is_deeply([ map { [ @$_{qw(event message detail exit)} ] } @{ objects() } ],
	[ [ 'error', 'the plan is wrong; nothing was run', '002.5_low is out_of_order: below 003, the highest applied', 4 ] ], 'says which');
like($err, qr/^tapmig: 002\.5_low is out_of_order: .*\ntapmig: the plan is wrong; nothing was run\nHINT:  /, 'on the terminal too');
unlink "$dir/002.5_low.sql" or die;
is(tapmig('up', '--json'), 4, 'an edited file');
is_deeply([ @{ objects()->[0] }{qw(migration sqlstate exit)} ], [ '001_a', 'TM001', 4 ], 'its object');
like(objects()->[0]{hint}, qr/accept/, 'its hint');

my @failures = (
	[ 3, qr/connection to server/, 'no server', [], { env => { PGHOST => scratch_dir() } } ],
	[ 3, qr/does not exist/, 'no database', [ '--db', 'nosuch' ] ],
	[ 3, qr/not installed/, 'no extension', [ '--db', 'template1' ] ],
	[ 2, qr/role "nosuch" does not exist/, 'no role', [ '--role', 'nosuch' ] ],
	[ 2, qr/no option --nope/, 'usage', ['--nope'] ],
	[ 4, qr/in the ledger, and not in/, '--strict', ['--strict'] ],
);
unlink "$dir/003.sql";
for my $case (@failures)
{
	my ($code, $message, $name, $arguments, $opt) = @$case;

	for my $command (qw(up status plan))
	{
		is(tapmig($command, '--json', @$arguments, $opt // {}), $code, "$command --json: $name: exit code $code");
		my $object = objects()->[0];
		is($object->{exit}, $code, 'in the object, too');
		like($object->{message}, $message, 'with the message');
		is(scalar @{ objects() }, 1, 'one object');
	}
}
my $gate = session($node);
$gate->try('SELECT pg_advisory_lock(4711)');
write_file("$dir/001_a.sql", "CREATE TABLE a (i int);\n");
write_file("$dir/004_b.sql", "-- tapmig: lock_timeout=10min\nSELECT pg_advisory_xact_lock(4711);\n");
my $runner = start_tapmig($node, [ 'up', '--json', '--dir', $dir ]);
ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE objid = 4711 AND NOT granted)"), 'a migration is under way');
$runner->signal('INT');
($exit, $out, $err) = $runner->finish(60);
is_deeply([ $exit, @{ objects()->[0] }{qw(event migration message exit)} ], [ 130, 'error', '004_b', 'interrupted', 130 ], 'INT');
$gate->close;

# ---------------------------------------------------------------- colours

is(tapmig('up', { env => { PG_COLOR => 'always' } }), 0, 'up where psql is asked for colours');
is(tapmig('status', { env => { PG_COLOR => 'always', TERM => 'xterm' } }), 0, 'status likewise');
unlike($out . $err, qr/\e/, 'no colours');
write_file("$dir/006_d.sql", "SELECT 1 / 0;\n");
is(tapmig('up', { env => { PG_COLOR => 'always' } }), 1, 'nor do they hide an error');
like($err, qr/\Atapmig: 006_d: ERROR:  division by zero\n/, 'from us');

# ---------------------------------------------------------------- other names

my %other = (
	migrate  => 'tapmig up',
	info     => 'tapmig status',
	validate => 'tapmig status --strict',
	repair   => 'tapmig accept',
	down     => 'tapmig new --compensates',
	rollback => 'tapmig new --compensates',
	force    => 'tapmig register',
);
for my $command (sort keys %other)
{
	is(tapmig($command, '--yes', '-1'), 2, "$command with an option: exit code 2");
	like($err, qr/there is no command $command/, 'and not: no such option');
	is(tapmig($command, '3'), 2, "$command: exit code 2");
	like($err, qr/\Atapmig: there is no command $command\nHINT:  .*\Q$other{$command}\E.*\n\z/, 'and what it is called here');
}

done_testing();
