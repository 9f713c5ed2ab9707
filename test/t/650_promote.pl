# promote: what staging has had green for long enough, and nothing else.

use strict;
use warnings;

use JSON::PP ();
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $work = scratch_dir();
my $number = 0;
my $staging = tapmig_database($node, 'staging');
my $prod    = tapmig_database($node, 'prod');
my ($dir, @track, $exit, $out, $err);

# A track of its own with these files, which are applied on staging.
sub stage
{
	my ($files, %opt) = @_;

	$number++;
	@track = ('--track', "t$number");
	$dir = migrations_dir($files);
	$node->safe_psql($_, 'DROP TABLE IF EXISTS t1, t2, t3') for $staging, $prod;
	staging('up', $opt{to} ? ('--to', $opt{to}) : ('--force-empty')) unless $opt{empty};
	return;
}

sub staging { return run_tapmig($node, [ @_, '--dir', $dir, @track ], dbname => $staging); }

# Staging's status --json with the times moved so many hours into the past.
sub report
{
	my (%hours) = @_;
	my (undef, $json) = staging('status', '--json');
	my $status = JSON::PP::decode_json($json);

	for my $version (@{ $status->{versions} })
	{
		my $hours = $hours{ $version->{version} } // $hours{all};
		next unless defined $hours && defined $version->{applied_at};
		$version->{applied_at} = sql_value($node, "SELECT timestamptz '$status->{now}' - interval '$hours hours'");
	}
	return write_file("$work/report.json", JSON::PP->new->pretty->encode($status));
}

sub promote
{
	($exit, $out, $err) = run_tapmig($node, [ 'promote', '--dir', $dir, '--from', @_, @track ], dbname => $prod);
	$out =~ s/ \(\d+ ms\)//g;
	return "$exit|" . join ' ', map { /^applied (\d+)/ ? $1 : () } split /\n/, $out;
}

my %three = map { ("00${_}_t$_.sql" => "CREATE TABLE t$_ (i int);\n") } 1 .. 3;

# ---------------------------------------------------------------- the time

stage(\%three);
is(promote(report()), '6|', 'too early: nothing is applied, exit code 6');
like($out, qr/^waiting 001_t1 was applied there too short a time ago: (?:24:00:00|23:59:\d\d) left$/m, 'what waits is listed with the time left');
is(scalar(() = $out =~ /^waiting /mg), 3, 'each of them');
like($err, qr/\Atapmig: 3 not promoted\nHINT:  .*--now/, 'the message');
is(promote(report(all => 23)), '6|', '23 hours');
like($out, qr/: 0[01]:\d\d:\d\d left$/m, 'an hour is left');
is(promote(report('001' => 25, '002' => 25)), '6|001 002', 'two of three are old enough');
like($out, qr/\Aapplied 001_t1\napplied 002_t2\nwaiting 003_t3 /, 'and the third waits');
is(promote(report(all => 25)), '0|003', 'later, the third');
is(promote(report(all => 25)), '0|', 'nothing is left');
is("$out$err", '', 'and nothing is said');

stage(\%three);
is(promote(report('003' => 100)), '6|', 'order is kept: the first that is not green stops the rest');
like($out, qr/^waiting 003_t3 comes after 001_t1$/m, 'as is said');
is(promote(report(all => 30), '--soak', '48h'), '6|', '--soak 48h');
is(promote(report(all => 50), '--soak', '2 days', '--to', '1'), '0|001', "--soak '2 days', --to");
is(promote(report(all => 23), '--soak', '24'), '2|', '--soak 24 is no 24 seconds');
is($err, "tapmig: --soak 24 has no unit\nHINT:  Write 24h, 24min or '24 days'.\n", 'as is said');
is(promote("dbname=$staging", '--soak', '0'), '0|002 003', '--from with a connection');
stage(\%three);
is(promote('postgresql:///' . $staging), '6|', '--from with a URI');
is(promote("postgresql:///$staging", '--soak', '0s'), '0|001 002 003', 'and no soak');

