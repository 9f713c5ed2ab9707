# register, baseline, accept, withdraw; the gates require and wait.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $dir  = migrations_dir({
		'001_a.sql'    => "CREATE TABLE a (i int);\n",
		'002_b.sql'    => "CREATE TABLE b (i int)",
		'009_c.sql'    => "CREATE TABLE c (i int);\r\n",
		'10_d/up.sql'  => "CREATE TABLE d (i int);\n",
		'011_e.sql'    => "CREATE TABLE e (i int);\n",
	});

sub tapmig
{
	my @arguments = @_;
	my %opt = @arguments && ref $arguments[-1] ? %{ pop @arguments } : ();

	return run_tapmig($node, \@arguments, %opt);
}

sub ledger
{
	my ($track) = @_;
	my $result = sql_try($node, "SELECT version, kind, coalesce(encode(checksum, 'hex'), 'none') FROM tapmig.schema_migrations WHERE track = "
		  . quoted($track // 'main') . ' ORDER BY tapmig.version_key(version) COLLATE "C"');

	return [ map { join ' ', @$_ } @{ $result->{rows} } ];
}

# ------------------------------------------------------------------- baseline

my ($exit, $out, $err) = tapmig('baseline', '0', '--dir', $dir);
is($exit, 2, 'baseline below every file: exit code 2');
like($err, qr/no file in .* is of version 0 or below/, 'its message');
($exit, $out, $err) = tapmig('baseline', '9', '--dir', $dir);
is($exit, 0, 'baseline') or diag $err;
is($out, "registered 001_a\nregistered 002_b\nregistered 009_c\n", 'records every file up to the version');
is_deeply(
	ledger(),
	[
		'001 registered ' . sha256_file("$dir/001_a.sql"),
		'002 registered ' . sha256_file("$dir/002_b.sql"),
		'009 registered ' . sha256_file("$dir/009_c.sql"),
	],
	'with their content');
is(sql_value($node, "SELECT to_regclass('a') IS NULL AND to_regclass('b') IS NULL"), 't', 'runs nothing');
is(sql_value($node, "SELECT source FROM tapmig.schema_migrations WHERE version = '002'"), "$dir/002_b.sql", 'the source is the file');
($exit, $out, $err) = tapmig('baseline', '9', '--dir', $dir);
is("$exit|$out|$err", '0||', 'again: nothing');
($exit, $out, $err) = tapmig('baseline', '10', '--dir', $dir);
is("$exit|$out|$err", "0|registered 10_d\n|", 'further: the new ones');

# All or nothing
write_file("$dir/009_c.sql", "CREATE TABLE c (i bigint);\n");
($exit, $out, $err) = tapmig('baseline', '11', '--dir', $dir);
is($exit, 4, 'a file that differs from what is recorded: exit code 4');
is($out, '', 'nothing is said to be recorded');
like($err, qr/\Atapmig: 009_c: ERROR:  .*nothing was recorded \(SQLSTATE TM001\)\n\z/s, 'its message');
is(scalar @{ ledger() }, 4, 'nothing is');
write_file("$dir/009_c.sql", "CREATE TABLE c (i int);\r\n");

# ------------------------------------------------------------------- register

my @other = ('--track', 'other');
($exit, $out, $err) = tapmig('register', '2', '011_whatever', '77_by_hand', '10', '--dir', $dir, @other);
is($exit, 0, 'register') or diag $err;
is($out, "registered 002_b\nregistered 011_e\nregistered 77_by_hand\nregistered 10_d\n", 'in the order of the arguments');
is_deeply(
	ledger('other'),
	[
		'002 registered ' . sha256_file("$dir/002_b.sql"),
		'10 registered ' . sha256_file("$dir/10_d/up.sql"),
		'011 registered ' . sha256_file("$dir/011_e.sql"),
		'77 registered none'
	],
	'with the content of the files that are there');
($exit, $out, $err) = tapmig('register', '88', @other, { cwd => scratch_dir() });
is("$exit|$out", "0|registered 88\n", 'without any directory') or diag $err;
($exit, $out, $err) = tapmig('register', '99', 'word', @other, '--dir', $dir);
is($exit, 2, 'register of what is no version: exit code 2');
is(scalar(grep { /^99/ } @{ ledger('other') }), 0, 'records none of them');
($exit, $out, $err) = tapmig('register', '99', '--dir', '/nowhere');
is($exit, 2, 'register with a directory that is not there: exit code 2');

# ------------------------------------------------------------------- withdraw

($exit, $out, $err) = tapmig('withdraw', '77', @other, '--why', q{it's "wrong"});
is("$exit|$out|$err", "0|withdrawn 77\n|", 'withdraw');
is(sql_value($node, "SELECT reason FROM tapmig.history WHERE event = 'withdrawn'"), q{it's "wrong"}, 'with its reason');
($exit, $out, $err) = tapmig('withdraw', '77', @other, '--why', 'again');
is($exit, 1, 'what is not registered: exit code 1');
like($err, qr/^HINT:  .*\n.*nothing was recorded \(SQLSTATE 55000\)/m, 'its message, and a next step');
($exit, $out, $err) = tapmig('abandon', '2', '--why', 'no');
is($exit, 1, 'abandon of what is not under way: exit code 1');
like($err, qr/no stepwise run of it .*\n.*\nHINT:  /, 'its message, and a next step');
($exit, $out, $err) = tapmig('withdraw', '2', @other);
is($exit, 2, 'without a reason: exit code 2');

# --------------------------------------------------------------------- accept

write_file("$dir/002_b.sql", "CREATE TABLE b (i int, \xc3\xa4 text);\n");
($exit, $out, $err) = tapmig('up', '--dir', $dir);
is($exit, 4, 'an edited file stops up');
($exit, $out, $err) = tapmig('accept', '2', '--dir', $dir, '--why', "two\nlines, \$HOME `id` \\");
is("$exit|$out|$err", "0|accepted 002_b\n|", 'accept');
like((tapmig('accept', '2', '--dir', $dir, '--why', 'again'))[2], qr/recorded with this text already\nHINT:  /, 'again: there is nothing to accept');
is(sql_value($node, "SELECT reason FROM tapmig.history WHERE event = 'accepted'"), "two\nlines, \$HOME `id` \\", 'with its reason');
is(sql_value($node, "SELECT encode(checksum, 'hex') FROM tapmig.schema_migrations WHERE version = '002' AND track = 'main'"),
	sha256_file("$dir/002_b.sql"), "and the file's checksum");
($exit, $out, $err) = tapmig('accept', '55', '--dir', $dir, '--why', 'x');
is($exit, 2, 'accept without a file: exit code 2');
($exit, $out, $err) = tapmig('accept', '11', '--dir', $dir, '--why', 'x');
is($exit, 1, 'accept of what is not applied: exit code 1');
like($err, qr/^HINT:  .*\n.*SQLSTATE 55000/m, 'its message, and a next step');

# ---------------------------------------------------------------------- gates

$node->safe_psql('postgres', 'CREATE ROLE planner LOGIN; GRANT EXECUTE ON FUNCTION tapmig.plan TO planner');
for my $case ([ 'accept', 'accept', '9', '--why', 'x' ], [ 'withdraw', 'withdraw', '9', '--why', 'x' ], [ 'abandon', 'abandon', '9', '--why', 'x' ],
	[ 'register', 'register', '77' ], [ 'register', 'baseline', '9' ])
{
	my ($function, @command) = @$case;

	($exit, $out, $err) = run_tapmig($node, [ @command, '--dir', $dir ], env => { PGUSER => 'planner' });
	is("$exit|$out", '1|', "$command[0] without rights");
	like($err, qr/permission denied for function $function\ntapmig: nothing was recorded \(SQLSTATE 42501\)\nHINT:  .*GRANT EXECUTE ON FUNCTION tapmig\.$function TO the role/,
		'is told which one');
}

for my $version ('9', '009', '009_c')
{
	($exit, $out, $err) = tapmig('require', $version);
	is("$exit|$out|$err", '0||', "require $version");
}
($exit, $out, $err) = tapmig('require', '11');
is($exit, 6, 'require of what is not applied: exit code 6');
like($err, qr/\Atapmig: ERROR:  /, 'its message');
($exit, $out, $err) = tapmig('require', '9', @other);
is($exit, 6, 'require in another track');
($exit, $out, $err) = tapmig('require', 'word');
is($exit, 2, 'require of what is no version: exit code 2');

($exit, $out, $err) = tapmig('wait', '9');
is("$exit|$out|$err", '0||', 'wait for what is there');
($exit, $out, $err) = tapmig('wait', '11', '--timeout', '10ms');
is($exit, 6, 'wait: exit code 6 at its timeout');
($exit, $out, $err) = tapmig('wait', '11', '--timeout', 'soon');
is($exit, 2, 'wait with a bad timeout: exit code 2');
is($err, qq{tapmig: ERROR:  invalid input syntax for type interval: "soon"\nHINT:  --timeout is a time: 90s, 10min, 1h.\n},
	'its message, without our own SQL');
my $waiter = start_tapmig($node, [ 'wait', '11', '--timeout', '5m' ]);
ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CALL tapmig.wait_for%' AND state = 'active')"), 'a waiter');
ok($waiter->busy, 'waits');
tapmig('up', '--dir', $dir);
($exit, $out, $err) = $waiter->finish(60);
is($exit, 0, 'until the version is there') or diag $err;

done_testing();
