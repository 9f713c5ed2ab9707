# plan says "resume" exactly where the next run resumes, whatever the latest try
# was: one that never came to a step doesn't hide what an earlier one has done.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $script = "CREATE TABLE t%s (a int);\nCREATE UNIQUE INDEX CONCURRENTLY t%1\$s_a ON t%1\$s (a);\nSELECT 1 / count(*) FROM open;\n";

sql_try($node, 'CREATE TABLE open ()');

sub planned { return rows_of($node, "SELECT state, action FROM tapmig.plan(ARRAY['$_[0]']) p WHERE p.version = '$_[0]'"); }

# Runs it and looks whether it resumed as the plan said.
sub agrees
{
	my ($what, $version, $text, $planned, $outcome) = @_;

	is(planned($version), $planned, "$what: plan says $planned");
	my $r = run($node, $version, $text);
	is($r->{value} // $r->{sqlstate}, $outcome, "$what: run gives $outcome") or diag explain $r;
	my $resumed = grep { /goes on with step/ } @{ $r->{notices} };
	is($resumed ? 'resume' : 'run', (split /\|/, $planned)[1], "$what: it does what plan said");
	return;
}

# A parse error after finished steps
my $one = sprintf($script, 1);
agrees('first', '001', $one, 'pending|run', '22012');
is(run($node, '001', "$one SELECT FROM WHERE;")->{sqlstate}, '42601', 'then it has a syntax error');
is(rows_of($node, "SELECT outcome, steps_done FROM tapmig.attempts WHERE version = '001' ORDER BY id"), "failed|2\nfailed|0", 'the attempts');
is(run($node, '001', "$one \\gexec\n")->{sqlstate}, 'TM009', 'then a command of psql');
is(run($node, '001', "-- tapmig: nothing=1\n$one")->{sqlstate}, 'TM009', 'then an unknown directive');
agrees('after three that cannot be read', '001', $one, 'failed|resume', '22012');
is(run($node, '001', "$one SELECT FROM WHERE;")->{sqlstate}, '42601', 'a syntax error again');

# Under out_of_order = error a resume is still a resume.
run($node, '009', 'CREATE TABLE nine ()');
$node->safe_psql('postgres', "ALTER DATABASE postgres SET tapmig.out_of_order = 'error'");
is(planned('001'), 'failed|resume', 'out of order: resume');
$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET tapmig.out_of_order');

# Given up: nothing to resume, before and after another parse error
is(sql_try($node, "SELECT tapmig.abandon('001', 'begin anew')")->{sqlstate}, '', 'abandoned');
is(planned('001'), 'out_of_order|run', 'abandoned: run');
is(run($node, '001', "$one SELECT FROM WHERE;")->{sqlstate}, '42601', 'a syntax error after that');
sql_try($node, 'DROP TABLE t1');
agrees('abandoned, then a parse error', '001', $one, 'failed|run', '22012');
sql_try($node, 'INSERT INTO open DEFAULT VALUES');
agrees('open', '001', $one, 'failed|resume', 'applied');
is(planned('001'), 'applied|none', 'applied: nothing to do');

# Once more, up to its end
sql_try($node, 'TRUNCATE open');
my $two = sprintf($script, 2);
agrees('second', '012', $two, 'pending|run', '22012');
is(run($node, '012', "$two SELECT FROM WHERE;")->{sqlstate}, '42601', 'a syntax error');
sql_try($node, 'INSERT INTO open DEFAULT VALUES');
agrees('resumed', '012', $two, 'failed|resume', 'applied');

# One step alone that failed: stepwise, so it is resumed, at its first step.
sql_try($node, 'CREATE TABLE t3 AS SELECT 1 AS a FROM generate_series(1, 2)');
my $three = 'CREATE UNIQUE INDEX CONCURRENTLY t3_a ON t3 (a)';
is(run($node, '013', $three)->{sqlstate}, '23505', 'a single step fails');
is(planned('013'), 'failed|resume', 'a single step: resume');

# A script that was never stepwise is run; also when it could not be read.
is(run($node, '014', 'SELECT 1/0')->{sqlstate}, '22012', 'a transactional script fails');
is(planned('014'), 'failed|run', 'transactional: run');
is(run($node, '014', 'SELECT FROM WHERE')->{sqlstate}, '42601', 'with a syntax error');
is(planned('014'), 'failed|run', 'and run again');

# Registered, withdrawn: the old attempt is over.
sql_try($node, 'TRUNCATE open');
my $five = sprintf($script, 5);
agrees('fifth', '015', $five, 'pending|run', '22012');
is(sql_try($node, "SELECT tapmig.register('015')")->{value}, 'registered', 'registered');
sql_try($node, "SELECT tapmig.withdraw('015', 'by mistake')");
is(planned('015'), 'pending|run', 'withdrawn: run');
is(run($node, '015', "$five SELECT FROM WHERE;")->{sqlstate}, '42601', 'a syntax error');
sql_try($node, 'DROP TABLE t5');
agrees('withdrawn', '015', $five, 'failed|run', '22012');

# Of another track only that one's attempts count.
is(rows_of($node, "SELECT state, action FROM tapmig.plan(ARRAY['015'], track => 'other')"), 'pending|run', 'another track');

is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');
done_testing();
