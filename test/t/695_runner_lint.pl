# tapmig lint, and what tapmig up says of lint's findings.

use strict;
use warnings;

use Encode ();
use JSON::PP ();
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE agents (id bigint PRIMARY KEY, name text, team int);
INSERT INTO agents SELECT i, 'a' || i FROM generate_series(1, 20000) i;
CREATE TABLE few (id int, name text);
INSERT INTO few VALUES (1), (2);
CREATE TABLE "odd, 100%:
name" (id int);
INSERT INTO "odd, 100%:
name" VALUES (1);
SELECT tapmig.register('000');
ANALYZE agents, few;
SQL

sub tapmig
{
	my ($command, $dir, @arguments) = @_;

	return run_tapmig($node, [ $command, '--dir', $dir, @arguments ], env => { LC_ALL => 'C' });
}

# What the server says, to be compared with.
sub finding
{
	my ($script, $rule) = @_;

	return @{ sql_try($node, 'SELECT message, advice FROM tapmig.lint($1) WHERE rule = $2', bind => [ $script, $rule ])->{rows}[0] };
}

my $index = "CREATE INDEX agents_name ON agents (name);\n";
my $check = "ALTER TABLE few ADD CHECK (id > 0);\n";
my $mixed = "-- tapmig: allow=statement-after-write-block\n$index$check";
my ($index_says, $index_advice) = finding($mixed, 'index-create-not-concurrent');
my ($check_says, $check_advice) = finding($mixed, 'check-not-not-valid');
my ($exit, $out, $err);

# ---------------------------------------------------------------- the text

my $dir = migrations_dir({ '001_clean.sql' => "CREATE TABLE clean (i int);\n", '002_mixed.sql' => $mixed });
my $rest = sql_value($node, q{SELECT count(*) FROM tapmig.lint($1) WHERE rule NOT IN ('index-create-not-concurrent', 'check-not-not-valid')}, bind => [$mixed]);
my @text = ("$dir/002_mixed.sql:2: error: index-create-not-concurrent: $index_says\n    $index_advice\n",
	"$dir/002_mixed.sql:3: warning: check-not-not-valid: $check_says\n    $check_advice\n");

is($rest, 0, 'this script has these two findings');
($exit, $out, $err) = tapmig('lint', $dir);
is("$exit|$out", "1|$text[0]$text[1]", 'what is pending');
is($err, qq(tapmig: lint: 1 error, 1 warning\nHINT:  Take the safe way, or write "-- tapmig: allow=RULE" at the head of the script.\n), 'and its sum');
is(sql_value($node, q{SELECT count(*) FROM tapmig.history WHERE version <> '000'}), 0, 'nothing was run');

($exit, $out, $err) = tapmig('lint', $dir, '1');
is("$exit|$out|$err", '0||', 'a version without findings');
($exit, $out, $err) = tapmig('lint', $dir, '2', '--format', 'text');
is("$exit|$out", "1|$text[0]$text[1]", 'a version by its number');
($exit, $out, $err) = tapmig('lint', $dir, '7');
is("$exit|$out|$err", "2||tapmig: no file of version 7 in $dir\nHINT:  tapmig lint takes versions of the directory, or files.\n", 'a version that is not there');

my $elsewhere = scratch_dir();
my $file      = write_file("$elsewhere/it's, 5%: a.sql", $check);
($exit, $out, $err) = run_tapmig($node, [ 'lint', $file ], cwd => $elsewhere);
is("$exit|$err", '0|', 'a file, without a directory of migrations; a warning is no failure');
like($out, qr/\A\Q$file\E:1: warning: check-not-not-valid: /, 'is linted');

# A relation's name with a line break does not make a line.
my $odd = qq(ALTER TABLE "odd, 100%:\nname" ADD CHECK (id > 0);\n);
($exit, $out, $err) = run_tapmig($node, [ 'lint', write_file("$elsewhere/odd.sql", $odd) ]);
is(scalar(() = $out =~ /\n/g), 2, 'a finding is one line, and one of advice');
like($out, qr/"odd, 100%:\?name"/, 'control characters are shown as ?');

