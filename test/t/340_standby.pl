# A streaming hot standby answers what only reads, refuses what writes with 25006,
# and goes on where the primary ended when it is promoted.

use strict;
use warnings;

use TapmigClients;
use TapmigTest;
use Test::More;

my $primary = tapmig_node('primary', init => [ allows_streaming => 1 ]);

apply($primary, '001_first', 'CREATE TABLE first (i int)');
apply($primary, '003_third', 'CREATE TABLE third ()');
sql_value($primary, q{SELECT tapmig.register('004', 'SELECT 4')});
run($primary, '005_bad', 'SELECT 1/0');
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
apply($primary, '006_later', 'INSERT INTO first VALUES (6)');
$primary->wait_for_catchup($standby);

is(sql_value($standby, 'SELECT pg_is_in_recovery()'), 't', 'a standby');

# Reads
is(sql_value($standby, q{SELECT tapmig.is_applied('001_first')}), 't', 'is_applied: yes');
is(sql_value($standby, q{SELECT tapmig.is_applied('6')}),         't', 'is_applied: what came by replication');
is(sql_value($standby, q{SELECT tapmig.is_applied('002')}),       'f', 'is_applied: no');
is(sql_try($standby, q{SELECT tapmig.require('001')})->{ok},      1, 'require: open');
is_error(sql_try($standby, q{SELECT tapmig.require('002')}), 'TM006', qr/002/, 'require: closed');
is(sql_try($standby, q{CALL tapmig.wait_for('001')})->{ok}, 1, 'wait_for: there');
is_error(sql_try($standby, q{CALL tapmig.wait_for('002', '0')}), 'TM006', qr/002/, 'wait_for: not there');
is(sql_value($standby, q{SELECT tapmig.version_key('1.10') > tapmig.version_key('1.2')}), 't', 'version_key');
is(sql_value($standby, q{SELECT count(*) FROM tapmig.statements('SELECT 1; SELECT 2')}),  2,   'statements');
my $lint = q{SELECT statement, rule, message FROM tapmig.lint('ALTER TABLE first ALTER i TYPE text USING i + 0; CREATE VIEW v AS SELECT i FROM first; DROP VIEW v CASCADE; CREATE INDEX ON first (i); ALTER TABLE first ALTER i SET NOT NULL')};
is_deeply(sql_try($standby, $lint)->{rows}, sql_try($primary, $lint)->{rows}, "lint says what the primary's says");
cmp_ok(scalar @{ sql_try($standby, $lint)->{rows} }, '>=', 3, 'which is something');
is(sql_value($standby, 'SELECT count(*) FROM tapmig.schema_migrations'), 4, 'the table itself');
verify_is_clean($standby, 'standby');
is(sql_value($standby, q{SELECT count(*) FROM tapmig.verify((SELECT chain FROM tapmig.history ORDER BY seq DESC LIMIT 1))}),
	0, 'verify() with a head');
is(sql_value($standby, q{SELECT count(*) > 0 FROM tapmig.verify('\x00')}), 't', 'verify() with one that is not in it');

my $plan = q{SELECT version, state, action FROM tapmig.plan(ARRAY['001', '002', '003', '004', '005', '006', '007'])};
my $here = sql_try($standby, $plan);
is_deeply($here->{rows}, sql_try($primary, $plan)->{rows}, "plan says what the primary's says");
is_deeply([ map { $_->[1] } @{ $here->{rows} } ],
	[qw(applied out_of_order applied applied failed applied pending)], 'and what is so')
  or diag explain $here;

# Writes: whether there is something to do or not
for my $version ('001_first', '002_second')
{
	is_error(apply($standby, $version, 'CREATE TABLE first (i int)'), '25006', qr/apply.*recovery/, "apply of $version");
	is_error(run($standby, $version, 'CREATE TABLE first (i int)'), '25006', qr/run.*recovery/, "run of $version");
	is_error(sql_try($standby, "SELECT tapmig.register('$version')"), '25006', qr/register.*recovery/, "register of $version");
}
is_error(sql_try($standby, q{SELECT tapmig.accept('001', 'SELECT 1', 'why')}), '25006', qr/accept.*recovery/, 'accept');
is_error(sql_try($standby, q{SELECT tapmig.withdraw('004', 'why')}), '25006', qr/withdraw.*recovery/, 'withdraw');
is_error(sql_try($standby, q{SELECT tapmig.rehearse('SELECT 1')}), '25006', qr/rehearse.*recovery/, 'rehearse');
is_error(sql_try($standby, q{INSERT INTO tapmig.schema_migrations (version) VALUES ('9')}), '25006', undef, 'by hand');

# Promoted
my $waiter = session($standby);
$waiter->start(q{CALL tapmig.wait_for('007')});
ok(wait_event($standby, $waiter->pid, 'Extension'), 'a session waits on the standby');
$primary->stop('immediate');
$standby->promote;
ok($waiter->busy, 'and still when it is promoted');
is(apply($standby, '006_later', 'INSERT INTO first VALUES (6)')->{value}, 'skipped', 'promoted: what was there is skipped');
is(run($standby, '007_next', 'INSERT INTO first VALUES (7)')->{value}, 'applied', 'and the next is applied');
is($waiter->finish->{ok}, 1, 'the session goes on');
is(sql_value($standby, 'SELECT sum(i) FROM first'), 13, 'with its effect');
is(sql_value($standby,
		q{SELECT count(*) FROM tapmig.history WHERE seq > (SELECT max(seq) FROM tapmig.history WHERE version = '007')}),
	0, 'its event is the last');
verify_is_clean($standby, 'promoted');

done_testing();
