# An application asks its gate through a pooler, whose next client gets the session:
# require and wait leave no setting in it.

use strict;
use warnings;

use TapmigClients;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

is(apply($node, '1', 'SELECT 1')->{value}, 'applied', 'a version');
sql_try($node, 'CREATE ROLE asker');
my $major = int(sql_value($node, 'SHOW server_version_num') / 10000);

for my $limit (0, '5min')
{
	my $db = tapmig_database($node, "limit $limit");

	apply($node, '1', 'SELECT 1', dbname => $db);
	sql_try($node, qq{ALTER DATABASE "$db" SET statement_timeout = '$limit'});
	sql_try($node, qq{ALTER DATABASE "$db" SET search_path = public, "Odd"});

	sql_try($node, qq{ALTER DATABASE "$db" SET transaction_timeout = '400ms'}) if $limit && $major >= 17;

	my $bouncer = bouncer($node, 1);
	plan(skip_all => 'pgbouncer is not installed') unless defined $bouncer;
	my $application = session($bouncer, dbname => $db);
	my $settings = sub {
		return join '|', map { $application->try($_)->{value} } 'SELECT pg_backend_pid()', 'SHOW search_path', 'SHOW statement_timeout',
		  'SHOW idle_in_transaction_session_timeout', 'SHOW idle_session_timeout', 'SELECT current_user';
	};
	my $before = $settings->();
	like($before, qr/^\d+\|public, "Odd"\|$limit\|/, "limit $limit: the pool's session");

	for my $case ([ 0, 'require', '1' ], [ 6, 'require', '2' ], [ 0, 'require', '1', '--role', 'asker' ],
		[ 6, 'require', '1', '--track', 'other' ], [ 0, 'require', '1', '--statement-timeout', '10s' ],
		[ 0, 'wait', '1' ], [ 6, 'wait', '2', '--timeout', '10ms' ], [ 6, 'wait', '2', '--timeout', '2s' ], [ 6, 'wait', '2', '--timeout', '10ms', '--role', 'asker' ], [ 6, 'wait', '1', '--timeout', '10ms', '--track', 'other' ])
	{
		my ($expected, @args) = @$case;
		my $url = 'postgresql:///' . $db =~ s/ /%20/r . '?host=' . $bouncer->host . '&port=' . $bouncer->port;
		my ($exit, $out, $err) = run_tapmig($node, [ @args, '--db', $url ]);

		is($exit, $expected, "limit $limit: @args") or diag $out, $err;
		is($settings->(), $before, "limit $limit: @args: as before");
	}

	# An unknown role is the end, and all that is said.
	for my $args ([ 'require', '1' ], [ 'wait', '1' ])
	{
		my ($exit, $out, $err) = run_tapmig($node, [ @$args, '--role', 'nobody_there' ], dbname => $db);

		is($exit, 2, "limit $limit: @$args as nobody");
		is($err =~ s/^HINT:.*\n//mr, qq{tapmig: ERROR:  role "nobody_there" does not exist\n}, "limit $limit: @$args: it says so");
	}
	$application->close;
	$bouncer->stop;
}

done_testing();
