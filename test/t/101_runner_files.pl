# Every file reaches the server byte for byte, whatever its name and content,
# or is refused before anything runs.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

# ------------------------------------------------- what works, byte for byte

my %files = (
	"001_it's a \"name\" with spaces.sql"    => "SELECT 1;\n",
	'002_$HOME `id` \\n \\ %s ;.sql'          => "SELECT 2;\n",
	"004_gr\xc3\xb6\xc3\x9fe_\xe8\xa1\xa8.sql" => "SELECT 4;\n",
	'005_-rf --.sql'                         => "SELECT 5;\n",
	'006_:label :\'label\'.sql'              => "SELECT 6;\n",
	'010_crlf.sql'            => "SELECT 'a\r\nb';\r\n\r\nSELECT 2;\r\n",
	'011_no_last_newline.sql' => "SELECT 1;\n\nSELECT 2",
	'012_many_newlines.sql'   => "\n\n\nSELECT 1;\n\n\n\n",
	'013_bom.sql'             => "\xef\xbb\xbfSELECT 1;\n",
	'014_empty.sql'           => '',
	'015_newline.sql'         => "\n",
	'016_psql.sql' =>
	  "SELECT ':label', \$q\$ :'source' \\q \\gset\n\\echo no command here\n\$q\$, E'\\\\';\n-- :sql `date` \\if\n/* \\quit */ SELECT 1::int;\n",
	'017_unicode.sql' => "SELECT '\xf0\x9f\x90\x98 \xe2\x82\xac' AS \"\xc3\xa4\";\n",
	'018_copy.sql'    => "CREATE TABLE copied (a text, b int);\nCOPY copied FROM stdin;\na\\tb\t1\n\\N\t\\N\n\\.\nSELECT 1;\n",
	'019_long_line.sql' => "SELECT '" . ('x' x 300_000) . "';",
);
my $dir = migrations_dir(\%files);

my ($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ]);
is($exit, 0, 'all of them are applied') or diag $err;
is(scalar(() = $out =~ /^applied /mg), scalar keys %files, 'a line for each');
for my $file (sort keys %files)
{
	my $row = sql_try($node,
		"SELECT encode(m.checksum, 'hex'), encode(convert_to(s.sql, 'UTF8'), 'hex') FROM tapmig.schema_migrations m"
		  . ' LEFT JOIN tapmig.scripts s USING (checksum) WHERE m.version = ' . quoted(substr($file, 0, 3)))->{rows}[0];
	(my $shown = $file) =~ s/[^ -~]/?/g;

	is($row->[0], sha256_file("$dir/$file"), "$shown: the ledger's checksum is sha256sum's");
	ok(($row->[1] // '') eq unpack('H*', $files{$file}), "$shown: the stored text is the file's");
}
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ]);
is("$exit|$out|$err", '0||', 'the plan knows all of them again');
is(sql_value($node, q{SELECT name FROM tapmig.schema_migrations WHERE version = '002'}), '$HOME `id` \\n \\ %s ;', 'a name arrives as it is');
is(sql_value($node, q{SELECT source FROM tapmig.schema_migrations WHERE version = '001'}),
	"$dir/001_it's a \"name\" with spaces.sql", 'and so does the source');

# A directory whose own name is odd
my $odd = scratch_dir() . "/-d 'i' \"r\" \$x \\";
write_file("$odd/500_a.sql", 'SELECT 1');
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $odd ]);
like($out, qr/\Aapplied 500_a /, 'a directory of an odd name') or diag $err;

# Temporary files below a directory of an odd name
my $odd_tmp = scratch_dir() . "/t 'm' p";
mkdir $odd_tmp;
write_file("$odd/501_b.sql", 'SELECT 1');
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $odd ], env => { TMPDIR => $odd_tmp });
like($out, qr/\Aapplied 501_b /, 'a TMPDIR of an odd name') or diag $err;
is_deeply([ glob(quotemeta($odd_tmp) . '/*') ], [], 'which is empty afterwards');

# A database in another encoding
$node->safe_psql('postgres', q{CREATE DATABASE latin1 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0});
$node->safe_psql('latin1', 'CREATE EXTENSION tapmig');
my $umlaut = migrations_dir({ "001_\xc3\xbc.sql" => "CREATE TABLE t AS SELECT '\xc3\xa4'::text AS a;\n" });
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $umlaut ], dbname => 'latin1');
is($exit, 0, 'a database in LATIN1') or diag $err;
like($out, qr/\Aapplied 001_\xc3\xbc /, 'output in UTF-8');
is(sql_value($node, 'SELECT octet_length(a) FROM t', dbname => 'latin1'), 1, 'the text arrives in its encoding');
is(sql_value($node, "SELECT encode(checksum, 'hex') FROM tapmig.schema_migrations", dbname => 'latin1'),
	sha256_file("$umlaut/001_\xc3\xbc.sql"), "the checksum is the file's");
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $umlaut ], dbname => 'latin1');
is("$exit|$out|$err", '0||', 'and known again');

# ------------------------------------------- what is refused, before all else

# In each case a good file of a lower version is there too: it must not run.
sub refused
{
	my ($files, $code, $like, $name, %opt) = @_;
	my $bad = migrations_dir({ '800_good.sql' => 'CREATE TABLE good (i int)', %$files });

	$opt{prepare}->($bad) if $opt{prepare};
	my ($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $bad ]);
	is($exit, $code, "$name: exit code $code") or diag "$out$err";
	like($err, $like, "$name: the message");
	is($out, '', "$name: nothing is said to be applied");
	is(sql_value($node, "SELECT to_regclass('good') IS NULL AND NOT EXISTS (SELECT FROM tapmig.schema_migrations WHERE version LIKE '80_')"),
		't', "$name: nothing ran");
	is(() = $err =~ /^HINT:/mg, 1, "$name: one next step") unless $opt{hints};
}