# Level notice, allow, and no statement.
($exit, $out, $err) = run_tapmig($node, [ 'lint', write_file("$elsewhere/wrapped.sql",
	"BEGIN; CREATE INDEX CONCURRENTLY IF NOT EXISTS agents_wrapped ON agents (id); COMMIT;\n") ]);
like("$exit|$out|$err", qr/\A0\|\Q$elsewhere\E\/wrapped\.sql:1: notice: concurrently-in-transaction: .*\n    .*\n\|\z/,
	'what tapmig takes out of its BEGIN and COMMIT');
($exit, $out, $err) = run_tapmig($node, [ 'lint', write_file("$elsewhere/n.sql", "-- tapmig: allow=lock-table\nSELECT 1;\n") ]);
like("$exit|$out|$err", qr/\A0\|\Q$elsewhere\E\/n\.sql:1: notice: unused-ignore: .*\n    .*\n\|\z/, 'a notice');
($exit, $out, $err) = run_tapmig($node, [ 'lint', write_file("$elsewhere/a.sql", "-- tapmig: allow=index-create-not-concurrent\n$index") ]);
is("$exit|$out|$err", '0||', 'allowed');

# ---------------------------------------------------------------- JSON

sub decoded { return JSON::PP->new->decode(Encode::decode('UTF-8', $_[0])); }

for my $format ([ '--format', 'json' ], ['--json'], [ '--json', '--format=json' ])
{
	($exit, $out, $err) = tapmig('lint', $dir, @$format);
	is($exit, 1, "@$format");
	is_deeply(
		decoded($out),
		[ { migration => '001_clean', file => "$dir/001_clean.sql", findings => [] },
			{ migration => '002_mixed', file => "$dir/002_mixed.sql",
				findings => [
					{ statement => 1, line => 2, rule => 'index-create-not-concurrent', level => 'error', relation => 'agents',
						lock_mode => 'SHARE', message => $index_says, advice => $index_advice },
					{ statement => 2, line => 3, rule => 'check-not-not-valid', level => 'warning', relation => 'few',
						lock_mode => 'ACCESS EXCLUSIVE', message => $check_says, advice => $check_advice } ] } ],
		'an object for each script') or diag $out;
}
($exit, $out, $err) = run_tapmig($node, [ 'lint', '--json', "$elsewhere/odd.sql", $file ]);
is(decoded($out)->[0]{findings}[0]{relation}, qq("odd, 100%:\nname"), 'a name is what it is');

# ---------------------------------------------------------------- GitHub

sub data { return $_[0] =~ s/%/%25/gr =~ s/\r/%0D/gr =~ s/\n/%0A/gr; }
sub property { return data($_[0]) =~ s/:/%3A/gr =~ s/,/%2C/gr; }

($exit, $out, $err) = tapmig('lint', $dir, '--format', 'github');
is("$exit|$out", "1|::error file=$dir/002_mixed.sql,line=2,title=index-create-not-concurrent::" . data("$index_says\n$index_advice")
	. "\n::warning file=$dir/002_mixed.sql,line=3,title=check-not-not-valid::" . data("$check_says\n$check_advice") . "\n",
	'workflow commands');
my ($odd_says, $odd_advice) = finding($odd, 'check-not-not-valid');
write_file("$elsewhere/it's, 5%: a.sql", $odd);
like($odd_says, qr/100%:\n/, 'a message with % and a line break');
($exit, $out, $err) = run_tapmig($node, [ 'lint', '--format', 'github', "./it's, 5%: a.sql" ], cwd => $elsewhere);
is($out, "::warning file=" . property("it's, 5%: a.sql") . ',line=1,title=check-not-not-valid::' . data("$odd_says\n$odd_advice") . "\n",
	'escaped; the path as the repository has it');
