# The migrations in examples/ go in with the runner, once, and leave the same
# database as psql.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node  = tapmig_node('main');
my $dir   = top_dir() . '/examples/migrations';
my @files = sort glob("$dir/*.sql");

cmp_ok(scalar @files, '>=', 8, 'there are examples');

my ($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ]);
is($exit, 0, 'up') or diag $err;
is(scalar(() = $out =~ /^applied /mg), scalar @files, 'a line for each file');

($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ]);
is_deeply([ $exit, $out ], [ 0, '' ], 'the second time nothing is done') or diag $err;
is(sql_value($node, q{SELECT count(*) FROM tapmig.schema_migrations WHERE kind = 'applied' AND why <> ''}),
	scalar @files, 'each is in the ledger, with its reason');
is_deeply(sql_try($node, 'SELECT * FROM tapmig.verify()')->{rows}, [], 'verify finds nothing');

$node->safe_psql('postgres', 'CREATE DATABASE plain');
for my $file (@files)
{
	$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-1', '-o', '/dev/null', '-f', $file, 'plain' ],
		"psql takes $file");
}
is( dump_text($node, 'postgres', '-N', 'tapmig', '-e', 'plpgsql'),
	dump_text($node, 'plain', '-N', 'tapmig', '-e', 'plpgsql'),
	'the same dump as with psql');

done_testing();
