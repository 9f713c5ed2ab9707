# A publication FOR ALL TABLES, and both sides apply the same versions themselves,
# in either order, with steps and without: the subscription never stops, and each
# ledger is its own. A database that had the tables before the first copy goes on
# as well, and so does a subscriber that becomes the publisher.

use strict;
use warnings;

use TapmigClients;
use TapmigStepwise;
use TapmigTest;
use Test::More;

my @conf = (init => [ allows_streaming => 'logical' ], conf => "autovacuum = off\nmax_worker_processes = 16\nwal_retrieve_retry_interval = 200ms\n");
my $publisher  = tapmig_node('publisher',  @conf);
my $subscriber = tapmig_node('subscriber', @conf);
my %script = (
	'001_item.sql'  => "CREATE TABLE item (id int PRIMARY KEY, txt text);\n",
	'002_extra.sql' => "ALTER TABLE item ADD extra text;\n",
	'003_steps.sql' => "ALTER TABLE item ADD a int;\nCREATE INDEX CONCURRENTLY item_a ON item (a);\nALTER TABLE item ADD b int;\nVACUUM item;\n",
	'004_steps.sql' => "CREATE TABLE second (id int PRIMARY KEY);\nCREATE UNIQUE INDEX CONCURRENTLY item_txt ON item (txt);\nALTER TABLE item ALTER b SET DEFAULT 4;\n",
	'005_table.sql' => "CREATE TABLE third (id int PRIMARY KEY);\n",
	'006_data.sql'  => "ALTER TABLE item ADD c int;\n");
my $dir = migrations_dir(\%script);
my $row = 0;