refused({ '801_a.sql' => 'SELECT 1', '0801_b.sql' => 'SELECT 2' }, 4,
	qr{two files of one version: \S*/0801_b\.sql and \S*/801_a\.sql}, 'two files of one version');
refused({ '801_a/up.sql' => 'SELECT 1', '801_a/migration.sql' => 'SELECT 2' }, 4,
	qr{two files of one version: \S*/801_a/migration\.sql and \S*/801_a/up\.sql}, 'two scripts in one directory');
refused({ '801_a.sql' => 'SELECT 1', '801_a.up.sql' => 'SELECT 2' }, 4,
	qr{two files of one version: \S*/801_a\.sql and \S*/801_a\.up\.sql}, 'two kinds of names');
refused({ '801_latin.sql' => "SELECT '\xe4';\n" }, 1, qr{/801_latin\.sql is not valid UTF-8 \(SQLSTATE 22021\)}, 'invalid UTF-8');
refused({ '801_half.sql' => "SELECT 1; -- \xc3", '802_other.sql' => "\xa4" }, 1,
	qr{/801_half\.sql is not valid UTF-8}, 'a character that begins in one file and ends in the next');
refused({ '801_zero.sql' => "SELECT 1\0;\n" }, 1, qr{/801_zero\.sql has a zero byte}, 'a zero byte');
refused({ '801_utf16.sql' => "\xff\xfeS\0E\0L\0" }, 1, qr{/801_utf16\.sql is not valid UTF-8}, 'UTF-16');
refused({ "801_line\nbreak.sql" => 'SELECT 1' }, 2, qr{has a line break in it}, 'a line break in a name');
refused({ "801_tab\there.sql" => 'SELECT 1' }, 2, qr{has a control character in it: \S*801_tab\there}, 'a tab in a name');
refused({ "801_latin_\xe4.sql" => 'SELECT 1' }, 2, qr{a file name is not valid UTF-8}, 'a name that is not UTF-8');
refused({}, 2, qr{cannot read \S*/801_dangling\.sql}, 'a dangling link',
	prepare => sub { symlink('nowhere', "$_[0]/801_dangling.sql") or die });
refused({ '801_' . ('n' x 230) . '.sql' => 'SELECT 1' }, 2, qr{ERROR:}, 'a name that is too long for a version', hints => 'any');

SKIP:
{
	skip 'root reads every file', 5 if $> == 0;
	refused({ '801_secret.sql' => 'SELECT 1' }, 2, qr{cannot read \S*/801_secret\.sql}, 'an unreadable file',
		prepare => sub { chmod 0, "$_[0]/801_secret.sql" });
}
SKIP:
{
	skip 'root reads every directory', 2 if $> == 0;
	my $closed = migrations_dir({ '801_a.sql' => 'SELECT 1' });
	chmod 0, $closed;
	($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $closed ]);
	chmod 0700, $closed;
	is($exit, 2, 'an unreadable directory');
	like($err, qr/cannot read the directory/, 'which is named');
}

($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', '/nowhere/at/all' ]);
is($exit, 2, 'a directory that is not there');
is($err, "tapmig: no such directory: /nowhere/at/all\nHINT:  Name the directory of the migrations with --dir or TAPMIG_DIR.\n", 'its message');
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', "$dir/010_crlf.sql" ]);
is($exit, 2, 'a file for a directory');
like($err, qr/not a directory/, 'its message');
($exit, $out, $err) = run_tapmig($node, ['up'], cwd => scratch_dir());
is($exit, 2, 'no directory at all');
like($err, qr/none of migrations, db\/migrations, deploy\/migrations is here/, 'its message');
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', scratch_dir() ]);
is("$exit|$out|$err", '0||', 'an empty directory: nothing to do');

# A bad file that was applied long ago is nobody's business: only what is
# pending is looked into.
my $old = migrations_dir({ '600_a.sql' => 'SELECT 1' });
run_tapmig($node, [ 'up', '--dir', $old ]);
my $digest = sha256_file(write_file("$old/601_bad.sql", "\xff"));
sql_value($node, "SELECT tapmig.register('601_bad')");
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $old ]);
is($exit, 0, 'a file that is recorded without content is not read as text') or diag $err;

# Files that are no migrations
my $others = migrations_dir({
		'700_a.sql' => 'SELECT 1', 'seed.sql' => 'SELECT 1', '7b.sql' => 'SELECT 1', 'R__view.sql' => 'SELECT 1',
		'seeds/a.sql' => 'SELECT 1', '701_d/up.sql' => 'SELECT 1', '701_d/other.sql' => 'SELECT 1', 'empty/readme' => '' });
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $others ]);
is($out =~ s/\(\d+ ms\)//gr, "applied 700_a \napplied 701_d \n", 'other files are not run') or diag $err;
like($err, qr{WARNING:  \S*/$_ is ignored}, "warning for $_") for qw(seed\.sql 7b\.sql R__view\.sql 701_d/other\.sql);
like($err, qr{WARNING:  the scripts in \S*/seeds are ignored}, 'warning for a directory of scripts');
is(() = $err =~ /^/mg, 5, 'no other warning');

done_testing();