# Ages count by the clock of staging, and up to the moment of the report.
stage(\%three);
my $old = JSON::PP::decode_json(read_file(report()));
$old->{now} = '2020-01-02T00:00:00Z';
$_->{applied_at} = '2020-01-01T12:00:00Z' for @{ $old->{versions} };
write_file("$work/report.json", JSON::PP::encode_json($old));
is(promote("$work/report.json"), '6|', 'an old report makes nothing older');
like($out, qr/: 12:00:0[01] left/, 'twelve hours there are twelve hours');

# ---------------------------------------------------------------- what is not green

stage(\%three, to => '2');
is(promote(report(all => 25)), '6|001 002', 'not applied there');
like($out, qr/^waiting 003_t3 is not applied there$/m, 'is said');

stage(\%three, empty => 1);
staging('register', '1');
staging('up', '--force-empty');
is(promote(report(all => 1000)), '6|', 'registered does not count');
like($out, qr/^waiting 001_t1 is registered there, not applied$/m, 'is said');

stage(\%three);
write_file("$dir/002_t2.sql", "CREATE TABLE t2 (i bigint);\n");
is(promote(report(all => 25)), '6|001', 'another checksum');
like($out, qr/^waiting 002_t2 was applied there with another checksum$/m, 'is said');
staging('accept', '2', '--why', 'a test');
is(promote(report(all => 25)), '6|', 'accepted there: this text never ran');
like($out, qr/^waiting 002_t2 was edited after it was applied there$/m, 'is said');

stage(\%three);
write_file("$dir/002_t2.sql", "-- a comment\nCREATE TABLE t2 (i int);\n");
is(promote(report(all => 25)), '6|001', 'another layout, that staging has not seen');
staging('up');
is(promote(report(all => 25)), '0|002 003', 'and that it has judged to be one');

stage({ %three, '002_t2.sql' => "SELECT 1 / 0;\n" });
is(promote(report(all => 25)), '6|001', 'a failed try');
like($out, qr/^waiting 002_t2 its last try there was failed$/m, 'is said');
write_file("$dir/002_t2.sql", $three{'002_t2.sql'});
staging('up');
is(promote(report(all => 25)), '0|002 003', 'that a later one has made good');

for my $outcome (qw(failed interrupted running))
{
	stage(\%three);
	sql_value($node, <<"SQL", dbname => $staging);
INSERT INTO tapmig.attempts (track, version, started_at, outcome, steps, steps_done)
VALUES ('t$number', '2', now(), '$outcome', 2, 1)
SQL
	is(promote("dbname=$staging", '--soak', '0'), '6|001', "a try that is $outcome, after it was applied");
	like($out, $outcome eq 'running' ? qr/^waiting 002_t2 is running there$/m : qr/^waiting 002_t2 its last try there was $outcome$/m, 'is said');
}

# The same word of status
stage(\%three);
my $said = JSON::PP::decode_json(read_file(report(all => 25)));
$said->{versions}[1]{state} = 'interrupted';
is(promote(write_file("$work/said.json", JSON::PP::encode_json($said))), '6|001', 'a state of status counts as a try');

# ---------------------------------------------------------------- pairs

my %pair = (%three, '004_drop.sql' => "-- tapmig: compensates=2\nDROP TABLE t2;\n");
stage(\%pair);
is(promote(report(all => 25, '004' => 1)), '6|001', 'what is compensated waits for what compensates it');
like($out, qr/^waiting 002_t2 goes together with 004_drop$/m, 'is said');
like($out, qr/^waiting 003_t3 comes after 002_t2$/m, 'and so does what is between them');
like($out, qr/^waiting 004_drop was applied there too/m, 'which has its own reason');
is(promote(report(all => 25, '004' => 1), '--to', '3'), '6|', '--to does not cut a pair');
is(promote(report(all => 25)), '0|002 003 004', 'together they go');
is(sql_value($node, "SELECT to_regclass('t2')", dbname => $prod), undef, 'and the one took the other back');

stage(\%pair);
unlink "$dir/004_drop.sql";
is(promote(report(all => 25)), '6|001', 'what compensates it has no file here');
like($out, qr/^waiting 002_t2 is compensated there by 004, which is not pending here$/m, 'is said');
stage(\%pair);
run_tapmig($node, [ 'up', '--dir', $dir, '--to', '2', @track ], dbname => $prod);
is(promote(report(all => 25)), '0|003 004', 'what is in force here already is no reason');

