# new: the next file, in the directory's own style. Needs no database.

use strict;
use warnings;

use TapmigTest;
use Test::More;

sub new_file
{
	my ($files, @name) = @_;
	my $dir = migrations_dir($files);
	my ($exit, $out, $err) = run_tapmig(undef, [ 'new', @name, '--dir', $dir ], env => { PGHOST => '/nowhere' });

	is($exit, 0, "new @name") or diag $err;
	chomp $out;
	ok(-f $out, 'the path that is printed is there');
	return substr($out, length($dir) + 1);
}

my @cases = (
	[ {}, '001_add.sql', 'an empty directory' ],
	[ { '036_x.sql' => '' }, '037_add.sql', "the directory's width" ],
	[ { '36_x.sql'  => '' }, '37_add.sql',  'no leading zeros' ],
	[ { '9_x.sql' => '', '10_x.sql' => '' }, '11_add.sql', 'numbers are compared as numbers' ],
	[ { '099_x.sql' => '' }, '100_add.sql', 'a carry' ],
	[ { '999_x.sql' => '' }, '1000_add.sql', 'over the width' ],
	[ { '001_a.sql' => '', '036_x.down.sql' => '', '036_x.up.sql' => '' }, '037_add.up.sql', 'a pair of up and down' ],
	[ { 'V7__x.sql' => '' }, 'V8__add.sql', 'a V' ],
	[ { 'V1_9__x.sql' => '' }, 'V1.10__add.sql', 'a V with parts' ],
	[ { '1.9_x.sql' => '', '1.10_x.sql' => '' }, '1.11_add.sql', 'parts' ],
	[ { '036_2fa.sql' => '' }, '037_add.sql', 'a name that begins with a digit' ],
	[ { '004_d/up.sql' => '' }, '005_add/up.sql', 'directories' ],
	[ { '004_d/migration.sql' => '' }, '005_add/migration.sql', 'directories of the other kind' ],
	[ { '001_a.sql' => '', 'seed.sql' => '', 'schema.sql' => '', '2x.sql' => '' }, '002_add.sql', 'other files do not count' ],
	[ { '99999999999999999999_a.sql' => '' }, '100000000000000000000_add.sql', 'numbers of any length' ],
);
is(new_file($_->[0], 'add'), $_->[1], $_->[2]) for @cases;

# Times, in UTC
my @now = gmtime;
my $day = sprintf '%04d%02d%02d', $now[5] + 1900, $now[4] + 1, $now[3];
my $file = new_file({ '20240114093000_x.sql' => '' }, 'add');
like($file, qr/\A\d{14}_add\.sql\z/, 'a time');
cmp_ok(substr($file, 0, 8), '>=', $day, 'of now');
like(new_file({ '202401140930_x.sql' => '' }, 'add'), qr/\A20\d{10}_add\.sql\z/, 'a time without seconds');
like(new_file({ '2017-10-08-193512_x.sql' => '' }, 'add'), qr/\A\d{4}-\d\d-\d\d-\d{6}_add\.sql\z/, 'a time with hyphens');
is(new_file({ '20990101000000_x.sql' => '' }, 'add'), '20990101000001_add.sql', 'a time that is to come: the one after it');

# Names
my %names = (
	'Add an Index'  => '001_add_an_index.sql',
	'a/b; c$(id)'   => '001_a_b_c_id.sql',
	'--x--'         => '001_x.sql',
	'users.sql'     => '001_users.sql',
	"Gr\xc3\xb6\xc3\x9fe" => "001_gr\xc3\xb6\xc3\x9fe.sql",
);
for my $name (sort keys %names)
{
	my @arguments = $name =~ /^-/ ? ('--', $name) : $name;
	my $dir = migrations_dir({});
	my ($exit, $out, $err) = run_tapmig(undef, [ 'new', '--dir', $dir, @arguments ]);
	is($out, "$dir/$names{$name}\n", "name $names{$name}") or diag $err;
}
is(new_file({}, qw(add two words)), '001_add_two_words.sql', 'several words');
my ($exit, $out, $err) = run_tapmig(undef, [ 'new', '!!', '--dir', migrations_dir({}) ]);
is($exit, 2, 'nothing left of a name: exit code 2');

# Content and directory
my $dir = scratch_dir() . '/a/b';
($exit, $out, $err) = run_tapmig(undef, [ 'new', 'first', '--dir', $dir ]);
is("$exit|$out", "0|$dir/001_first.sql\n", 'a directory that is not there is made when it is named') or diag $err;
like(read_file("$dir/001_first.sql"), qr/\A-- Why: /, 'the file has a line for the reason');
is((stat "$dir/001_first.sql")[2] & 0777, 0666 & ~umask, "the file has the user's permissions");
($exit, $out, $err) = run_tapmig(undef, [ 'new', 'first' ], cwd => scratch_dir());
is($exit, 2, 'no directory, none named: exit code 2');
like($err, qr/HINT:  mkdir migrations, or/, 'says what to do');
for my $case ([ 'a name that is too long', scratch_dir(), 'x' x 300 ], [ 'a directory that cannot be made', '/proc/nosuch', 'x' ])
{
	($exit, $out, $err) = run_tapmig(undef, [ 'new', '--dir', $case->[1], $case->[2] ]);
	is("$exit|$out", '2|', "$case->[0]: exit code 2");
	like($err, qr/^tapmig: cannot make .*\nHINT:  /m, "$case->[0]: its message, and a next step");
}
my $place = scratch_dir();
mkdir "$place/migrations";
($exit, $out, $err) = run_tapmig(undef, [ 'new', 'first' ], cwd => $place);
is("$exit|$out", "0|migrations/001_first.sql\n", 'the default directory');

done_testing();
