# REINDEX CONCURRENTLY gives an index's name to another one. Whoever reads the ledger
# may have looked the old one up by then.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my ($reader, $owner) = map { session($node) } 1 .. 2;

sub run_ok
{
	my ($session, $sql) = @_;
	my $result = $session->try($sql);

	ok($result->{ok}, $sql) or diag($result->{message});
	return;
}

run_ok($reader, "SELECT tapmig.apply('1', 'SELECT 1')");

# What the last transaction of REINDEX CONCURRENTLY but two does, while the reader is
# between the name and the index.
my $index = 'schema_migrations_key';

run_ok($owner, $_)
  for 'BEGIN',
  "ALTER INDEX tapmig.$index SET TABLESPACE pg_default",
  "CREATE UNIQUE INDEX new_one ON tapmig.schema_migrations (track, tapmig.version_key(version) COLLATE \"C\")";
$reader->start("SELECT tapmig.is_applied('1')");
ok(wait_blocked($node, $reader->pid), 'the reader waits for the index');
run_ok($owner, $_)
  for "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'tapmig.$index'::regclass",
  "ALTER INDEX tapmig.$index RENAME TO old_one",
  "ALTER INDEX tapmig.new_one RENAME TO $index",
  'COMMIT';
my $result = $reader->finish;
is($result->{value}, 't', 'it reads by the one that has the name now') or diag($result->{message});
run_ok($owner, 'DROP INDEX tapmig.old_one');
run_ok($reader, "SELECT tapmig.apply('2', 'SELECT 2')");

# One that is not valid is still told.
run_ok($owner, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'tapmig.$index'::regclass");
is_error($reader->try("SELECT tapmig.is_applied('1')"), '55000',
	qr/index "tapmig.$index" is missing or not valid/, 'an index that is not valid');
run_ok($owner, "REINDEX INDEX tapmig.$index");
is($reader->try("SELECT tapmig.is_applied('1')")->{value}, 't', 'made again');
is(sql_value($node, 'SELECT count(*) FROM tapmig.verify()'), 0, 'verify()');

done_testing();