($exit, $out, $err) = run_tapmig($node, [ 'lint', '--format', 'github', "$elsewhere/n.sql" ]);
like($out, qr/\A::notice file=\Q$elsewhere\E\/n\.sql,line=1,title=unused-ignore::/, 'a notice');

# ---------------------------------------------------------------- what cannot be read

my $bad = migrations_dir({ '001_bad.sql' => "SELECT 1;\nSELEKT 2;\n", '002_include.sql' => "\\i other.sql\n", '003_check.sql' => $check });
($exit, $out, $err) = tapmig('lint', $bad);
is($exit, 1, 'scripts that cannot be read');
like($out, qr/\A\Q$bad\E\/003_check\.sql:1: warning: .*\n    .*\n\z/, 'the others are linted');
like($err, qr/^tapmig: 001_bad: ERROR:  syntax error at or near "SELEKT"$(?s:.*)^tapmig: 002_include: ERROR: (?s:.*)^tapmig: the server cannot read every script; the messages above say why$/m, 'their errors');
($exit, $out, $err) = tapmig('lint', $bad, '--json');
my $objects = decoded($out);
is("$exit " . join(' ', map { $_->{error} ? $_->{error}{sqlstate} : scalar @{ $_->{findings} } } @$objects), '1 42601 TM009 1', 'as JSON');
is_deeply($objects->[0], { migration => '001_bad', file => "$bad/001_bad.sql",
		error => { sqlstate => '42601', message => 'syntax error at or near "SELEKT"', line => 2 } }, 'with the message and the line');
like($err, qr/\Atapmig: 001_bad: ERROR:  syntax error at or near "SELEKT"\nCONTEXT:  statement 2 of 2, line 2, column 1: SELEKT 2\ntapmig: 002_include: ERROR: /,
	'for people nothing is different');
($exit, $out, $err) = tapmig('lint', $bad, '--format', 'github', '1');
is("$exit|$out", qq(1|::error file=$bad/001_bad.sql,line=2,title=42601::syntax error at or near "SELEKT"\n), 'for GitHub');

# Each error has its own script's line, where there is one at all.
$node->safe_psql('postgres', "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'");
$node->safe_psql('latin', 'CREATE EXTENSION tapmig');
$bad = migrations_dir({
	'001_directive.sql' => "-- Why: a test\n-- tapmig: nosuch=1\nSELECT 1;\n",
	'002_euro.sql'      => "SELECT '\xe2\x82\xac';\n",
	'003_good.sql'      => "-- tapmig: allow=lock-table\nSELECT 1;\n",
	'004_open.sql'      => "SELECT 1;\n\n\nSELECT ',title=: line 9, \n",
	'005_late.sql'      => "SELECT 1;\n-- tapmig: store=off\nSELECT 2;\n" });
($exit, $out, $err) = run_tapmig($node, [ 'lint', '--dir', $bad, '--format', 'github' ], dbname => 'latin');
is(join(' ', map { s/^::(\w+) file=[^,]*\/(\d+)_\w+[.]sql,(?:line=(\d+),)?title=([^:]+)::.*$/"$2:" . ($3 \/\/ '') . ":$4"/er } split /\n/, $out),
	'001:2:TM009 002::22P05 003:1:unused-ignore 004:4:42601', 'the lines, for GitHub') or diag $out, $err;
