# Statements in a pipeline (libpq's pipeline mode, a batch of JDBC's) are one
# transaction up to its end: run behind another one commits nothing of it.

use strict;
use warnings;

use IPC::Run ();
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

sql_try($node, 'CREATE TABLE t (i int PRIMARY KEY)');

# Sends the statements in one pipeline; returns pgbench's errors.
sub pipeline
{
	my (@statements) = @_;
	my $script = write_file(scratch_dir() . '/script', join '', map { s/\s*\n\s*/ /gr . ";\n" } @statements);
	my $text = read_file($script);
	my $err = '';

	write_file($script, "\\startpipeline\n$text\\endpipeline\n");
	IPC::Run::run([ 'pgbench', '-n', '-h', $node->host, '-p', $node->port, '-t', 1, '-M', 'extended', '-f', $script, 'postgres' ],
		'<', \undef, '>', \my $ignored, '2>', \$err, IPC::Run::timeout(120));
	return join ' ', $err =~ /(?:ERROR|HINT|DETAIL): .*/g;
}

sub there
{
	return sql_value($node, q{SELECT coalesce(string_agg(i::text, ' ' ORDER BY i), '') FROM t}) . ' / '
	  . sql_value($node, q{SELECT coalesce(string_agg(version, ' ' ORDER BY version), '') FROM tapmig.schema_migrations});
}

is(pipeline(q{INSERT INTO t VALUES (1)}, q{CALL tapmig.run('001', $s$ INSERT INTO t VALUES (2) $s$)},
		q{SELECT tapmig.apply('002', $s$ INSERT INTO t VALUES (3) $s$)}, q{INSERT INTO t VALUES (4)}), '', 'run in a pipeline');
is(there(), '1 2 3 4 / 001 002', 'all of it is there');

like(pipeline(q{INSERT INTO t VALUES (5)}, q{CALL tapmig.run('003', $s$ INSERT INTO t VALUES (6) $s$)},
		q{INSERT INTO t VALUES (1)}), qr/duplicate key/, 'a statement behind run fails');
is(there(), '1 2 3 4 / 001 002', 'nothing of the pipeline is there');

like(pipeline(q{INSERT INTO t VALUES (5)}, q{CALL tapmig.run('003', $s$ INSERT INTO t VALUES (1) $s$)}),
	qr/duplicate key/, 'the script fails');
is(there(), '1 2 3 4 / 001 002', 'nothing of the pipeline is there');

like(pipeline(q{INSERT INTO t VALUES (5)}, q{CALL tapmig.run('003', $s$ CREATE INDEX CONCURRENTLY ON t (i) $s$)}),
	qr/CREATE INDEX CONCURRENTLY.*HINT:  CALL tapmig\.run\('003', script\) at top level/, 'a stepwise script is refused');
is(there(), '1 2 3 4 / 001 002', 'nothing of the pipeline is there');

like(pipeline(q{INSERT INTO t VALUES (5)}, q{CALL tapmig.wait_for('001', '1 s')}), qr/tapmig\.wait_for cannot be called/, 'and so is wait_for');
is(there(), '1 2 3 4 / 001 002', 'nothing of the pipeline is there');

is(pipeline(q{CALL tapmig.run('003', $s$ CREATE INDEX CONCURRENTLY at_first ON t (i) $s$)}, q{INSERT INTO t VALUES (5)}), '', 'run comes first');
is(there(), '1 2 3 4 5 / 001 002 003', 'it runs in any shape');

done_testing();
