# A session remembers which relations are the ledger's. It has to forget them when
# the extension is dropped and made anew, by itself or by another session.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node    = tapmig_node('main');
my $session = session($node);

sub is_applied_once
{
	my ($name) = @_;

	is($session->try("SELECT tapmig.apply('1', 'SELECT 1')")->{value}, 'applied', "$name: applied");
	is($session->try("SELECT tapmig.apply('1', 'SELECT 1')")->{value}, 'skipped', "$name: and known");
	is(sql_value($node, "SELECT count(*) FROM tapmig.history WHERE version = '1'"), 1, "$name: others see it");
	is(sql_value($node, 'SELECT count(*) FROM tapmig.verify()'), 0, "$name: verify()");
}

is_applied_once('at first');

$session->try('DROP EXTENSION tapmig');
$session->try('CREATE EXTENSION tapmig');
is_applied_once('made anew');

$node->safe_psql('postgres', 'DROP EXTENSION tapmig; CREATE EXTENSION tapmig');
is_applied_once('made anew by another session');

$session->try($_) for 'BEGIN', 'DROP EXTENSION tapmig', 'CREATE EXTENSION tapmig';
is($session->try("SELECT tapmig.apply('1', 'SELECT 1')")->{value}, 'applied', 'made anew in a transaction');
$session->try('ROLLBACK');
is($session->try("SELECT tapmig.apply('1', 'SELECT 1')")->{value}, 'skipped', 'that is rolled back');

$session->try('BEGIN');
$session->try('SAVEPOINT s');
$session->try('DROP EXTENSION tapmig');
is_error($session->try("SELECT tapmig.apply('2', 'SELECT 1')"), '3F000', qr/schema "tapmig" does not exist/, 'dropped in a subtransaction');
$session->try('ROLLBACK TO s');
is($session->try("SELECT tapmig.apply('2', 'SELECT 1')")->{value}, 'applied', 'and back');
$session->try('COMMIT');

# REINDEX CONCURRENTLY puts another relation in a name's place.
for my $index (qw(schema_migrations_key schema_migrations_replaces history_pkey scripts_pkey attempts_track_version))
{
	$node->safe_psql('postgres', "REINDEX INDEX CONCURRENTLY tapmig.$index");
}
is($session->try("SELECT tapmig.apply('3', 'SELECT 3')")->{value}, 'applied', 'behind REINDEX CONCURRENTLY');
is($session->try("SELECT tapmig.apply('3', 'SELECT 3')")->{value}, 'skipped', 'and known');
is(sql_value($node, 'SELECT count(*) FROM tapmig.verify()'), 0, 'verify()');

done_testing();