# ---------------------------------------------------------------- --now

stage(\%three);
is(promote(report('001' => 25), '--now', '2', '--why', "it's\nurgent: \$HOME `id` \\"), '6|001 002', '--now lets one through');
is(sql_value($node, qq{SELECT source FROM tapmig.schema_migrations WHERE track = 't$number' AND version = '002'}, dbname => $prod),
	"$dir/002_t2.sql (now: it's urgent: \$HOME `id` \\)", 'the reason is in its source');
is(sql_value($node, qq{SELECT source FROM tapmig.history WHERE track = 't$number' AND version = '002'}, dbname => $prod),
	"$dir/002_t2.sql (now: it's urgent: \$HOME `id` \\)", 'and in the history');
is(sql_value($node, qq{SELECT source FROM tapmig.schema_migrations WHERE track = 't$number' AND version = '001'}, dbname => $prod),
	"$dir/001_t1.sql", 'of that one only');
is(promote(report(all => 25), '--now', '003', '--why', 'x'), '0|003', 'one that is green anyway');
is(sql_value($node, qq{SELECT source FROM tapmig.schema_migrations WHERE track = 't$number' AND version = '003'}, dbname => $prod),
	"$dir/003_t3.sql", 'needs no reason');
stage(\%three);
is(promote(report('003' => 30), '--now', '2', '--why', 'x'), '6|', '--now does not overtake what waits before it');
like($out, qr/^waiting 001_t1 was applied there too short a time ago: 2\d:\d\d:\d\d left\nwaiting 002_t2 comes after 001_t1: 2\d:\d\d:\d\d left\nwaiting 003_t3 comes after 001_t1$/m,
	'which is named, with its time');
stage(\%three, to => '1');
is(promote(report(all => 1), '--now', '3', '--why', 'x'), '6|', '--now for what staging has not got');
like($out, qr/^waiting 003_t3 comes after 001_t1: 23:00:0\d left$/m, 'waits for what is before it all the same');
is(promote(report(all => 30), '--now', '3', '--why', 'x'), '6|001', 'likewise where that has no time');
like($out, qr/^waiting 002_t2 is not applied there\nwaiting 003_t3 comes after 002_t2$/m, 'as is said');
stage({ map { $_ => $pair{$_} } grep { !/003/ } keys %pair });
is(promote(report('001' => 25), '--now', '2', '--why', 'x'), '0|001 002 004', 'a pair is let through together');
for my $named ('2', '4')
{
	my $sources = "SELECT string_agg(version || regexp_replace(source, '^.*[.]sql', ''), '|' ORDER BY version) FROM tapmig.schema_migrations WHERE track = ";

	stage({ map { $_ => $pair{$_} } grep { !/003/ } keys %pair });
	is(promote(report(all => 25, '004' => 1), '--now', $named, '--why', 'x'), '0|001 002 004', "--now $named, where one of the pair is green");
	is(sql_value($node, "${sources}'t$number'", dbname => $prod), '001|002 (now: x)|004 (now: x)', 'the reason is in the source of both');
	stage({ map { $_ => $pair{$_} } grep { !/003/ } keys %pair });
	is(promote(report(all => 25), '--now', $named, '--why', 'x'), '0|001 002 004', "--now $named, where both are");
	is(sql_value($node, "${sources}'t$number'", dbname => $prod), '001|002|004', 'needs no reason');
}
stage(\%pair);
is(promote(report(all => 25, '003' => 1), '--now', '2', '--why', 'x'), '6|001', 'what waits between a pair stops both');
like($out, qr/^waiting 002_t2 goes together with 004_drop\nwaiting 003_t3 was applied there too short.*\nwaiting 004_drop comes after 003_t3: 23:00:0\d left$/m, 'and is named');
($exit, $out, $err) = run_tapmig($node, [ 'promote', '--from', 'x', '--now', '2' ], dbname => $prod);
is($exit, 2, '--now without --why');
is(promote(report(), '--now', '77', '--why', 'x'), '2|', '--now with what is not pending');

# ---------------------------------------------------------------- the report