($exit, $out, $err) = run_tapmig($node, [ 'lint', '--dir', $bad, '--json' ], dbname => 'latin');
is(join(' ', map { $_->{error} ? "$_->{error}{sqlstate}:" . ($_->{error}{line} // '') : scalar @{ $_->{findings} } } @{ decoded($out) }),
	'TM009:2 22P05: 1 42601:4 0', 'and as JSON') or diag $out, $err;

# A file that is no text is that file's error; the others are linted.
my ($latin_hint, $zero_hint) = ('Convert it, for example with iconv -f WINDOWS-1252 -t UTF-8.', 'Is it UTF-16? Save it as UTF-8.');
$bad = migrations_dir({ '001_latin.sql' => "SELECT '\xe4';\n", '002_check.sql' => $check, '003_bad.sql' => "\nSELEKT 2;\n",
		'004_zero.sql' => "SELECT 1\0;\n", '005_half.sql' => "-- \xc3", '006_half.sql' => "\xa4\nSELECT 1", '007_clean.sql' => "SELECT 1;\n" });
my $not_texts = join '', map { "tapmig: $bad/$_ (SQLSTATE 22021)\nHINT:  " . (/zero/ ? $zero_hint : $latin_hint) . "\n" }
	'001_latin.sql is not valid UTF-8', '004_zero.sql has a zero byte in it', '005_half.sql is not valid UTF-8', '006_half.sql is not valid UTF-8';
($exit, $out, $err) = tapmig('lint', $bad);
like("$exit|$out", qr/\A1\|\Q$bad\E\/002_check\.sql:1: warning: .*\n    .*\n\z/, 'files that are no text');
like($err, qr/\A\Q$not_texts\E\Qtapmig: 003_bad: ERROR:  syntax error at or near "SELEKT"\E\n.*\ntapmig: the server cannot read every script; the messages above say why\nHINT:  .*\n\z/,
	'each with its path and what to do');
($exit, $out, $err) = tapmig('lint', $bad, '--json');
$objects = decoded($out);
is("$exit " . join(' ', map { "$_->{migration}:" . ($_->{error} ? $_->{error}{sqlstate} : scalar @{ $_->{findings} }) } @$objects),
	'1 001_latin:22021 002_check:1 003_bad:42601 004_zero:22021 005_half:22021 006_half:22021 007_clean:0', 'as JSON, in the order of the files') or diag $out, $err;
is_deeply($objects->[3], { migration => '004_zero', file => "$bad/004_zero.sql",
		error => { sqlstate => '22021', message => "$bad/004_zero.sql has a zero byte in it", hint => $zero_hint } }, 'with message and hint');
($exit, $out, $err) = tapmig('lint', $bad, '--format', 'github');
is($exit, 1, 'for GitHub');
like($out, qr/\A\Q::error file=$bad\E\/001_latin\.sql,title=22021::\Q$bad\E\/001_latin\.sql is not valid UTF-8%0A\Q$latin_hint\E\n::warning file=.*002_check.*\n::error file=.*003_bad\.sql,line=2,.*\n(::error .*\n){3}\z/,
	'likewise');
write_file("$elsewhere/5%: 'a', \"b\".sql", "\xff");
($exit, $out, $err) = run_tapmig($node, [ 'lint', '--format', 'github', "./5%: 'a', \"b\".sql" ], cwd => $elsewhere);
is("$exit|$out", "1|::error file=" . property("5%: 'a', \"b\".sql") . ',title=22021::' . data("./5%: 'a', \"b\".sql is not valid UTF-8\n$latin_hint") . "\n",
	'none that could be sent; escaped');
($exit, $out, $err) = run_tapmig($node, [ 'lint', '--json', "./5%: 'a', \"b\".sql" ], cwd => $elsewhere);
is_deeply(decoded($out), [ { migration => "5%: 'a', \"b\"", file => "./5%: 'a', \"b\".sql",
			error => { sqlstate => '22021', message => "./5%: 'a', \"b\".sql is not valid UTF-8", hint => $latin_hint } } ], 'as JSON') or diag $out;

# ---------------------------------------------------------------- rights, connection, nothing to do

$node->safe_psql('postgres', 'CREATE ROLE nobody_special');
($exit, $out, $err) = run_tapmig($node, [ 'lint', '--role', 'nobody_special', "$elsewhere/odd.sql" ]);
is("$exit|$out", '1|', 'without the right to lint');
like($err, qr/permission denied for function lint\n(?s:.*)this role may not use tapmig/, 'is told so');
($exit, $out, $err) = run_tapmig($node, [ 'lint', '--db', 'nosuch', "$elsewhere/odd.sql" ]);
is("$exit|$out", '3|', 'no such database');
# The search_path is the caller's, in each script.
$node->safe_psql('postgres', 'CREATE SCHEMA app; CREATE TABLE app.inner_one (id int); INSERT INTO app.inner_one VALUES (1)');
my $hidden = "ALTER TABLE inner_one ADD CHECK (id > 0);\n";
my $path = migrations_dir({ '001_a.sql' => $hidden, '002_b.sql' => $hidden });
($exit, $out, $err) = run_tapmig($node, [ 'lint', '--dir', $path ], env => { PGOPTIONS => '-c search_path=app' });
is(join(' ', $out =~ /(\d+_.)\.sql:1: warning: check/g), '001_a 002_b', 'the search_path is the caller\'s') or diag $err;

# ---------------------------------------------------------------- up

$dir = migrations_dir({
	'001_clean.sql'  => "CREATE TABLE clean (i int);\n",
	'002_mixed.sql'  => "$mixed$check",
	'003_speaks.sql' => <<'SQL',
DO $$
BEGIN
	RAISE WARNING 'line 3: error: some-rule: not of lint';
	RAISE WARNING 'line 3: erring: some-rule: neither' USING HINT = 'a hint';
	RAISE WARNING 'statement 1, line 3: warning: some-rule: nor this' USING DETAIL = 'a detail', HINT = 'a hint';
	RAISE NOTICE 'hello';
END
$$;
SQL
	'004_both.sql' => "ALTER TABLE few ADD CHECK (id > 1 - 1);\nDO \$\$BEGIN RAISE WARNING 'statement 1, line 2: error: some-rule: of the script'; END\$\$;\n",
	"005_it's.sql" => "ALTER TABLE few ADD CHECK (id > 2 - 2);\n" });
($exit, $out, $err) = tapmig('up', $dir);
is("$exit|" . ($out =~ s/ \(\d+ ms\)//gr), "0|applied 001_clean\napplied 002_mixed\napplied 003_speaks\napplied 004_both\napplied 005_it's\n", 'up');
is($err, <<"TEXT", 'a line for each script with findings; what scripts say stays');
tapmig: 002_mixed: lint: 1 error, 2 warnings (index-create-not-concurrent, check-not-not-valid); tapmig lint $dir/002_mixed.sql shows them
tapmig: 003_speaks: WARNING:  line 3: error: some-rule: not of lint
tapmig: 003_speaks: WARNING:  line 3: erring: some-rule: neither
HINT:  a hint
tapmig: 003_speaks: WARNING:  statement 1, line 3: warning: some-rule: nor this
DETAIL:  a detail
HINT:  a hint
tapmig: 003_speaks: NOTICE:  hello
tapmig: 004_both: lint: 1 warning (check-not-not-valid); tapmig lint $dir/004_both.sql shows it
tapmig: 004_both: WARNING:  statement 1, line 2: error: some-rule: of the script
tapmig: 005_it's: lint: 1 warning (check-not-not-valid); tapmig lint '$dir/005_it'\\''s.sql' shows it
TEXT
my ($command) = $err =~ /; (tapmig lint .*) shows them$/m;
($exit, $out, $err) = run_tapmig($node, [ (split / /, $command)[ 1, 2 ] ]);
like($out, qr/002_mixed\.sql:2: error: index-create-not-concurrent: /, 'that command works when it is applied');

# A name with a line break; a script that fails; two with findings one after the other.
my $failing = migrations_dir({ '011_odd.sql' => $odd, '012_few.sql' => "ALTER TABLE few ADD CHECK (id > 3 - 3);\n",
		'013_fails.sql' => "ALTER TABLE few ADD CHECK (id > 1);\n" });
($exit, $out, $err) = tapmig('up', $failing, '--json');
is($exit, 1, 'a script with findings fails');
like($err, qr/\A(tapmig: 01(1_odd|2_few|3_fails): lint: 1 warning \(check-not-not-valid\); tapmig lint \S+ shows it\n){3}tapmig: 013_fails: ERROR:  check constraint/,
	'a line for each, then the error');
my @events = map { JSON::PP::decode_json($_) } split /\n/, $out;
is_deeply([ map { $_->{event} } grep { $_->{event} ne 'lint' } @events ], [ 'migration', 'migration', 'error' ], 'what became of them, as JSON');
like((grep { $_->{event} eq 'error' } @events)[0]{message}, qr/^check constraint/, 'with the error only');
my @linted = sort { $a->{migration} cmp $b->{migration} } grep { $_->{event} eq 'lint' } @events;
is(join(' ', map { "$_->{migration}/$_->{version}/$_->{name}" } @linted), '011_odd/011/odd 012_few/012/few 013_fails/013/fails', 'and what lint found');
is_deeply($linted[0]{findings}, [ { statement => 1, line => 1, level => 'warning', rule => 'check-not-not-valid', message => (finding($odd, 'check-not-not-valid'))[0] } ],
	'each finding') or diag explain \@linted;

my $two = migrations_dir({ '016_two.sql' => "-- tapmig: allow=lock-table\nCREATE INDEX agents_a ON agents (name);\nCREATE INDEX agents_b ON agents (name);\n$check" });
($exit, $out, $err) = tapmig('up', $two, '--json');
is($exit, 0, 'a script with several findings');
my ($both) = grep { $_->{event} eq 'lint' } map { JSON::PP::decode_json($_) } split /\n/, $out;
is(join(' ', map { ($_->{statement} // '-') . "/$_->{line}/$_->{level}/$_->{rule}" } @{ $both->{findings} }),
	'1/2/error/index-create-not-concurrent 2/3/error/index-create-not-concurrent 3/4/warning/check-not-not-valid', 'several, in order') or diag $out;
like($err, qr/\Atapmig: 016_two: lint: 2 errors, 1 warning \(/, 'errors and warnings are counted');

# The setting.
my $refused = migrations_dir({ '021_refused.sql' => "${check}CREATE INDEX agents_team ON agents (team);\n" });
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $refused ], env => { LC_ALL => 'C', PGOPTIONS => '-c tapmig.lint=error' });
is("$exit|$out", '1|', 'tapmig.lint = error');
like($err, qr/\Atapmig: 021_refused: lint: 1 warning \(check-not-not-valid\); tapmig lint \S+ shows it
tapmig: 021_refused: ERROR:  lint refuses migration 021_refused
DETAIL:  statement 2, line 2: index-create-not-concurrent: .*
HINT:  .*allow=index-create-not-concurrent.*
(CONTEXT: .*\n)?tapmig: nothing of 021_refused was applied, the migrations before it are in; correct it and run tapmig up again \(SQLSTATE TM007\)\n\z/, 'the error whole, and the next step');
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $refused ], env => { PGOPTIONS => '-c tapmig.lint=off' });
is("$exit|$err", '0|', 'tapmig.lint = off');

($exit, $out, $err) = tapmig('lint', $refused);
is("$exit|$out|$err", "0||tapmig: nothing pending\n", 'nothing pending');
($exit, $out, $err) = tapmig('lint', $refused, '--json');
is("$exit|$out", "0|[]\n", 'as JSON');

# What has other content than what was applied, and a wrong plan.
write_file("$refused/021_refused.sql", 'SELECT 1');
($exit, $out, $err) = tapmig('lint', $refused);
like("$exit|$out|$err", qr/\A0\|\|tapmig: WARNING:  021_refused is not linted: its state is differs: .*\ntapmig: nothing pending\n\z/, 'says what is not linted');
write_file("$refused/020_late.sql", 'SELECT 1');
($exit, $out, $err) = run_tapmig($node, [ 'lint', '--dir', $refused ], env => { PGOPTIONS => '-c tapmig.out_of_order=error' });
is("$exit|$out", '4|', 'a wrong plan') or diag $err;

done_testing();