sub up
{
	my ($node, $to, $expected) = @_;
	my ($exit, $out, $err) = run_tapmig($node, [ 'up', '--to', $to, '--dir', $dir ]);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($exit, 0, $node->name . ": up to $to") or diag $err;
	is($out =~ s/ \(\d+ ms\)//gr, $expected, $node->name . ": applied") if defined $expected;
	return;
}

sub ledger
{
	my ($node) = @_;
	return { map { my $r = sql_try($node, "SELECT x::text FROM tapmig.$_ x ORDER BY 1"); ($_ => $r->{ok} ? $r->{rows} : $r->{message}) }
		  qw(schema_migrations history scripts attempts) };
}

# A new row of data arrives behind all that was done, and no error was met.
sub arrives
{
	my ($name, $from, $to, $subscription) = @_;

	$row++;
	sql_value($from, "INSERT INTO item (id, txt) VALUES ($row, 'row $row')");
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(wait_until($to, "SELECT EXISTS (SELECT FROM item WHERE id = $row)"), "$name: data goes on");
	is(sql_value($to, "SELECT apply_error_count + sync_error_count FROM pg_stat_subscription_stats WHERE subname = '$subscription'"), 0, "$name: the subscription met no error");
	verify_is_clean($_, "$name, " . $_->name) for $from, $to;
	return;
}

# Both have it before the first copy. The publisher has data, the subscriber none.
up($_, '001', "applied 001_item\n") for $publisher, $subscriber;
is_error(run($publisher, '000.1', 'SELECT 1/0'), '22012', undef, 'a failed try on the publisher');
sql_value($publisher, q{INSERT INTO item VALUES (1000, 'before')});
my $own = ledger($subscriber);
sql_value($publisher, 'CREATE PUBLICATION everything FOR ALL TABLES');
sql_value($subscriber, 'CREATE SUBSCRIPTION s CONNECTION ' . quoted($publisher->connstr('postgres')) . ' PUBLICATION everything WITH (copy_data = true)');
$subscriber->wait_for_subscription_sync($publisher, 's');
is(sql_value($subscriber, 'SELECT txt FROM item'), 'before', 'the first copy brings the data');
is_deeply(ledger($subscriber), $own, "and leaves the subscriber's ledger as it was");
arrives('first copy', $publisher, $subscriber, 's');

# The subscriber first, then the publisher: additions go this way.
up($subscriber, '002', "applied 002_extra\n");
arrives('002 on the subscriber only', $publisher, $subscriber, 's');
up($publisher, '002', "applied 002_extra\n");
arrives('002, subscriber first', $publisher, $subscriber, 's');

# With steps, subscriber first
up($subscriber, '003', "applied 003_steps\n");
up($publisher, '003', "applied 003_steps\n");
arrives('003, with steps, subscriber first', $publisher, $subscriber, 's');

# With steps, publisher first, while the subscriber's own run stands in its build:
# the rows of the publisher's attempt come in the middle of it.
my $holder = holder($subscriber);
my $up = start_tapmig($subscriber, [ 'up', '--to', '004', '--dir', $dir ]);
ok(wait_build($subscriber), 'the subscriber builds its index');
up($publisher, '004', "applied 004_steps\n");
arrives('004 on the publisher, under way on the subscriber', $publisher, $subscriber, 's');
is(rows_of($subscriber, 'SELECT version, step_running FROM tapmig.running'), '004|2', 'the subscriber says what it does itself');
$subscriber->psql('postgres', "SELECT pg_terminate_backend(@{[ worker_pid($subscriber) ]})");
isnt(($up->finish)[0], 0, 'it is stopped');
$holder->close;
is(rows_of($subscriber, q{SELECT state, action FROM tapmig.plan(ARRAY['001', '002', '003', '004'])}), "applied|none\n" x 3 . 'interrupted|resume', 'and knows it');
up($subscriber, '004', "applied 004_steps\n");
is(valid($_, 'item_txt'), 't', $_->name . ': the index is valid') for $publisher, $subscriber;
is(rows_of($subscriber, q{SELECT outcome, count(*) FROM tapmig.attempts GROUP BY 1 ORDER BY 1}), "applied|2\ninterrupted|1", 'its attempts are its own');
arrives('004, with steps', $publisher, $subscriber, 's');

# A transactional one, publisher first; new tables come with a REFRESH.
up($publisher, '005', "applied 005_table\n");
arrives('005 on the publisher only', $publisher, $subscriber, 's');
up($subscriber, '005', "applied 005_table\n");
is(sql_try($subscriber, 'ALTER SUBSCRIPTION s REFRESH PUBLICATION')->{ok}, 1, 'REFRESH');
$subscriber->wait_for_subscription_sync($publisher, 's');
sql_value($publisher, 'INSERT INTO third VALUES (1)');
ok(wait_until($subscriber, 'SELECT count(*) = 1 FROM third'), 'and the new table is replicated');
arrives('005', $publisher, $subscriber, 's');

# The publisher's corrections are its own too.
my $before = ledger($subscriber);
sql_value($publisher, $_) for q{SELECT tapmig.register('000.2')}, q{SELECT tapmig.withdraw('000.2', 'no')},
  q{SELECT tapmig.accept('002', 'ALTER TABLE item ADD extra text', 'without an end')};
is_error(run($publisher, '000.3', 'SELECT 1; VACUUM item; SELECT 1/0;'), '22012', undef, 'one that fails in its middle');
sql_value($publisher, q{SELECT tapmig.abandon('000.3', 'given up')});
arrives('corrections', $publisher, $subscriber, 's');
is_deeply(ledger($subscriber), $before, "the subscriber's ledger is as it was");

# One that the subscriber has not, with a column that then has data: the
# subscription waits for it, and goes on when it is applied there.
up($publisher, '006', "applied 006_data\n");
sql_value($publisher, 'INSERT INTO item (id, c) VALUES (2000, 6)');
ok(wait_until($subscriber, q{SELECT apply_error_count > 0 FROM pg_stat_subscription_stats WHERE subname = 's'}), '006 on the publisher only: a row with its column stops at the subscriber');
up($subscriber, '006', "applied 006_data\n");
ok(wait_until($subscriber, 'SELECT c = 6 FROM item WHERE id = 2000'), '006 on the subscriber: it goes on');
verify_is_clean($_, '006, ' . $_->name) for $publisher, $subscriber;

# The other way round: the subscriber becomes the publisher, copy and all.
sql_value($subscriber, 'DROP SUBSCRIPTION s');
sql_value($publisher, 'TRUNCATE item, second, third');
$own = ledger($publisher);
sql_value($subscriber, 'CREATE PUBLICATION everything FOR ALL TABLES');
sql_value($publisher, 'CREATE SUBSCRIPTION back CONNECTION ' . quoted($subscriber->connstr('postgres')) . ' PUBLICATION everything');
$publisher->wait_for_subscription_sync($subscriber, 'back');
is_deeply(ledger($publisher), $own, "the former publisher's ledger is as it was");
arrives('the other way round', $subscriber, $publisher, 'back');
write_file("$dir/007_last.sql", "CREATE INDEX CONCURRENTLY item_b ON item (b);\nALTER TABLE item ADD d int;\n");
up($_, '007', "applied 007_last\n") for $publisher, $subscriber;
arrives('007', $subscriber, $publisher, 'back');
my @exits = map { (run_tapmig($_, [ 'status', '--dir', $dir ]))[0] } $publisher, $subscriber;
is("@exits", '0 0', 'both have everything');
sql_value($publisher, 'DROP SUBSCRIPTION back');

# Both ways at once, and nothing but the ledgers: each row that comes back would be
# one more.
my %other = ($publisher->name => $subscriber, $subscriber->name => $publisher);
sql_value($_, 'CREATE PUBLICATION ledgers FOR TABLES IN SCHEMA tapmig') for $publisher, $subscriber;
my %own = map { $_->name => ledger($_) } $publisher, $subscriber;
sql_value($_, 'CREATE SUBSCRIPTION from_' . $other{ $_->name }->name . ' CONNECTION ' . quoted($other{ $_->name }->connstr('postgres')) . ' PUBLICATION ledgers')
  for $publisher, $subscriber;
$_->wait_for_subscription_sync($other{ $_->name }, 'from_' . $other{ $_->name }->name) for $publisher, $subscriber;
is_deeply(ledger($_), $own{ $_->name }, $_->name . ": the first copy leaves its ledger as it was") for $publisher, $subscriber;
write_file("$dir/008_both.sql", "ALTER TABLE item ADD e int;\nVACUUM item;\n");
up($_, '008', "applied 008_both\n") for $publisher, $subscriber;
is_error(run($publisher, '009', 'SELECT 1; VACUUM item; SELECT 1/0;'), '22012', undef, 'and what one of them did');
sql_value($publisher, q{SELECT tapmig.abandon('009', 'given up')});
sql_value($subscriber, q{SELECT tapmig.accept('008', 'SELECT 8', 'on one side')});
sql_value($subscriber, q{DELETE FROM tapmig.attempts WHERE version = '008'});
%own = map { $_->name => ledger($_) } $publisher, $subscriber;
$other{ $_->name }->wait_for_catchup('from_' . $other{ $_->name }->name) for $publisher, $subscriber;
for my $node ($publisher, $subscriber)
{
	is_deeply(ledger($node), $own{ $node->name }, $node->name . ': its ledger is its own');
	is(sql_value($node, 'SELECT sum(apply_error_count + sync_error_count) FROM pg_stat_subscription_stats'), 0, $node->name . ': and its subscription met no error');
	verify_is_clean($node, 'both ways, ' . $node->name);
}
sql_value($_, 'DROP SUBSCRIPTION from_' . $other{ $_->name }->name) for $publisher, $subscriber;

done_testing();