stage(\%three);
my %wrong = (
	'no JSON'         => [ "SELECT 1\n", qr/is not what tapmig status --json prints/ ],
	'other JSON'      => [ '{"versions": {}}', qr/is not what tapmig status --json prints/ ],
	'a list'          => [ '[1, 2]', qr/is not what tapmig status --json prints/ ],
	'an empty file'   => [ "\n", qr/is empty/ ],
	'a time that is none' => [ read_file(report()) =~ s/"applied_at" : "[^"]*"/"applied_at" : "soon"/r, qr/is not what tapmig status/ ],
	'another track'   => [ read_file(report()) =~ s/"track" : "t\d+"/"track" : "x"/r, qr/is of another track/ ],
);
for my $case (sort keys %wrong)
{
	is(promote(write_file("$work/wrong.json", $wrong{$case}[0])), '2|', "$case: exit code 2");
	like($err, $wrong{$case}[1], 'its message');
}
is(promote("$work/nowhere.json"), '2|', 'no such file: exit code 2');
like($err, qr/no such file: /, 'its message');
is(promote(report(), '--soak', $_), '2|', "--soak $_: exit code 2") for qw(soon -1h);
is(promote('dbname=nosuch'), '3|', 'no such database: exit code 3');
is(promote('dbname=template1'), '3|', 'without tapmig: exit code 3');
($exit, $out, $err) = run_tapmig($node, [ 'promote', '--dir', $dir, '--from', '-', @track ],
	dbname => $prod, stdin => read_file(report(all => 25)));
is($exit, 0, 'from standard input') or diag $err;
is(scalar(() = $out =~ /^applied/mg), 3, 'all of it');

# A version twice, and checksums in capitals: the younger one counts.
stage(\%three);
my $twice = JSON::PP::decode_json(read_file(report(all => 25)));
$_->{checksum} = uc $_->{checksum} for @{ $twice->{versions} };
push @{ $twice->{versions} }, { %{ $twice->{versions}[0] }, version => '1', applied_at => $twice->{now} };
is(promote(write_file("$work/twice.json", JSON::PP::encode_json($twice))), '6|', 'a version twice');
pop @{ $twice->{versions} };
is(promote(write_file("$work/twice.json", JSON::PP::encode_json($twice))), '0|001 002 003', 'and once');

# The same doors as up's
stage(\%three);
my $fresh = tapmig_database($node, 'fresh');
$node->safe_psql($fresh, 'CREATE TABLE mine ()');
($exit, $out, $err) = run_tapmig($node, [ 'promote', '--dir', $dir, '--from', report(all => 25), @track ], dbname => $fresh);
is("$exit|$out", '4|', 'tables and an empty ledger: exit code 4') or diag $err;

# ---------------------------------------------------------------- rights

stage(\%three);
$node->safe_psql($staging, 'CREATE ROLE deployer LOGIN; GRANT EXECUTE ON FUNCTION tapmig.report, tapmig.plan TO deployer');
is(sql_try($node, 'SELECT * FROM tapmig.attempts', dbname => $staging, user => 'deployer')->{sqlstate}, '42501',
	'whoever may ask for the report');
is(JSON::PP::decode_json(sql_value($node, "SELECT tapmig.report('t$number')", dbname => $staging, user => 'deployer'))->{versions}[2]{version},
	'003', 'need not be allowed to read the tables');
is(sql_error($node, 'SELECT tapmig.report()', dbname => $prod, user => 'deployer')->{sqlstate}, '42501', 'others may not');
$node->safe_psql($staging, 'CREATE ROLE stranger LOGIN');
is(promote("dbname=$staging user=stranger"), '1|', 'a role without rights on staging');
like($err, qr/permission denied for function report\ntapmig: this role may not read staging's ledger \(SQLSTATE 42501\)\nHINT:  On staging, .*GRANT EXECUTE ON FUNCTION tapmig\.report TO the role/,
	'is told which one');
$node->safe_psql($staging, 'GRANT EXECUTE ON FUNCTION tapmig.report TO stranger');
is(promote("dbname=$staging user=stranger", '--soak', '0'), '0|001 002 003', 'and the fix works');

done_testing();
