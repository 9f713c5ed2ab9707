# The numbers of attempts go on where their sequence was set back, by hand or by a
# restore, or to its end: the last attempt is the one that is resumed.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $seq  = 'tapmig.attempts_id_seq';
my $max  = "(SELECT seqmax FROM pg_sequence WHERE seqrelid = '$seq'::regclass)";

# A try that fails, and is recorded. How many there are, and whether it has the last number.
sub failed_try
{
	my ($name, $version, $script, $sqlstate) = @_;
	my $before = sql_value($node, 'SELECT coalesce(max(id), 0) FROM tapmig.attempts');
	my $result = run($node, $version, $script);

	is($result->{sqlstate}, $sqlstate, "$name: the script's own error") or diag($result->{message});
	is_deeply([ grep { /could not be recorded/ } @{ $result->{notices} } ], [], "$name: recorded");
	is(sql_value($node, "SELECT id > $before FROM tapmig.attempts WHERE version = '$version' ORDER BY started_at DESC LIMIT 1"),
		't', "$name: with a greater number");
	return $result;
}

my $wrong = 'SELECT 1/0';

failed_try('first', '1', $wrong, '22012');
failed_try('second', '1', $wrong, '22012');
sql_value($node, "SELECT setval('$seq', 1, false)");
failed_try('set back', '1', $wrong, '22012');
failed_try('and going on', '1', $wrong, '22012');
is(sql_value($node, "SELECT last_value = (SELECT max(id) FROM tapmig.attempts) FROM $seq"), 't', 'the sequence has caught up');

# Back into a gap, where no row has the number.
sql_value($node, "WITH d AS (DELETE FROM tapmig.attempts WHERE id < 3 RETURNING id) SELECT setval('$seq', 1, false) FROM d LIMIT 1");
failed_try('a gap', '1', $wrong, '22012');

# Steps go on behind the last one that is done.
my $steps = sub { "CREATE TABLE a$_[0] (i int);\nVACUUM a$_[0];\nCREATE TABLE b$_[0] (i int);\nVACUUM b$_[0];\nSELECT 1/m.g FROM may_$_[0] m;\nVACUUM a$_[0]" };

$node->safe_psql('postgres', 'CREATE TABLE may_2 AS SELECT 0 AS g');
failed_try('steps', '2', $steps->(2), '22012');
sql_value($node, "SELECT setval('$seq', 1, false)");
failed_try('steps again', '2', $steps->(2), '22012');
$node->safe_psql('postgres', 'UPDATE may_2 SET g = 1');
sql_value($node, "SELECT setval('$seq', 1, false)");
is(run($node, '2', $steps->(2))->{value}, 'applied', 'steps: resumed');
is(sql_value($node, "SELECT string_agg(outcome, ' ' ORDER BY id) FROM tapmig.attempts WHERE version = '2'"),
	'failed failed applied', 'steps: in their order');

# Two tracks that find it set back at once.
my $owner = session($node);

sql_value($node, "SELECT setval('$seq', 1, false)");
$owner->try('BEGIN');
ok($owner->try("ALTER SEQUENCE $seq CACHE 1")->{ok}, 'the sequence is held');
my @tracks = map { session($node) } 1 .. 4;
for my $i (0 .. $#tracks)
{
	$tracks[$i]->start("CALL tapmig.run('1', '$wrong', track => 't$i')");
}
ok(wait_blocked($node, $_->pid), 'a track waits for a number') for @tracks;
$owner->try('ROLLBACK');
for my $track (@tracks)
{
	my $result = $track->finish;

	is($result->{sqlstate}, '22012', 'its error is the script\'s');
	is_deeply([ grep { /could not be recorded/ } @{ $result->{notices} } ], [], 'and recorded');
}
is(sql_value($node, "SELECT count(DISTINCT id) FROM tapmig.attempts WHERE track <> 'main'"), scalar @tracks, 'each with a number of its own');

# The end.
sql_value($node, "SELECT setval('$seq', $max - 1)");
failed_try("$_ at its end", '3', $wrong, '22012') for qw(first second third);
sql_value($node, "SELECT setval('$seq', $max)");
failed_try('set to its end', '3', $wrong, '22012');
is(run($node, '1', 'SELECT 1')->{value}, 'applied', 'applied at last');
is(sql_value($node, 'SELECT count(*) FROM tapmig.verify()'), 0, 'verify()');

done_testing();
