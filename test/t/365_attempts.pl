# A failed try under run leaves one row in tapmig.attempts, which plan shows until
# the version is there; apply leaves none.

use strict;
use warnings;
use utf8;

use Digest::SHA qw(sha256_hex);
use Encode qw(encode);
use TapmigClients;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

apply($node, '001', 'CREATE TABLE t (id int PRIMARY KEY, ref int)');

sub attempts
{
	my ($version) = @_;
	return sql_try($node, q{SELECT outcome, sqlstate, message, detail, line, encode(checksum, 'hex'),
		track, steps, steps_done, finished_at >= started_at, pid, started_at >= now() - interval '1 hour'
		FROM tapmig.attempts WHERE version = $1 ORDER BY id}, bind => [$version])->{rows};
}

sub planned
{
	my ($version) = @_;
	my $r = sql_try($node, 'SELECT state, action, detail FROM tapmig.plan(ARRAY[$1]) AS p WHERE p.version = $1', bind => [$version]);
	return $r->{rows}[0];
}

# Each way to fail: script, SQLSTATE, message, detail, line
my @ways = (
	[ "SELECT 1;\n\nSELECT 2,\n  1/0;\n", '22012', qr/division by zero/, undef, 3 ],
	[ "SELECT 1;\nSELECT nö;\n", '42703', qr/column "nö" does not exist/, undef, 2 ],
	[ "INSERT INTO t VALUES (1);\nINSERT INTO t VALUES (1);\n", '23505', qr/duplicate key/, qr/\(id\)=\(1\)/, 2 ],
	[ "SELECT 1;\n\n\nSELECT 1 FORM t;", '42601', qr/syntax error at or near "t"/, undef, 4 ],
	[ "SELECT 'unterminated", '42601', qr/unterminated/, undef, 1 ],
	[ "COPY t FROM stdin;\n5\t5\n6\tx\n\\.\n", '22P02', qr/invalid input syntax/, undef, 3 ],
	[ "DO \$\$\nBEGIN\n  RAISE 'mine' USING ERRCODE = 'XX123', DETAIL = 'Grüße 日本', HINT = 'h';\nEND \$\$", 'XX123', qr/^mine$/, qr/Grüße 日本/, 1 ],
	[ "-- tapmig: unknown=1\nSELECT 1", 'TM009', qr/unknown/, undef, undef ],
	[ '\i other.sql', 'TM009', qr/./, undef, 1 ]);

my $number = 10;
for my $way (@ways)
{
	my ($script, $sqlstate, $message, $detail, $line) = @$way;
	my $version = ++$number;
	my $what = "way $version";

	is(planned($version)->[0], 'pending', "$what: pending");
	is_error(apply($node, "${version}_x", $script), $sqlstate, $message, "$what: fails under apply");
	is_deeply(attempts($version), [], 'apply writes no attempt');
	is(planned($version)->[0], 'pending', 'and plan says pending');

	is_error(run($node, "${version}_x", $script), $sqlstate, $message, 'fails under run');
	my $rows = attempts($version);
	is(scalar @$rows, 1, 'run writes one attempt') or next;
	my $row = $rows->[0];
	is_deeply([ @$row[ 0, 1, 5, 6, 9, 11 ] ],
		[ 'failed', $sqlstate, sha256_hex(encode('UTF-8', $script)), 'main', 't', 't' ],
		'its outcome, code, checksum, track and times');
	like($row->[2], $message, 'its message');
	defined $detail ? like($row->[3], $detail, 'its detail') : pass('no detail is asked for');
	is($row->[4], $line, 'its line') if defined $line;
	like($row->[10], qr/^\d+$/, 'its process');

	my $plan = planned($version);
	is_deeply([ @$plan[ 0, 1 ] ], [ 'failed', 'run' ], 'plan says failed, run it');
	like($plan->[2], qr/$sqlstate/, 'with the code');

	run($node, "${version}_x", $script);
	is(scalar @{ attempts($version) }, 2, 'the next try is a row of its own');
	is(run($node, "${version}_x", "SELECT $version")->{value}, 'applied', 'mended, it is applied');
	is_deeply([ @{ planned($version) }[ 0, 1 ] ], [ 'applied', 'none' ], 'and plan says applied');
	is(scalar @{ attempts($version) }, 2, 'which writes no attempt');
	is(sql_value($node, "SELECT count(*) FROM tapmig.history WHERE version = '$version'"), 1, 'and the history has the success alone');
}

# Not a try of the script: nothing is recorded.
my $before = sql_value($node, 'SELECT count(*) FROM tapmig.attempts');
is_error(run($node, '001', 'SELECT 1'), 'TM001', undef, 'other content');
is_error(run($node, '090', "-- tapmig: requires=089\nSELECT 1"), 'TM006', undef, 'a requirement that is missing');
is_error(run($node, '', 'SELECT 1'), '22023', undef, 'a bad version');
is_error(sql_try($node, q{SET tapmig.out_of_order = error; CALL tapmig.run('000', 'SELECT 1')}), 'TM002', undef, 'out of order');
is_error(sql_try($node, q{BEGIN; CALL tapmig.run('091', 'SELECT 1/0'); COMMIT}), '22012', undef, 'run in a block is apply');
is_error(sql_try($node, q{DO $$ DECLARE o text; BEGIN CALL tapmig.run('091', 'SELECT 1/0', NULL, o); EXCEPTION WHEN no_data_found THEN END $$}), '22012', undef, 'also in a block of a function');
is(sql_value($node, 'SELECT count(*) FROM tapmig.attempts'), $before, 'none of them is a try');

# What it was registered as, or withdrawn, is newer than the failed try.
run($node, '092', 'SELECT 1/0');
is(planned('092')->[0], 'failed', 'failed');
sql_value($node, q{SELECT tapmig.register('092', 'SELECT 92')});
is(planned('092')->[0], 'applied', 'registered');
sql_value($node, q{SELECT tapmig.withdraw('092', 'not after all')});
is(planned('092')->[0], 'pending', 'withdrawn: pending');
run($node, '092', 'SELECT 1/0');
is(planned('092')->[0], 'failed', 'failed again');

# A track's failure is its own.
run($node, '093', 'SELECT 1/0', track => 'other');
is(planned('093')->[0], 'pending', 'a failure in another track');
is(sql_value($node, q{SELECT state FROM tapmig.plan(ARRAY['093'], track => 'other')}), 'failed', 'is shown in that one');

# A failed try leaves the session and the transaction settings as they were.
my $s = session($node);
$s->try(q{SET default_transaction_isolation = 'repeatable read'});
is_error($s->try(q{CALL tapmig.run('094', 'SET work_mem = ''1MB''; SET ROLE pg_monitor; SELECT 1/0')}), '22012', undef, 'a try that set things');
is($s->try('SHOW work_mem')->{value}, '4MB', 'its settings are gone');
is($s->try('SELECT current_user = session_user')->{value}, 't', 'and its role');
is($s->try(q{CALL tapmig.run('094', 'SELECT 1')})->{value}, 'applied', 'the session goes on');
is($s->try('SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = \'advisory\'')->{value}, 0, 'without a lock');

# The error of a role without rights on anything but run is recorded all the same.
sql_value($node, $_) for 'CREATE ROLE deployer LOGIN', 'GRANT EXECUTE ON PROCEDURE tapmig.run TO deployer';
is_error(run($node, '095', 'DROP TABLE t', user => 'deployer'), '42501', undef, "a deployer's failure");
is(attempts('095')->[0][1], '42501', 'is recorded');

verify_is_clean($node, 'in the end');

done_testing();
