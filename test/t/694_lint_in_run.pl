# run and apply ask lint before a script runs: tapmig.lint says what comes of it.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

sql_try($node, 'CREATE TABLE t AS SELECT g AS a, g AS b FROM generate_series(1, 300) g; ANALYZE t');

my $rewrites = 'ALTER TABLE t ALTER a TYPE bigint';
my $error    = '-c tapmig.lint=error -c tapmig.lint_rows=100';
my $n        = 10;

sub warnings_of
{
	my ($r) = @_;
	return grep { /^WARNING: .*statement \d+, line \d+: [a-z-]+: / } @{ $r->{notices} };
}

sub type_of_a { return sql_value($node, "SELECT format_type(atttypid, -1) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'a'"); }

for my $call (\&run, \&apply)
{
	my $what = $call == \&run ? 'run' : 'apply';
	my $r = $call->($node, $n, $rewrites, options => $error);
	is_error($r, 'TM007', qr/^lint refuses migration $n$/, "$what: refused");
	like($r->{detail}, qr/^statement 1, line 1: [a-z-]+: ACCESS EXCLUSIVE on t \(.*300 rows/m, "$what: with the facts");
	like($r->{hint}, qr/"-- tapmig: allow=[a-z-]+"/, "$what: and the way out");
	my ($rule) = $r->{hint} =~ /allow=([a-z-]+)/;
	is(type_of_a(), 'integer', "$what: nothing has run");
	is(sql_value($node, "SELECT count(*) FROM tapmig.attempts WHERE version = '$n'"), 0, "$what: nothing was tried");

	$r = $call->($node, $n, "-- tapmig: allow=$rule\n$rewrites", options => $error);
	is($r->{value}, 'applied', "$what: allowed");
	is(scalar(warnings_of($r)), 0, "$what: without a word");
	sql_try($node, 'ALTER TABLE t ALTER a TYPE int');
	$n++;

	$r = $call->($node, $n, $rewrites, options => '-c tapmig.lint=error');
	is($r->{value}, 'applied', "$what: a table that small is no error");
	cmp_ok(scalar(warnings_of($r)), '>=', 1, "$what: but a WARNING");
	sql_try($node, 'ALTER TABLE t ALTER a TYPE int');
	$n++;

	$r = $call->($node, $n, $rewrites, options => '-c tapmig.lint_rows=100');
	is($r->{value}, 'applied', "$what: by default it runs");
	cmp_ok(scalar(warnings_of($r)), '>=', 1, "$what: with a WARNING");
	is($call->($node, $n, $rewrites, options => $error)->{value}, 'skipped', "$what: what is applied is not judged again");
	sql_try($node, 'ALTER TABLE t ALTER a TYPE int');
	$n++;

	$r = $call->($node, $n, $rewrites, options => '-c tapmig.lint=off -c tapmig.lint_rows=100');
	is($r->{value}, 'applied', "$what: off");
	is(scalar(warnings_of($r)), 0, "$what: not a word");
	sql_try($node, 'ALTER TABLE t ALTER a TYPE int');
	$n++;
}

# A stepwise script is refused before its worker begins; a WARNING comes once.
my $r = run($node, $n, "VACUUM t;\n$rewrites;\n", options => $error);
is_error($r, 'TM007', undef, 'stepwise: refused');
is(sql_value($node, "SELECT count(*) FROM tapmig.attempts WHERE version = '$n'"), 0, 'stepwise: no step was begun');
$r = run($node, $n, "VACUUM t;\n$rewrites;\n", options => '-c tapmig.lint_rows=100');
is($r->{value}, 'applied', 'stepwise: applied');
my %seen;
$seen{$_}++ for warnings_of($r);
ok(%seen && !grep({ $_ > 1 } values %seen), 'stepwise: each WARNING once');
sql_try($node, 'ALTER TABLE t ALTER a TYPE int');
$n++;

# What tapmig.run takes out of the script's own BEGIN and COMMIT, or cuts the
# transaction before, is no error.
sql_try($node, "CREATE TYPE mood AS ENUM ('glad'); CREATE TABLE moods (mood mood)");
my @works = (
	[ 'CONCURRENTLY alone', 'BEGIN; CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a); COMMIT;', 0 ],
	[ 'with something else', 'BEGIN; CREATE TABLE u (a int); VACUUM t; COMMIT;', 1 ],
	[ 'an added value', "BEGIN; ALTER TYPE mood ADD VALUE 'new'; INSERT INTO moods VALUES ('new'); COMMIT;", 1 ]);
for my $case (@works)
{
	my ($name, $script, $said) = @$case;
	$r = run($node, $n++, $script, options => $error);
	is($r->{value}, 'applied', "$name: applied") or diag($r->{message});
	is(scalar(grep { /line \d+: warning: / } warnings_of($r)), $said, "$name: $said warnings");
	is(scalar(warnings_of($r)), $said, "$name: no error");
}

# Nor is it repeated by a try that is.
my $blocker = session($node);
$blocker->try($_) for 'BEGIN', 'SELECT * FROM t';
$r = run($node, $n, $rewrites, options => '-c tapmig.lint_rows=100 -c tapmig.lock_timeout=50ms -c tapmig.lock_retries=2');
is_error($r, 'TM005', undef, 'tried three times');
%seen = ();
$seen{$_}++ for warnings_of($r);
ok(%seen && !grep({ $_ > 1 } values %seen), 'tried three times: each WARNING once');

done_testing();
