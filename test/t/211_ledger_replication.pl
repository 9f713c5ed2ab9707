# A publication FOR ALL TABLES includes the ledger: a subscriber neither takes
# over what it brings, nor stops at it.

use strict;
use warnings;
use TapmigTest;
use Test::More;

my $publisher = tapmig_node('publisher', init => [ allows_streaming => 'logical' ]);
my $subscriber = tapmig_node('subscriber');

# The same version on both sides is the duplicate that stopped a subscription.
apply($publisher, '001_table', 'CREATE TABLE data (i int PRIMARY KEY)');
apply($subscriber, '001_table', 'CREATE TABLE data (i int PRIMARY KEY)');
$publisher->safe_psql('postgres', 'INSERT INTO data VALUES (1)');
apply($publisher, '002', 'INSERT INTO data VALUES (2)');
run($publisher, '003', 'SELECT 1/0');
$publisher->safe_psql('postgres', "SELECT tapmig.register('004')");
$publisher->safe_psql('postgres', 'CREATE PUBLICATION everything FOR ALL TABLES');

my $connection = $publisher->connstr . ' dbname=postgres';
$subscriber->safe_psql('postgres',
	"CREATE SUBSCRIPTION everything CONNECTION '$connection' PUBLICATION everything");
$subscriber->wait_for_subscription_sync($publisher, 'everything');

# INSERT, UPDATE and DELETE of all four tables, between rows of data.
$publisher->safe_psql('postgres', $_)
  for 'INSERT INTO data VALUES (3)',
  "SELECT tapmig.apply('005', 'INSERT INTO data VALUES (5)')",
  "SELECT tapmig.apply('005', 'INSERT   INTO data VALUES (5)')",
  "SELECT tapmig.accept('001', 'SELECT 1', 'a test')",
  "SELECT tapmig.withdraw('004', 'a test')",
  "UPDATE tapmig.attempts SET message = 'x'",
  'DELETE FROM tapmig.attempts',
  'DELETE FROM tapmig.scripts',
  'INSERT INTO data VALUES (6)';
$publisher->wait_for_catchup('everything');

is(sql_value($subscriber, "SELECT string_agg(i::text, ' ' ORDER BY i) FROM data"),
	'1 2 3 5 6', 'the data arrived');
is(sql_value($subscriber, "SELECT string_agg(version, ' ') FROM tapmig.schema_migrations"),
	'001', 'the ledger has what was applied here');
is(sql_value($subscriber, "SELECT string_agg(event, ' ') FROM tapmig.history"), 'applied', 'so has the history');
is(sql_value($subscriber, 'SELECT count(*) FROM tapmig.scripts'), 1, 'the script was kept');
is(sql_value($subscriber, 'SELECT count(*) FROM tapmig.attempts'), 0, 'no try came over');
is(sql_value($subscriber, 'SELECT count(*) FROM tapmig.verify()'), 0, 'verify() is clean');
is(sql_value($subscriber, 'SELECT apply_error_count + sync_error_count FROM pg_stat_subscription_stats'),
	0, 'the subscription never failed');

$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION everything');
done_testing();
