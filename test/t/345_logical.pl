# A publication FOR ALL TABLES has the ledger's tables in it. A subscriber does
# not believe the publisher's ledger, is not stopped by it, and keeps its own.

use strict;
use warnings;

use TapmigClients;
use TapmigTest;
use Test::More;

my $publisher  = tapmig_node('publisher',  init => [ allows_streaming => 'logical' ]);
my $subscriber = tapmig_node('subscriber', init => [ allows_streaming => 'logical' ]);

my %script = (
	'001' => 'CREATE TABLE item (id int PRIMARY KEY, txt text)',
	'002' => 'ALTER TABLE item ADD extra text');

# Both have 001, each by itself: the same key in both ledgers.
is(apply($_, '001_item', $script{'001'}, source => $_->name)->{value}, 'applied', $_->name . ' applies 001')
  for $publisher, $subscriber;
is(apply($publisher, '000_publisher_only', 'SELECT 1')->{value}, 'applied', 'one that the publisher alone has');
run($publisher, '009_bad', 'SELECT 1/0');
sql_value($publisher, q{INSERT INTO item VALUES (1, 'before')});

sub ledger
{
	my ($node) = @_;
	return {
		map {
			my $r = sql_try($node, "SELECT x::text FROM tapmig.$_ x ORDER BY 1");
			($_ => $r->{ok} ? $r->{rows} : $r->{message})
		} qw(schema_migrations history scripts attempts)
	};
}

sub caught_up
{
	$publisher->wait_for_catchup('sub');
	return;
}

my $own = ledger($subscriber);
my $connection = $publisher->connstr('postgres');
sql_value($publisher, 'CREATE PUBLICATION everything FOR ALL TABLES');
my $subscribed = sql_try($subscriber, 'CREATE SUBSCRIPTION sub CONNECTION ' . quoted($connection) . ' PUBLICATION everything');
BAIL_OUT("no subscription: $subscribed->{message}") unless $subscribed->{ok};
$subscriber->wait_for_subscription_sync($publisher, 'sub');

is(sql_value($subscriber, q{SELECT count(*) FROM pg_subscription_rel WHERE srrelid::regclass::text LIKE 'tapmig.%'}),
	4, "the ledger's tables are in the publication");
is(sql_value($subscriber, q{SELECT string_agg(txt, ' ') FROM item}), 'before', 'the first copy of other tables came');
is_deeply(ledger($subscriber), $own, "but not the ledger's rows");
is(sql_value($subscriber, q{SELECT tapmig.is_applied('000')}), 'f', 'the subscriber does not believe that it has 000');
verify_is_clean($subscriber, 'subscriber, first copy');

# Running on: a version that the subscriber has too, one that it has not, and
# corrections, which are UPDATE and DELETE of ledger rows.
is(apply($subscriber, '002_extra', $script{'002'})->{value}, 'applied', 'the subscriber applies 002 before');
is(run($publisher, '002_extra', $script{'002'})->{value}, 'applied', 'and the publisher');
is(run($publisher, '003_publisher', q{INSERT INTO item VALUES (3, 'by 003')})->{value}, 'applied', 'one with data, by run');
is(apply($publisher, '004_publisher', q{UPDATE item SET extra = 'by 004' WHERE id = 1})->{value}, 'applied', 'one with an UPDATE');
caught_up();
is(sql_value($subscriber, q{SELECT string_agg(concat_ws('-', id, txt, extra), ' ' ORDER BY id) FROM item}),
	'1-before-by 004 3-by 003', 'their effects on other tables are replicated');

is(apply($publisher, '002_extra', "alter table item\nadd extra text;")->{value}, 'skipped', 'another layout: an UPDATE');
sql_value($publisher, q{SELECT tapmig.register('010')});
sql_value($publisher, q{SELECT tapmig.withdraw('010', 'a DELETE')});
sql_value($publisher, q{SELECT tapmig.accept('001', 'CREATE TABLE item (id int PRIMARY KEY)', 'an UPDATE')});
is(sql_try($publisher, q{UPDATE item SET txt = 'changed' WHERE id = 1})->{ok}, 1, 'UPDATE of another table on the publisher');
is(sql_try($publisher, q{DELETE FROM item WHERE id = 3})->{ok}, 1, 'and DELETE');
caught_up();
is(sql_value($subscriber, q{SELECT string_agg(concat_ws('-', id, txt), ' ' ORDER BY id) FROM item}),
	'1-changed', 'are replicated');

is_deeply([ map { $_->[0] } @{ sql_try($subscriber, 'SELECT version FROM tapmig.schema_migrations ORDER BY 1')->{rows} } ],
	[qw(001 002)], "the subscriber's ledger is its own");
is(sql_value($subscriber, q{SELECT source FROM tapmig.schema_migrations WHERE version = '001'}), 'subscriber', 'and so are its rows');
is(sql_value($subscriber, q{SELECT tapmig.is_applied('003')}), 'f', 'what only the publisher has is not applied');
is(sql_value($subscriber, 'SELECT count(*) FROM tapmig.attempts'), 0, "nor has it the publisher's attempts");
verify_is_clean($_, $_->name) for $publisher, $subscriber;

# Its own migrations go on under replication.
is(run($subscriber, '003_publisher', 'SELECT 3')->{value}, 'applied', 'the subscriber goes on');
sql_value($publisher, q{INSERT INTO item VALUES (7, 'last')});
caught_up();
is(sql_value($subscriber, q{SELECT count(*) FROM item WHERE id = 7}), 1, 'and replication');
is(sql_value($subscriber, 'SELECT apply_error_count + sync_error_count FROM pg_stat_subscription_stats'),
	0, 'the subscription met no error');
verify_is_clean($subscriber, 'subscriber, in the end');

sql_value($subscriber, 'DROP SUBSCRIPTION sub');

done_testing();
