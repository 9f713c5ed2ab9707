# A run that waits for the ledger's table sees what is in it then, also where the
# table was written anew meanwhile: its rows are then as young as that.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my ($first, $second, $owner) = map { session($node) } 1 .. 3;
my $script = 'CREATE TABLE t (i int)';

$first->try('BEGIN');
is($first->try("SELECT tapmig.apply('1', '$script')")->{value}, 'applied', 'applied, and not committed');
$second->start("CALL tapmig.run('1', '$script')");
ok(wait_event($node, $second->pid, 'Extension'), 'another session waits for it');
$owner->try('BEGIN');
$owner->start('ALTER TABLE tapmig.schema_migrations SET UNLOGGED');
ok(wait_event($node, $owner->pid, 'relation'), 'for the table');
$first->try('COMMIT');
ok($owner->finish->{ok}, 'the table is written anew');
ok(wait_event($node, $second->pid, 'relation'), 'for the table');
$owner->try('COMMIT');
is($second->finish->{value}, 'skipped', 'the run sees the version in it');

done_testing();
