# tapmig rehearse, what it prints, to the letter: the rows stand in the scripts
# (TapmigRehearsal).

use strict;
use warnings;

use JSON::PP ();
use TapmigRehearsal;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

canned_rehearsal($node);

sub rehearse
{
	my ($files, $arguments, %env) = @_;

	return run_tapmig($node, [ 'rehearse', '--dir', migrations_dir($files), @{ $arguments // [] } ],
		env => { LC_ALL => 'C', COLUMNS => 80, %env });
}
my ($no, $yes) = (JSON::PP::false, JSON::PP::true);


# ---------------------------------------------------------------- the drawing

my $three = canned([
	[ 1, 2, 'ALTER TABLE', 100, 900, 'agents', 'SHARE UPDATE EXCLUSIVE', 1000, $no, $yes ],
	[ 2, 3, 'ALTER TABLE', 500, 34 * 1024 * 1024, 'agents', 'ACCESS EXCLUSIVE', 900, $yes, $yes ],
	[ 3, 7, 'ALTER TABLE', 400, 9000, 'orders', 'SHARE ROW EXCLUSIVE', 400, $no, $yes ],
	[ 3, 7, 'ALTER TABLE', 400, 9000, "a_relation_with_a_v\xc3\xa9ry_long_name_indeed", 'ROW SHARE', 400, $no, $no ],
	[ 4, 9, 'SELECT', 0.02, 0, undef, undef, undef, undef, undef ] ]);
my ($exit, $out, $err) = rehearse({ '001_three.sql' => $three });
is("$exit|$err", '0|', 'rehearse') or diag $err;
is( $out, <<"TEXT", 'table and timeline');
001_three: 4 statements, 1.0 s, 34 MB of WAL, rolled back

STATEMENT  LINE  COMMAND        TIME     WAL  RELATION                                 LOCK                      HELD  REWRITTEN  SCANNED
        2     3  ALTER TABLE  500 ms   34 MB  agents                                   ACCESS EXCLUSIVE        900 ms  yes        yes
        3     7  ALTER TABLE  400 ms  8.8 kB  orders                                   SHARE ROW EXCLUSIVE     400 ms  no         yes
        1     2  ALTER TABLE  100 ms   900 B  agents                                   SHARE UPDATE EXCLUSIVE   1.0 s  no         yes
        3     7  ALTER TABLE  400 ms  8.8 kB  a_relation_with_a_v\xc3\xa9ry_long_name_indeed  ROW SHARE               400 ms  no         no
        4     9  SELECT       0.0 ms     0 B

                      0             500 ms        1000 ms
                      |-------------|-------------|
agents                ==###########################  ACCESS EXCLUSIVE, 900 ms
orders                                 ************  SHARE ROW EXCLUSIVE, 400 ms
a_relation~me_indeed                   ::::::::::::  ROW SHARE, 400 ms

# ACCESS EXCLUSIVE  * SHARE ROW EXCLUSIVE  = SHARE UPDATE EXCLUSIVE  : ROW SHARE
TEXT

($exit, $out, $err) = rehearse({ '001_three.sql' => $three }, [], LC_ALL => 'C.UTF-8', COLUMNS => 120);
# U+2581 to U+2588, lower blocks of one to eight eighths
is( $out =~ s/.*(?=\n\n {10})//sr =~ s/\xe2\x96([\x81-\x88])/ord($1) - 0x80/ger, <<"TEXT", 'a wide one, UTF-8');


                                         0                       500 ms                   1000 ms
                                         |-----------------------|------------------------|
agents                                   44444888888888888888888888888888888888888888888888  ACCESS EXCLUSIVE, 900 ms
orders                                                                 66666666666666666666  SHARE ROW EXCLUSIVE, 400 ms
a_relation_with_a_v\xc3\xa9ry_long_name_indeed                                22222222222222222222  ROW SHARE, 400 ms

8 ACCESS EXCLUSIVE  6 SHARE ROW EXCLUSIVE  4 SHARE UPDATE EXCLUSIVE  2 ROW SHARE
TEXT

# A lock ends with its step. 40 ms of 4 steps.
my $steps = canned([
	[ 1, 2, 'ALTER TABLE', 10, 900, 'agents', 'ACCESS EXCLUSIVE', 10, $no, $yes ],
	[ 2, 3, 'CREATE INDEX', undef, undef, undef, undef, undef, undef, undef ],
	[ 3, 7, 'ALTER TABLE', 20, 9000, 'orders', 'SHARE ROW EXCLUSIVE', 19.9, $no, $yes ],
	[ 4, 8, 'VACUUM', undef, undef, undef, undef, undef, undef, undef ],
	[ 5, 9, 'ALTER TABLE', 10, 9000, 'agents', 'SHARE ROW EXCLUSIVE', undef, $no, $yes ],
	], 'SELECT 1; CREATE INDEX CONCURRENTLY i ON t (i); SELECT 1; VACUUM; SELECT 1;');
($exit, $out, $err) = rehearse({ '001_steps.sql' => $steps });
is( "$exit|$out", <<"TEXT", 'several steps, the last one cut off');
0|001_steps: 5 statements, 40 ms, 18 kB of WAL, rolled back

STATEMENT  LINE  COMMAND       TIME     WAL  RELATION  LOCK                    HELD  REWRITTEN  SCANNED
        5     9  ALTER TABLE  10 ms  8.8 kB  agents    SHARE ROW EXCLUSIVE  cut off  no         yes
        1     2  ALTER TABLE  10 ms   900 B  agents    ACCESS EXCLUSIVE       10 ms  no         yes
        3     7  ALTER TABLE  20 ms  8.8 kB  orders    SHARE ROW EXCLUSIVE    20 ms  no         yes

not rehearsable: statement 2, line 3: CREATE INDEX
not rehearsable: statement 4, line 8: VACUUM

        0          10 ms      20 ms      30 ms
        |----------|----------|----------|----------
agents  ###########                      **********>  ACCESS EXCLUSIVE, 10 ms
orders             **********************             SHARE ROW EXCLUSIVE, 20 ms

# ACCESS EXCLUSIVE  * SHARE ROW EXCLUSIVE
TEXT

# The shortest bar is seen; so is one beside which nothing took time.
my $short = canned([
	[ 1, 1, 'SELECT', 5e6, 0, undef, undef, undef, undef, undef ],
	[ 2, 2, 'LOCK TABLE', 0.001, 0, 'short', 'EXCLUSIVE', 2e6 + 0.002, $no, $no ],
	[ 3, 3, 'SELECT', 2e6, 0, undef, undef, undef, undef, undef ],
	[ 4, 4, 'LOCK TABLE', 0.001, 0, 'shorter', 'SHARE', 0.001, $no, $no ] ]);
($exit, $out, $err) = rehearse({ '001_short.sql' => $short });
is( $out =~ s/.*(?=\n\n {5})//sr, <<"TEXT", 'hours, and a bar of a microsecond');


         0           30 min      60 min      90 min
         |-----------|-----------|-----------|----------
short                                     %%%%%%%%%%%%%%  EXCLUSIVE, 33 min 20 s
shorter                                                +  SHARE, 0.0 ms

% EXCLUSIVE  + SHARE
TEXT
($exit, $out, $err) = rehearse({ '001_none.sql' => canned([ [ 1, 1, 'LOCK TABLE', 0, 0, 't', 'ACCESS SHARE', 0, $no, $no ] ]) });
is( "$exit|$out", <<"TEXT", 'no time at all');
0|001_none: 1 statement, 0.0 ms, 0 B of WAL, rolled back

STATEMENT  LINE  COMMAND       TIME  WAL  RELATION  LOCK            HELD  REWRITTEN  SCANNED
        1     1  LOCK TABLE  0.0 ms  0 B  t         ACCESS SHARE  0.0 ms  no         no

   0
   |------------------------------------------------------
t  .                                                        ACCESS SHARE, 0.0 ms

. ACCESS SHARE
TEXT

# Worst first: what blocks readers, rewrites; a lock that blocks nobody comes after.
my @worst = (
	[ 1, 1, 'A', 1, 0, 'rewritten',     'ACCESS EXCLUSIVE',       300, $yes, $yes ],
	[ 2, 1, 'B', 1, 0, 'readers_long',  'ACCESS EXCLUSIVE',       400, $no,  $no ],
	[ 3, 1, 'C', 1, 0, 'writers_long',  'SHARE',                  700, $no,  $no ],
	[ 4, 1, 'D', 1, 0, 'readers_short', 'ACCESS EXCLUSIVE',       300, $no,  $no ],
	[ 5, 1, 'E', 1, 0, 'nobody_strong', 'SHARE UPDATE EXCLUSIVE', 800, $no,  $no ],
	[ 6, 1, 'F', 1, 0, 'nobody_long',   'ROW EXCLUSIVE',          900, $no,  $no ],
	[ 7, 1, 'G', 1, 0, undef,           undef,                    undef, undef, undef ]);
my @under = (
	[ 1, 1, 'A', 1,   0, 'first', 'ACCESS EXCLUSIVE', 102,   $no,  $no ],
	[ 2, 1, 'B', 1,   0, 'later', 'ACCESS EXCLUSIVE', 101,   $no,  $no ],
	[ 3, 1, 'C', 100, 0, 'first', undef,              undef, $yes, $yes ],
	[ 3, 1, 'C', 100, 0, 'other', 'ROW SHARE',        100,   $no,  $no ]);
($exit, $out, $err) = rehearse({ '001_under.sql' => canned(\@under) });
is(join(' ', $out =~ /^ +\d+ +1  (\w)/mg), 'C A B C', 'a rewrite under a lock that was there is as bad as if it took it');
($exit, $out, $err) = rehearse({ '001_worst.sql' => canned([ reverse @worst ]) });
is(join(' ', $out =~ /^ +\d+ +1  (\w)/mg), 'A B C D E F G', 'the worst first');

my @many = map { [ 1, 1, 'DO', 1, 0, "t$_", $_ == 40 ? 'ACCESS EXCLUSIVE' : 'SHARE', 1, $no, $no ] } 1 .. 40;
($exit, $out, $err) = rehearse({ '001_many.sql' => canned(\@many) });
is(scalar(() = $out =~ /^t\d+ +[+#]/mg), 30, 'many relations: thirty bars');
like($out, qr/^t40 .*\nt1 (?s:.*)^and 10 more$/m, 'the worst of them, and how many more');
is(scalar(() = $out =~ /^ +1 +1  DO /mg), 40, 'the table has them all');

# ---------------------------------------------------------------- odd names

my $odd  = "\"<a&b'c\\d>\e[31m\t\n\$t\$ gr\xc3\xb6\xc3\x9fe\"";
my $name = "001_it's <\$b> & \"c\"";
my $rows = canned([ [ 1, 1, 'DO', 10, 1, $odd, 'SHARE', 10, $no, $no ] ]);
for my $columns (1, 40, 80, 300, 'x', '0', '99999')
{
	($exit, $out, $err) = rehearse({ "$name.sql" => $rows }, [], COLUMNS => $columns);
	is("$exit|$err", '0|', "COLUMNS=$columns");
	my ($longest) = sort { $b <=> $a } map { s/[\x80-\xbf]//gr =~ tr///c } $out =~ /\n\n( .*)\z/s ? split /\n/, $1 : ();
	my $wide = { 300 => 300, 40 => 66, 1 => 66 }->{$columns} // 80;
	cmp_ok($longest, '<=', $wide, 'not wider');
	unlike($out, qr/[\x00-\x09\x0b-\x1f]/, 'no control characters');
}
like($out, qr/^"<a&b'c\\d>\?\[31m\?\?\$t\$ gr\xc3\xb6\xc3\x9fe"  \++  SHARE, 10 ms$/m, 'a name as it is');
my $longer = $rows =~ s/gr\xc3\xb6/"\xc3\xb6" x 60/er;
($exit, $out, $err) = rehearse({ "$name.sql" => $longer });
like($out, qr/^"<a&b'c\\d>\?\[31m\?\?~(?:\xc3\xb6)+\xc3\x9fe"  \++  SHARE, 10 ms$/m, 'clipped between characters');

my $picture = scratch_dir() . '/it\'s.svg';
($exit, $out, $err) = rehearse({ "$name.sql" => $rows }, [ '--json', '--svg', $picture ]);
is("$exit|$err", '0|', 'JSON and SVG');
my $json = eval { JSON::PP->new->utf8->decode($out) };
is(ref $json, 'ARRAY', 'JSON: an array') or diag $out;
is(scalar @$json, 1, 'of one script');
is($json->[0]{migration}, $name, 'its name');
like($json->[0]{file}, qr{/\Q$name\E\.sql\z}, 'its file');
my $decoded = $odd;
utf8::decode($decoded);
is_deeply($json->[0]{rows}, [ { statement => 1, line => 1, command => 'DO', elapsed_ms => 10, wal_bytes => 1,
	relation => $decoded, lock_mode => 'SHARE', held_ms => 10, rewritten => $no, scanned => $no } ], 'its rows are the function\'s');
is("$json->[0]{elapsed_ms} $json->[0]{wal_bytes}", '10 1', 'its sums');

my $svg = read_file($picture);
unlike($svg, qr/[\x00-\x09\x0b-\x1f]/, 'SVG: no control characters');
like($svg, qr/>001_it&#39;s &lt;\$b&gt; &amp; &quot;c&quot;: 1 statement/, 'SVG: the title, escaped');
like($svg, qr/>&quot;&lt;a&amp;b&#39;c\\d&gt;\?\[31m\?\?\$t\$ gr\xc3\xb6\xc3\x9fe&quot;</, 'SVG: the name, escaped');
unlike($svg, qr/href|url\(|\@import|<script/, 'SVG: nothing from outside');
my $mode = sprintf '%o', (stat $picture)[2] & 0777;
is($mode, sprintf('%o', 0666 & ~umask), 'SVG: its rights are those of any file');
is(system('python3', '-c', 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])', $picture), 0, 'SVG: well-formed');

# ---------------------------------------------------------------- failures

my $good = canned([ [ 1, 1, 'DO', 10, 1, 't', 'SHARE', 10, $no, $no ] ]);
my %files = ('001_a.sql' => $good, '002_b.sql' => "-- fails 42P01\nSELECT 1", '003_c.sql' => $good);
($exit, $out, $err) = rehearse(\%files);
is($exit, 1, 'one that fails: exit code 1');
is(join(' ', $out =~ /^(\w+):/mg), '001_a 003_c', 'the others are shown');
is($err, <<'TEXT', 'its message, and that it ran alone');
tapmig: 002_b: ERROR:  it does
CONTEXT:  PL/pgSQL function tapmig.rehearse(text) line 4 at RAISE
tapmig: the rehearsal of 002_b failed; nothing was changed (SQLSTATE 42P01)
HINT:  It ran without 001_a, pending before it: each script is rehearsed by itself. If it needs that, apply that first, or rehearse both in one file.
TEXT
($exit, $out, $err) = rehearse(\%files, ['--json']);
$json = JSON::PP->new->utf8->decode($out);
is("$exit|" . join(' ', map { "$_->{migration}:" . ($_->{error}{sqlstate} // 'ok') } @$json), '1|001_a:ok 002_b:42P01 003_c:ok', 'the same as JSON');
is($json->[1]{error}{message}, 'it does', 'with its message');
for my $case ([ 'TM005', 7 ], [ '55P03', 7 ], [ 'TM004', 7 ], [ '23505', 1 ], [ '42501', 1 ])
{
	($exit, $out, $err) = rehearse({ %files, '002_b.sql' => "-- fails $case->[0]\nSELECT 1" });
	is($exit, $case->[1], "$case->[0]: exit code $case->[1]");
}
($exit, $out, $err) = rehearse({ %files, '002_b.sql' => "-- fails 57014\nSELECT 1" });
is("$exit|" . join(' ', $out =~ /^(\w+):/mg), '1|001_a', 'cancelled: the rest is not begun');
like($err, qr/^tapmig: 1 of 3 scripts was not begun$/m, 'and that is said');
($exit, $out, $err) = rehearse({ '001_a.sql' => "-- fails 42P01\nSELECT 1" }, ['1']);
is($exit, 1, 'a version that fails');
like($err, qr/^HINT:  Each script is rehearsed by itself, without what is pending before it\./m, 'its hint');

# Every awk and every shell draws the same.
my %drawn;
my %program = (mawk => 'mawk', gawk => 'gawk', 'original-awk' => 'original-awk', busybox => 'busybox awk');
for my $awk (grep { system("command -v $_ >/dev/null") == 0 } sort keys %program)
{
	my $bin = scratch_dir();

	chmod 0755, write_file("$bin/awk", "#!/bin/sh\nexec $program{$awk} \"\$@\"\n");
	for my $shell (grep { system("command -v $_ >/dev/null") == 0 } 'dash', 'bash', 'busybox')
	{
		my $sh = $shell eq 'busybox' ? 'busybox sh' : $shell;

		chmod 0755, write_file("$bin/tapmig", "#!/bin/sh\nexec $sh '@{[ tapmig_bin() ]}' \"\$@\"\n");
		local $ENV{TAPMIG_BIN} = "$bin/tapmig";
		($exit, $out, $err) = rehearse({ '001_three.sql' => $three, '002_bad.sql' => "-- fails 23505\nSELECT 1", '003_steps.sql' => $steps, "004_odd <&\".sql" => $longer },
			[ '--svg', $picture ], PATH => "$bin:$ENV{PATH}", LC_ALL => 'C.UTF-8');
		push @{ $drawn{"$exit\n$out\n" . ($err =~ s/^CONTEXT.*\n//mgr) . read_file($picture)} }, "$awk under $shell";
	}
}
is(scalar keys %drawn, 1, 'the same drawings of ' . join(', ', sort map { @$_ } values %drawn))
  or diag explain \%drawn;
like((keys %drawn)[0], qr/\A1\n001_three: (?s:.*)^HINT:  It ran without 001_three(?s:.*)<\/svg>\n\z/m, 'all of them');

# ---------------------------------------------------------------- what is rehearsed

my $dir = migrations_dir({ %files, '002_b.sql' => $good, '004_d/up.sql' => $good });
my $elsewhere = write_file(scratch_dir() . '/some thing.up.sql', $good);
sub named { my ($exit, $out, $err) = run_tapmig($node, [ 'rehearse', '--dir', $dir, @_ ]); return "$exit|" . join(' ', $out =~ /^(\S.*): 1 statement/mg) . "|$err"; }
is(named(), '0|001_a 002_b 003_c 004_d|', 'what is pending');
is(named('3', '001'), '0|003_c 001_a|', 'versions, in their order');
is(named($elsewhere, '4', "$dir/004_d/up.sql"), '0|some thing 004_d 004_d|', 'files and a version');
like(named('9', '1', '10'), qr/\A2\|\|tapmig: no file of version 9 in .*\ntapmig: no file of version 10 in .*\nHINT:  /, 'no such version');
like(named('./nosuch.sql'), qr{\A2\|\|tapmig: cannot read \./nosuch\.sql\nHINT:  }, 'no such file');
like(named('--svg', '/nowhere/x.svg'), qr{\A2\|\|tapmig: cannot write /nowhere/x\.svg; nothing was run\nHINT:  }, 'a picture that cannot be written');
like(named('--svg', $dir), qr{\A2\|\|tapmig: cannot write}, 'nor one that is a directory');
($exit, $out, $err) = run_tapmig($node, [ 'rehearse', 'some thing.up.sql' ], cwd => $elsewhere =~ s{/[^/]*\z}{}r);
is("$exit|$err", '0|', 'a file needs no directory of migrations');

run_tapmig($node, [ 'up', '--dir', $dir, '--to', '3', '--force-empty' ]);
is(named(), '0|004_d|', 'what is pending, again');
is(named('2'), '0|002_b|', 'one that is applied, by its version');
write_file("$dir/003_c.sql", 'SELECT 2');
write_file("$dir/005_steps.sql", "CREATE TABLE begun (i int); VACUUM; SELECT nosuch();");
run($node, '005_steps', read_file("$dir/005_steps.sql"));
like(named(), qr/\A0\|004_d\|tapmig: WARNING:  003_c is not rehearsed: its state is differs.*\ntapmig: WARNING:  005_steps is not rehearsed: its state is failed.*\n\z/,
	'not what has begun or differs');
unlink "$dir/005_steps.sql";
write_file("$dir/003_c.sql", $good);
run_tapmig($node, [ 'up', '--dir', $dir ]);
is(named(), "0||tapmig: nothing pending\n", 'nothing pending');
($exit, $out, $err) = run_tapmig($node, [ 'rehearse', '--dir', $dir, '--json' ]);
is("$exit|$out", "0|[]\n", 'the same as JSON');

# Under the setting 'error' up would refuse: rehearsed, and said.
write_file("$dir/0021_late.sql", $good);
rename "$dir/0021_late.sql", "$dir/002.1_late.sql";
$node->safe_psql('postgres', "ALTER DATABASE postgres SET tapmig.out_of_order = 'error'");
($exit, $out, $err) = run_tapmig($node, [ 'rehearse', '--dir', $dir ]);
is($exit, 4, 'out of order: exit code 4');
like($out, qr/^002\.1_late: 1 statement/, 'rehearsed all the same');
$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET tapmig.out_of_order');

# Rights, and the server.
$node->safe_psql('postgres', 'CREATE ROLE planner LOGIN; GRANT EXECUTE ON FUNCTION tapmig.plan TO planner; REVOKE EXECUTE ON FUNCTION tapmig.rehearse FROM PUBLIC');
($exit, $out, $err) = run_tapmig($node, [ 'rehearse', '--dir', $dir ], env => { PGUSER => 'planner' });
is("$exit|$out", '1|', 'no right to rehearse');
like($err, qr/\Atapmig: this role may not use tapmig/, 'and that is said');
($exit, $out, $err) = run_tapmig($node, [ 'rehearse', '--dir', $dir, '--db', 'host=/nowhere' ]);
is($exit, 3, 'no connection');

# ---------------------------------------------------------------- a terminal

my $terminal = write_file(scratch_dir() . '/tapmig', <<"SH");
#!/bin/sh
exec python3 -c 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' sh -c 'stty cols 100; exec "\$0" "\$@"' '@{[ tapmig_bin() ]}' "\$@"
SH
chmod 0755, $terminal;
for my $case (
	[ 'xterm', undef, 1 ], [ 'xterm', '1', 0 ], [ 'dumb', undef, 0 ], [ 'xterm', '', 1 ])
{
	my ($term, $no_color, $colored) = @$case;

	local $ENV{TAPMIG_BIN} = $terminal;
	($exit, $out, $err) = run_tapmig($node, [ 'rehearse', '--dir', $dir ],
		env => { LC_ALL => 'C', TERM => $term, NO_COLOR => $no_color, COLUMNS => undef });
	is($exit, 0, "a terminal, $term");
	is($out =~ /\e\[33m\++\e\[0m/ ? 1 : 0, $colored, $colored ? 'colours' : 'no colours');
	$out =~ s/\e\[\d*m//g;
	my ($line) = $out =~ /^(t  \+.*?)\r?$/m;
	cmp_ok(length($line), '>', 90, 'as wide as it is');
	cmp_ok(length($line), '<=', 100, 'and no wider');
}

done_testing();
