# A session remembers which relations are the ledger's. It has to forget them when
# the extension is dropped and made anew, by itself or by another session.

use strict;
use warnings;

use TapmigTest;
use Test::More;

# Where rows lie is looked at: nobody else's snapshot is to keep old ones.
my $node    = tapmig_node('main', conf => "autovacuum = off\n");
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

# So is the place of the extension's own row, of which no invalidation tells.
my $place = "SELECT ctid FROM pg_extension WHERE extname = 'tapmig'";

sub move_last
{
	my ($extension) = @_;

	$node->safe_psql('postgres', "UPDATE pg_extension SET extrelocatable = extrelocatable WHERE extname = '$extension'");
	$node->safe_psql('postgres', 'VACUUM FULL pg_extension');
	return;
}
move_last('plpgsql');
my $first = sql_value($node, $place);

is($session->try("SELECT tapmig.apply('3', 'SELECT 3')")->{value}, 'skipped', 'its row is seen at its place');
move_last('tapmig');
isnt(sql_value($node, $place), $first, 'its row is elsewhere');
is(sql_value($node, "SELECT extname FROM pg_extension WHERE ctid = '$first'"), 'plpgsql', 'and another there');
is($session->try("SELECT tapmig.apply('4', 'SELECT 4')")->{value}, 'applied', 'it is found');
$node->safe_psql('postgres', "UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'tapmig'");
is_error($session->try("SELECT tapmig.apply('5', 'SELECT 5')"), '55000', qr/at version 0.0.1/, 'its version is the new one');
$node->safe_psql('postgres', "UPDATE pg_extension SET extversion = '" . sql_value($node, "SELECT default_version FROM pg_available_extensions WHERE name = 'tapmig'") . "' WHERE extname = 'tapmig'");
is($session->try("SELECT tapmig.apply('5', 'SELECT 5')")->{value}, 'applied', 'again');
is(sql_value($node, 'SELECT count(*) FROM tapmig.verify()'), 0, 'verify()');

# It is dropped while a session waits for one of its tables.
my $owner = session($node);

for my $again ('', 'CREATE EXTENSION tapmig')
{
	ok($owner->try($_)->{ok}, $_) for 'BEGIN', 'DROP EXTENSION tapmig', $again || ();
	$session->start("SELECT tapmig.apply('6', 'SELECT 6')");
	ok(wait_blocked($node, $session->pid), 'a session waits for a table');
	$owner->try('COMMIT');
	is_error($session->finish, '55000', qr/extension "tapmig" was dropped meanwhile/, $again || 'DROP EXTENSION');
	$node->safe_psql('postgres', 'CREATE EXTENSION IF NOT EXISTS tapmig');
}
is_applied_once('made anew meanwhile');

# Or while it waits for the migration lock, whose key is the extension's.
my $holder = session($node);
my $waiter = session($node);

$holder->try('BEGIN');
is($holder->try("SELECT tapmig.apply('7', 'SELECT 7')")->{value}, 'applied', 'the track is held');
$waiter->start("CALL tapmig.run('8', 'CREATE TABLE eight (i int)')");
ok(wait_event($node, $waiter->pid, 'Extension'), 'a run waits for it');
ok($owner->try("SET lock_timeout = '20s'")->{ok}, 'nobody waits for a stopped process');
kill('STOP', $waiter->pid);
$holder->try('COMMIT');
ok($owner->try($_)->{ok}, $_) for 'DROP EXTENSION tapmig', 'CREATE EXTENSION tapmig';
kill('CONT', $waiter->pid);
is_error($waiter->finish, '55000', qr/extension "tapmig" was dropped meanwhile/, 'it has the lock of the old one');
is(sql_value($node, "SELECT to_regclass('eight') IS NULL"), 't', 'nothing was run');
is_applied_once('made anew during a wait');

done_testing();
