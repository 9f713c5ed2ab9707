# The whole path on two databases, staging and prod: new, up, dump, check,
# promote too early and later, regret, compensate, register, gates. Under dash
# and busybox.

use strict;
use warnings;

use IPC::Run ();
use JSON::PP ();
use TapmigTest;
use Test::More;

my $node  = tapmig_node('main');
my $tried = 0;
my ($exit, $out, $err);

for my $shell ('dash', 'busybox sh')
{
	my ($program) = $shell =~ /^(\w+)/;
	SKIP:
	{
		skip "no $program", 1 if system("command -v $program >/dev/null") != 0;
		walk($shell);
		$tried++;
	}
}
cmp_ok($tried, '>', 0, 'a shell was tried');

sub walk
{
	my ($shell) = @_;
	my ($name) = $shell =~ /^(\w+)/;
	my ($staging, $prod) = map { tapmig_database($node, "${_}_$name") } qw(staging prod);
	my $home = scratch_dir();
	my $bin  = write_file("$home/tapmig", "#!/bin/sh\nexec $shell '@{[ tapmig_bin() ]}' \"\$@\"\n");
	chmod 0755, $bin;
	mkdir "$home/migrations";

	# From the team's directory; the exit code.
	my $on = sub {
		my ($db, @arguments) = @_;

		($exit, $out, $err) = run_tapmig($node, \@arguments, dbname => $db, cwd => $home, env => { TAPMIG_BIN => $bin });
		$out =~ s/ \(\d+ ms\)//g;
		return $exit;
	};
	my $file = sub { my ($file, $sql) = @_; return write_file("$home/migrations/$file", $sql); };

	# What staging says of itself, some hours later for these versions.
	my $later = sub {
		my (%hours) = @_;

		$on->($staging, 'status', '--json');
		my $status = JSON::PP::decode_json($out);
		for my $version (@{ $status->{versions} })
		{
			my $hours = $hours{ $version->{version} } // $hours{all};
			$version->{applied_at} = sql_value($node, "SELECT timestamptz '$version->{applied_at}' - interval '$hours hours'") if $hours;
		}
		return write_file("$home/staging.json", JSON::PP::encode_json($status));
	};

	# new, up
	is($on->($staging, 'new', 'agents') . $out, "0migrations/001_agents.sql\n", "$shell: new");
	$file->('001_agents.sql', "-- Why: the inventory\nCREATE TABLE agents (id int PRIMARY KEY, state varchar(9) CHECK (state IN ('up', 'down')));\n");
	is($on->($staging, 'new', 'add', 'agents', 'last', 'seen') . $out, "0migrations/002_add_agents_last_seen.sql\n", "$shell: the next number");
	$file->('002_add_agents_last_seen.sql', "-- Why: silent ones\nALTER TABLE agents ADD last_seen date;\nCREATE INDEX CONCURRENTLY ON agents (last_seen);\n");
	is($on->($staging, 'plan', '--markdown'), 0, "$shell: plan");
	like($out, qr/^\| 002 \| add_agents_last_seen \| stepwise \| 2 \|$/m, "$shell: for the pull request");
	is($on->($staging, 'up') . $out, "0applied 001_agents\napplied 002_add_agents_last_seen\n", "$shell: up") or diag $err;
	is($on->($staging, 'up') . $out . $err, '0', "$shell: and again");

	# dump, check
	is($on->($staging, 'check'), 5, "$shell: no schema.sql yet");
	is($on->($staging, 'dump') . $out . $err, '0', "$shell: dump");
	is($on->($staging, 'check') . $out . $err, '0', "$shell: check");
	is($on->($prod, 'check', '--db', "dbname=$prod"), 5, "$shell: prod has nothing yet");
	my $schema = read_file("$home/migrations/schema.sql");
	my $built = "built_$name";
	$node->safe_psql('postgres', "CREATE DATABASE $built");
	$node->psql($built, $schema, on_error_die => 1);
	is($on->($built, 'up') . $out . $err, '0', "$shell: a database from schema.sql has it all");
	is($on->($built, 'dump', '--out', '-') . $out, "0$schema", "$shell: and dumps the same bytes");

	# promote
	is($on->($prod, 'promote', '--from', $later->(), '--soak', '24h'), 6, "$shell: promote too early");
	is(scalar(() = $out =~ /^waiting .* left$/mg), 2, "$shell: both wait");
	is(sql_value($node, "SELECT count(*) FROM tapmig.schema_migrations", dbname => $prod), 0, "$shell: nothing went");
	is($on->($prod, 'promote', '--from', $later->('001' => 30, '002' => 23)), 6, "$shell: one is old enough");
	like($out, qr/\Aapplied 001_agents\nwaiting 002_add_agents_last_seen .*: 0?0:5\d:\d\d left|\Aapplied 001_agents\nwaiting 002_add_agents_last_seen .*: 01:00:0\d left/, "$shell: the other has an hour to wait");
	is($on->($prod, 'promote', '--from', $later->(all => 30)) . $out, "0applied 002_add_agents_last_seen\n", "$shell: promote later");
	is($on->($prod, 'check', '--db', "dbname=$prod") . $out . $err, '0', "$shell: prod is what schema.sql says");
	is($on->($prod, 'status'), 0, "$shell: status");

	# regret, compensate
	$file->('003_sites.sql', "-- Why: a mistake\nCREATE TABLE sites (i int);\n");
	is($on->($staging, 'up'), 0, "$shell: regret");
	is($on->($staging, 'new', '--compensates', '3', 'drop', 'sites') . $out, "0migrations/004_drop_sites.sql\n", "$shell: a migration that compensates");
	$file->('004_drop_sites.sql', read_file("$home/migrations/004_drop_sites.sql") . "DROP TABLE sites;\n");
	is($on->($staging, 'up') . $out, "0applied 004_drop_sites\n", "$shell: goes in");
	$on->($staging, 'status');
	like($out, qr/^003 .*compensated by 004\n004 .*compensates 003$/m, "$shell: status shows the pair");
	is($on->($prod, 'promote', '--from', $later->(all => 30, '004' => 2)), 6, "$shell: one of them is too young");
	is($out =~ /^applied/m ? 'one went' : '', '', "$shell: neither goes");
	is($on->($prod, 'promote', '--from', $later->(all => 30)) . $out, "0applied 003_sites\napplied 004_drop_sites\n", "$shell: both go");

	# register, gates
	$file->('005_by_hand.sql', "CREATE TABLE by_hand (i int);\n");
	$node->safe_psql($prod, 'CREATE TABLE by_hand (i int)');
	is($on->($prod, 'require', '005'), 6, "$shell: a gate is closed");
	is($on->($prod, 'wait', '005', '--timeout', '10ms'), 6, "$shell: and stays so");
	is($on->($prod, 'register', '005', '--source', 'by hand, ticket 4711') . $out, "0registered 005_by_hand\n", "$shell: register");
	is($on->($prod, 'require', '005') . $on->($prod, 'wait', '005'), '00', "$shell: the gate is open");
	is($on->($prod, 'up') . $out . $err, '0', "$shell: nothing is left");
	is($on->($staging, 'up'), 0, "$shell: staging applies it");
	is($on->($staging, 'dump'), 0, "$shell: dump");
	is($on->($prod, 'check', '--db', "dbname=$prod") . $out, '0', "$shell: both are what schema.sql says");
	is(sql_value($node, 'SELECT count(*) FROM tapmig.verify()', dbname => $_), 0, "$shell: the ledger of $_ is whole") for $staging, $prod;

	# For machines, and what loses data
	$file->('006_drop.sql', "-- tapmig: loses=by_hand, approved-by=N\nDROP TABLE by_hand;\n");
	my $hour = sql_value($node, "SELECT extract(hour FROM now())::int");
	my @window = map { sprintf '%02d:00', ($hour + $_) % 24 } 2, 4, 23, 2;
	is($on->($prod, 'up', '--json', '--window', "$window[0]-$window[1]"), 7, "$shell: out of the window");
	is(JSON::PP::decode_json($out)->{migration}, '006_drop', "$shell: as an object");
	is($on->($prod, 'up', '--json', '--window', "$window[2]-$window[3]"), 0, "$shell: in it") or diag $err;
	is(JSON::PP::decode_json($out)->{outcome}, 'applied', "$shell: it is applied");
	return;
}

done_testing();
